//! The programs of the suite, by what they do.

use super::toolspec::TestType;

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
