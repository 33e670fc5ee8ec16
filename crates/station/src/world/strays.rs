//! What runs leave outside of their process groups.
//!
//! A tool that calls `setsid(2)` and lets its parent end is in no group that its run could be ended by.
//! A program that has called [`adopt`] gets such a process for a child (`PR_SET_CHILD_SUBREAPER`,
//! `prctl(2)`) when its own parent ends, and can end it by [`end`], from time to time.

use std::{fs, io};

use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitId, WaitIdOptions, set_child_subreaper, waitid},
};

use super::processes;

/// Has all that our children leave behind given to us, and not to the machine's first process.
///
/// # Errors
/// As `prctl(2)`.
pub fn adopt() -> io::Result<()> {
    // Any pid sets the attribute; it is ours that gets it.
    Ok(set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Kills our children that are no run's own process, unless they carry the tag of a run that goes on;
/// those that have ended are reaped. Says whether some are left, to be reaped by another call soon.
#[must_use]
pub fn end(
    is_run: impl Fn(i32) -> bool,
    goes_on: impl Fn(&str) -> bool,
    any_goes_on: impl Fn() -> bool,
) -> bool {
    let mut left = false;
    for pid in children().into_iter().filter(|pid| !is_run(*pid)) {
        if let Ok(Some(process)) = processes::of(pid)
            && process.state != 'Z'
        {
            // Of one that hides its environment it is not known whose it is: it waits until no run goes on.
            if process.tag().map_or_else(&any_goes_on, |tag| goes_on(&tag)) {
                continue;
            }
            log::warn!("killing process {pid}, which a run left: {}", process.command());
            if let Err(error) = process.signal(Signal::KILL) {
                log::error!("cannot kill process {pid}: {error}");
            }
        }
        left |= !has_ended(pid);
    }
    left
}

/// Whether a child has ended; then it is reaped.
fn has_ended(pid: i32) -> bool {
    let Some(child) = Pid::from_raw(pid) else { return true };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    match waitid(WaitId::Pid(child), options) {
        Ok(status) => status.is_some(),
        // Somebody else has reaped it.
        Err(Errno::CHILD) => true,
        Err(error) => {
            log::error!("cannot wait for process {pid}: {error}");
            true
        }
    }
}

/// The children of all our threads (`proc_pid_children(5)`); none where the kernel does not tell them.
fn children() -> Vec<i32> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().filter_map(Result::ok);
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()
        })
        .collect()
}
