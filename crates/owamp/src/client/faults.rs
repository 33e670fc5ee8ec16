//! What is wrong with a test although it went on to its end: clocks that differ, and records that are not there. Pure,
//! but for the state of our own clock.

use readings::Direction;
use timed_udp::clock::ClockState;

use super::measure::Way;
use crate::{
    protocol::{FetchAck, Finished, Record, SkipRange},
    session::ReceiveReport,
};

/// That our clock is not synchronised, if it is not.
pub(super) fn of_our_clock() -> Vec<String> {
    let state = ClockState::now();
    let warning = "this machine's clock is not synchronised: delays one way are wrong by as much as the clocks of both \
                   ends differ (run an NTP client, such as chrony)";
    if state.synchronised { Vec::new() } else { vec![warning.to_owned()] }
}

/// That the clocks of both ends are so far apart that packets count as lost. Only the way from the target tells; where
/// it does, it speaks for the way to it, too.
pub(super) fn of_their_clock(ways: &mut [Way]) -> Vec<String> {
    let mut warnings = Vec::new();
    let from = ways.iter().find(|way| way.direction == Direction::From);
    let Some(from) = from else { return warnings };
    let (beyond, is_silent) = (from.known.beyond_timeout, from.known.clocks_apart);
    if beyond > 0 {
        warnings.push(format!(
            "{beyond} packets came whose clock differs from ours by more than the time-out (-L), or that took longer; \
             they count as lost: see to the clocks of both hosts, or allow more by -L"
        ));
    }
    if is_silent {
        warnings.push(
            "the server sent none of its packets when their time had come: its clock seems to differ from ours by more \
             than the time-out (-L); see to the clocks of both hosts"
                .to_owned(),
        );
    }
    let is_apart = is_silent || (beyond > 0 && !has_come(from));
    let to = ways.iter_mut().find(|way| way.direction == Direction::To);
    let lost = to.filter(|to| is_apart && !to.records.is_empty() && !has_come(to));
    if let Some(to) = lost {
        to.known.clocks_apart = true;
        warnings.push(
            "no packet came to the target in time, either: the clocks that differ are the likely reason, and not the \
             network"
                .to_owned(),
        );
    }
    warnings
}

fn has_come(way: &Way) -> bool {
    way.records.iter().any(|record| record.received.is_some())
}

/// Whether all packets below `next` were left out, where some were asked for.
pub(super) fn is_nothing_sent(skipped: &[SkipRange], next: u32, packets: u32) -> bool {
    packets > 0 && below(skipped, next) == u64::from(next)
}

/// How many numbers of the ranges lie below `next`.
fn below(ranges: &[SkipRange], next: u32) -> u64 {
    let of = |range: &SkipRange| {
        (u64::from(range.last) + 1).min(next.into()).saturating_sub(range.first.into())
    };
    ranges.iter().map(of).sum()
}

/// How many numbers below `next` were sent and have no record: neither one of an arrival nor one of a loss.
fn missing(records: &[Record], skipped: &[SkipRange], next: u32) -> u64 {
    let numbers = records.iter().map(|record| record.seq);
    let mut numbers: Vec<u32> = numbers.filter(|number| *number < next).collect();
    numbers.sort_unstable();
    numbers.dedup();
    // One that came was sent, whatever is said of it.
    let mut ranges = skipped.iter().peekable();
    numbers.retain(|number| {
        while ranges.next_if(|range| range.last < *number).is_some() {}
        !ranges.peek().is_some_and(|range| range.has(*number))
    });
    let known = below(skipped, next).saturating_add(numbers.len().try_into().unwrap_or(u64::MAX));
    u64::from(next).saturating_sub(known)
}

/// That packets of one way have no records, if there are such. Of a test that was stopped before its last packet nobody
/// can say so: what was still on its way then has no records, either (RFC 4656 section 3.8).
pub(super) fn not_kept(
    direction: Direction,
    records: &[Record],
    skipped: &[SkipRange],
    (next, packets): (u32, u32),
) -> Option<String> {
    if next < packets {
        return None;
    }
    let missing = missing(records, skipped, next);
    let sent = u64::from(next).saturating_sub(below(skipped, next));
    let (way, who) = match direction {
        Direction::To => ("to", "the server"),
        Direction::From => ("from", "this machine"),
    };
    (missing > 0).then(|| {
        format!(
            "{who} kept no record of {missing} of {sent} packets {way} the target: the figures are of the others only \
             (its disk is full or too slow, or they are too many for its limits)"
        )
    })
}

/// That the server does not hold the session to have ended well.
pub(super) fn not_finished(ack: &FetchAck) -> String {
    let how = match ack.finished {
        Finished::Badly(number) => format!("ended otherwise than it should ({number})"),
        Finished::No | Finished::Well => "has not ended".to_owned(),
    };
    format!("the server says that the session to the target {how}: its records may not be all")
}

/// That the server stopped before its last packet, and nobody had asked it to.
pub(super) fn stopped(next: u32, packets: u32) -> String {
    format!("the server stopped after {next} of {packets} packets: the figures are of these only")
}

/// The number after the highest of a packet that came.
pub(super) fn after_the_last(records: &[Record]) -> u32 {
    let came = records.iter().filter(|record| record.received.is_some());
    came.map(|record| record.seq.saturating_add(1)).max().unwrap_or(0)
}

/// That we did not keep all records, if it is so.
pub(super) fn of_our_records(report: &ReceiveReport) -> Option<String> {
    let lost = report.records.not_kept();
    (lost > 0).then(|| {
        format!("{lost} records were not kept: the disk is full or too slow, or there are too many")
    })
}

#[cfg(test)]
mod tests {
    use timed_udp::ntp::NtpTime;

    use super::*;

    fn record(seq: u32) -> Record {
        Record {
            seq,
            sent: NtpTime(1),
            send_error: None,
            received: Some(NtpTime(2)),
            receive_error: None,
            ttl: 255,
        }
    }

    #[test]
    fn a_number_without_a_record_is_missing_unless_it_was_skipped() {
        let records: Vec<Record> = [4, 0, 0, 2, 9].map(record).into();
        assert_eq!(missing(&records, &[], 5), 2, "1 and 3; 9 was not sent");
        let range = |first, last| SkipRange { first, last };
        assert_eq!(missing(&records, &[range(1, 1)], 5), 1);
        assert_eq!(missing(&records, &[range(1, 3)], 5), 0, "2 came although it was skipped");
        assert_eq!(missing(&[], &[range(0, 1), range(3, u32::MAX)], 10), 1);
        assert_eq!(missing(&[], &[], 0), 0);
    }

    #[test]
    fn what_was_on_its_way_when_a_test_was_stopped_is_no_record_that_was_not_kept() {
        let records: Vec<Record> = (0..8).map(record).collect();
        let lack = |next, packets| not_kept(Direction::To, &records, &[], (next, packets));
        assert_eq!(lack(10, 50), None, "stopped after ten");
        assert!(lack(10, 10).is_some_and(|why| why.contains("2 of 10")), "to its end");
    }
}
