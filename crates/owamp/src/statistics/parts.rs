//! Summaries of a session's parts, each of so many numbers: for streams that go on for ever, and `-N`.

use std::collections::BTreeMap;

use super::Known;
use crate::protocol::Record;

/// A part of a session that is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// As of the session, but for the first packet and the number of packets.
    pub known: Known,
    /// Its records, in the order of arrival.
    pub records: Vec<Record>,
}

/// Divides a session's records into parts of so many numbers each. Records are kept until their part is decided: of a
/// stream without end no more than what its time-out lets be undecided, and one part.
#[derive(Debug)]
pub struct Parts {
    known: Known,
    size: u32,
    open: BTreeMap<u32, Vec<Record>>,
    /// Parts before this one are gone.
    next: u32,
}

impl Parts {
    /// Parts of `size` packets; of one if it is 0. The last may be smaller.
    #[must_use]
    pub fn new(known: Known, size: u32) -> Self {
        Self { known, size: size.max(1), open: BTreeMap::new(), next: 0 }
    }

    /// Takes a record. One of a part that is gone comes to nothing.
    pub fn take(&mut self, record: Record) {
        if self.known.has(record.seq) {
            let part = (record.seq - self.known.first) / self.size;
            if part >= self.next {
                self.open.entry(part).or_default().push(record);
            }
        }
    }

    /// The parts of which all numbers lie before `decided`: nothing more comes of those. In their order, also those
    /// without a record.
    pub fn close_before(&mut self, decided: u32) -> Vec<Part> {
        let end = decided.saturating_sub(self.known.first).min(self.known.asked);
        let whole = if end == self.known.asked { end.div_ceil(self.size) } else { end / self.size };
        let parts = self.next..whole.max(self.next);
        self.next = parts.end;
        parts.map(|part| self.close(part)).collect()
    }

    /// All that are left, at the session's end.
    #[must_use]
    pub fn finish(mut self) -> Vec<Part> {
        self.close_before(self.known.first.saturating_add(self.known.asked))
    }

    fn close(&mut self, part: u32) -> Part {
        let before = part.saturating_mul(self.size);
        let known = Known {
            first: self.known.first.saturating_add(before),
            asked: self.size.min(self.known.asked - before),
            ..self.known.clone()
        };
        Part { known, records: self.open.remove(&part).unwrap_or_default() }
    }
}
