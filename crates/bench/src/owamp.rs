//! What the engine of test sessions carries: one session as fast as can be, and a thousand slow ones at once; and what
//! the programs carry.

mod programs;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::mpsc::Receiver,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use owamp::{
    protocol::{PacketKey, SessionKeys, Sid, Slot},
    session::{
        self, EngineSettings, Event, Handle, ReceiveReport, ReceiveSpec, SendReport, SendSpec,
        Source, Timetable, units_of,
    },
};
use rustix::time::{ClockId, clock_gettime};
use timed_udp::{clock, ntp::NtpTime, pace::Precision, socket::Opening};

use crate::{
    bed::Bed,
    machine::{Stopwatch, peak_memory},
    table::{Line, Quantity, Reach},
};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// After the last packet, until it counts as lost.
const TIMEOUT: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(60);
const AHEAD: Duration = Duration::from_millis(200);

/// One session, and a thousand; the programs with one session between them.
///
/// # Errors
/// A session could not be had, or a program failed.
pub fn measure(bed: &Bed) -> Result<Vec<Line>> {
    // First what is held against a bound of memory, before others have used some.
    let mut lines = many(bed)?;
    for gap in [20, 10] {
        lines.extend(fast(bed, gap, &PacketKey::Open, "open")?);
    }
    let keys = Box::new(SessionKeys::new([7; 48]).of_session(&Sid::default()));
    lines.extend(fast(bed, 20, &PacketKey::Encrypted(keys), "encrypted")?);
    lines.extend(programs::measure(bed)?);
    Ok(lines)
}

struct Pair {
    sends: (Handle, Receiver<Event>),
    receives: (Handle, Receiver<Event>),
}

impl Pair {
    fn start(precision: Precision) -> Result<Self> {
        let engine =
            |precision| session::start(&EngineSettings { precision, ..EngineSettings::default() });
        Ok(Self { sends: engine(precision)?, receives: engine(Precision::Saving)? })
    }

    fn begin(&self, id: u64, plan: &Plan) -> Result<()> {
        let from = Opening::at(HERE).open()?;
        let to = Opening { receive_buffer: plan.queue, ..Opening::at(HERE) }.open()?;
        let (from_address, to_address) = (from.local(), to.local());
        let sid = Sid([id.to_le_bytes(); 2].concat().try_into().unwrap_or_default());
        let timetable = || Timetable::of(&sid, &[plan.slot], plan.count);
        self.receives.0.receive(ReceiveSpec {
            id,
            socket: to,
            peer: Source { address: HERE, port: Some(from_address.port()) },
            key: plan.key.clone(),
            start: plan.start,
            timetable: timetable(),
            timeout: TIMEOUT,
            most_records: u64::MAX,
        })?;
        self.sends.0.send(SendSpec {
            id,
            socket: from,
            peer: to_address,
            key: plan.key.clone(),
            start: plan.start,
            timetable: timetable(),
            padding: 0,
            is_zero_padded: false,
            too_late: TIMEOUT,
        })?;
        Ok(())
    }

    fn sent(&self, length: Duration) -> Result<SendReport> {
        match self.sends.1.recv_timeout(length + PATIENCE).context("a session is to end")? {
            Event::Sent { report, .. } => Ok(report),
            Event::Received { .. } => bail!("it was to send"),
        }
    }

    fn received(&self) -> Result<ReceiveReport> {
        match self.receives.1.recv_timeout(PATIENCE).context("a session is to end")? {
            Event::Received { report, .. } => Ok(report),
            Event::Sent { .. } => bail!("it was to receive"),
        }
    }
}

struct Plan {
    start: NtpTime,
    slot: Slot,
    count: u32,
    key: PacketKey,
    queue: usize,
}

fn soon(ahead: Duration) -> NtpTime {
    NtpTime(clock::wall().0.wrapping_add(units_of(ahead)))
}

/// One session with a packet every `gap` microseconds.
fn fast(bed: &Bed, gap: u32, key: &PacketKey, mode: &str) -> Result<Vec<Line>> {
    let (length, rate) = (bed.size(6, 2), 1_000_000 / gap);
    let pair = Pair::start(Precision::Exact)?;
    let plan = Plan {
        start: soon(AHEAD),
        slot: Slot::Fixed { offset: units_of(Duration::from_micros(gap.into())) },
        count: length * rate,
        key: key.clone(),
        queue: 8 << 20,
    };
    pair.begin(1, &plan)?;
    let watch = Stopwatch::start();
    let sent = pair.sent(Duration::from_secs(length.into()))?;
    let took = watch.elapsed().saturating_sub(AHEAD);
    let received = pair.received()?;
    let name = |what| format!("one {mode} session, a packet every {gap} us: {what}");
    let packets = |value| Quantity::new(value, "packets/s");
    let reached = count(received.counts.came) / took.as_secs_f64();
    let goal = f64::from(rate) * 0.99;
    let lost = count(received.counts.lost) + f64::from(received.dropped);
    Ok(vec![
        Line::measured(
            name("received"),
            packets(reached),
            (packets(goal), "what was to be sent, less 1 %"),
            Reach::AtLeast(1.0),
        ),
        Line::measured(
            name("lost, by ourselves"),
            Quantity::new(lost, "packets"),
            (Quantity::new(1.0, "packet"), "the first of them"),
            Reach::AtMost(0.0),
        ),
        Line::told(name("sent late, p99"), micros(sent.late.quantile(0.99))),
        Line::told(
            name("from the stamp to the driver, median"),
            micros(sent.leaving.quantile(0.5)),
        ),
    ])
}

/// A thousand sessions with ten packets a second each.
fn many(bed: &Bed) -> Result<Vec<Line>> {
    let (sessions, length) = (u64::from(bed.size(1_000, 300)), bed.size(15, 5));
    let before = Usage::now()?;
    let pair = Pair::start(Precision::Saving)?;
    let ahead = Duration::from_secs(2);
    let plan = Plan {
        start: soon(ahead),
        slot: Slot::Exponential { mean: units_of(Duration::from_millis(100)) },
        count: length * 10,
        key: PacketKey::Open,
        queue: 0,
    };
    for id in 0..sessions {
        pair.begin(id, &plan)?;
    }
    let watch = Stopwatch::start();
    let (mut late, mut lost) = (session::Spread::default(), 0.0);
    for _ in 0..sessions {
        late.merge(&pair.sent(Duration::from_secs(length.into()))?.late);
    }
    let took = watch.elapsed().saturating_sub(ahead);
    let usage = Usage::now()?;
    for _ in 0..sessions {
        let report = pair.received()?;
        lost += count(report.counts.lost) + f64::from(report.dropped);
    }
    let name = |what| format!("{sessions} sessions of 10 packets/s, sent and received: {what}");
    let cores = usage.processor.saturating_sub(before.processor).as_secs_f64() / took.as_secs_f64();
    Ok(vec![
        Line::limited(name("memory of both ends"), Quantity::new(usage.memory, "MB"), 60.0),
        Line::limited(name("processor of both ends"), Quantity::new(cores, "cores"), 0.5),
        Line::limited(name("sent late, p99"), micros(late.quantile(0.99)), 1_000.0),
        Line::told(name("lost"), Quantity::new(lost, "packets")),
    ])
}

/// What this process has taken so far.
struct Usage {
    memory: f64,
    processor: Duration,
}

impl Usage {
    fn now() -> Result<Self> {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        let processor = Duration::new(time.tv_sec.try_into()?, time.tv_nsec.try_into()?);
        Ok(Self { memory: peak_memory(std::process::id())?, processor })
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52 packets")]
fn count(packets: u64) -> f64 {
    packets as f64
}

fn micros(length: Duration) -> Quantity {
    Quantity::new(length.as_secs_f64() * 1e6, "us")
}
