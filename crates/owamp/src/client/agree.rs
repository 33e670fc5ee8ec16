//! The sessions of a test, as they are agreed upon with the server (RFC 4656 section 3.5).

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use station::{words::place::Place, world::peers};
use timed_udp::{
    ntp::NtpTime,
    socket::{Opening, Port, PortRange, TimedSocket},
};

use super::{
    control::{Control, random},
    trouble::Trouble,
    wanted::Args,
};
use crate::{
    protocol::{RequestSession, Schedule, Sid},
    session::{Timetable, nanos_of_units, units_of},
};

/// Room for packets that arrive while the machine does something else, octets.
const QUEUE: usize = 4 << 20;

/// A session that the server agreed to.
pub(super) struct Agreed {
    pub(super) id: u64,
    pub(super) sends: bool,
    pub(super) sid: Sid,
    pub(super) ours: SocketAddr,
    pub(super) theirs: SocketAddr,
    pub(super) request: RequestSession,
    pub(super) socket: Option<TimedSocket>,
}

impl Agreed {
    /// When its last packet is due, after its start.
    pub(super) fn length(&self) -> Duration {
        let last = usize::try_from(self.request.packets.saturating_sub(1)).unwrap_or(usize::MAX);
        let due = Schedule::new(&self.sid, &self.request.slots).nth(last).unwrap_or_default();
        Duration::from_nanos(nanos_of_units(due))
    }

    pub(super) fn timetable(&self) -> Timetable {
        Timetable::of(&self.sid, &self.request.slots, self.request.packets)
    }
}

pub(super) const TO: u64 = 0;
pub(super) const FROM: u64 = 1;

/// Our address for test packets, and the target's.
pub(super) fn ends(args: &Args, control: &Control) -> Result<(IpAddr, IpAddr), Trouble> {
    let (ours, server) = control.ends().map_err(|error| Trouble::Control(error.into()))?;
    let Some(_) = &args.server else { return Ok((ours.ip(), server.ip())) };
    let place = Place::of(&args.target).map_err(|why| Trouble::Place(args.target.clone(), why))?;
    let found = peers::addresses(&place.host, 0, args.family());
    let found = found.map_err(|why| Trouble::Place(place.host.clone(), why))?;
    let same = found.iter().find(|address| address.is_ipv4() == ours.is_ipv4());
    let other =
        || Trouble::Place(place.host.clone(), "it has no address of the server's family".into());
    Ok((ours.ip(), same.ok_or_else(other)?.ip()))
}

/// Asks for the sessions of both directions, or of the one that is wanted; each has a socket of ours.
pub(super) fn agree(
    args: &Args,
    control: &mut Control,
    (ours, theirs): (IpAddr, IpAddr),
    start: NtpTime,
) -> Result<Vec<Agreed>, Trouble> {
    let range = args.ports.and_then(|(first, last)| PortRange::new(first, last));
    let mut agreed = Vec::new();
    for (id, sends) in [(TO, true), (FROM, false)] {
        if (sends && args.from) || (!sends && args.to) {
            continue;
        }
        let port = range.as_ref().map_or(Port::Any, Port::Of);
        let opening = Opening {
            port,
            receive_buffer: QUEUE,
            dscp: args.dscp,
            device: args.device.clone().map(Into::into),
            ..Opening::at(ours)
        };
        let socket = opening.open().map_err(|error| Trouble::Socket(error.to_string()))?;
        let here = socket.local();
        let there = SocketAddr::new(theirs, 0);
        let sid = if sends { Sid::default() } else { Sid::new(ours, start, unguessable()?) };
        let request = RequestSession {
            server_sends: !sends,
            server_receives: sends,
            packets: args.count,
            sender: if sends { here } else { there },
            receiver: if sends { there } else { here },
            sid,
            padding: args.size,
            start,
            timeout: units_of(args.timeout),
            type_p: u32::from(args.dscp) << 24,
            slots: args.interval.0.clone(),
        };
        let (port, made) = control.session(request.clone())?;
        let theirs = SocketAddr::new(theirs, port);
        let sid = if sends { made } else { sid };
        agreed.push(Agreed { id, sends, sid, ours: here, theirs, request, socket: Some(socket) });
    }
    Ok(agreed)
}

fn unguessable() -> Result<[u8; 16], Trouble> {
    random().map_err(Trouble::Engine)
}
