//! On which way packets were lost: a reflector that keeps state numbers its answers, so that a number that is missing
//! was lost on the way back (RFC 8762 section 4.3).

use std::collections::BTreeSet;

use serde::Serialize;

use super::book::Book;

/// What a reflector's numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Numbers {
    /// Its own: it keeps state.
    Own,
    /// Those of the packets: it keeps none.
    Copied,
    /// Either: they are equal.
    Either,
    /// Neither.
    Senseless,
}

impl Numbers {
    fn of(book: &Book) -> Self {
        let answers = || book.came.iter().map(|came| came.answer);
        let least = answers().map(|it| it.number).min().unwrap_or(0);
        let most = answers().map(|it| it.number).max().unwrap_or(0);
        // Packets may have come twice to it, but hardly all of them twice and more.
        let room = book.sent.len().saturating_mul(2).saturating_add(16);
        if usize::try_from(most - least).is_ok_and(|span| span > room) {
            Self::Senseless
        } else if answers().any(|it| it.number != it.of) {
            Self::Own
        } else {
            match book.closing.and_then(|it| Some((it.of, it.number?))) {
                Some((of, number)) if number < of => Self::Own,
                Some((of, number)) if number == of => Self::Copied,
                _ => Self::Either,
            }
        }
    }
}

/// Where packets were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Losses {
    /// On the way to the reflector.
    pub(super) there: u64,
    /// Their answers on the way back.
    pub(super) back: u64,
    /// On one of the two.
    pub(super) unknown: u64,
    /// What the reflector's numbers are.
    pub(super) reflector_numbers: Numbers,
}

impl Losses {
    pub(super) fn of(book: &Book) -> Self {
        let reflector_numbers = Numbers::of(book);
        let lost: Vec<u32> = book.unanswered().collect();
        let mut losses = Self { there: 0, back: 0, unknown: count(lost.len()), reflector_numbers };
        if reflector_numbers == Numbers::Own && !book.came.is_empty() {
            losses.divide(book, &lost);
        }
        losses
    }

    fn divide(&mut self, book: &Book, lost: &[u32]) {
        let answers = || book.came.iter().map(|came| came.answer);
        let numbers: BTreeSet<u32> = answers().map(|it| it.number).collect();
        let Some(first) = answers().min_by_key(|it| it.number) else { return };
        // One that knew our port from before goes on from there; what was lost before its first answer is then unknown.
        let (base, from) = if first.number <= first.of { (0, 0) } else { (first.number, first.of) };
        let newest = answers().map(|it| it.of).max().unwrap_or(0);
        let closing = book.closing.and_then(|it| it.number).filter(|it| numbers.last() < Some(it));
        let (got, until) = match closing {
            Some(number) => (u64::from(number) - u64::from(base), u32::MAX),
            None => (numbers.last().map_or(0, |it| u64::from(*it) + 1 - u64::from(base)), newest),
        };
        let known = count(lost.iter().filter(|it| (from..=until).contains(*it)).count());
        self.back = got.saturating_sub(count(numbers.len())).min(known);
        self.there = known - self.back;
        self.unknown -= known;
    }
}

pub(super) fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{
        super::book::{Closing, Sent, tests::*},
        *,
    };

    fn of(packets: u32, answers: &[(u32, u32)], closing: Option<u32>) -> (u64, u64, u64, Numbers) {
        let mut book = book(packets);
        take(&mut book, answers);
        let sent = Sent { at: at(0), mono: mono(0), error: ERROR };
        book.closing = Some(Closing { of: packets + 1, sent, number: closing });
        let it = Losses::of(&book);
        (it.there, it.back, it.unknown, it.reflector_numbers)
    }

    #[test]
    fn a_number_that_is_missing_was_lost_on_the_way_back_and_a_packet_without_one_on_the_way_there()
    {
        // 1 never came to the reflector, and its answer to 3, which had number 2, never came back.
        let answers = [(0, 0), (2, 1), (4, 3), (5, 4)];
        assert_eq!(of(6, &answers, Some(5)), (1, 1, 0, Numbers::Own));
    }

    #[test]
    fn what_is_lost_behind_the_last_answer_is_known_by_the_packet_that_closes() {
        let answers = [(0, 0), (1, 1)];
        assert_eq!(of(5, &answers, Some(3)), (2, 1, 0, Numbers::Own));
        assert_eq!(of(5, &answers, Some(5)), (0, 3, 0, Numbers::Own));
        assert_eq!(of(5, &answers, Some(2)), (3, 0, 0, Numbers::Own));
        assert_eq!(of(5, &answers, Some(6)), (0, 0, 3, Numbers::Copied));
        assert_eq!(of(5, &answers, None), (0, 0, 3, Numbers::Either));
        assert_eq!(of(5, &[(0, 0), (2, 1)], None), (1, 0, 2, Numbers::Own));
    }

    #[test]
    fn a_reflector_that_goes_on_counting_from_before_tells_what_lies_between_its_answers() {
        assert_eq!(of(6, &[(1, 41), (2, 42), (5, 44)], None), (1, 1, 1, Numbers::Own));
    }

    #[test]
    fn numbers_that_make_no_sense_tell_nothing_and_cost_nothing() {
        let answers = [(0, 0), (1, u32::MAX), (3, 7)];
        assert_eq!(of(4, &answers, Some(u32::MAX)), (0, 0, 1, Numbers::Senseless));
        assert_eq!(of(3, &[], None), (0, 0, 3, Numbers::Either));
    }
}
