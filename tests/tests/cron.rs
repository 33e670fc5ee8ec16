//! Five minutes under Debian's cron, really running: daemons and servers are killed and stopped, and the
//! machine is started anew as far as a process can tell; all come back, and nobody else is touched.
//!
//! Cron lives in namespaces of its own (processes, mounts), with a crontab, a spool and a `/run` of its own:
//! nothing of it is seen outside, and all of it ends with the story.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use stories::{
    DAEMONS, Station,
    program::{command, succeed},
    until, until_within,
};

/// One period of cron, and time for what it starts on a busy machine.
const PERIOD: Duration = Duration::from_secs(60 + 30);

/// A machine: the first process of namespaces of its own.
struct Machine {
    first: Child,
    inside: i32,
}

impl Machine {
    fn started(folder: &Path) -> Self {
        let ready = folder.join("ready");
        // What cron reads and writes is made anew, and gone with the namespace.
        let script = "set -e; mount --make-rprivate /; mount -t tmpfs tmpfs /var/spool/cron; \
             mkdir -p /var/spool/cron/crontabs; chgrp crontab /var/spool/cron/crontabs; \
             chmod 1730 /var/spool/cron/crontabs; mount -t tmpfs tmpfs /etc/cron.d; \
             mount --bind /dev/null /etc/crontab; mount -t tmpfs tmpfs /run; touch \"$0\"; \
             while :; do sleep 3600 & wait; done";
        let mut unshare = command("unshare");
        unshare.args([
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "bash",
            "-c",
            script,
        ]);
        unshare.arg(&ready).stdout(Stdio::null());
        let first = unshare.spawn().expect("unshare starts");
        until("the machine is up", || ready.exists().then_some(()));
        let children = format!("/proc/{0}/task/{0}/children", first.id());
        let children = fs::read_to_string(children).expect("a list");
        let inside = children.trim().parse().expect("its first process");
        Self { first, inside }
    }

    /// A command that runs on it.
    fn command(&self, program: &Path) -> Command {
        let mut nsenter = command("nsenter");
        nsenter
            .args(["--target", &self.inside.to_string(), "--mount", "--pid"])
            .arg("--")
            .arg(program);
        nsenter
    }

    fn run(&self, words: &[&str]) -> String {
        succeed(self.command(words[0].as_ref()).args(&words[1..]))
    }

    fn signal(&self, pid: i32, signal: &str) {
        self.run(&["kill", signal, &pid.to_string()]);
    }

    fn start_cron(&self) {
        // It goes into the background by itself, with nothing of ours.
        succeed(self.command("cron".as_ref()).stdout(Stdio::null()).stderr(Stdio::null()));
    }

    /// All processes but the first are gone at once, and cron starts as after a boot.
    fn starts_anew(&self) {
        // `kill -1` means everybody but the first process and who calls it.
        let _ = self
            .command("bash".as_ref())
            .args(["-c", "kill -KILL -1; rm -f /run/crond.*"])
            .output();
        self.start_cron();
    }

    /// The pids, on this machine, of what shows `name` as its first argument.
    fn pids(&self, name: &str) -> Vec<i32> {
        let script = "cd /proc; for p in [0-9]*; do IFS= read -r -d '' a <$p/cmdline && [ \"${a##*/}\" = \"$0\" ] && echo $p; done; :";
        let output = self.command("bash".as_ref()).args(["-c", script, name]).output();
        let output = String::from_utf8_lossy(&output.expect("bash runs").stdout).into_owned();
        output.lines().filter_map(|pid| pid.parse().ok()).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // With its first process the whole namespace ends.
        if let Some(pid) = Pid::from_raw(self.inside) {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = self.first.kill();
        let _ = self.first.wait();
    }
}

/// A station on the machine: its daemons, a server, and what bw-cleanup is to end.
struct Scene {
    station: Station,
    machine: Machine,
    server: String,
    hung: PathBuf,
}

impl Scene {
    fn set() -> Self {
        let station = Station::new();
        station.configure(
            "[watch]\nstale-after = '15s'\n[load]\npause = '1s'\n[probes]\ndrain = '2s'",
        );
        station.measures(
            &["a,127.0.0.1", "b,127.0.0.2"],
            &[
                "a,ping,,-n -c 1 -w 1,1,2,1",
                "b,ping,,-n -c 1 -w 1,1,3,1",
                "a,traceroute,,-n -q 1 -w 1 -m 3,3,5,1",
            ],
        );
        let bin = station.path("bin");
        // A link to the machine's iperf, which `iepm init` has made.
        let server = "bw-iperf-server".to_owned();
        fs::write(station.path("config/servers.alive"), format!("{server},bin,-s -p 45000\n"))
            .expect("room");
        let hung = bin.join("hangs-for-ever");
        symlink("/bin/sleep", &hung).expect("a link");
        fs::write(station.path("config/cleanup-list"), "hangs-for-ever,1\n").expect("room");
        let machine = Machine::started(&station.path("data"));
        Self { station, machine, server, hung }
    }

    fn all_are_up(&self) -> Option<()> {
        let up = DAEMONS.iter().all(|daemon| self.station.holder_of(daemon).is_some());
        (up && self.machine.pids(&self.server).len() == 1).then_some(())
    }

    /// Whether the watchdog counts no start of any daemon as one that did not stay up.
    fn nobody_has_a_history(&self) -> Option<()> {
        let state = fs::read(self.station.path("keepalives/keep-em-alive.state")).ok()?;
        let state: serde_json::Value = serde_json::from_slice(&state).ok()?;
        let well = |daemon: &&str| state["daemons"][*daemon]["restarts"]["in_a_row"] == 0;
        DAEMONS.iter().all(well).then_some(())
    }

    fn measures(&self) {
        let count = || self.station.count("PINGDATA") + self.station.count("ROUTEDATA");
        let before = count();
        until("readings come in", || (count() > before + 3).then_some(()));
    }

    /// Starts something on the machine that goes on by itself.
    fn goes_on(&self, words: &[&str]) {
        let mut bash = self.machine.command("bash".as_ref());
        bash.args(["-c", "\"$@\" </dev/null >/dev/null 2>&1 & disown", "x"]).args(words);
        succeed(&mut bash);
    }
}

#[test]
#[ignore = "needs root for namespaces in which cron runs; takes five minutes and more"]
fn what_is_killed_stopped_or_started_anew_is_back_and_nobody_else_is_touched() {
    let scene = Scene::set();
    let Scene { station, machine, server, hung } = &scene;
    let iepm = station.path("bin/iepm");
    succeed(machine.command(&iepm).args(["crontab", "--install", "--home"]).arg(station.home()));
    machine.start_cron();
    until_within(PERIOD, "cron has started all", || scene.all_are_up());
    scene.measures();

    // What looks like the one that is to go, and what is.
    let name = "hangs-for-ever";
    for decoy in ["vi", "tail", "grep"] {
        let script = format!("exec -a {decoy} sleep 86400 {name} {name}.txt");
        // sleep refuses words that are no times: bash itself stands in for the decoy.
        let script = script.replace("sleep 86400", "bash -c 'while :; do sleep 3600; done'");
        scene.goes_on(&["bash", "-c", &script]);
    }
    scene.goes_on(&[&hung.display().to_string(), "86400"]);
    until("all are there", || {
        let decoys = ["vi", "tail", "grep"].iter().all(|decoy| machine.pids(decoy).len() == 1);
        (decoys && machine.pids(name).len() == 1).then_some(())
    });

    let pid = |daemon: &str| station.holder_of(daemon).expect("it runs");
    let (killed, stopped) =
        (["pingd", "load-datad", "load-scheduled"].map(|d| (d, pid(d))), pid("traced"));
    let old_server = machine.pids(server)[0];
    for (_, pid) in killed {
        machine.signal(pid, "-KILL");
    }
    machine.signal(old_server, "-KILL");
    machine.signal(stopped, "-STOP");
    until_within(PERIOD, "what was killed is back within one period", || {
        let new =
            |(daemon, old): (&str, i32)| station.holder_of(daemon).is_some_and(|pid| pid != old);
        let server_is_new = machine.pids(server).first().is_some_and(|pid| *pid != old_server);
        (killed.into_iter().all(new) && server_is_new).then_some(())
    });
    // A beat is stale after 15 seconds; the next look suspects, and the one after it acts.
    until_within(
        2 * PERIOD + Duration::from_secs(15),
        "what was stopped is back within two periods",
        || station.holder_of("traced").filter(|pid| *pid != stopped),
    );
    until_within(2 * PERIOD, "what hung is gone", || machine.pids(name).is_empty().then_some(()));
    for decoy in ["vi", "tail", "grep"] {
        assert_eq!(machine.pids(decoy).len(), 1, "{decoy} was nobody's to end");
    }
    scene.measures();
    station.accounts_are_right();

    machine.starts_anew();
    // What was started a moment ago waits for a minute before it is started again.
    until_within(2 * PERIOD, "all are up after the machine was", || scene.all_are_up());
    scene.measures();
    station.accounts_are_right();

    // What follows is another bad hour: all have been well in between.
    until_within(4 * PERIOD, "two looks have found all well", || scene.nobody_has_a_history());
    let (killed, stopped) =
        (["traced", "owpingd", "pathchirpd"].map(|d| (d, pid(d))), pid("pingd"));
    for (_, pid) in killed {
        machine.signal(pid, "-KILL");
    }
    machine.signal(stopped, "-STOP");
    let old_server = machine.pids(server)[0];
    machine.signal(old_server, "-STOP");
    machine.signal(old_server, "-KILL");
    until_within(2 * PERIOD + Duration::from_secs(15), "all are back once more", || {
        let new =
            |(daemon, old): (&str, i32)| station.holder_of(daemon).is_some_and(|pid| pid != old);
        let server_is_new = machine.pids(server).first().is_some_and(|pid| *pid != old_server);
        (killed.into_iter().all(new) && new(("pingd", stopped)) && server_is_new).then_some(())
    });
    scene.all_are_up().expect("every daemon and the server");
    scene.measures();
    station.accounts_are_right();
    let until_final = "SCHEDULE WHERE state = 'running' AND due_us < (SELECT MAX(due_us) FROM SCHEDULE) - 60000000";
    until("every run of before has come to its end", || {
        (station.count(until_final) == 0).then_some(())
    });
}
