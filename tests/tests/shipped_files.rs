//! What is shipped is tried: samples, the crontab, pages, scripts, and the walls between the rooms.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use stories::{
    Station,
    program::{binaries, command, said, succeed},
};

/// The programs that a user is given.
fn programs() -> Vec<String> {
    let list = succeed(&mut command(project().join("scripts/programs")));
    list.lines().map(str::to_owned).collect()
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the project").to_path_buf()
}

fn read(below: &str) -> String {
    fs::read_to_string(project().join(below)).expect(below)
}

#[test]
fn the_sample_configuration_has_no_mistakes() {
    let config = project().join("config");
    // A checkout may be group-writable; the suite refuses such a file.
    let copy = tempfile::tempdir().expect("a folder");
    for file in ["iepm.toml", "nodes.csv", "toolspecs.csv", "cleanup-list", "servers.alive"] {
        fs::copy(config.join(file), copy.path().join(file)).expect(file);
        succeed(command("chmod").arg("640").arg(copy.path().join(file)));
    }
    let mut check = command(binaries().join("iepm"));
    check
        .arg("check")
        .arg("--config")
        .arg(copy.path().join("iepm.toml"))
        .arg("--files")
        .arg(copy.path());
    let output = check.env("IEPM_HOME", copy.path()).output().expect("it starts");
    assert!(output.status.success(), "{}", said(&output));
}

/// Checks a command line of a shipped file: a program of the suite, with arguments that it takes. Gives the
/// program's name.
fn parses(line: &str) -> String {
    let mut words = line.split(' ');
    let path = Path::new(words.next().expect("a program"));
    assert_eq!(path.parent(), Some(Path::new("/home/iepm/bin")), "{line}");
    let program = path.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(programs().contains(&program), "{line}");
    // --help after the arguments: they are parsed, and nothing is done.
    succeed(command(binaries().join(&program)).args(words).arg("--help"));
    program
}

#[test]
fn every_line_of_the_sample_crontab_runs_a_program_of_the_suite() {
    let crontab = read("crontab.example");
    let lines = crontab.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let called: BTreeSet<String> = lines.map(|line| parses(&command_of(line))).collect();
    let all = ["keep-em-alive", "keep-servers-alive", "bw-cleanup", "restart-all-servers", "iepm"];
    assert_eq!(called, all.map(str::to_owned).into());
    assert!(!crontab.contains('%'), "cron takes it for the end of the command");
}

#[test]
fn every_unit_runs_what_the_crontab_runs() {
    let folder = project().join("scripts/systemd");
    let names = fs::read_dir(&folder).expect("units").filter_map(Result::ok);
    let names: Vec<PathBuf> = names.map(|entry| entry.path()).collect();
    let mut called = BTreeSet::new();
    for path in names.iter().filter(|path| path.extension().is_some_and(|kind| kind == "service")) {
        let unit = fs::read_to_string(path).expect("a unit");
        let setting = |name: &str| {
            let values = unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            values.collect::<Vec<_>>()
        };
        let [command] = setting("ExecStart")[..] else { panic!("{}", path.display()) };
        let program = parses(command);
        assert_eq!(setting("User"), ["iepm"], "{}", path.display());
        // What starts daemons and servers must not take them with it when it ends.
        let outlived = ["keep-em-alive", "keep-servers-alive", "restart-all-servers"];
        let starts = outlived.contains(&program.as_str());
        assert_eq!(setting("KillMode") == ["process"], starts, "{}", path.display());
        let timer = path.with_extension("timer");
        assert!(names.contains(&timer), "there is no {}", timer.display());
        let enabled = path.file_stem().expect("a name").to_string_lossy().replacen("iepm-", "", 1);
        assert!(read("scripts/systemd/README.md").contains(&enabled), "{enabled}");
        called.insert(command.to_owned());
    }
    let crontab = read("crontab.example");
    let lines = crontab.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    assert_eq!(called, lines.map(command_of).collect());
}

/// What a line of a crontab runs: behind `@reboot` or five fields of times.
fn command_of(line: &str) -> String {
    if let Some(command) = line.strip_prefix("@reboot ") {
        return command.to_owned();
    }
    let fields: Vec<&str> = line.splitn(6, ' ').collect();
    let bounds = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)];
    for (field, (least, most)) in fields.iter().zip(bounds) {
        let fits = |number: u32| (least..=most).contains(&number);
        let is_step = field.strip_prefix("*/").is_some_and(|step| step.parse().is_ok_and(fits));
        assert!(*field == "*" || is_step || field.parse().is_ok_and(fits), "{field} in {line}");
    }
    // What runs at an hour that some day of some time zone lacks, or has twice, copes with that itself.
    let hour = fields[1];
    let is_everyday = hour == "*" || hour.parse::<u32>().is_ok_and(|hour| hour >= 4);
    assert!(is_everyday || fields[5].ends_with(" --once-per-day"), "{line}");
    fields[5].to_owned()
}

#[test]
fn every_program_has_a_page_that_names_its_exit_statuses() {
    for program in programs() {
        let page = read(&format!("docs/{program}.md"));
        assert!(page.starts_with(&format!("# {program}\n")), "{program}");
        for heading in ["## Exit status", "## Files", "## Where it differs from the original"] {
            let needless =
                heading == "## Files" && !page.contains("data") && !page.contains("iepm.toml");
            assert!(page.contains(heading) || needless, "docs/{program}.md has no \"{heading}\"");
        }
        assert!(
            read("README.md").contains(&format!("(docs/{program}.md)")),
            "the README does not list {program}"
        );
    }
}

#[test]
fn every_program_tells_its_version_its_help_and_its_man_page() {
    for program in programs() {
        let run = |arguments: &[&str]| succeed(command(binaries().join(&program)).args(arguments));
        assert_eq!(run(&["--version"]), format!("{program} {}\n", env!("CARGO_PKG_VERSION")));
        let families = ["stamp-", "pathchirp_", "pathload_", "thrulay", "owping"];
        let stands_alone = families.iter().any(|family| program.starts_with(family));
        assert!(stands_alone || run(&["--help"]).contains("--config"), "{program}");
        assert!(run(&["--generate", "man"]).contains(&format!(".TH {program}")), "{program}");
        for name in run(&["--generate", "commands"]).split_whitespace() {
            let page = run(&["--generate", "man", name]);
            assert!(page.contains(&format!(".TH {program}-{name}")), "{page}");
            assert!(page.contains("config"), "the options of all commands are on it: {page}");
        }
        for shell in ["bash", "zsh", "fish"] {
            assert!(run(&["--generate", shell]).contains(&program), "{program} {shell}");
        }
        let output =
            command(binaries().join(&program)).arg("--no-such-option").output().expect("it starts");
        assert_eq!(output.status.code(), Some(2), "{program}: {}", said(&output));
    }
}

#[test]
fn rooms_import_only_rooms_below_them() {
    let above = [
        ("text", &["words", "world", "app", "daemon", "locate"][..]),
        ("words", &["world", "app", "daemon", "locate"]),
        ("world", &["app", "daemon", "locate"]),
    ];
    for (room, forbidden) in above {
        for (path, source) in sources(&project().join("crates/station/src").join(room)) {
            for upper in forbidden {
                assert!(
                    !source.contains(&format!("crate::{upper}")),
                    "{} imports {upper}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn no_program_imports_a_program() {
    let libraries = ["station", "readings", "timed-udp"];
    for program in fs::read_dir(project().join("crates")).expect("crates").filter_map(Result::ok) {
        let manifest = fs::read_to_string(program.path().join("Cargo.toml")).expect("a manifest");
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let dependencies = dependencies.split("\n[").next().unwrap_or_default();
        if program.file_name() == "bench" {
            continue;
        }
        for name in fs::read_dir(project().join("crates")).expect("crates").filter_map(Result::ok) {
            let name = name.file_name().to_string_lossy().into_owned();
            let imported = dependencies.lines().any(|line| {
                line.starts_with(&format!("{name} ")) || line.starts_with(&format!("{name}."))
            });
            assert!(
                !imported || libraries.contains(&name.as_str()),
                "{} imports {name}",
                program.path().display()
            );
        }
    }
}

#[test]
fn main_is_a_doorway() {
    for (path, source) in sources(&project().join("crates")) {
        let door = path.ends_with("src/main.rs")
            || path.parent().is_some_and(|parent| parent.ends_with("src/bin"));
        assert!(!door || source.lines().count() <= 40, "{}", path.display());
    }
}

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("target") {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).expect("a source");
            found.push((path, source));
        }
    }
    found
}

#[test]
fn the_captures_can_be_printed_without_a_station() {
    let capture = project().join("crates/readings/tests/captures/ping/normal.txt");
    let mut print = command(binaries().join("load-test-data"));
    let json = succeed(print.args(["--print", "ping"]).arg(capture));
    let reading: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(reading["tool"], "ping");
    assert!(reading["received"].as_u64().is_some_and(|received| received > 0), "{json}");
}

#[test]
fn a_station_without_anything_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = command(binaries().join("iepm"))
        .arg("status")
        .env("IEPM_HOME", folder.path())
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(78), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("iepm init DIR"), "{}", said(&output));
    let station = Station::new();
    let output = station.run("iepm", &["check"]);
    assert!(output.status.success(), "{}", said(&output));
}
