//! A hop: ` 3  203.0.113.10 [AS64500]  1.124 ms !N 203.0.113.14  1.120 ms * ...`

use std::{collections::VecDeque, net::IpAddr};

use crate::{
    Unreadable,
    text::{self, Line, integer, microseconds, quote},
};

use super::{Answer, Hop};

/// Probes of one hop: traceroute sends at most 10, others allow 255 or so.
const MOST_ANSWERS: usize = 1000;

/// What a line says. Without a TTL it goes on with the hop before.
pub(super) struct Said {
    pub(super) ttl: Option<u32>,
    pub(super) answers: Vec<Answer>,
}

/// Reads the line; nothing if it breaks off before anything is certain.
pub(super) fn read(line: &Line<'_>) -> Result<Option<Said>, Unreadable> {
    let mut words = whole_words(line);
    let ttl = words.front().and_then(|word| integer(word));
    if ttl.is_some() {
        words.pop_front();
    }
    if ttl.is_some_and(|ttl| !(1..=255).contains(&ttl)) {
        return Err(line.wrong("a hop number from 1 to 255", &line.text));
    }
    let answers = Probes { line, words, host: None, answers: Vec::new() }.read()?;
    if answers.len() > MOST_ANSWERS {
        return Err(line.wrong("at most 1000 probes", &line.text));
    }
    let something = line.finished || !answers.is_empty();
    Ok(something.then_some(Said { ttl, answers }))
}

impl Hop {
    pub(super) fn go_on(&mut self, line: &Line<'_>, more: Vec<Answer>) -> Result<(), Unreadable> {
        if self.answers.len() + more.len() > MOST_ANSWERS {
            return Err(line.wrong("at most 1000 probes", &line.text));
        }
        self.answers.extend(more);
        Ok(())
    }
}

/// The words of the line, less the last one if it may be half a word.
fn whole_words<'a>(line: &'a Line<'_>) -> VecDeque<&'a str> {
    let mut words: VecDeque<&str> = line.text.split_ascii_whitespace().collect();
    let ends_whole = line.finished || line.text.ends_with(char::is_whitespace);
    if let Some(last) = words.back()
        && !ends_whole
        && !is_whole(last)
    {
        words.pop_back();
    }
    words
}

/// Whether no longer word begins with this one.
fn is_whole(word: &str) -> bool {
    let flag = |rest: &str| rest.len() == 1 && rest.chars().all(char::is_alphabetic);
    word == "*" || word.ends_with("ms") || word.strip_prefix('!').is_some_and(flag)
}

/// Who answers until another is named.
struct Host {
    address: IpAddr,
    name: Option<String>,
    asn: Option<String>,
    extension: Option<String>,
    /// Whether a time followed.
    used: bool,
}

impl Host {
    fn answer(&mut self, rtt_us: Option<u64>) -> Answer {
        self.used = true;
        Answer {
            address: Some(self.address),
            name: self.name.clone(),
            rtt_us,
            annotation: None,
            asn: self.asn.clone(),
            extension: self.extension.clone(),
        }
    }
}

/// The probes of one line, taken word by word.
struct Probes<'a> {
    line: &'a Line<'a>,
    words: VecDeque<&'a str>,
    host: Option<Host>,
    answers: Vec<Answer>,
}

impl<'a> Probes<'a> {
    /// What is said up to the end of the line, or up to the place where it breaks off.
    fn read(mut self) -> Result<Vec<Answer>, Unreadable> {
        while let Some(word) = self.words.pop_front() {
            match self.take(word) {
                Err(wrong) if self.line.finished => return Err(wrong),
                Err(_) => return Ok(self.answers),
                Ok(()) => {}
            }
        }
        // A host at the end of a line that breaks off was still waiting for its time.
        if self.line.finished {
            self.leave_host();
        }
        Ok(self.answers)
    }

    fn take(&mut self, word: &'a str) -> Result<(), Unreadable> {
        if word == "*" {
            self.leave_host();
            self.answers.push(Answer::default());
        } else if word.starts_with('!') || word.starts_with("F=") {
            self.annotate(word)?;
        } else if let Some(asn) = word.strip_prefix('[') {
            self.host(word)?.asn = Some(quote(asn.trim_end_matches(']')));
        } else if let Some(extension) = word.strip_prefix('<') {
            self.host(word)?.extension = Some(quote(extension.trim_end_matches('>')));
        } else if word.starts_with('\'') {
            // The length of the way back (`--back`) is a guess.
        } else if let Some(rtt_us) = self.rtt(word)? {
            let answer = self.host(word)?.answer(Some(rtt_us));
            self.answers.push(answer);
        } else {
            self.meet(word)?;
        }
        Ok(())
    }

    fn host(&mut self, word: &str) -> Result<&mut Host, Unreadable> {
        self.host.as_mut().ok_or_else(|| self.line.wrong("an address", word))
    }

    fn annotate(&mut self, word: &str) -> Result<(), Unreadable> {
        let last = self.answers.last_mut().filter(|answer| !answer.is_silent());
        let answer = last.ok_or_else(|| self.line.wrong("an address", word))?;
        answer.annotation = Some(match &answer.annotation {
            Some(before) => quote(&format!("{before} {word}")),
            None => quote(word),
        });
        Ok(())
    }

    /// `1.168` before `ms`, or `1.168ms`.
    fn rtt(&mut self, word: &str) -> Result<Option<u64>, Unreadable> {
        if let Some(number) = word.strip_suffix("ms") {
            return Ok(microseconds(number));
        }
        let time = microseconds(word);
        if time.is_some() && self.words.pop_front() != Some("ms") {
            return Err(self.line.wrong("\"ms\" after a time", &self.line.text));
        }
        Ok(time)
    }

    /// Another host: `192.0.2.2`, `srv (192.0.2.2)`, or as inetutils has it, `192.0.2.2 (srv)`.
    fn meet(&mut self, word: &'a str) -> Result<(), Unreadable> {
        self.leave_host();
        let other = self.words.front().and_then(|next| next.strip_prefix('(')?.strip_suffix(')'));
        if other.is_some() {
            self.words.pop_front();
        }
        let inside = other.and_then(text::address).map(|address| (address, word));
        let outside = || text::address(word).map(|address| (address, other.unwrap_or_default()));
        let found = inside.or_else(outside);
        let (address, name) = found.ok_or_else(|| self.line.wrong("an address", word))?;
        let is_name = !name.is_empty() && text::address(name).is_none();
        let name = is_name.then(|| quote(name));
        self.host = Some(Host { address, name, asn: None, extension: None, used: false });
        Ok(())
    }

    /// A host that is named answered, even if no time is printed.
    fn leave_host(&mut self) {
        let unused = self.host.as_mut().filter(|host| !host.used);
        self.answers.extend(unused.map(|host| host.answer(None)));
    }
}
