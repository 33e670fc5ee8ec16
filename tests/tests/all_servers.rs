//! All daemons and servers stopped and started at once, as cron does it about midnight.

use std::{fs, os::unix::fs::symlink, process::Stdio};

use rustix::process::Signal;
use stories::{
    DAEMONS, Watched,
    program::{command, said, succeed},
    until,
};

/// A station that measures, with all daemons and a server.
fn running() -> (Watched, String) {
    let watched = Watched::station("[load]\npause = '1s'\n[probes]\ndrain = '2s'");
    // A process counts as a server by its name: this one nobody else has.
    let server = format!("sleeper-{}", std::process::id());
    symlink("/bin/sleep", watched.0.path("bin").join(&server)).expect("a link");
    fs::write(watched.0.path("config/servers.alive"), format!("{server},,86400\n")).expect("room");
    watched.look();
    succeed(&mut watched.0.command("keep-servers-alive"));
    until("all run", || (watched.daemons() == DAEMONS.into()).then_some(()));
    until("the server runs", || pid_of(&server));
    until("the station measures", || (watched.0.count("PINGDATA") > 1).then_some(()));
    (watched, server)
}

/// The process whose name is `name`.
fn pid_of(name: &str) -> Option<i32> {
    let entries = fs::read_dir("/proc").expect("a proc").filter_map(Result::ok);
    let mut named = entries.filter(|entry| {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let first = command.split(|byte| *byte == 0).next().unwrap_or_default();
        first.rsplit(|byte| *byte == b'/').next() == Some(name.as_bytes())
    });
    named.next()?.file_name().to_string_lossy().parse().ok()
}

/// Ends the server with the story.
struct Ended<'a>(&'a str);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        if let Some(pid) = pid_of(self.0).and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}

#[test]
fn all_are_restarted_and_the_logs_put_aside_and_no_row_is_lost() {
    let (watched, server) = running();
    let _ended = Ended(&server);
    let before: Vec<_> = DAEMONS.iter().map(|daemon| watched.pid(daemon)).collect();
    let old_server = pid_of(&server);
    let output = watched.0.run("restart-all-servers", &["--once-per-day"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(
        output.stderr.is_empty() && output.stdout.is_empty(),
        "cron mails it: {}",
        said(&output)
    );
    let after: Vec<_> = DAEMONS.iter().map(|daemon| watched.pid(daemon)).collect();
    for ((daemon, before), after) in DAEMONS.iter().zip(before).zip(after) {
        assert!(after.is_some() && after != before, "{daemon}: {before:?} {after:?}");
        let old = watched.0.path(&format!("log/{daemon}.log.1.gz"));
        let text = succeed(command("gzip").arg("-dc").arg(old));
        assert!(text.contains("started for the station"), "{daemon}: {text}");
    }
    let new_server = until("the server is back", || pid_of(&server));
    assert_ne!(Some(new_server), old_server);
    let measured = watched.0.count("PINGDATA");
    until("it measures", || (watched.0.count("PINGDATA") > measured).then_some(()));
    watched.0.accounts_are_right();

    let again = watched.0.run("restart-all-servers", &["--once-per-day", "-v"]);
    assert!(
        String::from_utf8_lossy(&again.stderr).contains("within the last 12 hours"),
        "{}",
        said(&again)
    );
    assert_eq!(pid_of(&server), Some(new_server));
    assert!(!watched.0.path("log/pingd.log.2.gz").exists());
}

#[test]
fn what_was_stopped_stays_stopped_until_it_is_released() {
    let (watched, server) = running();
    let _ended = Ended(&server);
    let dry = watched.0.run("kill-all-servers", &["--dry-run"]);
    let told = String::from_utf8_lossy(&dry.stdout).into_owned();
    let order =
        ["schedulers: load-scheduled", "probe daemons: pingd", "loaders: load-datad", "servers: "];
    let places: Vec<_> = order.iter().map(|what| told.find(what)).collect();
    assert!(places.is_sorted() && places[0].is_some(), "{told}");
    // A hung one is no reason to fail.
    watched.signal("traced", Signal::STOP);
    let output = watched.0.run("kill-all-servers", &[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(watched.daemons().is_empty() && pid_of(&server).is_none());
    assert_eq!(watched.told(), "");
    succeed(&mut watched.0.command("keep-servers-alive"));
    assert!(watched.daemons().is_empty() && pid_of(&server).is_none(), "the station is held");
    let midnight = watched.0.run("restart-all-servers", &["--once-per-day"]);
    assert_eq!(midnight.status.code(), Some(75), "{}", said(&midnight));
    assert!(midnight.stderr.is_empty() && watched.daemons().is_empty(), "{}", said(&midnight));
    watched.0.accounts_are_right();
    succeed(watched.0.command("iepm").arg("release"));
    assert_eq!(watched.told(), "");
    until("all run", || (watched.daemons() == DAEMONS.into()).then_some(()));
}

#[test]
fn many_at_once_beside_the_watchdogs_do_it_once() {
    let (watched, server) = running();
    let _ended = Ended(&server);
    let start = |name: &&str| {
        let mut command = watched.0.command(name);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
    };
    let programs = ["restart-all-servers", "keep-em-alive", "keep-servers-alive"];
    let all: Vec<_> = programs.iter().cycle().take(15).map(start).collect();
    let outputs = all.into_iter().map(|child| child.wait_with_output().expect("it ends"));
    let mut restarted = 0;
    for (name, output) in programs.iter().cycle().zip(outputs) {
        assert!(matches!(output.status.code(), Some(0 | 75)), "{name}: {}", said(&output));
        restarted += usize::from(*name == "restart-all-servers" && output.status.success());
    }
    assert!(restarted >= 1);
    until("all run", || (watched.daemons() == DAEMONS.into()).then_some(()));
    let count = |name: &str| {
        let entries = fs::read_dir("/proc").expect("a proc").filter_map(Result::ok);
        let home = watched.0.home().display().to_string();
        entries
            .filter(|entry| {
                let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                let command = String::from_utf8_lossy(&command).into_owned();
                command.contains(&format!("/{name}\0")) && command.contains(&home)
            })
            .count()
    };
    for daemon in DAEMONS {
        assert_eq!(count(daemon), 1, "{daemon}");
    }
    assert!(pid_of(&server).is_some());
    watched.0.accounts_are_right();
}

#[test]
fn a_station_that_an_operator_holds_is_left_alone() {
    let (watched, server) = running();
    let _ended = Ended(&server);
    let pid = watched.pid("pingd");
    succeed(watched.0.command("iepm").args(["hold", "10m", "--reason", "new disk"]));
    let output = watched.0.run("restart-all-servers", &["-v"]);
    assert_eq!(output.status.code(), Some(75), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("new disk"), "{}", said(&output));
    assert_eq!(watched.pid("pingd"), pid);
}
