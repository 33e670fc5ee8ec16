//! What needs a machine of its own: a namespace of processes, in which nobody else's are to be seen.
//!
//! Each test starts itself anew in there, and is process 1: when it ends, in whatever way, all end.

mod common;

use std::fs;

use bw_cleanup::end::{GRACE, Outcome};
use common::{HOUR, Home, Process, command, later, named, pids};
use station::{
    app::Exit,
    world::{
        clock::{Clock, SystemClock},
        processes,
    },
};

const INSIDE: &str = "BW_CLEANUP_TEST_INSIDE";
const ANOTHER_USER: &str = "47111";

/// Carries out `test`, whose name is `name`, in a namespace.
#[track_caller]
fn inside(name: &str, test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    let own = std::env::current_exe().expect("a test knows its own place");
    let own = own.to_str().expect("UTF-8");
    let arguments = ["--pid", "--fork", "--mount-proc", "--kill-child", own, "--exact", name];
    let mut unshare = command("unshare", &arguments);
    unshare.args(["--include-ignored", "--nocapture"]).env(INSIDE, "yes");
    let output = unshare.output().expect("unshare starts");
    let said = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said));
    assert!(output.status.success() && said[0].contains("1 passed"), "{}{}", said[0], said[1]);
}

#[test]
#[ignore = "needs root for a namespace of processes"]
fn every_entry_of_the_originals_list_hits_what_it_names_and_nothing_else() {
    inside("every_entry_of_the_originals_list_hits_what_it_names_and_nothing_else", || {
        let home = Home::with(include_str!("../../../config/cleanup-list"));
        let bare =
            ["post-test", "gnuplot", "triganal", "runperiod", "pathload_rcv", "pathchirp_rcv"];
        let ends = ["ping", "owping", "tlaytcp", "bw-iperf-client"];
        let (mut targets, mut decoys) = (Vec::new(), Vec::new());
        for name in bare.into_iter().chain(ends).chain(["whois", "asn.pl"]) {
            targets.push(home.sleeper(name));
            let script = home.script(&format!("scripts/bin/{name}"), "#!/bin/sh\nread line\n");
            targets.push(Process::start(command(script, &["600"])));
            let script = home.script(&format!("{name}.script"), "#!/bin/sh\nread line\n");
            let text = script.to_str().expect("UTF-8");
            decoys.push(Process::start(command(&script, &[name])));
            decoys.push(Process::start(command("/bin/sh", &["-c", "read line; :", name])));
            decoys.push(Process::start(named("vi", "/usr/bin/tail", &["-f", text, name])));
            decoys.push(home.sleeper(&format!("{name}-server")));
            decoys.push(home.sleeper(&format!("x{name}")));
        }
        for name in ends {
            // A name with a slash is the end of a path.
            decoys.push(Process::start(named(name, "/bin/sleep", &["600"])));
            decoys.push(Process::start(named(&format!("/x{name}"), "/bin/sleep", &["600"])));
            decoys.push(Process::start(named(&format!("/sbin/{name}"), "/bin/sleep", &["600"])));
        }
        let asn = home.script("asn.d/asn.pl", "#!/usr/bin/perl\n<STDIN>;\n");
        if fs::exists("/usr/bin/perl").expect("a look") {
            targets.push(Process::start(command(asn, &[])));
        }
        let told = home.sweep(&later(3 * HOUR));
        decoys.iter_mut().for_each(Process::assert_goes_on);
        let mut expected: Vec<i32> = targets.iter().map(Process::pid).collect();
        expected.sort_unstable();
        assert_eq!(pids(&told), expected, "{told:?}");
        assert!(told.iter().all(|told| told.outcome == Some(Outcome::Terminated)), "{told:?}");
    });
}

#[test]
#[ignore = "needs root to become another user"]
fn processes_of_other_users_are_left_alone() {
    inside("processes_of_other_users_are_left_alone", || {
        let home = Home::with("NAME,5");
        let program = home.path("bin").join(&home.name);
        // One file belongs to root and runs as root, whoever starts it: to `/proc` it is root's.
        for (mode, name) in [("755", &home.name), ("4755", &format!("suid/{}", home.name))] {
            let path = home.path("bin").join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            let path = path.to_str().expect("UTF-8");
            let install = ["-D", "-m", mode, "/bin/sleep", path];
            assert!(command("install", &install).status().expect("install").success());
        }
        let as_other = |path: &std::path::Path| {
            let user = format!("--reuid={ANOTHER_USER}");
            let path = path.to_str().expect("UTF-8");
            let arguments = [user.as_str(), "--regid=47111", "--clear-groups", path, "600"];
            Process::start(command("setpriv", &arguments))
        };
        let suid = home.path("bin/suid").join(&home.name);
        let mut others = [as_other(&program), as_other(&suid)];
        for other in &others {
            // setpriv becomes the program.
            while other.held().program.is_none_or(|program| !program.ends_with(&home.name)) {
                station::world::clock::pause(std::time::Duration::from_millis(1));
            }
        }
        let ours = Process::start(command(&program, &["600"]));
        assert_eq!(pids(&home.sweep(&later(HOUR))), [ours.pid()]);
        others.iter_mut().for_each(Process::assert_goes_on);
    });
}

#[test]
#[ignore = "needs root to choose the number of a process"]
fn a_number_that_was_given_anew_is_not_hit() {
    inside("a_number_that_was_given_anew_is_not_hit", || {
        let home = Home::with("NAME,5");
        let mut victim = home.sleeper(&home.name);
        let held = victim.held();
        victim.kill();
        fs::write("/proc/sys/kernel/ns_last_pid", (victim.pid() - 1).to_string()).expect("root");
        let mut innocent = home.sleeper(&home.name);
        assert_eq!(innocent.pid(), victim.pid(), "the number was given anew");
        let outcomes = bw_cleanup::end::end(&[&held], &SystemClock);
        assert_eq!(outcomes, [Outcome::Gone]);
        innocent.assert_goes_on();
        let again = processes::of(innocent.pid()).expect("a look").expect("there");
        assert_eq!(again.identity.pid, held.identity.pid);
    });
}

#[test]
#[ignore = "needs root for a namespace of processes"]
fn more_that_hang_than_a_program_may_usually_hold_cost_one_grace() {
    inside("more_that_hang_than_a_program_may_usually_hold_cost_one_grace", || {
        let home = Home::with("NAME,5");
        let many = "trap '' TERM; i=0; while [ $i -lt 1500 ]; do (exec -a $0 sleep 600) & i=$((i + 1)); done; \
                    echo ready; read line";
        let _shell =
            Process::start(command("/bin/bash", &["-c", many, &home.name])).that_is_ready();
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let usual = rustix::process::Rlimit { current: Some(1_024), ..limit };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, usual).expect("less");
        let begun = SystemClock.moment().monotonic;
        assert_eq!(home.run(&later(HOUR), &[]).expect("a look"), Exit::Well);
        let taken = begun.until(SystemClock.moment().monotonic);
        assert!(taken < 4 * GRACE, "{taken:?}");
        assert_eq!(home.memory().ended.values().sum::<u64>(), 1_500);
    });
}
