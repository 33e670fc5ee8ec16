//! TOOLSPECS: one specification per probe per target.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    str::FromStr,
    time::Duration,
};

use crate::text::{Mistake, NodeId, Period, Span, ToolName, ToolPath, word_fault};

use super::{
    allowance::{Allowance, Span as Length},
    table::{self, Row, Shape},
};

/// The form of `config/toolspecs.csv`: the original's columns, then ours.
pub const SHAPE: Shape = Shape {
    name: "TOOLSPECS",
    required: &["srcNodeID", "destNodeID", "toolName", "testtype", "time2run", "runinterval"],
    optional: &[
        "toolPath",
        "toolDo",
        "toolOpts1",
        "toolOpts2",
        "toolopts3",
        "daystoanalyze",
        "datatoanalyze",
        "variant",
        "phase",
        "jitter",
        "latestart",
        "grace",
        "dailybytes",
        "dailyseconds",
        "hours",
        "pingbeside",
    ],
};

/// Seconds that a run may take beyond its time2run, when its specification does not say.
pub const DEFAULT_GRACE: u32 = 10;
/// A background run may start late by a tenth of its interval, but by no less and no more than these seconds.
const LATE_START: (u32, u32) = (5, 60);
/// So many seconds before its next slot a run that must be alone no longer starts.
pub const BEFORE_NEXT: u32 = 10;

/// Whether runs may overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TestType {
    /// Side by side with others.
    Background,
    /// Strictly alone on the station.
    BackgroundSyn,
}

impl TestType {
    /// The original's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Background => "background",
            Self::BackgroundSyn => "background-syn",
        }
    }
}

impl FromStr for TestType {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "background" => Ok(Self::Background),
            "background-syn" => Ok(Self::BackgroundSyn),
            _ => Err(format!("expected background or background-syn, found \"{text}\"")),
        }
    }
}

/// What tells one specification from every other. Changing anything else changes the specification
/// but not which one it is: its readings and its `lastrunepoch` go on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpecKey {
    /// The station that measures.
    pub src: NodeId,
    /// The node that is measured to.
    pub dest: NodeId,
    /// The tool.
    pub tool: ToolName,
    /// Tells several specifications of one tool and one pair apart; mostly empty.
    pub variant: String,
}

impl fmt::Display for SpecKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} -> {}", self.tool, self.src, self.dest)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, " ({})", self.variant) }
    }
}

/// One specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolSpec {
    /// Which one it is.
    pub key: SpecKey,
    /// Where the tool is; its own name if the file does not say.
    pub path: ToolPath,
    /// `toolDo`: whether it is scheduled.
    pub on: bool,
    /// Whether runs may overlap.
    pub testtype: TestType,
    /// `toolOpts1`, `toolOpts2`, `toolopts3`: words separated by blanks.
    pub opts: [String; 3],
    /// Seconds allotted to a run.
    pub time2run: Period,
    /// Seconds between runs.
    pub runinterval: Period,
    /// Days that the analysis looks back.
    pub daystoanalyze: u32,
    /// What to plot, in the original's notation.
    pub datatoanalyze: String,
    /// Where in each interval runs fall, in seconds; nothing: spread by a hash of the key.
    pub phase: Option<u32>,
    /// Seconds by which each run is put off at random, 0 to runinterval.
    pub jitter: u32,
    /// Seconds by which a run may start late; later it is missed.
    pub late_start: Option<Period>,
    /// Seconds beyond time2run after which a run is ended.
    pub grace: u32,
    /// What its runs may use up in a day, and when they may start; only for runs that must be alone.
    pub allowance: Allowance,
    /// The options of a ping to the same target beside each run, words separated by blanks; empty: none.
    pub pingbeside: String,
}

impl ToolSpec {
    /// After this time a run is ended from outside.
    #[must_use]
    pub fn limit(&self) -> Duration {
        Duration::from_secs(u64::from(self.time2run.seconds()) + u64::from(self.grace))
    }

    /// By how much a run may start late: a run that must be alone may wait for its turn nearly until the
    /// next one is due, any other a tenth of its interval, between 5 and 60 seconds.
    #[must_use]
    pub fn window(&self) -> Duration {
        let (least, most) = LATE_START;
        let interval = self.runinterval.seconds();
        let usual = match self.testtype {
            TestType::BackgroundSyn => usual_wait(interval),
            TestType::Background => (interval / 10).clamp(least, most),
        };
        Duration::from_secs(u64::from(self.late_start.map_or(usual, Period::seconds)))
    }

    /// The fields beside the key, as TOOLSPECS holds them, with their columns.
    #[must_use]
    pub fn fields(&self) -> [(&'static str, String); 18] {
        let [opts1, opts2, opts3] = self.opts.clone();
        let optional = |seconds: Option<u32>| seconds.map_or_else(String::new, |s| s.to_string());
        let Allowance { bytes, time, hours } = &self.allowance;
        [
            ("toolPath", self.path.to_string()),
            ("toolDo", u8::from(self.on).to_string()),
            ("testtype", self.testtype.as_str().to_owned()),
            ("toolOpts1", opts1),
            ("toolOpts2", opts2),
            ("toolopts3", opts3),
            ("time2run", self.time2run.to_string()),
            ("runinterval", self.runinterval.to_string()),
            ("daystoanalyze", self.daystoanalyze.to_string()),
            ("datatoanalyze", self.datatoanalyze.clone()),
            ("phase", optional(self.phase)),
            ("jitter", self.jitter.to_string()),
            ("latestart", optional(self.late_start.map(Period::seconds))),
            ("grace", self.grace.to_string()),
            ("dailybytes", bytes.map_or_else(String::new, |bytes| bytes.to_string())),
            (
                "dailyseconds",
                optional(
                    time.map(|Length(time)| u32::try_from(time.as_secs()).unwrap_or(u32::MAX)),
                ),
            ),
            ("hours", hours.to_string()),
            ("pingbeside", self.pingbeside.clone()),
        ]
    }
}

/// Seconds that a run which must be alone may wait for its turn, when its specification does not say: its row
/// is closed before the next slot, for a specification has no two open runs.
#[must_use]
pub fn usual_wait(interval: u32) -> u32 {
    interval - (interval / 10).clamp(1, BEFORE_NEXT).min(interval)
}

/// A specification and the line it came from.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The specification.
    pub spec: ToolSpec,
    row: Row<'static>,
}

impl Placed {
    /// Where a column of it stands.
    #[must_use]
    pub fn span(&self, column: &str) -> Span {
        self.row.span(column)
    }
}

/// Reads `toolspecs.csv`: all right specifications, all mistakes.
#[must_use]
pub fn parse(text: &str) -> (Vec<Placed>, Vec<Mistake>) {
    let (table, mut mistakes) = table::parse(&SHAPE, text);
    let mut specs = BTreeMap::new();
    for row in table.rows {
        let Some(spec) = from_row(&row, &mut mistakes) else { continue };
        let key = spec.key.clone();
        if let Entry::Vacant(place) = specs.entry(key.clone()) {
            place.insert(Placed { spec, row });
        } else {
            let message = format!("{key} is there twice; a \"variant\" would tell them apart");
            mistakes.push(Mistake::new(row.span("toolName"), message));
        }
    }
    (specs.into_values().collect(), mistakes)
}

/// The program of a tool, if the row does not name one: most are called as their tool.
fn program_of(tool: &ToolName) -> &str {
    match tool.as_str() {
        "pathchirp" => "pathchirp_rcv",
        "pathload" => "pathload_rcv",
        name => name,
    }
}

/// One row made into a specification; what is wrong with it is noted.
pub fn from_row(row: &Row<'_>, mistakes: &mut Vec<Mistake>) -> Option<ToolSpec> {
    let before = mistakes.len();
    let key = key(row, mistakes);
    let path = row.optional("toolPath", mistakes);
    let on = row.value_or("toolDo", Switch(true), mistakes);
    let testtype = row.value("testtype", mistakes);
    let opts = ["toolOpts1", "toolOpts2", "toolopts3"].map(|column| options(row, column, mistakes));
    let time2run = row.value("time2run", mistakes);
    let runinterval = row.value("runinterval", mistakes);
    let days = row.value_or("daystoanalyze", Whole(28), mistakes);
    let phase = row.optional("phase", mistakes);
    let jitter = row.value_or("jitter", Whole(0), mistakes);
    let late_start = row.optional("latestart", mistakes);
    let grace = row.value_or("grace", Whole(DEFAULT_GRACE), mistakes);
    let allowance = allowance(row, mistakes);
    let pingbeside = options(row, "pingbeside", mistakes);
    let key = key?;
    let spec = ToolSpec {
        path: path?.map_or_else(|| program_of(&key.tool).parse().ok(), Some)?,
        key,
        on: on?.0,
        testtype: testtype?,
        opts,
        time2run: time2run?,
        runinterval: runinterval?,
        daystoanalyze: days?.0,
        datatoanalyze: row.text("datatoanalyze").to_owned(),
        phase: phase?.map(|Whole(seconds)| seconds),
        jitter: jitter?.0,
        late_start: late_start?,
        grace: grace?.0,
        allowance: allowance?,
        pingbeside,
    };
    agree(&spec, row, mistakes);
    (mistakes.len() == before).then_some(spec)
}

fn allowance(row: &Row<'_>, mistakes: &mut Vec<Mistake>) -> Option<Allowance> {
    let bytes = row.optional("dailybytes", mistakes);
    let time = row.optional::<Period>("dailyseconds", mistakes);
    let hours = row.optional("hours", mistakes);
    let time = time?.map(|seconds| Length(seconds.duration()));
    Some(Allowance { bytes: bytes?, time, hours: hours?.unwrap_or_default() })
}

fn key(row: &Row<'_>, mistakes: &mut Vec<Mistake>) -> Option<SpecKey> {
    let src = row.value("srcNodeID", mistakes);
    let dest = row.value("destNodeID", mistakes);
    let tool = row.value("toolName", mistakes);
    let variant = row.optional::<Variant>("variant", mistakes);
    let variant = variant?.map_or_else(String::new, |Variant(name)| name);
    Some(SpecKey { src: src?, dest: dest?, tool: tool?, variant })
}

fn options(row: &Row<'_>, column: &str, mistakes: &mut Vec<Mistake>) -> String {
    let text = row.text(column);
    if let Some(fault) = text.split_ascii_whitespace().find_map(word_fault) {
        mistakes.push(Mistake::new(row.span(column), format!("{column}: {fault}")));
    }
    text.to_owned()
}

/// Values that are right each by itself and wrong together.
fn agree(spec: &ToolSpec, row: &Row<'_>, mistakes: &mut Vec<Mistake>) {
    let interval = spec.runinterval.seconds();
    let mut wrong =
        |column: &str, message: String| mistakes.push(Mistake::new(row.span(column), message));
    if spec.time2run.seconds() > interval {
        wrong(
            "time2run",
            format!("time2run {} is longer than runinterval {interval}", spec.time2run),
        );
    }
    if spec.phase.is_some_and(|phase| phase >= interval) {
        wrong("phase", format!("the phase lies within the interval: 0 to {}", interval - 1));
    }
    if spec.jitter >= interval {
        wrong("jitter", format!("the jitter is less than the interval: 0 to {}", interval - 1));
    }
    if spec.testtype == TestType::Background {
        let exclusive = ["dailybytes", "dailyseconds", "hours", "pingbeside"];
        for column in exclusive.into_iter().filter(|column| !row.text(column).is_empty()) {
            wrong(column, format!("{column} is for background-syn runs only"));
        }
    }
    if spec.grace > 3_600 {
        wrong("grace", format!("a grace of {} s would hold up others; at most 3600", spec.grace));
    }
}

/// A variant's name: as a node's.
struct Variant(String);

impl FromStr for Variant {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let name: Result<NodeId, String> = text.parse();
        name.map(|name| Self(name.to_string()))
            .map_err(|fault| fault.replace("a node", "a variant"))
    }
}

/// `1` or `0`.
struct Switch(bool);

impl FromStr for Switch {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "1" => Ok(Self(true)),
            "0" => Ok(Self(false)),
            _ => Err(format!("expected 1 (on) or 0 (off), found \"{text}\"")),
        }
    }
}

/// A whole number that may be zero.
struct Whole(u32);

impl FromStr for Whole {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| format!("expected a whole number from 0 on, found \"{text}\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "TABLENAME=TOOLSPECS\n#srcNodeID,destNodeID,toolName,testtype,time2run,runinterval,\
                          toolOpts1,toolDo,phase,jitter,variant\n";

    fn read(row: &str) -> (Vec<Placed>, Vec<String>) {
        let text = format!("{HEADER}{row}\n");
        let (specs, mistakes) = parse(&text);
        (specs, mistakes.into_iter().map(|mistake| mistake.message).collect())
    }

    #[test]
    fn a_specification_has_the_originals_columns() {
        let (specs, mistakes) = read("s,d,ping,background,15,600,-s 1000 -c 10 -w 20,,,,");
        assert_eq!(mistakes, [""; 0]);
        let spec = &specs[0].spec;
        assert!(spec.on);
        assert_eq!(spec.path.as_str(), "ping");
        assert_eq!(spec.limit(), Duration::from_secs(25));
        assert_eq!(spec.window(), Duration::from_secs(60));
    }

    #[test]
    fn a_row_without_a_program_has_its_tools() {
        for (tool, program) in
            [("pathchirp", "pathchirp_rcv"), ("pathload", "pathload_rcv"), ("tlaytcp", "tlaytcp")]
        {
            let (specs, _) = read(&format!("s,d,{tool},background-syn,15,600,,,,,"));
            assert_eq!(specs[0].spec.path.as_str(), program);
        }
    }

    #[test]
    fn what_must_be_alone_may_wait_nearly_until_its_next_slot() {
        let (specs, _) = read("s,d,iperf,background-syn,30,1800,,,,,");
        assert_eq!(specs[0].spec.window(), Duration::from_secs(1_790));
        let (specs, _) = read("s,d,iperf,background-syn,1,1,,,,,");
        assert_eq!(specs[0].spec.window(), Duration::ZERO);
    }

    #[test]
    fn all_mistakes_of_a_row_are_told() {
        let (specs, mistakes) = read("s,-d,ping,sideways,0,x,-c 1; reboot,2,,,");
        assert_eq!(specs.len(), 0);
        assert_eq!(mistakes.len(), 6, "{mistakes:#?}");
    }

    #[test]
    fn values_must_agree_with_each_other() {
        let (_, mistakes) = read("s,d,ping,background,700,600,,1,600,600,");
        assert_eq!(mistakes.len(), 3, "{mistakes:#?}");
    }

    #[test]
    fn what_must_be_alone_may_have_limits_and_a_ping_beside_it() {
        let header = HEADER.replace(",variant", ",dailybytes,dailyseconds,hours,pingbeside");
        let read = |row: &str| parse(&format!("{header}{row}\n"));
        let (specs, mistakes) = read("s,d,iperf,background-syn,30,1800,,,,,2G,600,22-6,-i 0.2");
        assert_eq!(mistakes, []);
        let spec = &specs[0].spec;
        let fields = spec.fields();
        let own: Vec<&str> = fields[14..].iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(own, ["2G", "600", "22-6", "-i 0.2"]);
        let (_, mistakes) = read("s,d,ping,background,15,600,,,,,2G,600,22-6,-i 0.2");
        assert_eq!(mistakes.len(), 4);
        let (_, mistakes) = read("s,d,iperf,background-syn,30,1800,,,,,2.5,0,25-6,-i $(x)");
        assert_eq!(mistakes.len(), 4);
    }

    #[test]
    fn two_specifications_of_a_pair_need_a_variant() {
        let row = "s,d,ping,background,15,600,,,,,";
        let (specs, mistakes) = read(&format!("{row}\n{row}"));
        assert_eq!((specs.len(), mistakes.len()), (1, 1));
        let (specs, mistakes) = read(&format!("{row}\n{row}large"));
        assert_eq!((specs.len(), mistakes.len()), (2, 0));
    }
}
