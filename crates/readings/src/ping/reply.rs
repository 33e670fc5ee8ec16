//! A reply: `64 bytes from srv (192.0.2.2): icmp_seq=1 ttl=61 time=21.6 ms (DUP!)`

use crate::{
    Unreadable,
    text::{Line, find, integer, microseconds, quote, split},
};

use super::Reply;

/// What stands between the size and the sender, in a reply and in an error of inetutils.
const FROM: &str = " bytes from ";

/// A line `<bytes> bytes from <sender>: <rest>`, cut into these three.
pub(super) struct Arrival<'a> {
    bytes: u32,
    pub(super) sender: &'a str,
    pub(super) rest: &'a str,
}

impl<'a> Arrival<'a> {
    pub(super) fn is_one(said: &str) -> bool {
        find(said, FROM).is_some()
    }

    pub(super) fn of(line: &Line<'_>, said: &'a str) -> Result<Self, Unreadable> {
        let wrong = |expected| line.wrong(expected, said);
        let (bytes, rest) = split(said, FROM).ok_or_else(|| wrong("a reply"))?;
        let bytes = integer(bytes).ok_or_else(|| wrong("a number of bytes"))?;
        // The address may hold colons, but none before a blank.
        let (sender, rest) = split(rest, ": ").ok_or_else(|| wrong("a colon"))?;
        Ok(Self { bytes, sender, rest })
    }

    /// Whether it answers a request. If not it reports an error.
    pub(super) fn is_reply(&self) -> bool {
        find(self.rest, "seq=").or_else(|| find(self.rest, "icmp_req=")).is_some()
    }

    pub(super) fn reply(&self, line: &Line<'_>) -> Result<Reply, Unreadable> {
        let mut fields = Fields::default();
        let mut words = self.rest.split_whitespace().peekable();
        while let Some(word) = words.next() {
            fields.take(line, word)?;
            if word.starts_with("time") {
                words.next_if(|unit| *unit == "ms");
            }
        }
        let seq = fields.seq.ok_or_else(|| line.wrong("a sequence number", self.rest))?;
        Ok(Reply {
            seq,
            rtt_us: fields.rtt_us,
            ttl: fields.ttl,
            bytes: Some(self.bytes),
            duplicate: fields.duplicate,
            remark: remark(&fields.rest),
        })
    }
}

#[derive(Default)]
struct Fields<'a> {
    seq: Option<u64>,
    ttl: Option<u8>,
    rtt_us: Option<u64>,
    duplicate: bool,
    rest: Vec<&'a str>,
}

impl<'a> Fields<'a> {
    fn take(&mut self, line: &Line<'_>, word: &'a str) -> Result<(), Unreadable> {
        match word.split_once(['=', '<']) {
            Some(("icmp_seq" | "icmp_req" | "seq", value)) => {
                let seq = integer::<u32>(value);
                self.seq = Some(seq.ok_or_else(|| line.wrong("a sequence number", value))?.into());
            }
            Some(("ttl" | "hlim", value)) => {
                self.ttl = Some(integer(value).ok_or_else(|| line.wrong("a time to live", value))?);
            }
            Some(("time", value)) => self.take_time(line, word, value)?,
            Some(("ident", _)) => {}
            _ if word == "(DUP!)" => self.duplicate = true,
            _ => self.rest.push(word),
        }
        Ok(())
    }

    /// A time before zero is what a clock set back leaves behind; it is told, but is no time.
    fn take_time(&mut self, line: &Line<'_>, word: &'a str, value: &str) -> Result<(), Unreadable> {
        let number = value.strip_suffix("ms").unwrap_or(value);
        let magnitude = number.strip_prefix('-');
        let time = microseconds(magnitude.unwrap_or(number));
        let time = time.ok_or_else(|| line.wrong("a time in ms", value))?;
        self.rtt_us = magnitude.is_none().then_some(time);
        if magnitude.is_some() || word.starts_with("time<") {
            self.rest.push(word);
        }
        Ok(())
    }
}

/// `(BAD CHECKSUM!)` without its decoration.
fn remark(words: &[&str]) -> Option<String> {
    let text = words.join(" ");
    let text = text.trim_matches(['(', ')', '!']);
    (!text.is_empty()).then(|| quote(text))
}

impl Reply {
    /// Whether the tool counts it as an answer at all.
    pub(super) fn is_sound(&self) -> bool {
        !self.remark.as_ref().is_some_and(|remark| remark.contains("BAD CHECKSUM"))
    }

    /// Whether it is the answer to its request: sound, and the first.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.is_sound() && !self.duplicate
    }

    pub(super) fn add_remark(&mut self, said: &str) {
        match &mut self.remark {
            // A reply can be followed by no end of complaints.
            Some(remark) => *remark = quote(&format!("{remark}; {said}")),
            None => self.remark = Some(quote(said)),
        }
    }
}
