//! A station whose daemons are looked after by `keep-em-alive`.

use std::{collections::BTreeSet, process::Output, time::Duration};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Station, pause, program::said};

/// The daemons of this version.
pub const DAEMONS: [&str; 7] =
    ["bw-synchd", "load-datad", "load-scheduled", "owpingd", "pathchirpd", "pingd", "traced"];

/// A station whose daemons are looked after; all that it started ends with the story.
#[derive(Debug)]
pub struct Watched(pub Station);

impl Watched {
    /// A station that pings itself every other second, with these lines of `iepm.toml`.
    #[track_caller]
    pub fn station(settings: &str) -> Self {
        Self::of(Station::new(), settings)
    }

    /// As [`Self::station`], of a station that the story has made.
    #[track_caller]
    pub fn of(station: Station, settings: &str) -> Self {
        station.configure(settings);
        station.measures(&["a,127.0.0.1"], &["a,ping,,-n -c 1 -w 1,1,2,0"]);
        Self(station)
    }

    /// Calls the watchdog once.
    pub fn look(&self) -> Output {
        self.0.command("keep-em-alive").output().expect("it starts")
    }

    /// What the watchdog says when it is called once.
    #[track_caller]
    pub fn told(&self) -> String {
        let output = self.look();
        assert!(output.stdout.is_empty(), "{}", said(&output));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// The pid of a daemon that holds its lock.
    pub fn pid(&self, daemon: &str) -> Option<i32> {
        self.0.holder_of(daemon)
    }

    /// Signals a daemon; gives its pid.
    #[track_caller]
    pub fn signal(&self, daemon: &str, signal: Signal) -> i32 {
        let pid = self.pid(daemon).expect("it runs");
        kill_process(Pid::from_raw(pid).expect("positive"), signal).expect("ours");
        pid
    }

    /// The daemons that run.
    pub fn daemons(&self) -> BTreeSet<&'static str> {
        DAEMONS.into_iter().filter(|daemon| self.pid(daemon).is_some()).collect()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        for signal in [Signal::TERM, Signal::CONT, Signal::KILL] {
            let left = || DAEMONS.iter().filter_map(|d| self.pid(d));
            for pid in left().filter_map(Pid::from_raw) {
                let _ = kill_process(pid, signal);
            }
            for _ in 0..100 {
                if left().next().is_none() {
                    break;
                }
                pause(Duration::from_millis(20));
            }
        }
    }
}
