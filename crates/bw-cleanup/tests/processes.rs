//! Real processes, by names that no other process of the machine has, at a time that the test tells.

mod common;

use std::{collections::BTreeMap, fs, sync::Barrier, thread, time::Duration};

use bw_cleanup::{decide::Fate, sweep::GRACE};
use common::{HOUR, Home, Later, Process, command, later, named, pids, touch};
use station::{
    app::Exit,
    world::{
        clock::{Clock, SystemClock},
        ending::{Outcome, Scope, end_all},
        hold::{self, Hold},
        keepalive::boot_id,
        process::TAG,
    },
};

const STUBBORN: &str = "trap '' TERM\necho ready\nread line\n";
const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn what_hangs_is_ended_however_it_takes_it_and_all_in_one_grace() {
    let home = Home::with("NAME,5");
    let script = home.script(&home.name, &format!("#!/bin/sh\n{STUBBORN}"));
    let stubborn: Vec<Process> =
        (0..5).map(|_| Process::start(command(&script, &[])).that_is_ready()).collect();
    let stopped = Process::start(named(&home.name, "/bin/sleep", &["600"]));
    stopped.stop();
    assert_eq!(home.sweep(&SystemClock), [], "they are young");
    let begun = SystemClock.moment();
    let told = home.sweep(&later(HOUR));
    let taken = begun.monotonic.until(SystemClock.moment().monotonic);
    assert!((GRACE..GRACE + Duration::from_secs(3)).contains(&taken), "{taken:?}");
    let outcome = |process: &Process| {
        let of = told.iter().find(|told| told.pid == process.pid()).expect("told");
        of.outcome.clone().expect("it was to end")
    };
    assert_eq!(outcome(&stopped), Outcome::Terminated);
    assert!(stubborn.iter().all(|process| outcome(process) == Outcome::Killed), "{told:?}");
    assert_eq!(told.len(), 6, "{told:?}");
}

/// Processes that only look like one that is named so, some of each.
fn decoys(home: &Home) -> Vec<Process> {
    let name = home.name.as_str();
    let file = home.path(name);
    touch(&file);
    let (file, text) = (file.to_str().expect("UTF-8"), format!("{name}.txt"));
    touch(&home.path(&text));
    let text = home.path(&text).display().to_string();
    let (code, title) = (format!("read line; {name}"), format!("x: at work on /{name}"));
    let mut commands = vec![
        named("vi", "/usr/bin/tail", &["-f", file]),
        named("/usr/bin/emacs", "/usr/bin/tail", &["-f", &text]),
        named("tail", "/usr/bin/tail", &["-f", file]),
        named("ssh", "/bin/cat", &["-", name]),
        named(&title, "/bin/cat", &["-", file]),
        command("/bin/grep", &[name]),
        named("grep", "/bin/cat", &["-", name, file]),
        command("/bin/sh", &["-c", &code, name, file]),
        command("/bin/sh", &["-c", "read line; :", name]),
        command("/bin/bash", &["-s", name]),
        command("/bin/bash", &["-O", "extglob", "-ec", "read line; :", name]),
        command("/usr/bin/perl", &["-e", "<STDIN>", name]),
        command("/usr/bin/awk", &[&format!("/{name}/"), "-"]),
    ];
    for alike in ["NAME-x", "xNAME", "NAME.txt", "NAME2", "NAMe", "bin-NAME"] {
        commands.push(command(home.link(&alike.replace("NAME", name), "/bin/sleep"), &["600"]));
    }
    let mut others = named(name, "/bin/sleep", &["600"]);
    others.env(TAG, "/home/another:pingd:1");
    commands.push(others);
    commands.retain(|command| std::path::Path::new(command.get_program()).exists());
    commands.into_iter().map(Process::start).collect()
}

#[test]
fn hundreds_that_look_alike_go_on() {
    let home = Home::with("NAME,5 /bin/NAME,5 young-NAME,600");
    let mut all: Vec<Process> = (0..20).flat_map(|_| decoys(&home)).collect();
    all.push(home.sleeper(&format!("young-{}", home.name)));
    assert!(all.len() > 300, "{}", all.len());
    let own = format!("{}:pingd:17", home.path("").display());
    let mut tagged = named(&home.name, "/bin/sleep", &["600"]);
    tagged.env(TAG, own.trim_end_matches('/').replace("/:", ":"));
    let targets = [home.sleeper(&home.name), Process::start(tagged)];
    let told = home.sweep(&later(HOUR));
    for decoy in &mut all {
        decoy.assert_goes_on();
    }
    let mut expected = targets.each_ref().map(Process::pid);
    expected.sort_unstable();
    assert_eq!(pids(&told), expected, "{told:?}");
    assert!(told.iter().all(|told| told.outcome == Some(Outcome::Terminated)), "{told:?}");
}

#[test]
fn a_program_a_name_and_a_script_are_called_so() {
    let home = Home::with("NAME,5");
    let copy = home.path("bin").join(&home.name);
    // A shell copies it: see `Home::script`.
    let (from, to) = ("/bin/sleep", copy.to_str().expect("UTF-8"));
    assert!(command("/bin/cp", &[from, to]).status().expect("cp").success());
    let by_file = Process::start(named("some other name", to, &["600"]));
    let by_name = Process::start(named(&format!("./{}", home.name), "/bin/sleep", &["600"]));
    fs::remove_file(&copy).expect("it may go while its program runs");
    let script = home.script(&home.name, "#!/bin/sh -e\nread line\n");
    let by_script = Process::start(command(&script, &["x"]));
    let mut expected = [by_file.pid(), by_name.pid(), by_script.pid()];
    expected.sort_unstable();
    assert_eq!(pids(&home.sweep(&later(HOUR))), expected);
}

#[test]
fn after_a_suspend_it_takes_two_looks() {
    let home = Home::with("NAME,5");
    let mut process = home.sleeper(&home.name);
    let after = |running| Later { running, suspended: 8 * HOUR };
    let look = |running| home.run(&after(running), &[]).expect("a look");
    assert_eq!(look(MINUTE), Exit::Well);
    assert_eq!(home.memory().sightings.len(), 1);
    assert_eq!(look(MINUTE + Duration::from_secs(10)), Exit::Well);
    process.assert_goes_on();
    assert_eq!(look(2 * MINUTE), Exit::Well);
    assert!(!process.goes_on());
    assert_eq!(home.memory().ended, BTreeMap::from([(home.name.clone(), 1)]));
    assert_eq!(look(3 * MINUTE), Exit::Well);
    assert_eq!(home.memory().sightings, []);
}

#[test]
fn a_dry_run_and_a_hold_end_nothing() {
    let home = Home::with("NAME,5");
    let mut process = home.sleeper(&home.name);
    let clock = later(HOUR);
    assert_eq!(home.run(&clock, &["--dry-run"]).expect("a look"), Exit::Well);
    assert!(!home.path("keepalives/bw-cleanup.state").exists());
    let (folder, now) = (home.path("keepalives"), clock.moment());
    hold::put(&folder, &Hold::new("ann", "a new disk", &now, HOUR)).expect("room");
    assert_eq!(home.run(&clock, &["-v"]).expect("held"), Exit::Well);
    process.assert_goes_on();
    home.write("keepalives/hold", "keep off");
    assert_eq!(home.run(&clock, &[]).expect_err("held by whom?").exit(), Exit::NeedsPerson);
    process.assert_goes_on();
    assert!(hold::release(&folder).expect("removed"));
    assert_eq!(home.run(&clock, &["--json"]).expect("a look"), Exit::Well);
    assert!(!process.goes_on());
}

#[test]
fn a_list_that_is_broken_or_away_leaves_the_last_one_in_force() {
    let home = Home::with("NAME,5");
    assert_eq!(home.run(&later(HOUR), &[]).expect("a look"), Exit::Well);
    let broken = format!("{},5\n{},x\n", home.name, home.name);
    for change in ["broken", "removed"] {
        let mut process = home.sleeper(&home.name);
        match change {
            "broken" => home.write("config/cleanup-list", &broken),
            _ => fs::remove_file(home.path("config/cleanup-list")).expect("removed"),
        }
        let failure = home.run(&later(HOUR), &[]).expect_err("it is told");
        assert_eq!(failure.exit(), Exit::Config, "{failure}");
        assert!(!process.goes_on(), "{change}");
    }
    // A list that is named is meant, and no other.
    let mut process = home.sleeper(&home.name);
    home.write("other", "oops");
    let other = home.path("other").display().to_string();
    let failure = home.run(&later(HOUR), &["--list", &other]).expect_err("it is told");
    assert!(failure.to_string().contains("other:1:1: expected a name"), "{failure}");
    process.assert_goes_on();
    // What is broken, too, is no list that is known.
    home.write("keepalives/bw-cleanup.state", "{");
    let failure = home.run(&later(HOUR), &[]).expect_err("it is told");
    assert_eq!(failure.exit(), Exit::Config);
    process.assert_goes_on();
}

#[test]
fn sightings_of_another_boot_count_for_nothing() {
    let home = Home::with("NAME,5");
    let mut process = home.sleeper(&home.name);
    let look = |running| {
        let clock = Later { running, suspended: 8 * HOUR };
        home.run(&clock, &[]).expect("a look")
    };
    look(MINUTE);
    let mut memory = home.memory();
    memory.boot_id = "another".into();
    memory.keep(&home.path("keepalives")).expect("kept");
    look(2 * MINUTE);
    process.assert_goes_on();
    assert_eq!(home.memory().boot_id, boot_id());
}

#[test]
fn twenty_at_once_are_one() {
    let home = Home::with("NAME,5");
    let hung: Vec<Process> = (0..10).map(|_| home.sleeper(&home.name)).collect();
    let barrier = Barrier::new(20);
    let results: Vec<_> = thread::scope(|scope| {
        let start = |_| {
            scope.spawn(|| {
                barrier.wait();
                home.run(&later(HOUR), &[]).map_err(|failure| failure.exit())
            })
        };
        let threads: Vec<_> = (0..20).map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(results.contains(&Ok(Exit::Well)));
    let quiet = |result| matches!(result, &Ok(Exit::Well | Exit::TryLater));
    assert!(results.iter().all(quiet), "{results:?}");
    assert_eq!(home.memory().ended, BTreeMap::from([(home.name.clone(), 10)]));
    assert!(hung.into_iter().all(|mut process| !process.goes_on()));
}

#[test]
fn what_has_ended_meanwhile_is_no_trouble() {
    let home = Home::with("NAME,5");
    let mut processes: Vec<Process> = (0..3).map(|_| home.sleeper(&home.name)).collect();
    let held: Vec<_> = processes.iter().map(Process::held).collect();
    processes[0].kill();
    let outcomes = end_all(&held.iter().collect::<Vec<_>>(), GRACE, Scope::Alone);
    assert_eq!(outcomes, [Outcome::Gone, Outcome::Terminated, Outcome::Terminated]);
    // Not yet reaped, they are there for the kernel and for nobody else.
    assert_eq!(home.sweep(&later(HOUR)), []);
}

#[test]
fn the_first_look_after_a_suspend_is_told_as_such() {
    let home = Home::with("NAME,5");
    let _process = home.sleeper(&home.name);
    let told = home.sweep(&Later { running: MINUTE, suspended: HOUR });
    let [told] = &told[..] else { panic!("{told:?}") };
    assert_eq!((told.fate, &told.outcome), (Fate::Wait, &None));
    assert_eq!(told.entry.to_string(), format!("{},5", home.name));
}
