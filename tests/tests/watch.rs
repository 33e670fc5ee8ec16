//! Daemons that die, hang, loop and are misconfigured, with `keep-em-alive` called as cron does it.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, time::Duration};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use stories::{DAEMONS, SmallDisk, Station, Watched, program::said, until, until_within};

#[test]
fn all_daemons_are_started_and_those_that_die_are_back_after_one_look() {
    let watched = Watched::station("");
    assert_eq!(watched.told(), "", "the first start of all is no news");
    until("all run", || (watched.daemons() == DAEMONS.into()).then_some(()));
    assert_eq!(watched.told(), "", "nothing is to be done");
    let before = ["pingd", "load-scheduled"].map(|daemon| watched.signal(daemon, Signal::KILL));
    until("they are dead", || (watched.daemons().len() == DAEMONS.len() - 2).then_some(()));
    let told = watched.told();
    for daemon in ["pingd", "load-scheduled"] {
        assert!(told.contains(&format!("{daemon} had ended and was started again")), "{told}");
    }
    until("all run again", || (watched.daemons() == DAEMONS.into()).then_some(()));
    assert!(watched.pid("pingd") != Some(before[0]));
    let loaded = || watched.0.count("PINGDATA") > 2;
    until("the station measures", || loaded().then_some(()));
    watched.0.accounts_are_right();
}

#[test]
fn a_daemon_stands_on_its_own_feet() {
    let watched = Watched::station("");
    watched.look();
    let pid = until("pingd runs", || watched.pid("pingd"));
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
    let own = pid.to_string();
    assert_eq!((fields[2], fields[3]), (own.as_str(), own.as_str()), "group and session: {stat}");
    let to = |fd: u32| fs::read_link(format!("/proc/{pid}/fd/{fd}")).expect("a descriptor");
    assert_eq!(to(0).to_str(), Some("/dev/null"));
    let log = watched.0.path("log/pingd.log").canonicalize().expect("a log");
    assert_eq!((to(1), to(2)), (log.clone(), log));
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("a list");
    for fd in descriptors.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok()) {
        assert!(!fd.to_string_lossy().contains("keep-em-alive"), "{}", fd.display());
    }
    let environment = fs::read(format!("/proc/{pid}/environ")).expect("ours");
    assert!(!String::from_utf8_lossy(&environment).contains("IEPM_RUN="));
}

#[test]
fn a_stopped_daemon_is_back_after_two_looks_and_not_after_one() {
    let watched = Watched::station("[watch]\nstale-after = '15s'\n[probes]\ndrain = '1s'");
    watched.look();
    let pid = until("traced runs", || watched.pid("traced"));
    let alive = watched.0.path("keepalives/traced.alive");
    until("it has come round", || alive.exists().then_some(()));
    watched.signal("traced", Signal::STOP);
    let suspect = || {
        let output = watched.0.command("keep-em-alive").arg("--dry-run").arg("--json").output();
        String::from_utf8_lossy(&output.expect("it starts").stdout).contains("suspect")
    };
    until("its beat is stale", || suspect().then_some(()));
    assert_eq!(watched.told(), "");
    assert_eq!(watched.pid("traced"), Some(pid), "one look ends nobody");
    let told = until_within(Duration::from_secs(90), "the next looks end it", || {
        Some(watched.told()).filter(|told| !told.is_empty())
    });
    assert!(told.contains(&format!("traced ({pid}) has not come round for")), "{told}");
    assert!(told.contains("state T"), "{told}");
    let new = until("it runs again", || watched.pid("traced"));
    assert_ne!(new, pid);
}

#[test]
fn twenty_looks_at_once_start_each_daemon_once() {
    let watched = Watched::station("");
    let looks: Vec<_> = (0..20)
        .map(|_| {
            let mut look = watched.0.command("keep-em-alive");
            look.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            look.spawn().expect("it starts")
        })
        .collect();
    for look in looks {
        let output = look.wait_with_output().expect("it ends");
        assert!(matches!(output.status.code(), Some(0 | 75)), "{}", said(&output));
        assert!(output.stderr.is_empty(), "{}", said(&output));
    }
    until("all run", || (watched.daemons() == DAEMONS.into()).then_some(()));
    for daemon in DAEMONS {
        let log = fs::read_to_string(watched.0.path(&format!("log/{daemon}.log"))).expect("a log");
        assert_eq!(log.matches("started for the station").count(), 1, "{daemon}: {log}");
        assert!(!log.contains("runs already"), "{daemon}: {log}");
    }
}

#[test]
fn a_daemon_that_does_not_stay_up_is_told_once_and_started_seldom() {
    let watched = Watched::station("[watch]\ndaemons = ['traced', 'nowhere-to-be-found']");
    let path = watched.0.path("bin/traced");
    fs::remove_file(&path).expect("a link");
    fs::write(&path, "#!/bin/sh\necho started >>\"$0.count\"\necho out of luck >&2\nexit 3\n")
        .expect("room");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    let told = watched.told();
    assert!(told.contains("traced: it ended at once, with status 3: out of luck"), "{told}");
    assert!(told.contains("nowhere-to-be-found: cannot be started: it is not installed"), "{told}");
    for _ in 0..50 {
        let output = watched.look();
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stderr.is_empty(), "{}", said(&output));
    }
    let starts = fs::read_to_string(watched.0.path("bin/traced.count")).expect("it was started");
    assert_eq!(starts.lines().count(), 2, "one start at once, one more, and then none for minutes");
}

#[test]
fn a_wrong_schema_is_told_once_and_waited_for() {
    let watched = Watched::station("[watch]\ndaemons = ['pingd']");
    let database = watched.0.database();
    database.execute("INSERT INTO SCHEMAVERSION VALUES (99, 0)", []).expect("newer");
    let told = watched.told();
    assert!(told.contains("pingd: its configuration or the schema is wrong"), "{told}");
    assert_eq!(watched.told(), "");
    assert_eq!(watched.told(), "");
    let log = || fs::read_to_string(watched.0.path("log/pingd.log")).expect("a log");
    assert_eq!(log().matches("schema is version 99").count(), 1, "{}", log());
    database.execute("DELETE FROM SCHEMAVERSION WHERE version = 99", []).expect("right");
    assert!(watched.told().contains("pingd had ended and was started again"));
    until("pingd runs", || watched.pid("pingd"));
}

#[test]
fn a_broken_configuration_is_told_once_and_the_last_good_one_goes_on() {
    let watched = Watched::station("[watch]\ndaemons = ['pingd']");
    watched.look();
    until("pingd runs", || watched.pid("pingd"));
    let file = watched.0.path("iepm.toml");
    let good = fs::read_to_string(&file).expect("a file");
    fs::write(&file, format!("{good}\n[watch\n")).expect("room");
    let told = watched.told();
    assert!(
        told.contains("the configuration has")
            && told.contains("the last good configuration goes on"),
        "{told}"
    );
    assert_eq!(watched.told(), "");
    fs::remove_file(&file).expect("removed");
    assert!(watched.told().contains("the last good configuration goes on"));
    watched.signal("pingd", Signal::KILL);
    until("it is dead", || watched.pid("pingd").is_none().then_some(()));
    // pingd itself cannot do without its configuration; that it was tried is what matters here.
    assert!(watched.told().contains("pingd"));
    fs::write(&file, good).expect("room");
    let told = watched.told();
    assert!(told.contains("the configuration is good again"), "{told}");
    until("pingd runs again", || {
        watched.look();
        watched.pid("pingd")
    });
}

#[test]
fn while_the_station_is_held_nothing_is_started() {
    let watched = Watched::station("");
    let hold = watched.0.run("iepm", &["hold", "5m", "--reason", "new disk"]);
    assert_eq!(hold.status.code(), Some(0), "{}", said(&hold));
    assert_eq!(watched.told(), "");
    assert_eq!(watched.daemons(), BTreeSet::new());
    let release = watched.0.run("iepm", &["release"]);
    assert_eq!(release.status.code(), Some(0), "{}", said(&release));
    watched.look();
    until("all run", || (watched.daemons() == DAEMONS.into()).then_some(()));
}

#[test]
fn a_foreign_daemon_that_loops_and_does_not_listen_is_killed_and_started_again() {
    let name = format!("own-daemon-{}", std::process::id());
    let settings =
        format!("[watch]\ndaemons = ['{name}']\nstale-after = '15s'\n[probes]\ndrain = '1s'");
    let watched = Watched::station(&settings);
    // It has no lock and merely touches its file, until somebody makes it loop.
    let script = "trap '' TERM; trap 'while :; do :; done' USR1; echo $$ >>\"$0.pids\"; \
                  while :; do : >\"${0%/bin/*}/keepalives/${0##*/}.alive\"; sleep 1 & wait $!; done";
    watched.0.tool(&name, script);
    let pids = || -> Vec<i32> {
        let text = fs::read_to_string(watched.0.path("bin").join(format!("{name}.pids")));
        text.unwrap_or_default().lines().filter_map(|pid| pid.parse().ok()).collect()
    };
    let _ended = OnDrop(|| {
        for pid in pids().into_iter().filter_map(Pid::from_raw) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    });
    assert_eq!(watched.told(), "");
    let first = until("it runs", || pids().first().copied());
    assert_eq!(watched.told(), "");
    kill_process(Pid::from_raw(first).expect("positive"), Signal::USR1).expect("ours");
    let told = until_within(Duration::from_secs(120), "it is ended and started again", || {
        let told = watched.told();
        stories::pause(Duration::from_millis(200));
        (!told.is_empty()).then_some(told)
    });
    assert!(told.contains(&format!("{name} ({first}) has not come round for")), "{told}");
    assert!(told.contains("state R"), "{told}");
    let second = until("another runs", || pids().get(1).copied());
    assert!(fs::read_to_string(format!("/proc/{first}/stat")).is_err() && second != first);
    assert_eq!(watched.told(), "");
}

/// Does something when the story is over, however it ends.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}

#[test]
#[ignore = "needs root for a small file system"]
fn on_a_full_disk_the_watch_goes_on() {
    let disk = SmallDisk::of(8);
    let watched = Watched::of(Station::at(&disk.path().join("home"), None), "");
    watched.look();
    until("all run", || (watched.daemons() == DAEMONS.into()).then_some(()));
    let filler = disk.fill();
    watched.signal("traced", Signal::KILL);
    until("it is dead", || watched.pid("traced").is_none().then_some(()));
    let output = watched.look();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("traced had ended and was started again"), "{told}");
    until("it runs again all the same", || watched.pid("traced"));
    let cycles = || {
        let alive = fs::read(watched.0.path("keepalives/pingd.alive")).unwrap_or_default();
        serde_json::from_slice::<serde_json::Value>(&alive).ok()?["cycles"].as_u64()
    };
    let before = until("pingd has come round", cycles);
    until("and says so also now", || cycles().filter(|now| *now > before + 1));
    fs::remove_file(filler).expect("room");
    until("all is well again", || (watched.look().status.code() == Some(0)).then_some(()));
    assert_eq!(watched.daemons(), DAEMONS.into());
}
