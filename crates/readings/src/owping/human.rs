//! The summary for people, and before it with `-v` a line for each packet.

use crate::{
    Unreadable,
    oneway::{Packet, Percentile},
    text::{self, Figure, Line, integer},
};

use super::{
    Draft,
    direction::{End, Ends},
};

pub(super) const HEADER: &str = "--- owping statistics from ";

/// Packets that are kept of `-v`.
const MOST_PACKETS: usize = 200_000;
/// Percentiles that are kept; the tool itself takes fewer.
const MOST_PERCENTILES: usize = 16;

/// Takes a line of the summary.
pub(super) fn take(drafts: &mut Vec<Draft>, line: &Line<'_>, said: &str) -> Result<(), Unreadable> {
    if let Some(rest) = said.strip_prefix(HEADER) {
        let ends =
            ends(rest).ok_or_else(|| line.wrong("\"from [host]:port to [host]:port\"", said))?;
        // With -v the header comes a second time, above the summary of the same session.
        if !drafts.last().is_some_and(|draft| !draft.counted && draft.ends.is_between(&ends)) {
            drafts.push(Draft::of(ends));
        }
        return Ok(());
    }
    let Some(draft) = drafts.last_mut() else { return Ok(()) };
    understand(draft, said).ok_or_else(|| line.wrong("a line of owping's summary", said))
}

/// `[cli.lab.example]:8801 to [192.0.2.2]:9318 ---`
fn ends(rest: &str) -> Option<Ends> {
    let (from, to) = rest.strip_suffix(" ---")?.split_once(" to ")?;
    let host = |end: &str| {
        let (host, _) = end.strip_prefix('[')?.rsplit_once("]:")?;
        Some(End::named(host))
    };
    Some(Ends { from: host(from)?, to: host(to)? })
}

/// Nothing if a known line does not go on as it should.
fn understand(draft: &mut Draft, said: &str) -> Option<()> {
    if let Some(rest) = said.strip_prefix("seq_no=") {
        packet(draft, rest)
    } else if let Some((sent, rest)) = said.split_once(" sent, ") {
        counts(draft, sent, rest)
    } else if let Some(rest) = said.strip_prefix("one-way delay ") {
        delays(draft, rest)
    } else if let Some(rest) = said.strip_prefix("one-way jitter = ") {
        let (jitter, rest) = rest.split_once(' ')?;
        draft.session.p95_less_p50_ms = Delay::of(jitter, rest.split(' ').next()?)?.milliseconds();
        Some(())
    } else if let Some(rest) = said.strip_prefix("hops ") {
        draft.session.hops = Some(hops(rest)?);
        Some(())
    } else if said.contains("reordering") {
        reordering(draft, said)
    } else {
        percentile(draft, said);
        Some(())
    }
}

/// `20 sent, 0 lost (0.000%), 0 duplicates`
fn counts(draft: &mut Draft, sent: &str, rest: &str) -> Option<()> {
    let (lost, duplicates) = rest.split_once(" lost (")?;
    let duplicates = duplicates.split_once("), ")?.1.strip_suffix(" duplicates")?;
    draft.counted = true;
    draft.session.sent = Some(integer(sent)?);
    draft.session.lost = Some(integer(lost)?);
    draft.session.duplicates = Some(integer(duplicates)?);
    Some(())
}

/// `min/median/max = 10.6/10.8/10.8 ms, (err=0.504 ms)`, or `(unsync)`.
fn delays(draft: &mut Draft, rest: &str) -> Option<()> {
    let (names, rest) = rest.split_once(" = ")?;
    let (values, clocks) = rest.split_once(", ").unwrap_or((rest, ""));
    let (values, unit) = values.split_once(' ')?;
    for (name, value) in names.split('/').zip(values.split('/')) {
        let value = Delay::of(value, unit.trim_end())?.milliseconds();
        match name {
            "min" => draft.session.min_ms = value,
            "median" => draft.session.median_ms = value,
            "max" => draft.session.max_ms = value,
            _ => {}
        }
    }
    if let Some(error) = clocks.strip_prefix("(err=") {
        let (error, unit) = error.trim_end_matches(')').split_once(' ')?;
        draft.session.error_ms = Delay::of(error, unit)?.milliseconds();
        draft.session.synchronised = Some(true);
    } else if clocks.starts_with("(unsync") {
        draft.session.synchronised = Some(false);
    }
    Some(())
}

/// `= 3 (consistently)`, or `takes 2 values; min hops = 3, max hops = 5`.
fn hops(rest: &str) -> Option<(u8, u8)> {
    if let Some(rest) = rest.strip_prefix("= ") {
        let hops = integer(rest.split(' ').next()?)?;
        return Some((hops, hops));
    }
    let (least, most) = rest.split_once("min hops = ")?.1.split_once(", max hops = ")?;
    let (least, most) = (integer(least)?, integer(most)?);
    (least <= most).then_some((least, most))
}

/// `no reordering`, or `1-reordering = 1.960784%` and lines for more, up to `no 3-reordering`.
fn reordering(draft: &mut Draft, said: &str) -> Option<()> {
    if let Some(share) = said.strip_prefix("1-reordering = ") {
        let share = text::real(share.strip_suffix('%')?)? / 100.0;
        draft.session.one_reordered_ratio = Some(share).filter(|share| (0.0..=1.0).contains(share));
    } else if said == "no reordering" {
        draft.session.reordered = Some(0);
        draft.session.one_reordered_ratio = Some(0.0);
    }
    draft.ended |= said.starts_with("no ") || said.ends_with(" not handled");
    Some(())
}

/// `50.0: 10.8 ms`. Whatever else is said is not ours to understand.
fn percentile(draft: &mut Draft, said: &str) {
    let parsed = said.split_once(": ").and_then(|(percent, delay)| {
        let percent = text::real(percent).filter(|percent| (0.0..=100.0).contains(percent))?;
        let (delay, unit) = delay.split_once(' ')?;
        Some(Percentile { percent, delay_ms: Delay::of(delay, unit)?.milliseconds() })
    });
    if draft.session.percentiles.len() < MOST_PERCENTILES {
        draft.session.percentiles.extend(parsed);
    }
}

/// `0          delay=10.9 ms (sync, err=0.504 ms)`, or `*LOST*` in place of the delay.
fn packet(draft: &mut Draft, rest: &str) -> Option<()> {
    let mut words = rest.split_ascii_whitespace();
    let seq = integer(words.next()?)?;
    let delay_ns = match words.next()?.strip_prefix("delay=") {
        Some(delay) => nanoseconds(Delay::of(delay, words.next()?)?.milliseconds()),
        None => None,
    };
    if draft.session.packets.len() < MOST_PACKETS {
        draft.session.packets.push(Packet { seq, delay_ns, ttl: None });
    }
    Some(())
}

/// A delay as printed, and what makes milliseconds of it.
struct Delay {
    figure: Figure,
    scale: fn(f64) -> f64,
}

impl Delay {
    /// In the unit that was asked for (`-n`).
    fn of(value: &str, unit: &str) -> Option<Self> {
        let scale: fn(f64) -> f64 = match unit {
            "ns" => |value| value / 1e6,
            "us" => |value| value / 1e3,
            "ms" => |value| value,
            "s" => |value| value * 1e3,
            _ => return None,
        };
        Some(Self { figure: Figure::of(value)?, scale })
    }

    /// None where it is undefined.
    fn milliseconds(&self) -> Option<f64> {
        self.figure.scaled(self.scale)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn nanoseconds(milliseconds: Option<f64>) -> Option<i64> {
    const MOST: f64 = 1e15;
    milliseconds.map(|ms| (ms * 1e6).round()).filter(|ns| ns.abs() < MOST).map(|ns| ns as i64)
}
