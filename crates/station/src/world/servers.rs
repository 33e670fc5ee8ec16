//! What a line of `config/servers.alive` means on this machine: its program, its log, its processes.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{
    files::{self, Links},
    process,
    processes::Process,
};
use crate::words::{
    config::Paths,
    servers::{self, Output, Server},
};

/// A log that is longer when its server is started is put aside, so that a server that never stays up
/// does not fill the disk.
const LONG_LOG: u64 = 16 << 20;

/// The program of a server.
///
/// # Errors
/// Says, in words that follow on its name, what is not installed, where it was looked for, and what to do.
pub fn program(server: &Server, paths: &Paths) -> Result<PathBuf, String> {
    let name = server.name.as_str();
    let missing = |what, place| format!("is not installed: {place}; {}", servers::remedy(what));
    let program = own_program(server, paths).map_err(|place| missing(name, place))?;
    match servers::needs(name).filter(|needed| process::find(needed, &paths.bin).is_none()) {
        Some(needed) => Err(missing(needed, format!("it runs {needed}, which is nowhere"))),
        None => Ok(program),
    }
}

/// The program that a server's line names, or where there is none.
fn own_program(server: &Server, paths: &Paths) -> Result<PathBuf, String> {
    let name = server.name.as_str();
    if server.directory.as_os_str().is_empty() {
        let nowhere = || format!("it is neither in {} nor in PATH", paths.bin.display());
        return process::find(name, &paths.bin).ok_or_else(nowhere);
    }
    let path = paths.home.join(&server.directory).join(name);
    if process::is_executable(&path) {
        Ok(path)
    } else {
        Err(format!("{} is no program that may be run", path.display()))
    }
}

/// Where an output of a server goes.
#[must_use]
pub fn log(server: &Server, output: &Output, paths: &Paths) -> PathBuf {
    match output {
        Output::Log => paths.log.join(format!("{}.log", server.name)),
        Output::File { path, .. } => paths.log.join(path),
    }
}

/// Opens where the outputs of a server go, for appending: what is to begin anew (`>`) is made empty.
///
/// # Errors
/// Says what cannot be opened, and why.
pub fn outputs(server: &Server, paths: &Paths) -> Result<(File, File), String> {
    let parameters = &server.parameters;
    let open = |output: &Output| {
        let path = log(server, output, paths);
        opened(&path, output).map_err(|error| format!("cannot open {}: {error}", path.display()))
    };
    let stdout = open(&parameters.stdout)?;
    let stderr = if parameters.stderr == parameters.stdout {
        stdout.try_clone().map_err(|error| format!("cannot open its standard error: {error}"))?
    } else {
        open(&parameters.stderr)?
    };
    Ok((stdout, stderr))
}

fn opened(path: &Path, output: &Output) -> io::Result<File> {
    match output {
        Output::Log => {
            if fs::symlink_metadata(path).is_ok_and(|about| about.len() > LONG_LOG) {
                fs::rename(path, path.with_extension("log.old"))?;
            }
            files::append(path, false, Links::OnTheWay)
        }
        // The file is named in the configuration; the way to it may lie where others can write.
        Output::File { path: named, append } if named.is_absolute() => {
            files::append(path, !append, Links::Nowhere)
        }
        Output::File { append, .. } => files::append(path, !append, Links::OnTheWay),
    }
}

/// The processes among `all` that are the server `name`, and what it has started in the groups and the
/// sessions that it leads. Those of one that was started by hand may be led by a person's shell.
#[must_use]
pub fn family<'a>(name: &str, all: &'a [Process]) -> Vec<&'a Process> {
    let is = |process: &&Process| process.glimpse().is_called(name);
    let own: Vec<&Process> = all.iter().filter(is).collect();
    let belongs =
        |process: &&Process| is(process) || own.iter().any(|server| leads(server, process));
    all.iter().filter(belongs).collect()
}

/// Whether a process leads the group or the session of another.
#[must_use]
pub fn leads(server: &Process, other: &Process) -> bool {
    let pid = server.identity.pid;
    other.group == pid || other.session == pid
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{config::Config, servers};

    fn server(line: &str) -> Server {
        let (mut servers, mistakes) = servers::parse(line);
        assert_eq!(mistakes, []);
        servers.remove(0)
    }

    #[test]
    fn a_program_is_looked_for_where_its_line_says() {
        let home = tempfile::tempdir().expect("a folder");
        let paths = Config::default_at(home.path()).paths;
        files::make_directory(&home.path().join("bin")).expect("made");
        std::os::unix::fs::symlink("/bin/sh", home.path().join("bin/thrulayd")).expect("a link");
        let found = |line| program(&server(line), &paths);
        assert_eq!(found("thrulayd,bin,"), Ok(home.path().join("bin/thrulayd")));
        assert_eq!(found("thrulayd,,"), Ok(home.path().join("bin/thrulayd")));
        assert_eq!(found("sh,/bin,"), Ok("/bin/sh".into()));
        assert!(found("sh,,").is_ok());
        assert!(found("sh,bin,").is_err_and(|told| told.starts_with("is not installed: /")));
        let told = found("no-such-server,,").expect_err("not there");
        let bin = home.path().join("bin");
        let expected = format!(
            "is not installed: it is neither in {} nor in PATH; install it, or switch its line in servers.alive off \
             by a '#'",
            bin.display()
        );
        assert_eq!(told, expected);
    }

    #[test]
    fn outputs_are_appended_to_and_one_file_is_opened_once() {
        let home = tempfile::tempdir().expect("a folder");
        let paths = Config::default_at(home.path()).paths;
        files::make_directory(&paths.log).expect("made");
        let write = |line, out: &str, error: &str| {
            let (stdout, stderr) = outputs(&server(line), &paths).expect("opened");
            io::Write::write_all(&mut &stdout, out.as_bytes()).expect("room");
            io::Write::write_all(&mut &stderr, error.as_bytes()).expect("room");
        };
        let text = |name: &str| fs::read_to_string(paths.log.join(name)).expect("there");
        write("a,,", "1", "2");
        write("a,,", "3", "4");
        assert_eq!(text("a.log"), "1234");
        write("a,,>& f", "1", "2");
        write("a,,>& f", "3", "4");
        assert_eq!(text("f"), "34");
        write("a,,2>>g", "5", "6");
        assert_eq!((text("a.log"), text("g")), ("12345".to_owned(), "6".to_owned()));
        let told = outputs(&server("a,,>/no/such/folder/f"), &paths).expect_err("no folder");
        assert!(told.starts_with("cannot open /no/such/folder/f: No such file"), "{told}");
    }

    #[test]
    fn a_log_that_has_grown_long_is_put_aside() {
        let home = tempfile::tempdir().expect("a folder");
        let paths = Config::default_at(home.path()).paths;
        files::make_directory(&paths.log).expect("made");
        let log = File::create(paths.log.join("a.log")).expect("made");
        log.set_len(LONG_LOG + 1).expect("sparse");
        outputs(&server("a,,"), &paths).expect("opened");
        assert_eq!(fs::metadata(paths.log.join("a.log")).expect("there").len(), 0);
        assert!(paths.log.join("a.log.old").exists());
    }
}
