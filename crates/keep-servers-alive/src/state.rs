//! What one run leaves to the next: `<keepalives>/keep-servers-alive.state`, one JSON object.
//!
//! A file that cannot be read is a history that nobody has: each server may be started at once, and what is
//! wrong is told again.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde::{Deserialize, Serialize};
use station::{
    app::{Exit, Failure},
    words::{restarts::Restarts, servers::Server},
    world::files::{self, Durable},
};

const FILE: &str = "keep-servers-alive.state";

/// All that is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct State {
    /// The boot in which it was written.
    boot_id: String,
    /// The last list of servers without mistakes.
    pub(crate) list: Option<String>,
    /// What was told to be wrong with the list as it is.
    pub(crate) list_fault: Option<String>,
    servers: BTreeMap<String, Record>,
    /// Of a server that is new.
    #[serde(skip)]
    none: Record,
}

/// What is kept of one server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    /// Its starts.
    pub(crate) restarts: Restarts,
    /// Whether it was up when it was last seen, in this boot.
    pub(crate) was_up: bool,
    /// Runs in a row in which it was there and did not answer.
    pub(crate) failures: u32,
    /// When the last of them was, microseconds of `CLOCK_MONOTONIC`.
    pub(crate) failed_us: u64,
    /// What is wrong with it, as it was told.
    pub(crate) fault: Option<String>,
}

impl State {
    pub(crate) fn read(folder: &Path) -> Self {
        let path = folder.join(FILE);
        let read = fs::read(&path).and_then(|content| Ok(serde_json::from_slice(&content)?));
        read.unwrap_or_else(|error: io::Error| {
            if error.kind() != io::ErrorKind::NotFound {
                log::warn!("reading {}: {error}; what went before is forgotten", path.display());
            }
            Self::default()
        })
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<(), Failure> {
        let path = folder.join(FILE);
        let content = serde_json::to_vec(self).map_err(io::Error::from);
        let written =
            content.and_then(|content| files::replace(&path, &content, Durable::WithinThisBoot));
        let writing = || Failure::new(Exit::NeedsPerson, format!("writing {}", path.display()));
        written.map_err(|error| writing().because(error))
    }

    /// Forgets what another boot has made worthless.
    pub(crate) fn begin(&mut self, boot_id: &str) {
        if self.boot_id != boot_id {
            boot_id.clone_into(&mut self.boot_id);
            for record in self.servers.values_mut() {
                (record.was_up, record.failures) = (false, 0);
            }
        }
    }

    /// All were stopped on purpose: what is down did not die, and its start does not count. What is wrong
    /// with it was told, and is no news because of that.
    pub(crate) fn stopped_on_purpose(&mut self) {
        for record in self.servers.values_mut() {
            *record = Record { fault: record.fault.take(), ..Record::default() };
        }
    }

    /// Forgets servers that are not among these.
    pub(crate) fn keep(&mut self, servers: &[Server]) {
        self.servers.retain(|name, _| servers.iter().any(|server| server.name.as_str() == name));
    }

    pub(crate) fn of(&self, server: &Server) -> &Record {
        self.servers.get(server.name.as_str()).unwrap_or(&self.none)
    }

    pub(crate) fn of_mut(&mut self, server: &Server) -> &mut Record {
        self.servers.entry(server.name.to_string()).or_default()
    }

    pub(crate) fn is_list_wrong(&self) -> bool {
        self.list_fault.is_some()
    }

    pub(crate) fn has_faults(&self) -> bool {
        self.servers.values().any(|record| record.fault.is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use station::words::servers;

    use super::*;

    fn server(name: &str) -> Server {
        servers::parse(&format!("{name},,")).0.remove(0)
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut state = State { list: Some("a,,\n".to_owned()), ..State::default() };
        state.begin("boot");
        let _ = state.of_mut(&server("a")).restarts.started(Duration::from_secs(9), "boot");
        state.of_mut(&server("a")).fault = Some("is away".to_owned());
        state.write(folder.path()).expect("room");
        assert_eq!(State::read(folder.path()), state);
        state.keep(&[server("b")]);
        assert!(!state.has_faults());
    }

    #[test]
    fn a_state_that_is_none_is_no_history() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(State::read(folder.path()), State::default());
        for junk in
            ["", "{", "[]", "{\"servers\": 3}", "\u{0}", "{\"servers\":{\"a\":{\"failures\":-1}}}"]
        {
            fs::write(folder.path().join(FILE), junk).expect("room");
            assert_eq!(State::read(folder.path()), State::default(), "{junk}");
        }
        fs::write(folder.path().join(FILE), "{\"new\": 1, \"servers\": {\"a\": {}}}")
            .expect("room");
        assert_eq!(State::read(folder.path()).servers.len(), 1);
    }

    #[test]
    fn what_is_stopped_on_purpose_has_no_history_but_what_was_told_of_it() {
        let mut state = State::default();
        let fault = Some("is not installed".to_owned());
        for (name, fault) in [("a", fault.clone()), ("b", None)] {
            let record = state.of_mut(&server(name));
            *record = Record { was_up: true, failures: 1, fault, ..Record::default() };
            let _ = record.restarts.started(Duration::from_secs(9), "boot");
        }
        state.stopped_on_purpose();
        assert_eq!(*state.of(&server("a")), Record { fault, ..Record::default() });
        assert_eq!(*state.of(&server("b")), Record::default());
        assert!(state.has_faults());
    }

    #[test]
    fn another_boot_forgets_what_ran() {
        let mut state = State::default();
        state.begin("one");
        *state.of_mut(&server("a")) =
            Record { was_up: true, failures: 1, fault: Some("x".to_owned()), ..Record::default() };
        state.begin("one");
        assert!(state.of(&server("a")).was_up);
        state.begin("two");
        let record = state.of(&server("a"));
        assert_eq!((record.was_up, record.failures, record.fault.is_some()), (false, 0, true));
    }
}
