//! What a line of `config/servers.alive` means on this machine: its program, its log, its processes.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::{
    files::{self, Links},
    process,
    processes::{self, Glimpse},
};
use crate::words::{
    config::Paths,
    servers::{Output, Server},
};

/// A log that is longer when its server is started is put aside, so that a server that never stays up
/// does not fill the disk.
const LONG_LOG: u64 = 16 << 20;
/// Programs that run scripts, by the beginning of their names: `python3.11`.
const INTERPRETERS: [&str; 14] = [
    "sh", "bash", "dash", "ksh", "zsh", "busybox", "perl", "python", "ruby", "tclsh", "awk",
    "gawk", "php", "lua",
];
/// Options of interpreters whose next word is no script: a script in place, or a module.
const NO_SCRIPT: [&str; 4] = ["-c", "-e", "-E", "-m"];
/// Options of interpreters that have a word of their own.
const WITH_WORD: [&str; 4] = ["-o", "+o", "-I", "-W"];

/// The program of a server.
///
/// # Errors
/// Says, in words that follow on its name, that it is not installed, and where it was looked for.
pub fn program(server: &Server, paths: &Paths) -> Result<PathBuf, String> {
    let name = server.name.as_str();
    let missing = |place: String| format!("is not installed: {place}");
    if server.directory.as_os_str().is_empty() {
        let bin = paths.bin.display();
        return process::find(name, &paths.bin)
            .ok_or_else(|| missing(format!("it is neither in {bin} nor in PATH")));
    }
    let folder = paths.home.join(&server.directory);
    let path = folder.join(name);
    if process::is_executable(&path) {
        Ok(path)
    } else {
        Err(missing(format!("{} is no program that may be run", path.display())))
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

/// Whether a process is the server `name`: by the name that it was started by, by that of its program, or
/// by that of the script that its program runs.
#[must_use]
pub fn is_server(name: &str, process: &Glimpse<'_>) -> bool {
    let mut words = processes::words(process.arguments);
    let first = words.next().map_or(OsStr::new(""), base);
    let program = process.program.and_then(Path::file_name);
    let name = OsStr::new(name);
    if first == name || program == Some(name) {
        return true;
    }
    let interprets = is_interpreter(first) || program.is_some_and(is_interpreter);
    interprets && script(words).is_some_and(|script| base(script) == name)
}

fn base(word: &[u8]) -> &OsStr {
    OsStr::from_bytes(word.rsplit(|byte| *byte == b'/').next().unwrap_or(word))
}

fn is_interpreter(name: &OsStr) -> bool {
    // A shell that somebody logged in to is called `-bash`.
    let name = name.to_str().unwrap_or_default();
    let name = name.strip_prefix('-').unwrap_or(name);
    INTERPRETERS.contains(&name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.'))
}

/// The script among the arguments of an interpreter.
fn script<'a>(mut words: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    let is = |word: &[u8], list: &[&str]| list.iter().any(|option| option.as_bytes() == word);
    loop {
        let word = words.next()?;
        if is(word, &NO_SCRIPT) {
            return None;
        } else if is(word, &WITH_WORD) {
            words.next()?;
        } else if !word.starts_with(b"-") {
            return Some(word);
        }
    }
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
    fn a_server_is_known_by_its_name_its_program_or_its_script() {
        let is = |program: Option<&str>, words: &[&str]| {
            let arguments: Vec<u8> =
                words.iter().flat_map(|w| [w.as_bytes(), b"\0"].concat()).collect();
            let program = program.map(Path::new);
            is_server("owampd", &Glimpse { pid: 1, arguments: &arguments, program })
        };
        assert!(is(Some("/usr/sbin/owampd"), &["anything"]));
        assert!(is(Some("/usr/bin/iperf"), &["/home/iepm/bin/owampd", "-s"]));
        assert!(is(None, &["owampd"]));
        assert!(is(Some("/usr/bin/dash"), &["/bin/sh", "/home/iepm/bin/owampd", "-x"]));
        assert!(is(Some("/usr/bin/perl"), &["/usr/bin/perl", "-w", "bin/owampd"]));
        assert!(is(Some("/usr/bin/python3.11"), &["python3", "-W", "ignore", "/x/owampd"]));
        assert!(!is(Some("/usr/bin/vi"), &["vi", "owampd"]));
        assert!(!is(Some("/usr/bin/tail"), &["tail", "-f", "/tmp/owampd.log"]));
        assert!(!is(Some("/usr/bin/bash"), &["bash", "-c", "owampd"]));
        assert!(!is(Some("/usr/bin/bash"), &["bash", "/x/start", "owampd"]));
        assert!(!is(Some("/usr/bin/perl"), &["perl", "-e", "owampd"]));
        assert!(!is(Some("/usr/bin/dash"), &["sh"]));
        assert!(!is(None, &["owampd.old"]) && !is(None, &["my-owampd"]) && !is(None, &[]));
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
        let expected = format!("is not installed: it is neither in {} nor in PATH", bin.display());
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
