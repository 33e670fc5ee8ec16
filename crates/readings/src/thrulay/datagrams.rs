//! The report of a test over UDP, which the server makes.

use crate::{
    Unreadable,
    statistics::{real, whole},
    text::{Figure, Line, integer, microseconds},
    throughput::{Flow, Interval, OneWayDelay},
};

use super::towards_target;

/// Datagrams up to which a share of three digits (`1.968%`) tells one number.
const MOST_COUNTED: u64 = 50_000;

#[derive(Default)]
pub(super) struct Report {
    sent: Option<u64>,
    /// Datagrams that came, duplicates among them.
    received: Option<u64>,
    unique: Option<u64>,
    delay: OneWayDelay,
    /// Share of 1-reordered datagrams, per cent.
    reordering: Option<Figure>,
}

impl Report {
    pub(super) fn take(&mut self, line: &Line<'_>, said: &str) -> Result<(), Unreadable> {
        let number = |words: &str, text: &str| {
            integer(text).ok_or_else(|| line.wrong(words, said)).map(Some)
        };
        if let Some((who, count)) = packets(said) {
            match who {
                "Client said it sent" => self.sent = number("packets sent", count)?,
                "total" => self.received = number("packets received", count)?,
                "unique" => self.unique = number("packets received", count)?,
                _ => {}
            }
        } else if let Some((percentile, delay)) = said.split_once("th:") {
            self.take_delay(percentile, delay.trim()).ok_or_else(|| line.wrong("a delay", said))?;
        } else if let Some(share) = said.strip_prefix("Reordering:") {
            let share = share.trim().strip_suffix('%').and_then(Figure::of);
            self.reordering = Some(share.ok_or_else(|| line.wrong("a share in per cent", said))?);
        }
        Ok(())
    }

    fn take_delay(&mut self, percentile: &str, delay: &str) -> Option<()> {
        let magnitude = delay.strip_suffix("ms")?;
        let negative = magnitude.strip_prefix('-');
        let delay = i64::try_from(microseconds(negative.unwrap_or(magnitude))?).ok()?;
        let delay = Some(if negative.is_some() { -delay } else { delay });
        match percentile {
            "0" => self.delay.min_us = delay,
            "25" => self.delay.p25_us = delay,
            "50" => self.delay.p50_us = delay,
            "75" => self.delay.p75_us = delay,
            "95" => self.delay.p95_us = delay,
            _ => {}
        }
        Some(())
    }

    /// The flow, and whether the report goes to its end.
    pub(super) fn flow(self) -> Result<(Option<Flow>, bool), Unreadable> {
        let less = |of: Option<u64>, part: Option<u64>| {
            let both = of.zip(part);
            both.map(|(of, part)| of.checked_sub(part).ok_or_else(contradiction)).transpose()
        };
        let received = Interval {
            datagrams: self.sent,
            lost: less(self.sent, self.unique)?,
            duplicates: less(self.received, self.unique)?,
            reordered: self.reordered(),
            ..Interval::default()
        };
        let mut flow = towards_target();
        flow.streams = 1;
        flow.received = Some(received);
        flow.delay = (self.delay != OneWayDelay::default()).then_some(self.delay);
        Ok((Some(flow), self.reordering.is_some()))
    }

    /// How many were 1-reordered. The share is one of all that came but the first.
    fn reordered(&self) -> Option<u64> {
        let share = self.reordering?.scaled(|share| share / 100.0);
        let share = share.filter(|share| (0.0..=1.0).contains(share))?;
        if share <= 0.0 {
            return Some(0);
        }
        let others = self.unique?.checked_sub(1).filter(|others| *others <= MOST_COUNTED)?;
        whole(share * real(others))
    }
}

/// `Client said it sent 1666 packets`, `Server received 1619 total packets`: which count, and how many.
fn packets(said: &str) -> Option<(&str, &str)> {
    let said = said.strip_suffix(" packets")?;
    match said.strip_prefix("Server received ") {
        Some(rest) => rest.split_once(' ').map(|(count, which)| (which, count)),
        None => said.rsplit_once(' '),
    }
}

fn contradiction() -> Unreadable {
    let reason = "expected fewer datagrams received than sent, and fewer unique than received";
    Unreadable { reason: reason.to_owned(), line: None }
}
