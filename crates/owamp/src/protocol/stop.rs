//! Stop-Sessions: what each side has sent (RFC 4656 section 3.8).

use std::io::Read;

use super::{
    Accept, Failed, Inbound, Limits, Outbound, Sid, Wrong,
    fields::{Fields, join},
    keys::BLOCK,
};

/// Packets that were not sent: from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SkipRange {
    /// Number of the first.
    pub first: u32,
    /// Number of the last, not below the first.
    pub last: u32,
}

impl SkipRange {
    /// Whether the packet `seq` is among them.
    #[must_use]
    pub const fn has(&self, seq: u32) -> bool {
        self.first <= seq && seq <= self.last
    }

    pub(super) fn put_all(ranges: &[Self], to: &mut Outbound) {
        for range in ranges {
            to.put(&join::<8>(&[&range.first.to_be_bytes(), &range.last.to_be_bytes()]));
        }
    }

    /// Reads so many, which were compared with the limit.
    pub(super) fn read_all<R: Read>(
        number: u32,
        from: &mut Inbound<R>,
        message: &'static str,
    ) -> Result<Vec<Self>, Failed> {
        let mut ranges: Vec<Self> = Vec::new();
        for _ in 0..number {
            let bytes = from.array::<8>()?;
            let mut fields = Fields::of(&bytes);
            let range = Self { first: fields.u32(), last: fields.u32() };
            if range.last < range.first || ranges.last().is_some_and(|it| it.last >= range.first) {
                let what = format!(
                    "{} to {} does not come after the range before it",
                    range.first, range.last
                );
                return Err(Wrong::new(message, "Skip Range", what).into());
            }
            ranges.push(range);
        }
        Ok(ranges)
    }
}

/// What became of a session, as its sender tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEnd {
    /// Which one.
    pub sid: Sid,
    /// The number after that of the last packet that was sent or skipped.
    pub next_seq: u32,
    /// Packets below that number that were not sent, in order.
    pub skips: Vec<SkipRange>,
}

/// The message that either side sends when its sessions are at their ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopSessions {
    /// Not `Yes` if something went wrong, and the sessions are worth nothing.
    pub accept: Accept,
    /// Those sessions that whoever says it has sent, and only those.
    pub ends: Vec<SessionEnd>,
}

const STOP: &str = "Stop-Sessions";

impl StopSessions {
    /// Puts it to be sent.
    pub fn put(&self, to: &mut Outbound) {
        let sessions = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        to.put(&join::<BLOCK>(&[&[3, self.accept.into(), 0, 0], &sessions.to_be_bytes()]));
        for end in &self.ends {
            let skips = u32::try_from(end.skips.len()).unwrap_or(u32::MAX);
            to.put(&end.sid.0);
            to.put(&end.next_seq.to_be_bytes());
            to.put(&skips.to_be_bytes());
            SkipRange::put_all(&end.skips, to);
            to.pad();
        }
        to.hmac();
    }

    /// Reads it, where nothing else can come: a client waits for its server's.
    ///
    /// # Errors
    /// It does not come whole, makes no sense, is not authentic, is larger than `limits`, or is another message.
    pub fn read<R: Read>(from: &mut Inbound<R>, limits: &Limits) -> Result<Self, Failed> {
        let first = from.array::<BLOCK>()?;
        if first[0] != 3 {
            let what = format!("{} where a Stop-Sessions is wanted, which is 3", first[0]);
            return Err(Wrong::new(STOP, "number", what).into());
        }
        Self::read_rest(&first, from, limits)
    }

    pub(super) fn read_rest<R: Read>(
        first: &[u8; BLOCK],
        from: &mut Inbound<R>,
        limits: &Limits,
    ) -> Result<Self, Failed> {
        let mut fields = Fields::of(first);
        let accept = fields.skip::<1>().octet().into();
        let sessions = fields.skip::<2>().u32();
        Limits::check(sessions, limits.sessions, STOP, "Number of Sessions")?;
        let ends =
            (0..sessions).map(|_| Self::read_end(from, limits)).collect::<Result<_, Failed>>()?;
        from.hmac(STOP)?;
        Ok(Self { accept, ends })
    }

    fn read_end<R: Read>(from: &mut Inbound<R>, limits: &Limits) -> Result<SessionEnd, Failed> {
        let bytes = from.array::<24>()?;
        let mut fields = Fields::of(&bytes);
        let (sid, next_seq, number) = (Sid(fields.array()), fields.u32(), fields.u32());
        Limits::check(number, limits.skips, STOP, "Number of Skip Ranges")?;
        let skips = SkipRange::read_all(number, from, STOP)?;
        from.pad();
        Ok(SessionEnd { sid, next_seq, skips })
    }
}
