//! From what the lines say to what it means.

use std::collections::BTreeMap;

use crate::{
    Output, Unreadable, problem,
    statistics::{Delay, Stream, real},
    text,
};

use super::{
    Ping, Reply,
    fault::Faults,
    order,
    summary::{Summary, Times},
    transcript::Transcript,
};

pub(super) fn assemble(said: Transcript, output: &Output<'_>) -> Result<Ping, Unreadable> {
    let header = said.header.unwrap_or_default();
    let counts = said.summary.as_ref();
    let transmitted = counts.map(|counts| counts.transmitted);
    let mut packets = said.packets;
    let order = order::settle(&mut packets, last_seq(header.first_seq, transmitted));
    let answered = counts.map(Summary::answered).transpose()?;
    let received = answered.unwrap_or(order.answered.saturating_add(said.more_answers));
    let stream =
        Stream { first: header.first_seq, transmitted, received, delays: delays(&packets) };
    let faults = all_faults(said.faults, output.stderr, counts);
    let ping = Ping {
        target: header.target,
        address: header.address,
        bytes: header.bytes,
        transmitted,
        received,
        packets,
        packets_left_out: said.more_answers + said.more_duplicates,
        duplicates: (order.duplicates + said.more_duplicates).max(printed_duplicates(counts)),
        reordered: order.reordered,
        errors: faults.kinds,
        errors_from: faults.from,
        delay: Delay::of(&stream),
        warnings: problem::warnings(output.stderr),
        problem: problem::of(output, counts.is_some()),
        complete: counts.is_some(),
        ..Ping::default()
    };
    Ok(ping.with_loss().with_times(times(&stream, said.times)))
}

impl Ping {
    fn with_loss(mut self) -> Self {
        self.lost = self.transmitted.map(|sent| sent.saturating_sub(self.received));
        let sent = self.transmitted.filter(|sent| *sent > 0);
        self.loss_ratio = self.lost.zip(sent).map(|(lost, sent)| real(lost) / real(sent));
        self
    }

    fn with_times(mut self, times: Times) -> Self {
        self.min_ms = times.min;
        self.avg_ms = times.avg;
        self.max_ms = times.max;
        self.mdev_ms = times.mdev;
        self
    }
}

fn last_seq(first: u64, transmitted: Option<u64>) -> Option<u64> {
    transmitted.map(|sent| first.saturating_add(sent).saturating_sub(1))
}

fn printed_duplicates(counts: Option<&Summary>) -> u64 {
    counts.map_or(0, |counts| counts.duplicates)
}

/// The round-trip time of each first reply, by its number.
fn delays(packets: &[Reply]) -> BTreeMap<u64, Option<u64>> {
    let first = packets.iter().filter(|reply| reply.is_first());
    first.map(|reply| (reply.seq, reply.rtt_us)).collect()
}

/// Computed if every answer has its time, else as printed; without both, of the times there are.
fn times(stream: &Stream, printed: Option<Times>) -> Times {
    let delays: Vec<u64> = stream.delays.values().copied().flatten().collect();
    let all_timed = u64::try_from(delays.len()) == Ok(stream.received);
    let computed = Times::computed(&delays);
    let best = if all_timed { computed.or(printed) } else { printed.or(computed) };
    best.unwrap_or_default()
}

/// The faults told one by one, on both streams, and those that are only counted.
fn all_faults(mut faults: Faults, stderr: &[u8], counts: Option<&Summary>) -> Faults {
    for line in text::lines(stderr) {
        faults.note_local(&line.text);
    }
    faults.fill_up_to(counts.map_or(0, |counts| counts.errors));
    faults
}
