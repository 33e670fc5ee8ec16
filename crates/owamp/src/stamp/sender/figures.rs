//! What a test comes to: three streams of one, judged by the same rules as one-way sessions.

use std::{collections::BTreeSet, iter, time::Duration};

use timed_udp::{
    clock::nanos,
    ntp::{ErrorEstimate, NtpTime},
};

use super::{
    book::{Book, Came, Sent},
    losses::{Losses, Numbers, count},
};
use crate::{
    protocol::Record,
    session::units_of,
    statistics::{Known, Summary, Verdict},
};

/// What is known of a test beside its packets.
#[derive(Debug, Clone, Default)]
pub(super) struct Circumstances {
    /// When the first packet was due.
    pub(super) start: NtpTime,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    /// Answers that our own queue dropped.
    pub(super) own_drops: u64,
    pub(super) send_errors: u64,
    pub(super) clock_steps: Vec<i64>,
}

/// All figures.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    /// There and back, without the reflector's time: needs no clock.
    pub(super) round: Summary,
    /// To the reflector, of the packets whose answers came.
    pub(super) there: Summary,
    /// And from it.
    pub(super) back: Summary,
    pub(super) losses: Losses,
    /// Packets whose answers all came after the time-out: lost, and on no way.
    pub(super) late: u64,
    /// Packets that came to the reflector more than once, each time beyond the first.
    pub(super) copies_there: u64,
    /// Answers that came here more than once.
    pub(super) copies_back: u64,
    /// The least and the most time that the reflector took, nanoseconds.
    pub(super) processing: Option<(i64, i64)>,
    pub(super) wrong: u64,
}

/// Of streams that have no time-out: packets whose answers came did not get lost.
const NEVER: u64 = i64::MAX.cast_unsigned();

impl Figures {
    pub(super) fn of(book: &Book, circumstances: &Circumstances) -> Self {
        let losses = Losses::of(book);
        let round = round(book, circumstances);
        let firsts = firsts(book);
        let by_number = losses.reflector_numbers != Numbers::Senseless;
        let answered = count(book.sent.iter().flatten().count() - book.unanswered().count());
        let packets: BTreeSet<u32> = firsts.iter().map(|it| it.answer.of).collect();
        let processing = || book.came.iter().map(|it| it.processing);
        Self {
            late: answered.saturating_sub(round.received()),
            copies_there: count(firsts.len() - packets.len()),
            copies_back: count(book.came.len() - firsts.len()),
            processing: processing().min().zip(processing().max()),
            wrong: book.wrong,
            there: there(book, &firsts, circumstances),
            back: back(book, by_number, circumstances),
            round,
            losses,
        }
    }

    /// Whether the delays of both ways are by clocks that say that they are right.
    pub(super) fn synchronised(&self) -> bool {
        self.there.clocks.synchronised == Some(true)
    }

    /// What the figures are not to be taken for. Clocks that are not synchronised may disagree.
    pub(super) fn verdicts(&self) -> BTreeSet<Verdict> {
        let ways = [&self.there, &self.back].into_iter().filter(|_| self.synchronised());
        let all = ways.chain([&self.round]).flat_map(|it| &it.verdicts).copied();
        all.collect()
    }
}

/// Each answer once, in the order in which their packets came to the reflector.
fn firsts(book: &Book) -> Vec<Came> {
    let mut seen = BTreeSet::new();
    let mut firsts: Vec<Came> =
        book.came.iter().filter(|came| seen.insert(came.identity())).copied().collect();
    let first = firsts.first().map_or(NtpTime::default(), |it| it.answer.came);
    firsts.sort_by_key(|it| it.answer.came.nanos_since(first));
    firsts
}

/// Of each answer in time one, and one of each packet without.
fn round_records(book: &Book, circumstances: &Circumstances) -> Vec<Record> {
    let timeout = i64::try_from(nanos(circumstances.timeout)).unwrap_or(i64::MAX);
    let in_time = book.came.iter().filter(|it| it.took <= timeout);
    let mut answered = vec![false; book.sent.len()];
    let mut records: Vec<Record> = Vec::with_capacity(book.sent.len());
    for came in in_time {
        answered[came.answer.of as usize] = true;
        let sent = came.answer.of_sent;
        let received = NtpTime::from_unix_nanos(sent.unix_nanos() + i128::from(came.round_trip()));
        let (seq, ttl) = (came.answer.of, came.arrived.ttl);
        let send_error = error_of(book, came);
        records.push(Record {
            seq,
            sent,
            send_error,
            received: Some(received),
            receive_error: None,
            ttl,
        });
    }
    let lost = |(seq, (sent, answered)): (u32, (&Option<Sent>, bool))| {
        let Sent { at, error, .. } = (*sent)?;
        let record = Record {
            seq,
            sent: at,
            send_error: Some(error),
            received: None,
            receive_error: None,
            ttl: 255,
        };
        (!answered).then_some(record)
    };
    records.extend((0..).zip(book.sent.iter().zip(answered)).filter_map(lost));
    records
}

/// Nothing is ever skipped for being late: what has no record could not be sent, or was on its way when the test was
/// broken off.
fn round(book: &Book, circumstances: &Circumstances) -> Summary {
    let known = Known {
        start: circumstances.start,
        timeout: units_of(circumstances.timeout),
        own_drops: circumstances.own_drops,
        send_errors: circumstances.send_errors,
        clock_steps: circumstances.clock_steps.clone(),
        asked: u32::try_from(book.sent.len()).unwrap_or(u32::MAX),
        ..Known::default()
    };
    let interval = circumstances.interval;
    let schedule = (0_u32..).map(|n| units_of(interval * n));
    Summary::of(&known, schedule, &round_records(book, circumstances))
}

fn error_of(book: &Book, came: &Came) -> Option<ErrorEstimate> {
    book.sent.get(came.answer.of as usize).copied().flatten().map(|sent| sent.error)
}

/// The error of the reflector's clock. One on another scale is not synchronised with ours, whatever it says.
fn theirs(came: &Came) -> Option<ErrorEstimate> {
    let synchronised = came.answer.is_comparable();
    came.answer.error.map(|error| ErrorEstimate { synchronised, ..error })
}

fn there(book: &Book, firsts: &[Came], circumstances: &Circumstances) -> Summary {
    let record = |came: &Came| Record {
        seq: came.answer.of,
        sent: came.answer.of_sent,
        send_error: error_of(book, came),
        received: Some(came.answer.came),
        receive_error: theirs(came),
        ttl: came.answer.ttl,
    };
    stream(&firsts.iter().map(record).collect::<Vec<_>>(), circumstances)
}

/// By the reflector's own numbers, where they are some; else by those of the packets.
fn back(book: &Book, by_number: bool, circumstances: &Circumstances) -> Summary {
    let record = |came: &Came| Record {
        seq: if by_number { came.answer.number } else { came.answer.of },
        sent: came.answer.sent,
        send_error: theirs(came),
        received: Some(came.arrived.at),
        receive_error: error_of(book, came),
        ttl: came.arrived.ttl,
    };
    stream(&book.came.iter().map(record).collect::<Vec<_>>(), circumstances)
}

/// A stream of which only what came is known.
fn stream(records: &[Record], circumstances: &Circumstances) -> Summary {
    let numbers = || records.iter().map(|record| record.seq);
    let (first, last) = (numbers().min().unwrap_or(0), numbers().max().unwrap_or(0));
    let known = Known {
        first,
        asked: if records.is_empty() { 0 } else { (last - first).saturating_add(1) },
        timeout: NEVER,
        clock_steps: circumstances.clock_steps.clone(),
        ..Known::default()
    };
    Summary::of(&known, iter::empty(), records)
}

#[cfg(test)]
mod tests {
    use super::{super::book::tests::*, *};
    use crate::statistics::Percent;

    fn circumstances() -> Circumstances {
        Circumstances {
            start: at(0),
            interval: Duration::from_millis(10),
            timeout: Duration::from_millis(100),
            ..Circumstances::default()
        }
    }

    fn near(value: Option<i64>, micros: i64) -> bool {
        value.is_some_and(|it| (it - micros * 1_000).abs() < 5)
    }

    #[test]
    fn each_way_has_its_own_delay_hops_and_processing_belongs_to_neither() {
        let mut book = book(4);
        take(&mut book, &[(0, 0), (1, 1), (2, 2), (3, 3)]);
        let it = Figures::of(&book, &circumstances());
        assert!(near(it.round.delays.percentile(Percent::P50), 800), "{:?}", it.round.delays);
        assert!(near(it.there.delays.max(), 300) && near(it.back.delays.min(), 500));
        assert_eq!((it.there.hops(), it.back.hops()), (Some((5, 5)), Some((3, 3))));
        assert!(it.synchronised() && it.verdicts().is_empty(), "{:?}", it.verdicts());
        assert_eq!((it.round.sent, it.round.lost, it.late), (4, 0, 0));
        assert!(near(it.processing.map(|(least, _)| least), 20));
    }

    #[test]
    fn copies_are_told_apart_by_the_way_on_which_they_were_made() {
        let mut book = book(3);
        // 0 came there twice, and the answer to 2 came here twice.
        take(&mut book, &[(0, 0), (0, 1), (1, 2), (2, 3), (2, 3)]);
        let it = Figures::of(&book, &circumstances());
        assert_eq!((it.copies_there, it.copies_back, it.round.duplicates), (1, 1, 2));
    }

    #[test]
    fn reordering_is_told_apart_by_the_way_too() {
        let mut book = book(4);
        // The reflector got all in order; answer 1 came here behind 2.
        take(&mut book, &[(0, 0), (2, 2), (1, 1), (3, 3)]);
        let it = Figures::of(&book, &circumstances());
        assert_eq!((it.there.reordering.reordered, it.back.reordering.reordered), (0, 1));
    }

    #[test]
    fn an_answer_behind_the_time_out_is_late_and_its_packet_lost() {
        let mut book = book(3);
        take(&mut book, &[(0, 0)]);
        let (octets, mut arrived) = answer(1, 1);
        arrived.mono = mono(10_000 + 200_000);
        book.take(&octets, arrived);
        let it = Figures::of(&book, &circumstances());
        assert_eq!((it.round.lost, it.late, it.losses.unknown), (2, 1, 1));
    }

    #[test]
    fn what_could_not_be_sent_or_was_broken_off_is_neither_lost_nor_a_late_senders() {
        let mut book = book(4);
        take(&mut book, &[(0, 0), (2, 1)]);
        book.sent[1] = None;
        book.break_off(mono(31_000), Duration::from_millis(100));
        let it = Figures::of(&book, &Circumstances { send_errors: 1, ..circumstances() });
        assert_eq!((it.round.sent, it.round.lost, it.round.send_errors), (2, 0, 1));
        assert!(it.verdicts().is_empty(), "{:?}", it.verdicts());
    }

    #[test]
    fn a_reflector_with_numbers_out_of_this_world_is_measured_all_the_same() {
        let mut book = book(3);
        take(&mut book, &[(0, 7), (1, u32::MAX), (2, 0)]);
        let it = Figures::of(&book, &circumstances());
        assert_eq!((it.round.lost, it.losses.reflector_numbers), (0, Numbers::Senseless));
        assert_eq!(it.back.reordering.reordered, 0);
        let nothing = Figures::of(&super::super::book::tests::book(2), &circumstances());
        assert_eq!((nothing.round.lost, nothing.there.sent), (2, 0));
    }
}
