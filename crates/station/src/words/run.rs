//! One run of a specification: its states, and the file that carries its result.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::{Timestamp, ToolName};

/// Where a row of SCHEDULE stands. Nothing but retention deletes a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Waits for its time.
    Pending,
    /// Claimed by a daemon; its process runs or is about to.
    Running,
    /// Its result is a file that waits to be loaded. A run that hung and was ended is here too.
    Finished,
    /// Its readings are in the tables.
    Loaded,
    /// Its window passed before it was started.
    Missed,
    /// Its daemon died while it ran.
    Lost,
    /// It could not be started.
    Failed,
    /// Its output was not understood; the file is kept.
    Rejected,
    /// Somebody, or a clock that was set back, called it off.
    Cancelled,
}

impl State {
    /// All of them, in the order of a run's life.
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Running,
        Self::Finished,
        Self::Loaded,
        Self::Missed,
        Self::Lost,
        Self::Failed,
        Self::Rejected,
        Self::Cancelled,
    ];

    /// The word in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Loaded => "loaded",
            Self::Missed => "missed",
            Self::Lost => "lost",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing will happen to the row any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Running | Self::Finished)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which run: the row and how often it has been claimed. Every change of a row names both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId {
    /// The key of SCHEDULE.
    pub schedule_id: i64,
    /// 1 for the first claim.
    pub attempt: i64,
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.schedule_id)?;
        if self.attempt > 1 { write!(f, " (attempt {})", self.attempt) } else { Ok(()) }
    }
}

/// How the process of a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how")]
pub enum Ended {
    /// By itself.
    Exited {
        /// Its exit status.
        status: i32,
    },
    /// By a signal that the station did not send.
    Signalled {
        /// The signal's number.
        signal: i32,
    },
    /// By the station: it had run longer than time2run + grace.
    TimedOut {
        /// The signal that it ended by; nothing if it then exited by itself.
        signal: Option<i32>,
    },
    /// By the station: it wrote more than the limit.
    TooMuchOutput,
}

impl Ended {
    /// Why a person might want to look, if they might.
    #[must_use]
    pub fn remark(&self) -> Option<String> {
        match self {
            Self::Exited { .. } => None,
            Self::Signalled { signal } => Some(format!("ended by signal {signal}")),
            Self::TimedOut { .. } => Some("hung and was ended at its limit".to_owned()),
            Self::TooMuchOutput => Some("ended for writing too much output".to_owned()),
        }
    }
}

impl From<&Ended> for readings::End {
    fn from(ended: &Ended) -> Self {
        match ended {
            Ended::Exited { status } => Self::Exited(*status),
            Ended::Signalled { signal } => Self::Signalled(*signal),
            Ended::TimedOut { .. } => Self::TimedOut,
            // It was killed for it, but it had every chance to say something.
            Ended::TooMuchOutput => Self::Exited(1),
        }
    }
}

/// The first line of a result file: a JSON object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// 1: this form.
    pub version: u32,
    /// The key of SCHEDULE.
    #[serde(rename = "scheduleID", alias = "schedule_id")]
    pub schedule_id: i64,
    /// How often the run had been claimed, this time included.
    pub attempt: i64,
    /// The tool whose output it is, which is the file's suffix too.
    pub probetype: String,
    /// The specification, and when the run was due: a row of the same number in another database, a
    /// copy that was put back for instance, is another run.
    #[serde(rename = "toolspecsID")]
    pub spec_id: i64,
    /// When it was due, microseconds since the epoch.
    pub due_us: Timestamp,
    /// What was run, word by word.
    pub argv: Vec<String>,
    /// The node that was measured to.
    pub node: String,
    /// When the process was started, microseconds since the epoch.
    pub start_us: Timestamp,
    /// When it had ended.
    pub end_us: Timestamp,
    /// How it ended.
    pub ended: Ended,
    /// Whether the kernel held the clock to be synchronised (`adjtimex(2)`).
    pub clock_synchronised: bool,
    /// Bytes of stdout in this file, after the first line.
    pub stdout_bytes: u64,
    /// Bytes of stderr in this file, after stdout.
    pub stderr_bytes: u64,
    /// Bytes that the process wrote beyond what is kept here.
    #[serde(default)]
    pub cut_bytes: u64,
    /// What is known of a run that had the channel for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alone: Option<Alone>,
}

/// What a result file adds for a run that had the channel for itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alone {
    /// How the machine was right before the start.
    pub machine: Machine,
    /// Why its figures are not to be trusted as they are: which limits the machine was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unclean: Option<String>,
    /// The ping beside it; its output follows that of the run itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<Beside>,
}

/// How busy a machine was.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The load average of the last minute (`proc_loadavg(5)`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<f64>,
    /// Memory that programs can have, bytes (`MemAvailable`, `proc_meminfo(5)`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_memory_bytes: Option<u64>,
    /// The interface that the target is reached by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// What went through that interface both ways, bit/s; nothing where it was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_bps: Option<f64>,
}

/// A ping that went beside a run, to see the delay under its load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    /// What was run, word by word.
    pub argv: Vec<String>,
    /// When it was started, microseconds since the epoch; the run itself began later.
    pub start_us: Timestamp,
    /// How it ended.
    pub ended: Ended,
    /// Bytes of its stdout in this file, after those of the run itself.
    pub stdout_bytes: u64,
    /// Bytes of its stderr in this file, after its stdout.
    pub stderr_bytes: u64,
}

impl Header {
    /// Which run.
    #[must_use]
    pub fn run(&self) -> RunId {
        RunId { schedule_id: self.schedule_id, attempt: self.attempt }
    }
}

/// The form that this program writes and reads.
pub const HEADER_VERSION: u32 = 1;

/// A result file taken apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Parts<'a> {
    /// The first line.
    pub header: Header,
    /// What the tool wrote to its standard output.
    pub stdout: &'a [u8],
    /// What it wrote to its standard error.
    pub stderr: &'a [u8],
    /// What the ping beside it wrote to its standard output, and to its standard error.
    pub beside: (&'a [u8], &'a [u8]),
}

/// Takes a result file apart.
///
/// # Errors
/// Says what is wrong with a file that is cut off, too long, or no result file at all.
pub fn take_apart(file: &[u8]) -> Result<Parts<'_>, String> {
    let newline = file.iter().position(|byte| *byte == b'\n');
    let (first, rest) =
        file.split_at(newline.ok_or("no first line: this is no whole result file")?);
    let header: Header = serde_json::from_slice(first)
        .map_err(|error| format!("the first line is no header of a result file: {error}"))?;
    if header.version != HEADER_VERSION {
        return Err(format!(
            "form {} of result files is not known here, only {HEADER_VERSION}",
            header.version
        ));
    }
    let body = rest.get(1..).unwrap_or_default();
    let length = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let beside = header.alone.as_ref().and_then(|alone| alone.beside.as_ref());
    let beside = beside.map_or((0, 0), |beside| (beside.stdout_bytes, beside.stderr_bytes));
    let lengths = [header.stdout_bytes, header.stderr_bytes, beside.0, beside.1].map(length);
    let all = lengths.iter().try_fold(0_usize, |sum, length| sum.checked_add(*length));
    if Some(body.len()) != all {
        return Err(format!(
            "the header promises {lengths:?} bytes, the file holds {}",
            body.len()
        ));
    }
    let (stdout, rest) = body.split_at(lengths[0]);
    let (stderr, rest) = rest.split_at(lengths[1]);
    Ok(Parts { header, stdout, stderr, beside: rest.split_at(lengths[2]) })
}

/// The name of a run's result file: `scheduleid.probetype`.
#[must_use]
pub fn file_name(run: RunId, tool: &str) -> String {
    format!("{}.{tool}", run.schedule_id)
}

/// The run and the tool that a file's name stands for.
#[must_use]
pub fn parse_file_name(name: &str) -> Option<(i64, ToolName)> {
    let (id, tool) = name.split_once('.')?;
    let plain = !id.starts_with('+') && (id == "0" || !id.starts_with('0'));
    Some((id.parse().ok().filter(|id| plain && *id >= 0)?, tool.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            version: HEADER_VERSION,
            schedule_id: 7,
            attempt: 1,
            probetype: "ping".to_owned(),
            spec_id: 3,
            due_us: Timestamp(4),
            argv: vec!["ping".to_owned(), "::1".to_owned()],
            node: "here".to_owned(),
            start_us: Timestamp(5),
            end_us: Timestamp(9),
            ended: Ended::Exited { status: 0 },
            clock_synchronised: true,
            stdout_bytes: 4,
            stderr_bytes: 2,
            cut_bytes: 0,
            alone: None,
        }
    }

    fn file(body: &str) -> Vec<u8> {
        format!("{}\n{body}", serde_json::to_string(&header()).expect("plain values")).into_bytes()
    }

    #[test]
    fn what_was_written_is_read() {
        let file = file("out\ne\n");
        let parts = take_apart(&file).expect("a whole file");
        assert_eq!(
            parts,
            Parts { header: header(), stdout: b"out\n", stderr: b"e\n", beside: (b"", b"") }
        );
    }

    #[test]
    fn a_file_that_is_cut_off_is_no_result() {
        let whole = file("out\ne\n");
        for end in 0..whole.len() {
            assert!(take_apart(&whole[..end]).is_err(), "{end} bytes were taken");
        }
        assert!(take_apart(&file("out\ne\nmore")).is_err());
    }

    #[test]
    fn a_file_name_is_a_number_and_a_tool() {
        assert_eq!(parse_file_name("17.ping"), Some((17, "ping".parse().expect("a tool"))));
        for wrong in
            ["ping", "17", "17.", ".ping", "x.ping", "-1.ping", "+1.ping", "01.ping", "1.ping.tmp"]
        {
            assert_eq!(parse_file_name(wrong), None, "{wrong}");
        }
    }
}
