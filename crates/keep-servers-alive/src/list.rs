//! Which servers there are to be.
//!
//! While `config/servers.alive` is broken or gone, the last list without mistakes goes on: an editor that
//! has half written a file must not leave other stations without an answer.

use std::{fs, path::Path};

use station::{
    text::cite_all,
    words::servers::{self, Server},
    world::files,
};

use crate::state::State;

/// Reads the list. What is wrong with it is told when that is new.
pub(crate) fn read(path: &Path, state: &mut State) -> Vec<Server> {
    let (servers, fault) = match content(path) {
        Ok(text) => right_or_last(path, text, state),
        Err(fault) => (last(state), Some(format!("{fault}; what it said before goes on"))),
    };
    if state.list_fault != fault {
        match &fault {
            Some(fault) => log::error!("{fault}"),
            None => log::info!("{} is right again", path.display()),
        }
        state.list_fault = fault;
    }
    servers
}

/// The text of the file.
pub(crate) fn content(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let failed = |error| format!("reading {shown}: {error}");
    if files::writable_by_others(path).map_err(failed)? {
        return Err(format!("reading {shown}: others may write to it; `chmod go-w {shown}`"));
    }
    fs::read_to_string(path).map_err(failed)
}

fn right_or_last(path: &Path, text: String, state: &mut State) -> (Vec<Server>, Option<String>) {
    let (servers, mistakes) = servers::parse(&text);
    if mistakes.is_empty() {
        state.list = Some(text);
        return (servers, None);
    }
    let shown = path.display();
    let count = if mistakes.len() == 1 { "a mistake" } else { "mistakes" };
    let cited = cite_all(&shown.to_string(), &text, &mistakes);
    if state.list.is_some() {
        let fault = format!("{shown} has {count}; what it said before goes on\n{cited}");
        (last(state), Some(fault))
    } else {
        (servers, Some(format!("{shown} has {count}; its other lines count\n{cited}")))
    }
}

/// The servers of the last good list.
fn last(state: &State) -> Vec<Server> {
    state.list.as_deref().map(|text| servers::parse(text).0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, path::PathBuf};

    use super::*;

    struct Bench {
        _folder: tempfile::TempDir,
        path: PathBuf,
        state: State,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("servers.alive");
            Self { _folder: folder, path, state: State::default() }
        }

        fn says(&mut self, text: &str) -> Vec<String> {
            fs::write(&self.path, text).expect("room");
            fs::set_permissions(&self.path, fs::Permissions::from_mode(0o640)).expect("mine");
            self.names()
        }

        fn names(&mut self) -> Vec<String> {
            read(&self.path, &mut self.state).iter().map(|server| server.name.to_string()).collect()
        }
    }

    #[test]
    fn the_last_good_list_goes_on_while_the_file_is_broken() {
        let mut bench = Bench::new();
        assert_eq!(bench.says("a,,\nb,,-x\n"), ["a", "b"]);
        assert_eq!(bench.says("a,,\nb,,| x\n"), ["a", "b"]);
        let fault = bench.state.list_fault.clone().expect("a fault");
        assert!(fault.contains("servers.alive:2:4: no shell reads this"), "{fault}");
        assert_eq!(bench.says("c,,\n"), ["c"]);
        assert_eq!(bench.state.list_fault, None);
    }

    #[test]
    fn it_goes_on_when_the_file_is_gone_or_open_to_others() {
        let mut bench = Bench::new();
        assert_eq!(bench.says("a,,\n"), ["a"]);
        fs::set_permissions(&bench.path, fs::Permissions::from_mode(0o666)).expect("mine");
        assert_eq!(bench.names(), ["a"]);
        assert!(bench.state.list_fault.as_ref().is_some_and(|fault| fault.contains("chmod")));
        fs::remove_file(&bench.path).expect("there");
        assert_eq!(bench.names(), ["a"]);
        assert!(
            bench.state.list_fault.as_ref().is_some_and(|fault| fault.contains("No such file"))
        );
        assert_eq!(bench.says(""), Vec::<String>::new());
    }

    #[test]
    fn without_a_good_list_the_right_lines_count() {
        let mut bench = Bench::new();
        assert_eq!(bench.says("a,,\nnonsense\n"), ["a"]);
        assert!(bench.state.is_list_wrong() && bench.state.list.is_none());
    }
}
