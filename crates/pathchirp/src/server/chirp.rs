//! Sending a chirp.

use std::{cell::Cell, io, time::Duration};

use timed_udp::{
    clock::{Mono, nanos},
    pace::Pacer,
    train::{self, Leaving},
};

use super::table::Order;
use crate::{
    protocol::packet::Packet,
    shape::{HEADERS_V4, HEADERS_V6},
};

/// From now to the first packet of a chirp.
const LEAD: Duration = Duration::from_micros(200);

/// Sends it: each group at its time, by `send`, which takes the octets of a group and those of a packet, and tells when the
/// first packet had left, or fails if no more is to be sent. `octets` is room.
pub(super) fn send_chirp(
    order: &Order,
    send: impl Fn(&[u8], usize) -> io::Result<Mono>,
    pacer: &mut Pacer,
    octets: &mut Vec<u8>,
) {
    let (offsets, size) = (order.shape.offsets(), payload(order));
    octets.clear();
    octets.resize(size * usize::from(order.shape.group), 0);
    let start = Mono::now() + LEAD;
    // When the last group was marked, and how long its sending took then.
    let (marked, took) = (Cell::new(start), Cell::new(0));
    let mark = |leaving: Leaving, octets: &mut [u8]| {
        marked.set(start + Duration::from_nanos(leaving.offset + leaving.late));
        let first = first_packet(order, leaving, start, took.get());
        for (index, octets) in octets.chunks_mut(size).enumerate() {
            Packet { index: number(index), ..first }.write(octets);
        }
    };
    let send = |octets: &[u8]| {
        let left = send(octets, size);
        took.set(nanos(Mono::now().since(marked.get())));
        left.map(|left| took.set(nanos(left.since(marked.get()))))
    };
    let (chirp, peer) = (order.chirp, order.client.peer);
    match train::send_by(send, pacer, start, &offsets, octets, mark) {
        Ok(train) => log::debug!(
            "chirp {chirp} of {} groups to {peer}, {} not sent",
            train.late.len(),
            train.unsent()
        ),
        Err(error) => log::debug!("chirp {chirp} to {peer}: {error}"),
    }
}

/// What the first packet of a group says.
fn first_packet(order: &Order, leaving: Leaving, start: Mono, took: u64) -> Packet {
    Packet {
        session: order.session,
        chirp: order.chirp,
        group: number(leaving.number),
        index: 0,
        groups: number(order.shape.groups()),
        start: start.0,
        offset: leaving.offset,
        late: leaving.late,
        low: order.range.0,
        high: order.range.1,
        took,
    }
}

fn number(value: usize) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

/// Octets of UDP's data in a packet.
fn payload(order: &Order) -> usize {
    let headers = if order.client.peer.is_ipv4() { HEADERS_V4 } else { HEADERS_V6 };
    usize::try_from(order.shape.octets - headers).unwrap_or(0)
}
