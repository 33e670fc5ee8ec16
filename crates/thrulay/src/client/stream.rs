//! One stream: blocks go where there is room, each with its number and the time.

use std::{
    io::{self, IoSlice, Write},
    net::TcpStream,
};

use socket2::SockRef;
use timed_udp::clock::{Mono, nanos};

use super::{kernel, room::Room};
use crate::{
    protocol::{HEAD, Head, Records},
    report::KernelView,
    socket::would_wait,
};

/// Blocks that are written by one call, where the rate is such that this is a short time.
const TOGETHER: usize = 4;

/// A stream.
pub(super) struct Stream {
    pub(super) socket: TcpStream,
    pub(super) records: Records,
    /// Octets of all its blocks that went.
    pub(super) sent: u64,
    /// What of its block is still to be written: its head, and how much of all.
    head: [u8; HEAD],
    written: usize,
    next: u64,
    /// Retransmissions up to the last row.
    told: u32,
    /// What may wait unsent.
    room: Room,
    /// What the server had when that was set last.
    tuned: u64,
}

impl Stream {
    pub(super) fn of(socket: TcpStream) -> Self {
        let (records, head, room) = (Records::default(), [0; HEAD], Room::new());
        let (sent, written, next, told, tuned) = (0, 0, 0, 0, 0);
        let stream = Self { socket, records, sent, head, written, next, told, room, tuned };
        stream.let_wait();
        stream
    }

    /// A kernel that does not know it lets more wait, and the round trip is longer by that.
    fn let_wait(&self) {
        let _ = SockRef::from(&self.socket).set_tcp_notsent_lowat(self.room.0);
    }

    /// A short time has passed; by now the server has so much.
    pub(super) fn tune(&mut self, received: u64, nanos: u64) {
        let octets = received - std::mem::replace(&mut self.tuned, received);
        if self.room.tune(octets, nanos) {
            self.let_wait();
        }
    }

    /// Writes what there is room for, of a few blocks at the most; says whether there was room for all of them. The head
    /// of a block has the time when its first octet was written.
    pub(super) fn write(&mut self, payload: &[u8], begin: Mono) -> io::Result<bool> {
        let block = HEAD + payload.len();
        let mut heads = [self.head; TOGETHER];
        let sent = nanos(Mono::now().since(begin));
        let first = usize::from(self.written > 0);
        for (number, head) in (self.next..).zip(&mut heads).skip(first) {
            *head = Head { number, sent }.to_bytes();
        }
        let count = (self.room.0 as usize / block).clamp(1, TOGETHER);
        let from_head = self.written.min(HEAD);
        let mut parts = [IoSlice::new(&[]); 2 * TOGETHER];
        for (place, head) in heads.iter().take(count).enumerate() {
            parts[2 * place] = IoSlice::new(head);
            parts[2 * place + 1] = IoSlice::new(payload);
        }
        parts[0] = IoSlice::new(&heads[0][from_head..]);
        parts[1] = IoSlice::new(&payload[self.written - from_head..]);
        let wanted = count * block - self.written;
        let length = match self.socket.write_vectored(&parts[..2 * count]) {
            Ok(length) => length,
            Err(error) if would_wait(&error) => 0,
            Err(error) => return Err(error),
        };
        self.written += length;
        self.sent += length as u64;
        let whole = self.written / block;
        (self.written, self.next) = (self.written % block, self.next + whole as u64);
        self.head = heads.get(whole).copied().unwrap_or_default();
        Ok(length == wanted)
    }

    /// What the kernel says, of the time since the last row.
    pub(super) fn look(&mut self) -> Option<KernelView> {
        let view = kernel::look(&self.socket)?;
        let before = std::mem::replace(&mut self.told, view.retransmits);
        Some(KernelView { retransmits: view.retransmits.saturating_sub(before), ..view })
    }
}

/// Octets that nothing on the way makes shorter (xorshift, Marsaglia 2003).
pub(super) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()
    };
    std::iter::repeat_with(next).flatten().take(length).collect()
}
