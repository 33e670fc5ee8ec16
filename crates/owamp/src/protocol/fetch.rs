//! Fetch-Session: the records of a session (RFC 4656 section 3.9).

use std::io::Read;

use super::{
    Accept, Failed, Inbound, Limits, Outbound, Record, RequestSession, Sid, SkipRange,
    fields::{Fields, join},
    keys::BLOCK,
};

/// The request for a session's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchSession {
    /// Number of the first packet that is wanted.
    pub first: u32,
    /// Number of the last one. With 0 and `u32::MAX` the whole session is wanted.
    pub last: u32,
    /// Which session.
    pub sid: Sid,
}

impl FetchSession {
    /// For the whole of a session.
    #[must_use]
    pub const fn whole(sid: Sid) -> Self {
        Self { first: 0, last: u32::MAX, sid }
    }

    pub(super) fn put(&self, to: &mut Outbound) {
        let (first, last) = (self.first.to_be_bytes(), self.last.to_be_bytes());
        to.put(&join::<{ 2 * BLOCK }>(&[&[4], &[0; 7], &first, &last, &self.sid.0]));
        to.hmac();
    }

    pub(super) fn read_rest<R: Read>(
        first: &[u8; BLOCK],
        from: &mut Inbound<R>,
    ) -> Result<Self, Failed> {
        let sid = Sid(from.array()?);
        from.hmac("Fetch-Session")?;
        let mut fields = Fields::of(first);
        Ok(Self { first: fields.skip::<8>().u32(), last: fields.u32(), sid })
    }
}

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// It goes on, or it ended without the sender's word.
    No,
    /// It ended as it should.
    Well,
    /// It ended, and not as it should (this number on the wire, 2 or above).
    Badly(u8),
}

impl From<u8> for Finished {
    fn from(octet: u8) -> Self {
        match octet {
            0 => Self::No,
            1 => Self::Well,
            other => Self::Badly(other),
        }
    }
}

impl From<Finished> for u8 {
    fn from(finished: Finished) -> Self {
        match finished {
            Finished::No => 0,
            Finished::Well => 1,
            Finished::Badly(number) => number,
        }
    }
}

/// Fetch-Ack: the answer to [`FetchSession`]. If it is accepted, [`Fetched`] follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchAck {
    /// Whether anything follows.
    pub accept: Accept,
    /// How far the session is.
    pub finished: Finished,
    /// The number after that of the last packet that was sent or skipped.
    pub next_seq: u32,
    /// Skip ranges that follow.
    pub skips: u32,
    /// Records that follow.
    pub records: u32,
}

impl FetchAck {
    /// The answer that there is nothing, and why.
    #[must_use]
    pub const fn refused(why: Accept) -> Self {
        Self { accept: why, finished: Finished::No, next_seq: 0, skips: 0, records: 0 }
    }

    /// Puts it to be sent.
    pub fn put(&self, to: &mut Outbound) {
        let numbers = [self.next_seq, self.skips, self.records].map(u32::to_be_bytes);
        let first = [self.accept.into(), self.finished.into(), 0, 0];
        to.put(&join::<BLOCK>(&[&first, numbers.as_flattened()]));
        to.hmac();
    }

    /// Reads it.
    ///
    /// # Errors
    /// It does not come whole, or is not authentic.
    pub fn read<R: Read>(from: &mut Inbound<R>) -> Result<Self, Failed> {
        let bytes = from.array::<BLOCK>()?;
        from.hmac("Fetch-Ack")?;
        let mut fields = Fields::of(&bytes);
        let (accept, finished) = (fields.octet().into(), fields.octet().into());
        let next_seq = fields.skip::<2>().u32();
        Ok(Self { accept, finished, next_seq, skips: fields.u32(), records: fields.u32() })
    }
}

/// What follows an accepting [`FetchAck`], up to the records: what the session was, and what was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// As it was asked for, with the ports and the identifier that it got.
    pub session: RequestSession,
    /// Packets that were not sent.
    pub skips: Vec<SkipRange>,
}

const FETCHED: &str = "a fetched session";
/// Records that are read at a time: their octets are whole blocks.
const AT_A_TIME: u32 = 320;

impl Fetched {
    /// Puts it to be sent; the records come next: [`Self::put_record`] each and [`Self::put_end`].
    pub fn put(&self, to: &mut Outbound) {
        self.session.put(to);
        SkipRange::put_all(&self.skips, to);
        to.hmac();
    }

    /// Puts a record to be sent. It is well to take what is ready from time to time.
    pub fn put_record(record: &[u8; Record::LENGTH], to: &mut Outbound) {
        to.put(record);
    }

    /// Puts what comes after the last record.
    pub fn put_end(to: &mut Outbound) {
        to.hmac();
    }

    /// Reads it.
    ///
    /// # Errors
    /// It does not come whole, makes no sense, is not authentic, or is larger than `limits`.
    pub fn read<R: Read>(
        ack: &FetchAck,
        from: &mut Inbound<R>,
        limits: &Limits,
    ) -> Result<Self, Failed> {
        Limits::check(ack.skips, limits.skips, "Fetch-Ack", "Number of Skip Ranges")?;
        let session = RequestSession::read(from, limits)?;
        let skips = SkipRange::read_all(ack.skips, from, FETCHED)?;
        from.hmac(FETCHED)?;
        Ok(Self { session, skips })
    }

    /// Reads the records, and gives each to `each`; they are not authentic before all are there.
    ///
    /// # Errors
    /// They do not come whole, or are not authentic.
    pub fn read_records<R: Read>(
        ack: &FetchAck,
        from: &mut Inbound<R>,
        mut each: impl FnMut(Record),
    ) -> Result<(), Failed> {
        let mut buffer = vec![0; AT_A_TIME.min(ack.records) as usize * Record::LENGTH];
        let mut left = ack.records;
        while left > 0 {
            let number = left.min(AT_A_TIME);
            left -= number;
            let octets = &mut buffer[..number as usize * Record::LENGTH];
            from.take(octets)?;
            octets.as_chunks().0.iter().for_each(|record| each(Record::from_bytes(record)));
        }
        from.hmac(FETCHED)
    }
}
