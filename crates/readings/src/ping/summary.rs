//! The last lines: how many were sent and answered, and the printed statistics.

use crate::{
    Unreadable,
    statistics::{Spread, real},
    text::{Line, find, integer, microseconds},
};

/// `15 packets transmitted, 10 received, +8 duplicates, +1 errors, 33.3333% packet loss, ...`
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) transmitted: u64,
    pub(super) received: u64,
    pub(super) duplicates: u64,
    pub(super) errors: u64,
    /// Where it stands.
    pub(super) line: usize,
}

impl Summary {
    pub(super) fn is_one(said: &str) -> bool {
        find(said, " packets transmitted").is_some()
    }

    /// Reads the line; nothing if it breaks off before both numbers are there.
    ///
    /// The loss in per cent is not read: it is rounded, and follows from the others.
    pub(super) fn of(line: &Line<'_>, said: &str) -> Result<Option<Self>, Unreadable> {
        let (mut transmitted, mut received) = (None, None);
        let mut summary = Self { line: line.number, ..Self::default() };
        for part in said.split(", ") {
            let number = || number(line, part);
            match part.split_whitespace().last() {
                Some("transmitted") => transmitted = Some(number()?),
                Some("received") => received = Some(number()?),
                Some("duplicates") => summary.duplicates = number()?,
                Some("errors") => summary.errors = number()?,
                _ => {}
            }
        }
        match (transmitted, received) {
            (Some(transmitted), Some(received)) => {
                Ok(Some(Self { transmitted, received, ..summary }))
            }
            _ if line.finished => Err(line.wrong("how many were received", said)),
            _ => Ok(None),
        }
    }

    /// The number answered; some tools count duplicates among them.
    pub(super) fn answered(&self) -> Result<u64, Unreadable> {
        let most = self.transmitted.saturating_add(self.duplicates);
        if self.received > most {
            let (sent, received) = (self.transmitted, self.received);
            let reason = format!("expected at most {sent} received, found {received}");
            return Err(Unreadable { reason, line: Some(self.line) });
        }
        Ok(self.received.min(self.transmitted))
    }
}

fn number(line: &Line<'_>, part: &str) -> Result<u64, Unreadable> {
    let word = part.split_whitespace().next().unwrap_or_default();
    integer(word.trim_start_matches('+')).ok_or_else(|| line.wrong("a number of packets", word))
}

/// `rtt min/avg/max/mdev = 21.6/21.7/21.8/0.1 ms, pipe 4`, each in milliseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Times {
    pub(super) min: Option<f64>,
    pub(super) avg: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) mdev: Option<f64>,
}

impl Times {
    pub(super) fn are_in(said: &str) -> bool {
        (said.starts_with("rtt ") || said.starts_with("round-trip ")) && said.contains('/')
    }

    /// Reads the line; nothing if it breaks off.
    pub(super) fn of(line: &Line<'_>, said: &str) -> Result<Option<Self>, Unreadable> {
        let whole = said.split_once(" = ").and_then(|(names, values)| {
            let (values, _) = values.split_once(" ms")?;
            Some((names.split_whitespace().last()?, values))
        });
        let Some((names, values)) = whole else {
            let broken = line.wrong("\"min/avg/max = ... ms\"", said);
            return if line.finished { Err(broken) } else { Ok(None) };
        };
        let mut times = Self::default();
        for (name, value) in names.split('/').zip(values.split('/')) {
            let value = milliseconds(line, value)?;
            match name {
                "min" => times.min = value,
                "avg" => times.avg = value,
                "max" => times.max = value,
                "mdev" | "stddev" | "std-dev" => times.mdev = value,
                _ => {}
            }
        }
        Ok(Some(times))
    }

    /// The spread of delays in microseconds.
    pub(super) fn computed(delays_us: &[u64]) -> Option<Self> {
        let spread = Spread::of(delays_us)?;
        let ms = |us: f64| Some(us / 1000.0);
        Some(Self {
            min: ms(spread.min),
            avg: ms(spread.mean),
            max: ms(spread.max),
            mdev: ms(spread.deviation),
        })
    }
}

/// The value, or nothing for one that came of a division by zero.
fn milliseconds(line: &Line<'_>, value: &str) -> Result<Option<f64>, Unreadable> {
    match value.trim_start_matches('-') {
        "nan" | "inf" => Ok(None),
        _ => match microseconds(value) {
            Some(us) => Ok(Some(real(us) / 1000.0)),
            None => Err(line.wrong("a time in ms", value)),
        },
    }
}
