//! What a specification, or a group of nodes, may use up in a day, and the hours in which it may run.
//!
//! Days and hours are UTC, as all times of a station.

use std::{fmt, str::FromStr, time::Duration};

use crate::text::{Timestamp, human_duration, parse_duration};

const DAY: Duration = Duration::from_secs(86_400);
const MINUTES: u16 = 24 * 60;

/// What may be used up in a day, and when; without limits by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Bytes that tests may send, both ways together.
    pub bytes: Option<Volume>,
    /// Time that tests may have the channel.
    pub time: Option<Span>,
    /// The hours in which tests may start.
    pub hours: Hours,
}

/// What was used up, or is about to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Use {
    /// Bytes that tests sent.
    pub bytes: u64,
    /// Time that tests had the channel.
    pub time: Duration,
}

impl Use {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            time: self.time.saturating_add(other.time),
        }
    }
}

impl Allowance {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_free(&self) -> bool {
        *self == Self::default()
    }

    /// Why a run that is likely to use `next` may not start at `now`, after `used` was used up this day.
    #[must_use]
    pub fn objection(&self, now: Timestamp, used: Use, next: Use) -> Option<String> {
        let whole = used.and(next);
        if let Some(Volume(most)) =
            self.bytes.filter(|Volume(most)| whole.bytes > *most || used.bytes >= *most)
        {
            return Some(format!(
                "it may send {} a day (UTC), {} were sent and a run sends {}",
                Volume(most),
                Volume(used.bytes),
                Volume(next.bytes)
            ));
        }
        if let Some(Span(most)) =
            self.time.filter(|Span(most)| whole.time > *most || used.time >= *most)
        {
            return Some(format!(
                "it may have the channel for {} a day (UTC), it had it for {} and a run takes {}",
                human_duration(most),
                human_duration(used.time),
                human_duration(next.time)
            ));
        }
        (!self.hours.contain(now))
            .then(|| format!("it may run only in the hours {} (UTC)", self.hours))
    }
}

/// Whether a reason, with whatever stands before it, is that of an [`Allowance::objection`]: all goes as it was
/// ordered.
#[must_use]
pub fn is_objection(reason: &str) -> bool {
    // What each of them begins with.
    const MAY: [&str; 3] = ["it may send ", "it may have the channel ", "it may run only "];
    MAY.iter().any(|may| reason.contains(may))
}

/// When the day of a time began.
#[must_use]
pub fn day_of(now: Timestamp) -> Timestamp {
    let day = i64::try_from(DAY.as_micros()).unwrap_or(i64::MAX);
    Timestamp(now.0 - now.0.rem_euclid(day))
}

/// A number of bytes, written `500M` or `2G`; K, M, G and T stand for powers of 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Volume(pub u64);

const UNITS: [(char, u64); 4] =
    [('T', 1_000_000_000_000), ('G', 1_000_000_000), ('M', 1_000_000), ('K', 1_000)];

impl FromStr for Volume {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let unit = UNITS.iter().find_map(|(unit, size)| Some((text.strip_suffix(*unit)?, *size)));
        let (digits, size) = unit.unwrap_or((text, 1));
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = plain.then(|| digits.parse::<u64>().ok()?.checked_mul(size)).flatten();
        number.map(Self).ok_or_else(|| {
            format!("expected a number such as 500M or 2G (K, M, G, T: powers of 1000), found \"{text}\"")
        })
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, size)| self.0 >= *size && self.0.is_multiple_of(*size));
        let large = || UNITS.iter().find(|(_, size)| self.0 >= 10 * size);
        match whole.or_else(large) {
            Some((unit, size)) => write!(f, "{}{unit}", self.0 / size),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A length of time, written as everywhere: `90s`, `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        parse_duration(text).map(Self)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0.as_secs())
    }
}

/// Hours of the day, written `22-6` or `0:30-5,12-13:15`; all of them by default. The end does not belong to
/// them; a stretch may go over midnight.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hours(Vec<(u16, u16)>);

impl Hours {
    /// Whether a time lies in them.
    #[must_use]
    pub fn contain(&self, now: Timestamp) -> bool {
        let minute = u16::try_from(now.seconds().rem_euclid(86_400) / 60).unwrap_or(0);
        let within = |(from, to): &(u16, u16)| {
            if from < to { (*from..*to).contains(&minute) } else { minute >= *from || minute < *to }
        };
        self.0.is_empty() || self.0.iter().any(within)
    }
}

impl FromStr for Hours {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("expected hours of the day such as 22-6 or 0:30-5,12-13, found \"{text}\"");
        let stretch = |part: &str| {
            let (from, to) = part.split_once('-')?;
            let (from, to) = (minute(from)?, minute(to)?);
            (from < MINUTES && from != to).then_some((from, to))
        };
        let parts = text.split(',').map(|part| stretch(part.trim()));
        parts.collect::<Option<Vec<_>>>().map(Self).ok_or_else(wrong)
    }
}

/// The minute of the day that `7` or `7:30` stands for; `24` is the end of the day.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':').unwrap_or((text, "0"));
    let number = |text: &str| {
        let plain = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let of_day = hour * 60 + minute;
    (minute < 60 && of_day <= MINUTES).then_some(of_day)
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |minute: u16| match (minute / 60, minute % 60) {
            (hour, 0) => hour.to_string(),
            (hour, minute) => format!("{hour}:{minute:02}"),
        };
        let parts = self.0.iter().map(|(from, to)| format!("{}-{}", time(*from), time(*to)));
        f.write_str(&parts.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64, minute: i64) -> Timestamp {
        Timestamp::from_seconds(1_790_000_000 / 86_400 * 86_400 + hour * 3_600 + minute * 60)
    }

    #[test]
    fn hours_may_go_over_midnight() {
        let hours: Hours = "22-6,12:30-13".parse().expect("hours");
        let within = [(22, 0), (23, 59), (0, 0), (5, 59), (12, 30), (12, 59)];
        assert!(within.iter().all(|(hour, minute)| hours.contain(at(*hour, *minute))));
        let without = [(21, 59), (6, 0), (12, 29), (13, 0)];
        assert!(without.iter().all(|(hour, minute)| !hours.contain(at(*hour, *minute))));
        assert_eq!(hours.to_string(), "22-6,12:30-13");
        assert!(Hours::default().contain(at(4, 4)));
        for wrong in ["", "6", "6-6", "24-3", "5-25", "5-7:60", "a-b", "-1-3", "5-7,", "5-7;8-9"] {
            assert!(wrong.parse::<Hours>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn volumes_are_powers_of_a_thousand() {
        let cases = [
            ("0", 0),
            ("1500", 1_500),
            ("2K", 2_000),
            ("500M", 500_000_000),
            ("3T", 3_000_000_000_000),
        ];
        for (text, bytes) in cases {
            assert_eq!(text.parse(), Ok(Volume(bytes)), "{text}");
        }
        for wrong in ["", "M", "-1", "1.5G", "1Q", "99999999999999999999", "99999999T"] {
            assert!(wrong.parse::<Volume>().is_err(), "{wrong}");
        }
        assert_eq!(Volume(500_000_000).to_string(), "500M");
        assert_eq!(Volume(12_345_678).to_string(), "12M");
    }

    #[test]
    fn a_run_that_would_go_over_a_limit_may_not_start() {
        let allowance = Allowance {
            bytes: Some(Volume(1_000)),
            time: Some(Span(Duration::from_secs(60))),
            hours: "0-12".parse().expect("hours"),
        };
        let used = |bytes, seconds| Use { bytes, time: Duration::from_secs(seconds) };
        assert_eq!(allowance.objection(at(3, 0), used(0, 0), used(1_000, 60)), None);
        let told =
            |hour, used, next| allowance.objection(at(hour, 0), used, next).unwrap_or_default();
        assert!(
            told(3, used(600, 0), used(500, 10))
                .starts_with("it may send 1K a day (UTC), 600 were")
        );
        assert!(told(3, used(1_000, 0), used(0, 10)).contains("may send"));
        assert!(told(3, used(0, 55), used(0, 10)).contains("for 1m a day"));
        assert_eq!(told(13, used(0, 0), used(0, 0)), "it may run only in the hours 0-12 (UTC)");
        for why in [
            told(3, used(600, 0), used(500, 10)),
            told(3, used(0, 55), used(0, 10)),
            told(13, used(0, 0), used(0, 0)),
        ] {
            assert!(is_objection(&why) && is_objection(&format!("group far: {why}")), "{why}");
        }
        assert!(!is_objection("the channel was held by 7, to n"));
        assert!(Allowance::default().is_free() && !allowance.is_free());
    }

    #[test]
    fn a_day_begins_at_midnight_utc() {
        assert_eq!(day_of(at(13, 59)), at(0, 0));
        assert_eq!(day_of(at(0, 0)), at(0, 0));
        assert_eq!(day_of(Timestamp(-1)), Timestamp::from_seconds(-86_400));
    }
}
