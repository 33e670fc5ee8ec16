//! A test without end (`-c 0`): sessions of so many packets, each of which begins when the one before it has sent its
//! last packet, so that the stream of packets has no gap while figures of the last ones are waited for.

use std::{
    collections::VecDeque,
    sync::mpsc::{RecvTimeoutError, channel},
    thread::{self, ScopedJoinHandle},
    time::Duration,
};

use station::{app::Exit, world::signals::Stop};
use timed_udp::clock::wall;

use super::{
    conclude,
    control::Identity,
    measure::{Measured, Plan, measure},
    tell::Teller,
    trouble::Trouble,
    wanted::Args,
};

/// Packets of a session, if it was not said (`-N`).
const PACKETS: u32 = 100;
/// The next session is agreed upon so long before it begins.
const AHEAD: Duration = Duration::from_secs(2);
/// After a session that did not come about the next one is tried.
const RETRY: Duration = Duration::from_secs(5);
/// How long agreeing upon a session may take.
const PATIENCE: Duration = Duration::from_secs(60);

type Going<'scope> = ScopedJoinHandle<'scope, Result<Measured, Trouble>>;

/// Measures until it is asked to end, and prints each session when its figures are there.
pub(super) fn stream(args: &Args, identity: &Identity, stop: &Stop) -> Exit {
    let count = if args.part == 0 { PACKETS } else { args.part };
    let args = Args { count, part: 0, ..args.clone() };
    let teller = Teller::new(&args);
    let mut ends = Ends { teller: &teller, exit: Exit::Well };
    thread::scope(|scope| {
        let (mut going, mut begin) = (VecDeque::<Going<'_>>::new(), None);
        while !stop.asked() {
            let (tell, told) = channel::<Plan>();
            let args = &args;
            going.push_back(scope.spawn(move || {
                measure(args, identity, stop, begin, |plan| {
                    // Nobody waits for it any more after a long time.
                    let _ = tell.send(plan);
                    Ok(())
                })
            }));
            match told.recv_timeout(PATIENCE) {
                Ok(plan) => {
                    begin = Some(plan.last_due);
                    let until = plan.last_due.nanos_since(wall());
                    let until = Duration::from_nanos(until.try_into().unwrap_or(0));
                    stop.wait(until.saturating_sub(AHEAD));
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    begin = None;
                    stop.wait(RETRY);
                }
            }
            while going.front().is_some_and(ScopedJoinHandle::is_finished) {
                ends.take(going.pop_front());
            }
        }
        for session in going {
            ends.take(Some(session));
        }
    });
    ends.exit
}

/// Sessions that have ended.
struct Ends<'a> {
    teller: &'a Teller<'a>,
    exit: Exit,
}

impl Ends<'_> {
    fn take(&mut self, session: Option<Going<'_>>) {
        // A thread that panicked has said so.
        let Some(Ok(measured)) = session.map(ScopedJoinHandle::join) else { return };
        let measured = measured.unwrap_or_else(Measured::none);
        let is_asked_to_end = matches!(measured.trouble, Some(Trouble::Interrupted));
        // One that had not begun has nothing to tell.
        if is_asked_to_end && measured.ways.is_empty() {
            return;
        }
        match conclude(self.teller, measured) {
            Ok(Exit::Well) => {}
            // The end of what has none is as it should be.
            Ok(_) if is_asked_to_end => {}
            Ok(exit) => self.exit = exit,
            // It goes on: the server may come back.
            Err(failure) => {
                log::warn!("{failure}");
                self.exit = Exit::NeedsPerson;
            }
        }
    }
}
