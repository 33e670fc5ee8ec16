//! Programs under a second name: `bin/bw-iperf-server` and `bin/bw-iperf-client` are one iperf, so that whoever looks at
//! processes tells the server, which is to run for ever, from a client that hangs; `bin/tlaytcp` and `bin/mtlaytcp` are
//! thrulay under the names that the original's specifications and its list of what to clean up have.
//!
//! They are links: a process is called by the link that it was started by, and an update of the program is
//! an update of all. What is there and is not ours stays as it is.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use station::world::{
    errand::{self, Errand},
    process,
};

/// The names that iperf is given.
const NAMES: [&str; 2] = ["bw-iperf-server", "bw-iperf-client"];
const TOOL: &str = "iperf";
/// The names that thrulay is given: for one stream, and for several.
const THRULAYS: [&str; 2] = ["tlaytcp", "mtlaytcp"];
const THRULAY: &str = "thrulay";
/// iperf tells its version at once, or is something else.
const PATIENCE: Duration = Duration::from_secs(5);

/// Makes what is missing of them in `bin`; gives a line for each.
///
/// # Errors
/// Which link could not be made, and why.
pub(crate) fn make(bin: &Path) -> Result<Vec<String>, (PathBuf, io::Error)> {
    let (iperf, thrulay) = (find(bin), find_thrulay(bin));
    let iperfs = NAMES.iter().map(|name| name_once(&bin.join(name), TOOL, &iperf));
    let thrulays = THRULAYS.iter().map(|name| name_once(&bin.join(name), THRULAY, &thrulay));
    iperfs.chain(thrulays).collect()
}

/// This suite's thrulay.
fn find_thrulay(bin: &Path) -> Result<PathBuf, String> {
    let absent = || {
        let bin = bin.display();
        format!(
            "thrulay is not installed; copy it to {bin} with the rest of the suite, then `iepm init` again"
        )
    };
    process::find(THRULAY, bin).ok_or_else(absent)
}

fn name_once(
    link: &Path,
    tool: &str,
    program: &Result<PathBuf, String>,
) -> Result<String, (PathBuf, io::Error)> {
    let shown = link.display();
    let failed = |error| (link.to_path_buf(), error);
    match (look(link, tool).map_err(failed)?, program) {
        (There::Stays, _) => Ok(format!("  {shown}\n")),
        (_, Err(why)) => Ok(format!("! {shown} is not made: {why}\n")),
        (There::Nothing, Ok(program)) => {
            symlink(program, link).map_err(failed)?;
            Ok(format!("+ {shown} -> {}\n", program.display()))
        }
        (There::Outlived, Ok(program)) => {
            fs::remove_file(link).and_then(|()| symlink(program, link)).map_err(failed)?;
            Ok(format!("~ {shown} -> {}\n", program.display()))
        }
    }
}

/// What is where a link is to be.
enum There {
    Nothing,
    /// A program, or whatever somebody has put there.
    Stays,
    /// Our link to a program that is not there any more.
    Outlived,
}

fn look(link: &Path, tool: &str) -> io::Result<There> {
    let there = match fs::symlink_metadata(link) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(There::Nothing),
        there => there?,
    };
    let is_ours = || fs::read_link(link).is_ok_and(|program| program.ends_with(tool));
    let leads_nowhere = there.is_symlink() && !link.exists();
    Ok(if leads_nowhere && is_ours() { There::Outlived } else { There::Stays })
}

/// The machine's iperf of version 2, or what to do about that there is none.
fn find(bin: &Path) -> Result<PathBuf, String> {
    let install = "as root `apt-get install iperf`, then `iepm init` again";
    let program =
        process::find(TOOL, bin).ok_or_else(|| format!("iperf is not installed; {install}"))?;
    let errand = Errand {
        program: &program,
        arguments: &["-v"],
        variables: &[],
        input: b"",
        limit: PATIENCE,
    };
    let shown = program.display();
    let said = errand::run(&errand).map_err(|error| format!("{shown} -v: {error}; {install}"))?;
    // Some versions tell it on one output, some on the other, and with any exit status.
    let said = String::from_utf8_lossy(&said.output).into_owned() + &said.complaint;
    if is_version_2(&said) {
        Ok(program)
    } else {
        Err(format!("{shown} is not version 2 of iperf; {install}"))
    }
}

fn is_version_2(said: &str) -> bool {
    said.trim_start().starts_with("iperf version 2.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(bin: &Path, iperf: Result<&str, &str>) -> String {
        let iperf = iperf.map(PathBuf::from).map_err(str::to_owned);
        let line = |name: &&str| name_once(&bin.join(name), TOOL, &iperf).expect("told");
        let lines: String = NAMES.iter().map(line).collect();
        lines.replace(&format!("{}/", bin.display()), "")
    }

    #[test]
    fn both_names_are_made_once_and_never_over_what_is_there() {
        let bin = tempfile::tempdir().expect("a folder");
        let sh = "/bin/sh";
        let absent =
            "! bw-iperf-server is not made: no iperf\n! bw-iperf-client is not made: no iperf\n";
        assert_eq!(named(bin.path(), Err("no iperf")), absent);
        fs::write(bin.path().join("bw-iperf-client"), "somebody's own").expect("room");
        let made = "+ bw-iperf-server -> /bin/sh\n  bw-iperf-client\n";
        assert_eq!(named(bin.path(), Ok(sh)), made);
        assert_eq!(named(bin.path(), Ok(sh)), "  bw-iperf-server\n  bw-iperf-client\n");
        let own = fs::read_to_string(bin.path().join("bw-iperf-client")).expect("there");
        assert_eq!(own, "somebody's own");
    }

    #[test]
    fn a_link_to_an_iperf_that_is_gone_is_made_anew_and_no_other() {
        let bin = tempfile::tempdir().expect("a folder");
        symlink("/nowhere/iperf", bin.path().join("bw-iperf-server")).expect("made");
        symlink("/nowhere/nuttcp", bin.path().join("bw-iperf-client")).expect("made");
        let told = named(bin.path(), Ok("/bin/sh"));
        assert_eq!(told, "~ bw-iperf-server -> /bin/sh\n  bw-iperf-client\n");
    }

    #[test]
    fn thrulay_has_its_other_names_as_soon_as_it_is_there() {
        let bin = tempfile::tempdir().expect("a folder");
        let made = |bin: &Path| make(bin).expect("told").concat();
        if process::find(THRULAY, bin.path()).is_none() {
            assert!(made(bin.path()).contains("mtlaytcp is not made: thrulay is not installed"));
        }
        let thrulay = bin.path().join(THRULAY);
        symlink("/bin/sh", &thrulay).expect("made");
        make(bin.path()).expect("made");
        for name in THRULAYS {
            assert_eq!(fs::read_link(bin.path().join(name)).expect("a link"), thrulay);
        }
    }

    #[test]
    fn the_version_is_told_by_the_program() {
        assert!(is_version_2("iperf version 2.1.8 (12 August 2022) pthreads\n"));
        assert!(is_version_2("iperf version 2.0.13 (21 Jan 2019) pthreads"));
        assert!(!is_version_2("iperf 3.12 (cJSON 1.7.15)\n") && !is_version_2(""));
    }
}
