//! A narrow link of a known rate on the way to a lab's client, and other traffic that it is shared with: what
//! tools that tell capacities are held against.
//!
//! ```text
//! server, s0 -- router, c0 [queue of the link] -- client
//!               router's own datagrams ^
//! ```
//!
//! All octets are those of IP packets, with their headers.

use std::{
    io::ErrorKind,
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::{process::setpriority_process, thread::gettid};
use timed_udp::{
    clock::{Mono, nanos},
    pace::{Pacer, Precision},
};

use crate::lab::{Host, Lab};

/// Headers of IPv4 and UDP, octets.
const HEADERS: u64 = 28;
/// What tc counts for a packet beyond its IP octets.
const ETHERNET: u64 = 14;
/// The kernel's timers are late by up to this; the link makes up for it, so that its rate holds.
const TIMERS: Duration = Duration::from_micros(60);
/// The nice value of who goes before all others, setpriority(2).
const FIRST: i32 = -20;
const CLIENT: &str = "198.51.100.2";

/// A link that is slower than all others on the way to the client.
#[derive(Debug, Clone, Copy)]
pub struct Bottleneck {
    /// Its rate, bit/s.
    pub bits: u64,
    /// How long a packet may wait before it.
    pub queue: Duration,
}

impl Lab {
    /// Makes the link between the router and the client as narrow as that, towards the client.
    #[track_caller]
    pub fn narrows(&self, link: Bottleneck) -> &Self {
        let in_time = |time: Duration| octets(link.bits, time);
        let (burst, limit) = (1_500 + in_time(TIMERS), 3_000 + in_time(link.queue));
        self.router_shapes(&format!(
            "c0 root stab overhead -{ETHERNET} linklayer ethernet tbf rate {}bit burst {burst} limit {limit}",
            link.bits
        ))
    }

    /// Sends other traffic to the client through the same link, until the value is dropped.
    #[track_caller]
    pub fn crosses(&self, traffic: CrossTraffic) -> Crossing {
        Crossing::begin(&self.host("router"), &self.host("client"), traffic)
    }
}

/// Octets that a rate carries in a time.
fn octets(bits: u64, time: Duration) -> u64 {
    let octets = u128::from(bits) * time.as_nanos() / 8_000_000_000;
    u64::try_from(octets).unwrap_or(u64::MAX)
}

/// Datagrams whose gaps are exponentially distributed: a Poisson stream (RFC 2330 section 11.1).
#[derive(Debug, Clone, Copy)]
pub struct CrossTraffic {
    /// Their rate, bit/s.
    pub bits: u64,
    /// Octets of each packet, 29 to 1,500.
    pub packet: u64,
}

impl CrossTraffic {
    /// The mean gap, nanoseconds.
    fn gap(self) -> u64 {
        self.packet * 8_000_000_000 / self.bits.max(1)
    }
}

/// Other traffic that goes on.
#[derive(Debug)]
pub struct Crossing {
    began: Mono,
    octets: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    sender: Option<JoinHandle<()>>,
    /// Takes nothing, but has the port: nothing goes back.
    _sink: UdpSocket,
}

impl Crossing {
    #[track_caller]
    fn begin(from: &Host, to: &Host, traffic: CrossTraffic) -> Self {
        let sink = to.inside(|| UdpSocket::bind((CLIENT, 0)).expect("a port"));
        let target = sink.local_addr().expect("an address");
        let socket = from.inside(|| UdpSocket::bind("0.0.0.0:0").expect("a port"));
        socket.connect(target).expect("a way");
        let (octets, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (sent, stop) = (Arc::clone(&octets), Arc::clone(&over));
        let work = move || stream(&socket, traffic, &sent, &stop);
        let sender = thread::Builder::new().name("cross traffic".to_owned()).spawn(work);
        let sender = Some(sender.expect("a thread"));
        Self { began: Mono::now(), octets, over, sender, _sink: sink }
    }

    /// A mark, to know what is sent from here on.
    pub fn mark(&self) -> (Mono, u64) {
        (Mono::now(), self.octets.load(Ordering::Relaxed))
    }

    /// What was sent since a mark, bit/s: on a busy machine, less than was wanted.
    pub fn rate_since(&self, (then, before): (Mono, u64)) -> f64 {
        let (now, sent) = self.mark();
        let seconds = now.since(then).as_secs_f64();
        real(sent - before) * 8.0 / seconds.max(1e-9)
    }

    /// What was sent since it began, bit/s.
    pub fn rate(&self) -> f64 {
        self.rate_since((self.began, 0))
    }
}

impl Drop for Crossing {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(sender) = self.sender.take() {
            let _ = sender.join();
        }
    }
}

/// Sends what is due, and what should have been sent since, at once: so the rate holds when a timer is late.
fn stream(socket: &UdpSocket, traffic: CrossTraffic, sent: &AtomicU64, over: &AtomicBool) {
    // Others' traffic comes from others' machines: it does not become less while a tool of ours works hard. Without the
    // right to it, it may.
    let _ = setpriority_process(Some(gettid()), FIRST);
    let payload = vec![0; usize::try_from(traffic.packet.saturating_sub(HEADERS)).unwrap_or(0)];
    let mut pacer = Pacer::new(Precision::Saving);
    let (mut random, mut due) = (Random(0x1e3_5bad), Mono::now());
    while !over.load(Ordering::Relaxed) {
        due = Mono(due.0 + random.exponential(traffic.gap()));
        pacer.wait_until(due);
        match socket.send(&payload) {
            Ok(_) => _ = sent.fetch_add(traffic.packet, Ordering::Relaxed),
            // Its own queue is full: the link is more than busy.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) if over.load(Ordering::Relaxed) => return,
            Err(error) => panic!("cross traffic: {error}"),
        }
    }
}

/// The same sequence in every run (xorshift64*).
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        (real(bits) + 0.5) / real(1 << 53)
    }

    /// Exponentially distributed with this mean, at most twenty times the mean.
    fn exponential(&mut self, mean: u64) -> u64 {
        let factor = (-self.uniform().ln()).min(20.0);
        nanos(Duration::from_nanos(mean).mul_f64(factor))
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a lab are far below 2^53")]
fn real(count: u64) -> f64 {
    count as f64
}

/// What the link carries to the client when it is given more than enough for so long, bit/s: its true rate.
#[track_caller]
pub fn capacity(lab: &Lab, link: Bottleneck, length: Duration) -> f64 {
    let sink = lab.host("client").inside(|| UdpSocket::bind((CLIENT, 0)).expect("a port"));
    sink.set_read_timeout(Some(Duration::from_millis(200))).expect("set");
    let target = sink.local_addr().expect("an address");
    let socket = lab.host("router").inside(|| UdpSocket::bind("0.0.0.0:0").expect("a port"));
    socket.connect(target).expect("a way");
    let flood = CrossTraffic { bits: link.bits + link.bits / 4, packet: 1_500 };
    let (sent, over) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| stream(&socket, flood, &sent, &over));
        let rate = received(&sink, length);
        over.store(true, Ordering::Relaxed);
        rate
    })
}

/// What comes, bit/s, once the queue before the link is full.
fn received(sink: &UdpSocket, length: Duration) -> f64 {
    let mut buffer = [0; 2_048];
    let warm = Mono::now() + length / 4;
    let (mut octets, mut from, mut last) = (0, None, Mono::now());
    while last < warm + length {
        let Ok(count) = sink.recv(&mut buffer) else { break };
        last = Mono::now();
        if last >= warm {
            // The first one only begins the time.
            octets += if from.is_some() { count as u64 + HEADERS } else { 0 };
            from.get_or_insert(last);
        }
    }
    let seconds = from.map_or(0.0, |from| last.since(from).as_secs_f64());
    real(octets) * 8.0 / seconds.max(1e-9)
}
