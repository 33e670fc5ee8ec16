//! A TCP test's stream: blocks towards the server, each with a head; a record for each on the way back.
//!
//! A head is answered when it comes, and not when its block is whole: the round trip then is the way's, and not also
//! the time that a block takes on a slow line.

use super::Wrong;

/// Octets of a head.
pub const HEAD: usize = 16;
/// Octets of a record.
pub const RECORD: usize = 24;

/// What a block begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// The block's number, from 0.
    pub number: u64,
    /// When it was sent, by a clock of the client: only that reads it.
    pub sent: u64,
}

impl Head {
    /// The octets of it.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HEAD] {
        let mut octets = [0; HEAD];
        octets[..8].copy_from_slice(&self.number.to_be_bytes());
        octets[8..].copy_from_slice(&self.sent.to_be_bytes());
        octets
    }
}

/// How a block is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Record {
    /// The head, as it came.
    pub head: Head,
    /// Octets of the stream that had come by then: up to the head's end at least.
    pub received: u64,
}

impl Record {
    /// The octets of it.
    #[must_use]
    pub fn to_bytes(self) -> [u8; RECORD] {
        let mut octets = [0; RECORD];
        octets[..HEAD].copy_from_slice(&self.head.to_bytes());
        octets[HEAD..].copy_from_slice(&self.received.to_be_bytes());
        octets
    }
}

/// Finds the heads in what comes of a stream, in whatever pieces.
#[derive(Debug)]
pub struct Heads {
    block: u64,
    received: u64,
    /// The head that is coming.
    part: [u8; HEAD],
    next: u64,
}

impl Heads {
    /// Of blocks of so many octets, more than a head's.
    #[must_use]
    pub fn of(block: u32) -> Self {
        let block = u64::from(block.max(super::SHORTEST_BLOCK));
        Self { block, received: 0, part: [0; HEAD], next: 0 }
    }

    /// Octets that have come.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Takes a piece, and puts the records for the heads that it completes behind `records`.
    ///
    /// # Errors
    /// A block has another number than the next one: this is no stream of blocks.
    pub fn take(&mut self, piece: &[u8], records: &mut Vec<u8>) -> Result<(), Wrong> {
        let (begin, end) = (self.received, self.received + piece.len() as u64);
        // Blocks of which a part is in the piece.
        let mut block = begin / self.block * self.block;
        self.received = end;
        while block < end {
            let wanted = block + HEAD as u64;
            if begin < wanted && self.note(block, begin, piece) {
                records.extend_from_slice(&self.head()?.to_bytes());
            }
            block += self.block;
        }
        Ok(())
    }

    /// Notes what is in the piece of the head of the block that begins at `block`; says whether that is whole now.
    fn note(&mut self, block: u64, begin: u64, piece: &[u8]) -> bool {
        let mut is_whole = false;
        for place in begin.max(block)..(block + HEAD as u64) {
            let Some(octet) = within(place - begin).and_then(|at| piece.get(at)) else { break };
            let at = within(place - block).unwrap_or(0);
            self.part[at] = *octet;
            is_whole = at + 1 == HEAD;
        }
        is_whole
    }

    fn head(&mut self) -> Result<Record, Wrong> {
        let head = head_of(&self.part);
        if head.number != self.next {
            let what = format!("number {}, where {} is next", head.number, self.next);
            return Err(Wrong::new("a block", what));
        }
        self.next += 1;
        Ok(Record { head, received: self.received })
    }
}

fn within(distance: u64) -> Option<usize> {
    usize::try_from(distance).ok()
}

fn head_of(octets: &[u8; HEAD]) -> Head {
    let number = |at: usize| {
        let octets = octets[at..].first_chunk().copied().unwrap_or_default();
        u64::from_be_bytes(octets)
    };
    Head { number: number(0), sent: number(8) }
}

/// Understands the records of a stream, in whatever pieces they come.
#[derive(Debug, Default)]
pub struct Records {
    part: Vec<u8>,
    next: u64,
    received: u64,
}

impl Records {
    /// Takes a piece, and tells `note` of each record that it completes. `written` is how many octets of the stream have
    /// been sent.
    ///
    /// # Errors
    /// A record is not the next one's, or tells fewer octets than the one before, or more than have been sent.
    pub fn take(
        &mut self,
        piece: &[u8],
        written: u64,
        mut note: impl FnMut(Record),
    ) -> Result<(), Wrong> {
        self.part.extend_from_slice(piece);
        let (whole, rest) = self.part.as_chunks::<RECORD>();
        let rest = rest.to_vec();
        for octets in whole {
            let record = record_of(octets);
            let (number, received) = (record.head.number, record.received);
            if number != self.next {
                let what = format!("of block {number}, where that of {} is next", self.next);
                return Err(Wrong::new("a record", what));
            }
            if !(self.received..=written).contains(&received) {
                let least = self.received;
                let what =
                    format!("{received} octets came, where {least} to {written} are possible");
                return Err(Wrong::new("a record", what));
            }
            (self.next, self.received) = (self.next + 1, received);
            note(record);
        }
        self.part = rest;
        Ok(())
    }
}

fn record_of(octets: &[u8; RECORD]) -> Record {
    let (head, received) = octets.split_at(HEAD);
    let head = head.first_chunk().map(head_of).unwrap_or_default();
    let received = received.first_chunk().copied().map(u64::from_be_bytes).unwrap_or_default();
    Record { head, received }
}
