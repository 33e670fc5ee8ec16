//! Why there are no figures, or fewer than were asked for.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::{
    End, Output, Unreadable,
    text::{self, bare, quote},
};

/// Why a run gave no figures, or fewer than were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What kind of thing went wrong.
    pub kind: Kind,
    /// The tool's own words where there are any, at most 200 characters.
    pub text: String,
}

/// The kinds of problems; in JSON the words of [`Kind::words`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The name of the target means nothing.
    UnknownHost,
    /// Whether the name means anything could not be found out.
    ResolverFailure,
    /// The target has no address of the family asked for.
    NoAddress,
    /// This host has no route to the target.
    NetworkUnreachable,
    /// Nobody listens where the tool looked for its server, or the server turned the test down.
    Refused,
    /// Its server serves somebody else.
    Busy,
    /// Its server did not answer.
    NoAnswer,
    /// The connection to its server broke in the middle.
    Broken,
    /// The tool lacks a privilege.
    NotPermitted,
    /// The tool did not accept its arguments.
    Usage,
    /// It had to be ended at its limit of time.
    Hung,
    /// A signal ended it.
    Killed,
    /// The signal of an interrupt (SIGINT) ended it.
    Interrupted,
    /// It ended by itself, but the end of its output is missing.
    CutShort,
    /// Anything else; the text says what.
    Other,
}

impl Kind {
    /// The kind in words: "unknown host".
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::UnknownHost => "unknown host",
            Self::ResolverFailure => "resolver failure",
            Self::NoAddress => "no address",
            Self::NetworkUnreachable => "network unreachable",
            Self::Refused => "refused",
            Self::Busy => "busy",
            Self::NoAnswer => "no answer",
            Self::Broken => "broken off",
            Self::NotPermitted => "not permitted",
            Self::Usage => "usage",
            Self::Hung => "hung",
            Self::Killed => "killed",
            Self::Interrupted => "interrupted",
            Self::CutShort => "cut short",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.words())
    }
}

/// What the tools say, in lower case, and what it means. The C library's words for a failed
/// look-up or call come before the tools': what a tool adds to them varies.
const SAYINGS: &[(&str, Kind)] = &[
    // Before all others what a tool says of its server, as the server's own words may follow, which
    // can be any: "server denied test: ... sends no more than 100 packets" is no fault of usage.
    ("busy running a test", Kind::Busy),
    ("the server is busy", Kind::Busy),
    ("server denied test", Kind::Refused),
    ("the server refuses", Kind::Refused),
    ("the server refused", Kind::Refused),
    ("the server does not want us", Kind::Refused),
    ("no owamp server listens there", Kind::Refused),
    ("the server says what makes no sense", Kind::Broken),
    ("the server speaks another language", Kind::Broken),
    // The C library, and iperf3.
    ("connection refused", Kind::Refused),
    ("connection reset", Kind::Broken),
    ("broken pipe", Kind::Broken),
    ("connection aborted", Kind::Broken),
    ("closed unexpectedly", Kind::Broken),
    ("unexpectedly closed", Kind::Broken),
    ("server has terminated", Kind::Broken),
    ("client has terminated", Kind::Interrupted),
    ("control message", Kind::Broken),
    ("unable to receive", Kind::Broken),
    ("unable to send", Kind::Broken),
    ("timed out", Kind::NoAnswer),
    ("idle timeout", Kind::NoAnswer),
    ("authorization failed", Kind::NotPermitted),
    ("name or service not known", Kind::UnknownHost),
    ("nodename nor servname", Kind::UnknownHost),
    ("name does not resolve", Kind::UnknownHost),
    ("unknown host", Kind::UnknownHost),
    ("bad address", Kind::UnknownHost),
    ("temporary failure in name resolution", Kind::ResolverFailure),
    ("try again", Kind::ResolverFailure),
    ("non-recoverable failure", Kind::ResolverFailure),
    ("address family for hostname not supported", Kind::NoAddress),
    ("no address associated", Kind::NoAddress),
    ("network is unreachable", Kind::NetworkUnreachable),
    ("no route to host", Kind::NetworkUnreachable),
    ("operation not permitted", Kind::NotPermitted),
    ("permission denied", Kind::NotPermitted),
    ("enough privileges", Kind::NotPermitted),
    ("allowed for user", Kind::NotPermitted),
    ("must be root", Kind::NotPermitted),
    ("usage", Kind::Usage),
    ("invalid", Kind::Usage),
    ("unrecognized option", Kind::Usage),
    ("requires an argument", Kind::Usage),
    ("out of range", Kind::Usage),
    ("no more than", Kind::Usage),
    ("bad option", Kind::Usage),
    ("cannot handle", Kind::Usage),
    ("parameter error", Kind::Usage),
    // owping and thrulay have one saying for a refusal and for a host that cannot be reached; the C
    // library's reason, if there is one, stands on a line before it.
    ("unable to open control connection", Kind::Refused),
    ("could not establish connection to server", Kind::Refused),
    ("premature end of test", Kind::Broken),
    ("test session(s) failed", Kind::Broken),
    ("unable to fetch data", Kind::Broken),
    // Our own owping and pathload. The C library's reason why a server went away tells more.
    ("no whole answer within", Kind::NoAnswer),
    ("the server went away", Kind::Broken),
    ("the server ended the connection", Kind::Broken),
    ("terminated, as it was asked to", Kind::Interrupted),
    ("interrupted: the figures are of", Kind::Interrupted),
    ("it has no address", Kind::NoAddress),
];

/// What stands on standard error though nothing is wrong: the progress of pathchirp.
const PROGRESS: &[&str] = &[
    "sender host is",
    "receiver host is",
    "low rate is",
    "high rate is",
    "opening file",
    "updating probing range",
    "chirp number=",
    "finished servicing this client",
    "finished experiment",
];

/// What kept the tool from its figures; nothing if it told them all and ended by itself.
pub(crate) fn of(output: &Output<'_>, complete: bool) -> Option<Problem> {
    of_told(output, complete, None)
}

/// The same for a tool that may have said on standard output, in `said`, why it gives up.
pub(crate) fn of_told(output: &Output<'_>, complete: bool, said: Option<&str>) -> Option<Problem> {
    let on_stdout = said.map(|said| Problem::of(meaning(said), said));
    let by_itself = || told(output.stderr).unwrap_or_else(|| cut_short(output.end));
    from_outside(output.end).or_else(|| (!complete).then(|| on_stdout.unwrap_or_else(by_itself)))
}

/// Whether standard error holds a complaint of a known kind.
pub(crate) fn complained(stderr: &[u8]) -> bool {
    told(stderr).is_some_and(|problem| problem.kind != Kind::Other)
}

/// Warnings of a reading.
const MOST_WARNINGS: usize = 16;

/// What the tool warned of on standard error.
pub(crate) fn warnings(stderr: &[u8]) -> Vec<String> {
    let lines = text::lines(stderr).filter(|line| is_warning(&line.text));
    lines.take(MOST_WARNINGS).map(|line| quote(bare(&line.text))).collect()
}

/// Adds what it warned of on standard output, each warning once.
pub(crate) fn warn(warnings: &mut Vec<String>, said: &str) {
    let said = quote(said);
    if warnings.len() < MOST_WARNINGS && !warnings.contains(&said) {
        warnings.push(said);
    }
}

/// The problem that stands in place of any output, told as such or a stop from outside.
///
/// `first_line` is what is wrong with the first line on standard output, if there is one: whatever
/// speaks there, and not in the manner of the tool, was not the tool. Only if the tool's own
/// complaint stands beside it, it is taken for a help text or the like.
pub(crate) fn instead_of_output(
    output: &Output<'_>,
    first_line: Option<Unreadable>,
) -> Result<Problem, Unreadable> {
    if let Some(problem) = from_outside(output.end) {
        return first_line.map_or(Ok(problem), Err);
    }
    let failed_silently = first_line.is_none() && output.end != End::Exited(0);
    told(output.stderr)
        .filter(|problem| problem.kind != Kind::Other || failed_silently)
        .ok_or_else(|| first_line.unwrap_or_else(|| silence(output.end)))
}

/// Whether somebody else ended the tool.
pub(crate) fn from_outside(end: End) -> Option<Problem> {
    match end {
        End::TimedOut => {
            Some(Problem { kind: Kind::Hung, text: "ended at its limit of time".to_owned() })
        }
        End::Signalled(signal) => Some(signalled(signal)),
        End::Exited(_) => None,
    }
}

/// The first complaint on standard error that is understood, else the first of any kind.
pub(crate) fn told(stderr: &[u8]) -> Option<Problem> {
    let mut unknown = None;
    for line in text::lines(stderr) {
        let said = bare(&line.text);
        if said.is_empty() || is_warning(said) || is_progress(said) {
            continue;
        }
        match meaning(said) {
            Kind::Other => unknown = unknown.or_else(|| Some(Problem::of(Kind::Other, said))),
            kind => return Some(Problem::of(kind, said)),
        }
    }
    unknown
}

/// Whether the tool goes on after saying this. owping complains of every clock that no NTP disciplines.
pub(crate) fn is_warning(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    said.contains("warning") || said.contains(": ntp: ")
}

fn is_progress(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    PROGRESS.iter().any(|start| said.starts_with(start) || said.ends_with(start))
}

/// The first of the sayings that are in the text. They are looked for all at once, from each byte on
/// those that begin with it: a failed run has little else to be read.
pub(crate) fn meaning(said: &str) -> Kind {
    let said = said.to_ascii_lowercase();
    let bytes = said.as_bytes();
    let mut best = SAYINGS.len();
    for (place, byte) in bytes.iter().enumerate() {
        let mut candidates = BEGINNINGS[usize::from(*byte)];
        while candidates != 0 {
            let index = candidates.trailing_zeros() as usize;
            candidates &= candidates - 1;
            if index < best && bytes[place..].starts_with(SAYINGS[index].0.as_bytes()) {
                best = index;
            }
        }
    }
    SAYINGS.get(best).map_or(Kind::Other, |(_, kind)| *kind)
}

/// For each byte a bit for each saying that begins with it.
const BEGINNINGS: [u128; 256] = {
    let mut beginnings = [0; 256];
    let mut index = 0;
    while index < SAYINGS.len() {
        beginnings[SAYINGS[index].0.as_bytes()[0] as usize] |= 1 << index;
        index += 1;
    }
    beginnings
};

impl Problem {
    pub(crate) fn of(kind: Kind, said: &str) -> Self {
        Self { kind, text: quote(said) }
    }
}

fn signalled(signal: i32) -> Problem {
    const INTERRUPT: i32 = 2;
    let kind = if signal == INTERRUPT { Kind::Interrupted } else { Kind::Killed };
    Problem { kind, text: format!("ended by signal {signal}") }
}

pub(crate) fn cut_short(end: End) -> Problem {
    Problem { kind: Kind::CutShort, text: format!("the output ends too early ({})", status(end)) }
}

pub(crate) fn silence(end: End) -> Unreadable {
    Unreadable { reason: format!("nothing was printed ({})", status(end)), line: None }
}

fn status(end: End) -> String {
    match end {
        End::Exited(status) => format!("exit status {status}"),
        End::Signalled(signal) => format!("signal {signal}"),
        End::TimedOut => "hung".to_owned(),
    }
}
