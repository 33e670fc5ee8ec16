//! The tools: whether they are installed, and whether ping may send.

use std::{collections::BTreeMap, path::PathBuf};

use station::{
    words::{config::Config, toolspec::ToolSpec},
    world::{
        privilege::{self, Echo},
        process,
    },
};

use super::finding::{Finding, count};

/// A tool that specifications call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tool {
    /// As they call it.
    path: String,
    /// How many they are.
    specs: usize,
    /// Its program, if it is there and may be executed.
    program: Option<PathBuf>,
    /// How it may send, if it is ping itself.
    echo: Option<Echo>,
}

/// Looks for the tools of specifications.
pub(super) fn look(specs: &[ToolSpec], config: &Config) -> Vec<Tool> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for spec in specs {
        *counts.entry(spec.path.as_str()).or_default() += 1;
    }
    let tool = |(path, specs): (&str, usize)| {
        let program = process::find(path, &config.paths.bin);
        let program = program.filter(|program| process::is_executable(program));
        // A script around it is asked by its own name what it calls.
        let ping = program.as_ref().filter(|program| program.ends_with("ping"));
        let echo = ping.and_then(|program| privilege::echo(program).ok());
        Tool { path: path.to_owned(), specs, program, echo }
    };
    counts.into_iter().map(tool).collect()
}

/// The line that has the kernel send echo requests for everybody.
const OPEN: &str =
    "as root: `sysctl -w net.ipv4.ping_group_range='0 2147483647'`, and the same in /etc/sysctl.d";

/// What is wrong with them.
pub(super) fn judge(tools: &[Tool]) -> Vec<Finding> {
    tools.iter().filter_map(Tool::judge).collect()
}

impl Tool {
    fn judge(&self) -> Option<Finding> {
        let Self { path, specs, program, echo } = self;
        let key = format!("tool {path}");
        let Some(program) = program else {
            let what =
                format!("{path} is not installed: {} cannot run", count(*specs, "specification"));
            let todo = "install its package, or name another program as toolPath in toolspecs.csv";
            return Some(Finding::critical(key, what, todo));
        };
        let shown = program.display();
        match (*echo)? {
            Echo { by_kernel: true, .. } => None,
            Echo { by_raw_sockets: true, .. } => {
                let what = format!(
                    "{shown} uses raw sockets, and each gets every answer: a thousand pings side by side take three \
                     times the CPU"
                );
                Some(Finding::note(key, what, OPEN))
            }
            Echo { .. } => {
                let what = format!(
                    "{shown} may not send: it has no rights of its own, and the kernel does not help"
                );
                Some(Finding::critical(key, what, OPEN))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity::{self, Critical, Note};
    use super::*;

    fn judged(program: Option<&str>, echo: Option<(bool, bool)>) -> Option<(Severity, String)> {
        let echo = echo.map(|(by_kernel, by_raw_sockets)| Echo { by_kernel, by_raw_sockets });
        let tool =
            Tool { path: "ping".into(), specs: 2, program: program.map(PathBuf::from), echo };
        judge(&[tool]).pop().map(|finding| (finding.severity, finding.what))
    }

    #[test]
    fn a_tool_that_is_not_there_or_may_not_send_is_told() {
        let ping = Some("/usr/bin/ping");
        let missing = "ping is not installed: 2 specifications cannot run".to_owned();
        assert_eq!(judged(None, None), Some((Critical, missing)));
        assert_eq!(judged(ping, None), None);
        assert_eq!(judged(ping, Some((true, false))), None);
        assert_eq!(judged(ping, Some((true, true))), None);
        assert_eq!(judged(ping, Some((false, true))).map(|(severity, _)| severity), Some(Note));
        let (severity, what) = judged(ping, Some((false, false))).expect("a finding");
        assert!(severity == Critical && what.starts_with("/usr/bin/ping may not send"), "{what}");
    }
}
