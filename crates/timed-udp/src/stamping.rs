//! The kernel stamps packets only while somebody wants stamps, and begins with that some milliseconds after the first
//! socket asks: what comes before has none. So the process keeps a socket that wants them, and waits once.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::OnceLock,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{
    inbox::{Inbox, StampedBy},
    socket::{Opening, TimedSocket},
};

static KEPT: OnceLock<Option<TimedSocket>> = OnceLock::new();
/// Half a second of looking at the most.
const TRIES: usize = 500;
const A_WHILE: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };

pub(crate) fn have_begun() {
    KEPT.get_or_init(|| {
        let socket = Opening::at(IpAddr::V4(Ipv4Addr::LOCALHOST)).open_at_once().ok()?;
        let mut inbox = Inbox::new(1);
        let _ = (0..TRIES).any(|_| is_stamped(&socket, &mut inbox) != Some(false));
        Some(socket)
    });
}

/// Whether a packet to ourselves gets a stamp; none if there is no way to ourselves.
fn is_stamped(socket: &TimedSocket, inbox: &mut Inbox) -> Option<bool> {
    socket.send_to(&[0], socket.local()).ok()?;
    poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&A_WHILE)).ok()?;
    inbox.receive(socket).ok()?;
    let is_stamped = inbox.batch().any(|(arrival, _)| arrival.stamped_by != StampedBy::Reader);
    if !is_stamped {
        // Nothing comes here now: only the time passes.
        poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&A_WHILE)).ok()?;
    }
    Some(is_stamped)
}
