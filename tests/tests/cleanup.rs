//! `bw-cleanup` as cron and operators call it.

use std::{
    fs,
    process::{Child, Output, Stdio},
    time::Duration,
};

use stories::{
    Program, Station,
    program::{command, said},
    until_within,
};

fn list(station: &Station, text: &str) {
    fs::write(station.path("config/cleanup-list"), text).expect("written");
}

fn says(output: &Output, status: i32) -> String {
    assert_eq!(output.status.code(), Some(status), "{}", said(output));
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// A name that no other process of the machine has.
fn name() -> String {
    format!("hung{}", std::process::id())
}

/// A process that is called so and does nothing.
fn sleeper(station: &Station, name: &str) -> Program {
    let link = station.path("bin").join(name);
    std::os::unix::fs::symlink("/bin/sleep", &link).expect("a link");
    let mut sleep = command(link);
    sleep.arg("600");
    Program::start(sleep, &station.path("log/sleep"))
}

#[test]
fn on_a_good_day_it_says_nothing() {
    let station = Station::new();
    list(&station, &format!("{},1", name()));
    let _young = sleeper(&station, &name());
    assert_eq!(says(&station.run("bw-cleanup", &[]), 0), "");
    assert_eq!(says(&station.run("bw-cleanup", &["--dry-run"]), 0), "");
    assert_eq!(says(&station.run("bw-cleanup", &["--json"]), 0), "[]\n");
    let more = says(&station.run("bw-cleanup", &["-v"]), 0);
    assert_eq!(more, "bw-cleanup: ended so far: none\n");
}

#[test]
fn every_mistake_of_the_list_is_told_with_its_place() {
    let station = Station::new();
    assert!(
        says(&station.run("bw-cleanup", &["--check"]), 0).ends_with("13 entries, no mistakes\n")
    );
    list(&station, "gnuplot,5 ping\n# x\n whois,0\n");
    let told = says(&station.run("bw-cleanup", &["--check"]), 78);
    assert!(told.contains("cleanup-list has 2 mistakes\n"), "{told}");
    assert!(told.contains("cleanup-list:1:11: expected a name"), "{told}");
    assert!(told.contains("\n  gnuplot,5 ping\n            ^^^^\n"), "{told}");
    assert!(told.contains("cleanup-list:3:2: "), "{told}");
    let told = says(&station.run("bw-cleanup", &[]), 78);
    assert!(told.contains("no list without mistakes is known: nothing is ended"), "{told}");
}

#[test]
fn the_last_list_without_mistakes_goes_on() {
    let station = Station::new();
    list(&station, &format!("{},1 {},2", name(), name()));
    says(&station.run("bw-cleanup", &[]), 0);
    let path = station.path("config/cleanup-list");
    let shown = path.display();
    list(&station, "gnuplot");
    let told = says(&station.run("bw-cleanup", &[]), 78);
    assert!(told.contains("the last list without mistakes is carried out, entries: 2"), "{told}");
    assert!(told.contains(&format!("{shown}:1:1: expected a name")), "{told}");
    fs::remove_file(&path).expect("removed");
    let told = says(&station.run("bw-cleanup", &[]), 78);
    assert!(told.contains(&format!("reading the list {shown}: No such file")), "{told}");
    list(&station, "gnuplot,5");
    assert_eq!(says(&station.run("bw-cleanup", &[]), 0), "");
}

#[test]
fn twenty_at_one_barrier_do_not_meet() {
    let station = Station::new();
    list(&station, &format!("{},1", name()));
    let mut children: Vec<Child> = (0..20).map(|_| waiting(&station)).collect();
    let pipes: Vec<_> = children.iter_mut().filter_map(|child| child.stdin.take()).collect();
    assert_eq!(pipes.len(), 20);
    // All wait to read; at its end they go on.
    drop(pipes);
    let outputs = children.into_iter().map(|child| child.wait_with_output().expect("a child"));
    let statuses: Vec<Option<i32>> = outputs.map(|output| output.status.code()).collect();
    assert!(statuses.contains(&Some(0)), "{statuses:?}");
    let quiet = |status: &Option<i32>| matches!(status, Some(0 | 75));
    assert!(statuses.iter().all(quiet), "{statuses:?}");
    assert_eq!(says(&station.run("bw-cleanup", &[]), 0), "");
}

fn waiting(station: &Station) -> Child {
    let mut shell = command("/bin/sh");
    shell.args(["-c", "read line; exec \"$0\""]).arg(station.path("bin/bw-cleanup"));
    shell.env("IEPM_HOME", station.home()).env_remove("IEPM_CONFIG").stdin(Stdio::piped());
    shell.spawn().expect("sh")
}

#[test]
#[ignore = "takes more than a minute"]
fn what_hangs_for_its_minutes_is_ended_told_and_counted() {
    let station = Station::new();
    list(&station, &format!("{},1", name()));
    let mut hung = sleeper(&station, &name());
    let told = until_within(Duration::from_secs(180), "something is too old", || {
        let told = says(&station.run("bw-cleanup", &["--dry-run", "--json"]), 0);
        (told != "[]\n").then_some(told)
    });
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told[0]["pid"], hung.pid());
    assert_eq!((&told[0]["minutes"], &told[0]["ended_so_far"]), (&1.into(), &0.into()));
    assert_eq!(hung.ended(), None);
    let told = until_within(Duration::from_secs(90), "it is ended", || {
        let told = says(&station.run("bw-cleanup", &[]), 0);
        hung.ended().is_some().then_some(told)
    });
    assert!(told.starts_with(&format!("bw-cleanup: warning: ended {}, 1m", hung.pid())), "{told}");
    let more = says(&station.run("bw-cleanup", &["-v"]), 0);
    assert_eq!(more, format!("bw-cleanup: ended so far: {} 1\n", name()));
}
