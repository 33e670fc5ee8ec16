//! `iepm crontab` with a crontab that has other lines in it, and with the real one of a real cron.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use stories::{
    Station,
    program::{command, said, succeed},
};

/// A program that keeps one crontab in a file, and speaks as cron's own.
const KEEPER: &str = r#"table=$0.kept
case $1 in
-l) [ -e "$table" ] || { echo "no crontab for $USER" >&2; exit 1; }; cat "$table" ;;
-) cat >"$table" ;;
esac"#;

/// What the block calls and what is not a program of every version.
const CALLED: [&str; 3] = ["keep-servers-alive", "bw-cleanup", "restart-all-servers"];

/// A station with a crontab of its own.
fn station() -> Station {
    let station = Station::new();
    station.tool("crontab", KEEPER);
    with_all_programs(&station);
    station
}

fn with_all_programs(station: &Station) {
    for program in CALLED.iter().filter(|name| !station.path("bin").join(name).exists()) {
        station.tool(program, "exit 0");
    }
}

fn kept(station: &Station) -> PathBuf {
    station.path("bin/crontab.kept")
}

fn told(output: &Output, status: i32) -> String {
    assert_eq!(output.status.code(), Some(status), "{}", said(output));
    said(output)
}

fn crontab(station: &Station, arguments: &[&str]) -> Output {
    let mut words = vec!["crontab"];
    words.extend(arguments);
    station.run("iepm", &words)
}

#[test]
fn the_block_comes_changes_and_goes_and_nothing_else() {
    let station = station();
    let own = "# mine \u{e9}\nMAILTO=ann\n\n5 4 * * * echo 100\\%  \n\t\n";
    fs::write(kept(&station), own).expect("room");
    let read = || fs::read_to_string(kept(&station)).expect("a crontab");

    let shown = told(&crontab(&station, &["--install", "--dry-run"]), 0);
    assert!(shown.contains("\n+ # BEGIN iepm /") && !shown.contains("\n- "), "{shown}");
    assert_eq!(read(), own);
    told(&crontab(&station, &["--install"]), 0);
    let block = crontab(&station, &["--show"]).stdout;
    let block = String::from_utf8(block).expect("text");
    assert_eq!(read(), format!("{own}{block}"));
    assert!(told(&crontab(&station, &["--install"]), 0).contains("nothing to change"));

    // An older block, with lines of others below it by now.
    let old = block.replace("*/10 ", "*/9 ");
    fs::write(kept(&station), format!("{own}{old}# below\n")).expect("room");
    let shown = told(&crontab(&station, &["--install", "--dry-run"]), 0);
    assert!(shown.contains("\n- */9 ") && shown.contains("\n+ */10 "), "{shown}");
    assert_eq!(shown.matches("\n+ ").count(), 1, "{shown}");
    told(&crontab(&station, &["--install"]), 0);
    assert_eq!(read(), format!("{own}{block}# below\n"));
    told(&crontab(&station, &["--remove"]), 0);
    assert_eq!(read(), format!("{own}# below\n"));
    assert!(told(&crontab(&station, &["--remove"]), 0).contains("nothing to change"));
}

#[test]
fn a_user_without_a_crontab_is_given_one() {
    let station = station();
    told(&crontab(&station, &["--install"]), 0);
    let block = crontab(&station, &["--show"]).stdout;
    assert_eq!(fs::read(kept(&station)).expect("a crontab"), block);
}

#[test]
fn a_crontab_whose_markers_do_not_match_is_left_alone() {
    let station = station();
    told(&crontab(&station, &["--install"]), 0);
    let block = fs::read_to_string(kept(&station)).expect("a crontab");
    let half = block.lines().take(5).collect::<Vec<_>>().join("\n") + "\n1 1 * * * own\n";
    fs::write(kept(&station), &half).expect("room");
    for what in ["--install", "--remove"] {
        let refused = told(&crontab(&station, &[what]), 1);
        assert!(refused.contains("line 1, \"# BEGIN iepm /"), "{refused}");
        assert!(refused.contains("crontab -e"), "{refused}");
    }
    assert_eq!(fs::read_to_string(kept(&station)).expect("a crontab"), half);
}

#[test]
fn what_crontab_refuses_is_told_in_its_words() {
    let station = station();
    station.tool("crontab", "[ $1 = -l ] || { echo 'you may not' >&2; exit 1; }");
    let refused = told(&crontab(&station, &["--install"]), 1);
    assert!(refused.contains("writing the crontab: you may not"), "{refused}");
    station.tool("crontab", "echo 'the spool is gone' >&2; exit 1");
    let refused = told(&crontab(&station, &["--install"]), 1);
    assert!(refused.contains("reading the crontab: the spool is gone"), "{refused}");
    fs::remove_file(station.path("bin/bw-cleanup")).expect("there");
    let refused = told(&crontab(&station, &["--install"]), 1);
    assert!(refused.contains("there is no bw-cleanup; install the whole suite"), "{refused}");
    assert_eq!(crontab(&station, &[]).status.code(), Some(2));
}

/// The number of Debian's user `nobody`, which has no crontab.
const NOBODY: u32 = 65_534;

struct Cleared;

impl Drop for Cleared {
    fn drop(&mut self) {
        let _ = real(&["-r"]).output();
    }
}

fn real(arguments: &[&str]) -> Command {
    let mut crontab = command("crontab");
    crontab.args(["-u", "nobody"]).args(arguments);
    crontab
}

#[test]
#[ignore = "needs root"]
fn the_crontab_of_a_real_cron_is_edited_by_its_own_user() {
    let none = real(&["-l"]).output().expect("cron is installed");
    assert!(said(&none).contains("no crontab for nobody"), "{}", said(&none));
    let _cleared = Cleared;
    let station = Station::of_user(NOBODY);
    with_all_programs(&station);
    let read = || succeed(&mut real(&["-l"]));

    told(&crontab(&station, &["--install"]), 0);
    let block = String::from_utf8(crontab(&station, &["--show"]).stdout).expect("text");
    assert_eq!(read(), block, "cron has taken every line");
    assert!(told(&crontab(&station, &["--install"]), 0).contains("nothing to change"));
    let file = station.path("own");
    fs::write(&file, format!("MAILTO=ann\n{block}1 1 1 1 * own\n")).expect("room");
    succeed(real(&[]).arg(&file));
    told(&crontab(&station, &["--remove"]), 0);
    assert_eq!(read(), "MAILTO=ann\n1 1 1 1 * own\n");
    told(&crontab(&station, &["--install"]), 0);
    assert_eq!(read(), format!("MAILTO=ann\n1 1 1 1 * own\n{block}"));

    let mut as_root = command(station.path("bin/iepm"));
    as_root.arg("--home").arg(station.home()).args(["crontab", "--install"]);
    let refused = told(&as_root.output().expect("it starts"), 1);
    assert!(refused.contains("belongs to the user 65534; do it as that user"), "{refused}");
}
