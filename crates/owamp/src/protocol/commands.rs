//! How test sessions are started, ended, and fetched (RFC 4656 sections 3.7 to 3.9).

use super::{Accept, Malformed, Sid, field, keys::BLOCK};

/// What a client's message asks for: the first octet of its first block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// A new test session.
    RequestSession,
    /// All that were granted begin.
    StartSessions,
    /// All end.
    StopSessions,
    /// The records of one.
    FetchSession,
}

impl Command {
    /// From a message's first octet.
    ///
    /// # Errors
    /// If no command has this number.
    pub fn of(first: u8) -> Result<Self, Malformed> {
        Ok(match first {
            1 => Self::RequestSession,
            2 => Self::StartSessions,
            3 => Self::StopSessions,
            4 => Self::FetchSession,
            _ => {
                return Err(Malformed::new(
                    "command",
                    format!("its number is {first}, and 1 to 4 have a meaning"),
                ));
            }
        })
    }
}

/// Start-Sessions, without its HMAC.
pub const START_SESSIONS: [u8; BLOCK] = {
    let mut bytes = [0; BLOCK];
    bytes[0] = 2;
    bytes
};

/// Start-Ack, without its HMAC.
#[must_use]
pub fn start_ack(accept: Accept) -> [u8; BLOCK] {
    let mut bytes = [0; BLOCK];
    bytes[0] = accept as u8;
    bytes
}

/// Packets that were not sent, from the first to the last: they had become too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skip {
    /// The first of them.
    pub first: u32,
    /// The last of them.
    pub last: u32,
}

impl Skip {
    /// Octets on the wire.
    pub const LENGTH: usize = 8;

    fn to_bytes(self) -> [u8; Self::LENGTH] {
        (u64::from(self.first) << 32 | u64::from(self.last)).to_be_bytes()
    }
}

/// How far a session's sender came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The session.
    pub sid: Sid,
    /// The number after the last that was sent.
    pub next_seq: u32,
    /// What was left out before.
    pub skips: Vec<Skip>,
}

/// Stop-Sessions: all sessions end; tells how far those came whose packets were sent from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Whether all went well.
    pub accept: Accept,
    /// Those that were sent from here.
    pub ended: Vec<Ended>,
}

impl Stop {
    /// The command's number.
    pub const COMMAND: u8 = 3;
    const NAME: &'static str = "Stop-Sessions";

    /// As on the wire, without the HMAC. Each session's part is filled up to a whole block.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; BLOCK];
        bytes[0] = Self::COMMAND;
        bytes[1] = self.accept as u8;
        bytes[4..8].copy_from_slice(&length(&self.ended).to_be_bytes());
        for ended in &self.ended {
            bytes.extend_from_slice(&ended.sid.0);
            bytes.extend_from_slice(&ended.next_seq.to_be_bytes());
            bytes.extend_from_slice(&length(&ended.skips).to_be_bytes());
            ended.skips.iter().for_each(|skip| bytes.extend_from_slice(&skip.to_bytes()));
            fill(&mut bytes);
        }
        bytes
    }

    /// Reads the first block; tells how many sessions follow.
    ///
    /// # Errors
    /// If its Accept has no meaning, or it speaks of more than `most` sessions.
    pub fn read_head(bytes: &[u8; BLOCK], most: u32) -> Result<(Accept, u32), Malformed> {
        let accept = Accept::of(Self::NAME, bytes[1])?;
        let count = field::u32(bytes, 4);
        if count > most {
            let why =
                format!("it speaks of {count} sessions, and at most {most} were sent from there");
            return Err(Malformed::new(Self::NAME, why));
        }
        Ok((accept, count))
    }
}

impl Ended {
    /// Octets before the skips that are known to come: two blocks, of which the second holds one skip at most.
    pub const HEAD: usize = 2 * BLOCK;

    /// Reads the first two blocks; tells how many octets follow.
    ///
    /// # Errors
    /// If it speaks of more than `most_skips` ranges.
    pub fn read_head(
        bytes: &[u8; Self::HEAD],
        most_skips: u32,
    ) -> Result<(Sid, u32, u32, usize), Malformed> {
        let (sid, next_seq) = (Sid(field::array(bytes, 0)), field::u32(bytes, 16));
        let skips = field::u32(bytes, 20);
        if skips > most_skips {
            let why = format!(
                "session {sid} has {skips} ranges of skipped packets; {most_skips} are allowed"
            );
            return Err(Malformed::new(Stop::NAME, why));
        }
        let rest = (skips as usize).saturating_sub(1) * Skip::LENGTH;
        Ok((sid, next_seq, skips, rest.next_multiple_of(BLOCK)))
    }
}

/// Reads `count` ranges of packets that were not sent: each within what was sent, one after the other.
///
/// # Errors
/// If one ends before it begins, or before the one ahead of it.
pub fn read_skips(
    message: &'static str,
    bytes: &[u8],
    count: u32,
    next_seq: u32,
) -> Result<Vec<Skip>, Malformed> {
    let mut after = 0;
    let chunks = bytes.as_chunks::<{ Skip::LENGTH }>().0.iter().take(count as usize);
    let skips = chunks.map(|bytes| {
        let skip = Skip { first: field::u32(bytes, 0), last: field::u32(bytes, 4) };
        if u64::from(skip.first) < after || skip.last < skip.first || skip.last >= next_seq {
            let why =
                format!("the skipped packets {} to {} are not in order", skip.first, skip.last);
            return Err(Malformed::new(message, why));
        }
        after = u64::from(skip.last) + 1;
        Ok(skip)
    });
    skips.collect()
}

/// The skips of a fetched session, whole blocks.
#[must_use]
pub fn write_skips(skips: &[Skip]) -> Vec<u8> {
    let mut bytes: Vec<u8> = skips.iter().flat_map(|skip| skip.to_bytes()).collect();
    fill(&mut bytes);
    bytes
}

/// Fills up to a whole block.
pub fn fill(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
}

fn length<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
}

/// Fetch-Session: asks for the records of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetch {
    /// From this packet on.
    pub begin: u32,
    /// Up to this one; 0 and 2^32-1 are the whole session.
    pub end: u32,
    /// Which.
    pub sid: Sid,
}

impl Fetch {
    /// Octets without the HMAC.
    pub const LENGTH: usize = 2 * BLOCK;
    /// The command's number.
    pub const COMMAND: u8 = 4;

    /// The whole of a session.
    #[must_use]
    pub const fn whole(sid: Sid) -> Self {
        Self { begin: 0, end: u32::MAX, sid }
    }

    /// As on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[0] = Self::COMMAND;
        bytes[8..12].copy_from_slice(&self.begin.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.end.to_be_bytes());
        bytes[16..].copy_from_slice(&self.sid.0);
        bytes
    }

    /// From the wire: any numbers make a request.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LENGTH]) -> Self {
        let sid = Sid(field::array(bytes, 16));
        Self { begin: field::u32(bytes, 8), end: field::u32(bytes, 12), sid }
    }
}

/// Fetch-Ack: the answer; the session's request, skips and records follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchAck {
    /// Whether they are granted.
    pub accept: Accept,
    /// Whether the session has ended.
    pub finished: bool,
    /// The number after the last that was sent, if that is known.
    pub next_seq: u32,
    /// How many ranges of packets were not sent.
    pub skips: u32,
    /// How many records follow.
    pub records: u32,
}

impl FetchAck {
    /// Octets without the HMAC.
    pub const LENGTH: usize = BLOCK;

    /// The answer that there is nothing.
    #[must_use]
    pub const fn refused(accept: Accept) -> Self {
        Self { accept, finished: false, next_seq: 0, skips: 0, records: 0 }
    }

    /// As on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[0] = self.accept as u8;
        bytes[1] = self.finished.into();
        bytes[4..8].copy_from_slice(&self.next_seq.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.skips.to_be_bytes());
        bytes[12..].copy_from_slice(&self.records.to_be_bytes());
        bytes
    }

    /// From the wire.
    ///
    /// # Errors
    /// If its Accept has no meaning.
    pub fn from_bytes(bytes: &[u8; Self::LENGTH]) -> Result<Self, Malformed> {
        Ok(Self {
            accept: Accept::of("Fetch-Ack", bytes[0])?,
            finished: bytes[1] == 1,
            next_seq: field::u32(bytes, 4),
            skips: field::u32(bytes, 8),
            records: field::u32(bytes, 12),
        })
    }
}
