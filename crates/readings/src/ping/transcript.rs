//! What the lines of standard output say, before it is asked what it means.

use crate::{
    Unreadable,
    text::{self, Line, bare, integer},
};

use super::{
    MOST_PACKETS, Reply,
    fault::Faults,
    header::{Header, is_header},
    reply::Arrival,
    summary::{Summary, Times},
};

/// Lines that may come before the header. `-v` prints a few.
const PREAMBLE: usize = 100;

#[derive(Debug, Default)]
pub(super) struct Transcript {
    pub(super) header: Option<Header>,
    /// The first [`MOST_PACKETS`] replies, with the numbers and marks as printed.
    pub(super) packets: Vec<Reply>,
    /// Replies beyond these that are not marked as duplicates, and those that are.
    pub(super) more_answers: u64,
    pub(super) more_duplicates: u64,
    pub(super) faults: Faults,
    pub(super) summary: Option<Summary>,
    pub(super) times: Option<Times>,
    /// The first line that is not understood.
    pub(super) stranger: Option<Unreadable>,
}

impl Transcript {
    pub(super) fn of(stdout: &[u8]) -> Result<Self, Unreadable> {
        let mut transcript = Self::default();
        for line in text::lines(stdout) {
            transcript.take(&line)?;
        }
        transcript.check()
    }

    /// With nothing understood but the header, this may be a ping in another tongue, and "no replies"
    /// would be a lie.
    fn check(self) -> Result<Self, Unreadable> {
        let something =
            self.summary.is_some() || !self.packets.is_empty() || !self.faults.is_empty();
        match self.stranger {
            Some(stranger) if self.header.is_some() && !something => Err(stranger),
            _ => Ok(self),
        }
    }

    fn take(&mut self, line: &Line<'_>) -> Result<(), Unreadable> {
        let said = without_timestamp(bare(&line.text));
        if said.is_empty() {
            return Ok(());
        }
        if self.header.is_none() { self.begin(line, said) } else { self.go_on(line, said) }
    }

    fn begin(&mut self, line: &Line<'_>, said: &str) -> Result<(), Unreadable> {
        if is_header(said) {
            self.header = Some(Header::of(line, said)?);
            self.stranger = None;
            return Ok(());
        }
        self.note_stranger(line, "\"PING\"", said);
        match self.stranger.take_if(|_| line.number > PREAMBLE) {
            Some(stranger) => Err(stranger),
            None => Ok(()),
        }
    }

    fn go_on(&mut self, line: &Line<'_>, said: &str) -> Result<(), Unreadable> {
        // Most lines are replies; any other has no number at its begin, but for the summary.
        if said.starts_with(|c: char| c.is_ascii_digit()) && Arrival::is_one(said) {
            self.take_arrival(line, said)?;
        } else if is_header(said) {
            return Err(line.wrong("one run of ping", said));
        } else if Summary::is_one(said) {
            self.take_summary(line, said)?;
        } else if Times::are_in(said) {
            self.times = Times::of(line, said)?.or(self.times);
        } else if Arrival::is_one(said) {
            self.take_arrival(line, said)?;
        } else if let Some(said) = said.strip_prefix("From ") {
            self.take_fault(line, said);
        } else if said.starts_with("wrong data byte") {
            self.take_remark(said);
        } else if !is_chatter(said) && line.finished {
            self.note_stranger(line, "a line of ping", said);
        }
        Ok(())
    }

    fn take_summary(&mut self, line: &Line<'_>, said: &str) -> Result<(), Unreadable> {
        if self.summary.is_some() {
            return Err(line.wrong("one summary", said));
        }
        self.summary = Summary::of(line, said)?;
        Ok(())
    }

    /// A line that breaks off may break off within a number, and is not believed.
    fn take_arrival(&mut self, line: &Line<'_>, said: &str) -> Result<(), Unreadable> {
        if !line.finished {
            return Ok(());
        }
        let arrival = Arrival::of(line, said)?;
        if arrival.is_reply() {
            self.keep(arrival.reply(line)?);
        } else {
            self.faults.note(arrival.sender, arrival.rest);
        }
        Ok(())
    }

    fn keep(&mut self, reply: Reply) {
        if self.packets.len() < MOST_PACKETS {
            self.packets.push(reply);
        } else if reply.is_first() {
            self.more_answers += 1;
        } else {
            self.more_duplicates += u64::from(reply.duplicate);
        }
    }

    fn take_fault(&mut self, line: &Line<'_>, said: &str) {
        if line.finished {
            self.faults.note_line(said);
        }
    }

    fn take_remark(&mut self, said: &str) {
        if self.more_answers + self.more_duplicates == 0
            && let Some(reply) = self.packets.last_mut()
        {
            reply.add_remark(said);
        }
    }

    fn note_stranger(&mut self, line: &Line<'_>, expected: &str, said: &str) {
        self.stranger.get_or_insert_with(|| line.wrong(expected, said));
    }
}

/// `-D` puts `[1690000000.123456] ` before each line.
fn without_timestamp(said: &str) -> &str {
    let stamped = said.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    match stamped {
        Some((stamp, rest)) if stamp.split('.').all(|part| integer::<u64>(part).is_some()) => rest,
        _ => said,
    }
}

/// Lines that say nothing that is not said elsewhere.
fn is_chatter(said: &str) -> bool {
    said.starts_with("--- ")
        || said.starts_with("no answer yet for icmp_seq=")
        || said.starts_with("pipe ")
        || said.starts_with("ipg/ewma ")
        || said.chars().all(|c| matches!(c, '.' | ' ' | '\u{8}' | 'E' | 'C'))
}
