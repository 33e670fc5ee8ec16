//! Points and lengths of time as values; nobody here reads a clock.

use std::{
    fmt,
    ops::{Add, Sub},
    str::FromStr,
    time::{Duration, SystemTime},
};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// Microseconds since the epoch, UTC. May lie before 1970 on a machine whose clock is wrong.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// From whole seconds since the epoch.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// The time that a file system or the standard library tells, also one before 1970.
    #[must_use]
    pub fn of(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Self(0) + since,
            Err(before) => Self(0) - before.duration(),
        }
    }

    /// Whole seconds since the epoch, rounded down: what the `*epoch` columns hold.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The time from `self` to `later`; nothing if it is not later.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        Duration::from_micros(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }

    fn utc(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_micros(self.0)
    }

    /// `2026-11-24T02:00:00.123Z`.
    #[must_use]
    pub fn with_millis(self) -> String {
        let format = |utc: DateTime<Utc>| utc.to_rfc3339_opts(SecondsFormat::Millis, true);
        self.utc().map_or_else(|| self.0.to_string(), format)
    }
}

/// `2026-11-24T02:00:00Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.utc() {
            Some(utc) => f.write_str(&utc.to_rfc3339_opts(SecondsFormat::Secs, true)),
            None => write!(f, "{} us", self.0),
        }
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(length.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, length: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(length.as_micros()).unwrap_or(i64::MAX)))
    }
}

/// A length of whole seconds between one second and 366 days: how often, or how long at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(u32);

impl Period {
    /// The longest period: 366 days.
    pub const LONGEST: u32 = 366 * 86_400;

    /// Nothing if `seconds` is zero or more than [`Self::LONGEST`].
    #[must_use]
    pub const fn new(seconds: u32) -> Option<Self> {
        if seconds == 0 || seconds > Self::LONGEST { None } else { Some(Self(seconds)) }
    }

    /// Whole seconds, 1 to [`Self::LONGEST`].
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.0
    }

    /// Microseconds.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0 as i64 * 1_000_000
    }

    /// As a length of time.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds: u32 = text
            .parse()
            .map_err(|_| format!("expected whole seconds such as 600, found \"{text}\""))?;
        Self::new(seconds).ok_or_else(|| {
            format!("expected 1 to {} seconds (366 days), found {seconds}", Self::LONGEST)
        })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

const UNITS: [(&str, u64); 5] =
    [("w", 7 * 86_400), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// Reads `90`, `90s`, `5m`, `1h`, `30d`, `2w`, `1h30m`: seconds unless a unit says otherwise.
///
/// # Errors
/// Says what was expected when `text` is no such length or is longer than 100 years.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("expected a length of time such as 90s, 5m, 1h30m or 30d, found \"{text}\"");
    if let Ok(seconds) = text.parse::<u64>() {
        return bounded(seconds).ok_or_else(wrong);
    }
    let (mut rest, mut total) = (text, 0_u64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let unit = UNITS.iter().find_map(|(name, length)| Some((tail.strip_prefix(name)?, length)));
        let (tail, length) = unit.ok_or_else(wrong)?;
        let part = number.parse::<u64>().ok().and_then(|n| n.checked_mul(*length));
        total = part.and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        rest = tail;
    }
    if text.is_empty() { Err(wrong()) } else { bounded(total).ok_or_else(wrong) }
}

fn bounded(seconds: u64) -> Option<Duration> {
    (seconds <= 100 * 366 * 86_400).then(|| Duration::from_secs(seconds))
}

/// A length of time for people, in its two largest units: `4s`, `3m20s`, `2h5m`, `6d1h`.
#[must_use]
pub fn human_duration(length: Duration) -> String {
    let seconds = length.as_secs();
    let parts = [(seconds / 86_400, 'd'), (seconds / 3_600 % 24, 'h'), (seconds / 60 % 60, 'm')];
    let largest = parts.iter().position(|(count, _)| *count > 0);
    let Some(largest) = largest else {
        return format!("{seconds}s");
    };
    let all = [parts[0], parts[1], parts[2], (seconds % 60, 's')];
    let shown = all.iter().skip(largest).take(2).filter(|(count, _)| *count > 0);
    shown.map(|(count, unit)| format!("{count}{unit}")).collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_never_zero_nor_endless() {
        assert_eq!("600".parse(), Ok(Period(600)));
        for wrong in ["0", "-1", "1.5", "", "31622401", "99999999999", "600s"] {
            assert!(wrong.parse::<Period>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn seconds_round_down_on_both_sides_of_the_epoch() {
        assert_eq!(Timestamp(1_999_999).seconds(), 1);
        assert_eq!(Timestamp(-1).seconds(), -1);
    }

    #[test]
    fn timestamps_print_as_utc() {
        let moment = Timestamp(1_790_000_000_123_456);
        assert_eq!(moment.to_string(), "2026-09-21T14:13:20Z");
        assert_eq!(moment.with_millis(), "2026-09-21T14:13:20.123Z");
        assert_eq!(Timestamp(i64::MAX).to_string(), "9223372036854775807 us");
    }

    #[test]
    fn lengths_are_read_with_and_without_units() {
        let seconds = |text| parse_duration(text).map(|length| length.as_secs());
        assert_eq!(seconds("90"), Ok(90));
        assert_eq!(seconds("1h30m"), Ok(5_400));
        assert_eq!(seconds("30d"), Ok(2_592_000));
        for wrong in ["", "h", "5x", "1h30", "-5s", "9999999999999999999w", "4000w4000w"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lengths_print_their_two_largest_units() {
        let shown = |seconds| human_duration(Duration::from_secs(seconds));
        assert_eq!(shown(0), "0s");
        assert_eq!(shown(200), "3m20s");
        assert_eq!(shown(7_500), "2h5m");
        assert_eq!(shown(7_201), "2h");
        assert_eq!(shown(86_400 * 6 + 3_700), "6d1h");
    }
}
