//! The programs of the suite, by what they do.

use super::toolspec::TestType;

/// The daemons of this version, in the order in which they are shown.
pub const BUILT: [&str; 6] =
    ["load-datad", "load-scheduled", "pingd", "traced", "owpingd", "pathchirpd"];

/// The tools whose results this version has readers for; what `load-datad` loads unless `iepm.toml` says
/// otherwise. A test of `load-test-data` compares them with the readers that there are.
// A tool whose reader is added to `readings::TOOLS` is added here, in the same order, and in
// config/iepm.toml and docs/load-test-data.md.
pub const PROBETYPES: &[&str] = &["ping", "traceroute"];

/// All daemons of the suite, as the original had them. Those that are not installed are not missed.
pub const DAEMONS: [&str; 7] =
    ["bw-synchd", "load-datad", "load-scheduled", "owpingd", "pathchirpd", "pingd", "traced"];

/// The programs that start probes, as the kernel names them (15 characters at most).
pub const PROGRAMS: [&str; 6] = ["pingd", "traced", "owpingd", "pathchirpd", "bw-synchd", "iepm"];

/// The tools whose background runs a daemon of their own carries out.
const BACKGROUND: [(&str, &str); 4] = [
    ("ping", "pingd"),
    ("traceroute", "traced"),
    ("owping", "owpingd"),
    ("pathchirp", "pathchirpd"),
];

/// The daemon that carries out the runs of a tool; none for a background run of a tool without one.
#[must_use]
pub fn daemon_of(tool: &str, testtype: TestType) -> Option<&'static str> {
    match testtype {
        TestType::BackgroundSyn => Some("bw-synchd"),
        TestType::Background => {
            BACKGROUND.iter().find(|(name, _)| *name == tool).map(|(_, daemon)| *daemon)
        }
    }
}
