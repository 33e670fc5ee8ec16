//! Receiving: a batch of packets in one call, each with the kernel's stamp, its hop limit, and where it was sent to.

use std::{
    array, io,
    io::IoSliceMut,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::fd::{AsFd, AsRawFd},
};

use nix::sys::{
    socket::{
        ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrIn, SockaddrStorage,
        Timestamps, cmsg_space, recvmmsg, recvmsg,
    },
    time::TimeSpec,
};

use crate::{
    clock,
    ntp::NtpTime,
    socket::{Stamps, TimedSocket},
};

/// The most packets that one call receives.
pub const BATCH: usize = 32;

/// Who stamped a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StampedBy {
    /// The network card.
    Hardware,
    /// The kernel, when the card handed the packet over.
    Kernel,
    /// We, when we read it.
    Reader,
}

/// A packet that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Its octets; more than are kept if it was longer than a slot.
    pub length: usize,
    /// Who sent it, as it says.
    pub from: SocketAddr,
    /// The address it was sent to; none if the kernel did not tell.
    pub to: Option<IpAddr>,
    /// TTL or hop limit that it came with; none if the kernel did not tell.
    pub hop_limit: Option<u8>,
    /// When it came.
    pub received: NtpTime,
    /// Who says so.
    pub stamped_by: StampedBy,
}

/// Room for a batch. One does for any number of sockets; nothing is allocated for a packet.
#[derive(Debug)]
pub struct Inbox {
    slot: usize,
    octets: Vec<u8>,
    arrivals: Vec<Arrival>,
    four: Headers,
    six: Headers,
}

impl Inbox {
    /// Keeps the first `slot` octets of each packet, 1 to 65,535.
    #[must_use]
    pub fn new(slot: usize) -> Self {
        let slot = slot.clamp(1, 65_535);
        Self {
            slot,
            octets: vec![0; slot * BATCH],
            arrivals: Vec::with_capacity(BATCH),
            four: Headers::new(),
            six: Headers::new(),
        }
    }

    /// Receives what is there, up to [`BATCH`] packets, in place of the batch before. None is no error.
    ///
    /// # Errors
    /// The network reported something of an earlier packet that this socket sent, or the socket is broken.
    pub fn receive(&mut self, socket: &TimedSocket) -> io::Result<usize> {
        self.arrivals.clear();
        let headers = if socket.local().is_ipv4() { &mut self.four } else { &mut self.six };
        let mut chunks = self.octets.chunks_exact_mut(self.slot);
        let mut slots: [[IoSliceMut; 1]; BATCH] =
            array::from_fn(|_| [IoSliceMut::new(chunks.next().unwrap_or_default())]);
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
        let fd = socket.as_fd().as_raw_fd();
        let mut told = Told::default();
        match recvmmsg(fd, &mut headers.multi, slots.iter_mut(), flags, None) {
            Ok(messages) => {
                for message in messages {
                    told.note(&message);
                    self.arrivals.push(arrival(&message, socket.stamps()));
                }
            }
            Err(nix::Error::EAGAIN) => return Ok(0),
            Err(errno) => return Err(errno.into()),
        }
        headers.renew_after(told);
        Ok(self.arrivals.len())
    }

    /// The batch: each packet and what is kept of it.
    pub fn batch(&self) -> impl Iterator<Item = (&Arrival, &[u8])> {
        let slots = self.octets.chunks_exact(self.slot);
        let both = self.arrivals.iter().zip(slots);
        both.map(|(arrival, slot)| (arrival, &slot[..arrival.length.min(slot.len())]))
    }

    /// The kernel's stamp of a packet that was sent after [`TimedSocket::stamp_sending`]: the number of the packet
    /// among those that were stamped, from 0, and the time when the driver got it. None if it did not leave yet.
    ///
    /// # Errors
    /// The socket cannot be asked.
    pub fn send_stamp(socket: &TimedSocket) -> io::Result<Option<(u32, NtpTime)>> {
        let fd = socket.as_fd().as_raw_fd();
        let mut control = [0_u8; CONTROL * 2];
        loop {
            let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
            match recvmsg::<SockaddrIn>(fd, &mut [], Some(&mut control), flags) {
                Ok(message) => {
                    let stamp = stamp_of_sending(&message);
                    if stamp.is_some() {
                        return Ok(stamp);
                    }
                }
                Err(nix::Error::EAGAIN) => return Ok(None),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// Control messages of one packet: a triple of times, a hop limit, the address that it was sent to.
const CONTROL: usize =
    cmsg_space::<[libc::timespec; 3]>() + cmsg_space::<i32>() + cmsg_space::<libc::in6_pktinfo>();

#[derive(Debug)]
struct Headers {
    multi: MultiHeaders<SockaddrStorage>,
    usual: usize,
}

impl Headers {
    fn new() -> Self {
        Self { multi: MultiHeaders::preallocate(BATCH, Some(vec![0; CONTROL])), usual: 0 }
    }

    /// The kernel leaves in each header how much control data came, and nix gives that back to it as the room that
    /// there is. So once a packet came with less than others, the headers are made anew.
    fn renew_after(&mut self, told: Told) {
        self.usual = self.usual.max(told.most);
        if told.least < self.usual {
            let usual = self.usual;
            *self = Self { usual, ..Self::new() };
        }
    }
}

/// How many control messages the packets of a batch had.
#[derive(Debug, Clone, Copy)]
struct Told {
    least: usize,
    most: usize,
}

impl Default for Told {
    fn default() -> Self {
        Self { least: usize::MAX, most: 0 }
    }
}

impl Told {
    fn note(&mut self, message: &RecvMsg<'_, '_, SockaddrStorage>) {
        let count = message.cmsgs().map_or(0, Iterator::count);
        (self.least, self.most) = (self.least.min(count), self.most.max(count));
    }
}

/// Stands for an address of neither family, of which there is none.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

fn arrival(message: &RecvMsg<'_, '_, SockaddrStorage>, stamps: Stamps) -> Arrival {
    let mut arrival = Arrival {
        length: message.bytes,
        from: message.address.as_ref().and_then(std_address).unwrap_or(NOWHERE),
        to: None,
        hop_limit: None,
        received: NtpTime::default(),
        stamped_by: StampedBy::Reader,
    };
    for control in message.cmsgs().into_iter().flatten() {
        take(&mut arrival, &control);
    }
    if arrival.stamped_by == StampedBy::Reader || stamps == Stamps::Reader {
        arrival.received = clock::wall();
    }
    arrival
}

fn take(arrival: &mut Arrival, control: &ControlMessageOwned) {
    match control {
        ControlMessageOwned::ScmTimestampsns(stamps) => {
            if let Some((time, by)) = chosen(stamps) {
                (arrival.received, arrival.stamped_by) = (time, by);
            }
        }
        ControlMessageOwned::ScmTimestampns(stamp) => {
            (arrival.received, arrival.stamped_by) = (time(nanos(*stamp)), StampedBy::Kernel);
        }
        ControlMessageOwned::Ipv4Ttl(hops) | ControlMessageOwned::Ipv6HopLimit(hops) => {
            arrival.hop_limit = u8::try_from(*hops).ok();
        }
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            arrival.to = Some(IpAddr::V4(u32::from_be(info.ipi_addr.s_addr).into()));
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            arrival.to = Some(IpAddr::V6(info.ipi6_addr.s6_addr.into()));
        }
        _ => {}
    }
}

/// A card's clock is its own. Its stamp is taken only if it lies where it must lie if that clock is kept on UTC: at
/// or shortly before the kernel's, nanoseconds.
const CARD_BEFORE_KERNEL: i128 = 1_000_000;
const CARD_AFTER_KERNEL: i128 = 1_000;

fn chosen(stamps: &Timestamps) -> Option<(NtpTime, StampedBy)> {
    let (kernel, card) = (nanos(stamps.system), nanos(stamps.hw_raw));
    let range = kernel - CARD_BEFORE_KERNEL..=kernel + CARD_AFTER_KERNEL;
    match (kernel, card) {
        (0, _) => None,
        (_, card) if range.contains(&card) => Some((time(card), StampedBy::Hardware)),
        _ => Some((time(kernel), StampedBy::Kernel)),
    }
}

fn nanos(stamp: TimeSpec) -> i128 {
    i128::from(stamp.tv_sec()) * 1_000_000_000 + i128::from(stamp.tv_nsec())
}

fn time(nanos: i128) -> NtpTime {
    NtpTime::from_unix_nanos(nanos)
}

fn std_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let four = address.as_sockaddr_in().map(|address| SocketAddr::from(*address));
    four.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddr::from(*address)))
}

fn stamp_of_sending(message: &RecvMsg<'_, '_, SockaddrIn>) -> Option<(u32, NtpTime)> {
    let (mut number, mut sent) = (None, None);
    for control in message.cmsgs().ok()? {
        match control {
            ControlMessageOwned::ScmTimestampsns(stamps) => sent = chosen(&stamps),
            ControlMessageOwned::Ipv4RecvErr(error, _)
            | ControlMessageOwned::Ipv6RecvErr(error, _)
                if error.ee_origin == libc::SO_EE_ORIGIN_TIMESTAMPING =>
            {
                number = Some(error.ee_data);
            }
            _ => {}
        }
    }
    Some((number?, sent?.0))
}
