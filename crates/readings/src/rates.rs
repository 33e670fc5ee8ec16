//! Volumes and rates as the throughput tools print them, and which of them can be believed.
//!
//! A volume counts by 1024 (`1.00 KBytes` is 1024 bytes), a rate in bits by 1000, a rate in bytes by
//! 1024 again. The last digit of a figure tells how exact it is, and two figures that contradict each
//! other beyond that are the leavings of an overflow, not of a measurement.

use crate::{statistics::real, throughput::Interval};

/// No path carries more, bit/s; what is printed beyond it comes of a division by nearly nothing.
const FASTEST_BPS: f64 = 1e15;
/// No test runs longer, seconds: thirty years.
const LONGEST_S: f64 = 1e9;
/// How far volume, time and rate may disagree beyond the rounding of each, as a factor.
const SLACK: f64 = 1.1;
/// Digits that a figure may have; with more it would not fit into 64 bits.
const MOST_DIGITS: usize = 18;

/// A number that is not negative, as printed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Printed {
    /// What it says.
    pub(crate) value: f64,
    /// Half a unit of its last digit.
    half: f64,
}

impl Printed {
    /// Digits with at most one point, or a comma where the locale writes one.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let (mut digits, mut number, mut decimals) = (0, 0_u64, None);
        for byte in text.bytes() {
            match byte {
                b'0'..=b'9' if digits < MOST_DIGITS => {
                    digits += 1;
                    number = number * 10 + u64::from(byte - b'0');
                    decimals = decimals.map(|decimals| decimals + 1);
                }
                b'.' | b',' if decimals.is_none() => decimals = Some(0),
                _ => return None,
            }
        }
        let unit = POWERS.get(decimals.unwrap_or(0))?;
        (digits > 0).then(|| Self { value: real(number) / *unit, half: 0.5 / *unit })
    }

    /// A figure that is not rounded, such as the bytes in csv.
    pub(crate) const fn exact(value: f64) -> Self {
        Self { value, half: 0.0 }
    }

    fn times(self, factor: f64) -> Self {
        Self { value: self.value * factor, half: self.half * factor }
    }

    fn most(self) -> f64 {
        self.value + self.half
    }

    fn least(self) -> f64 {
        (self.value - self.half).max(0.0)
    }
}

/// The powers of ten that a figure can be divided by.
const POWERS: [f64; MOST_DIGITS + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18,
];

/// Bytes: `12.1` `MBytes`.
pub(crate) fn volume(number: &str, unit: &str) -> Option<Printed> {
    let prefix = unit.strip_suffix("Bytes")?;
    Some(Printed::of(number)?.times(scale(prefix, BINARY)?))
}

/// Bits per second: `18.9` `Mbits/sec`, `2.25` `MBytes/sec`.
pub(crate) fn rate(number: &str, unit: &str) -> Option<Printed> {
    let unit = unit.strip_suffix("/sec")?;
    let factor = match unit.strip_suffix("bits") {
        Some(prefix) => scale(prefix, DECIMAL)?,
        None => scale(unit.strip_suffix("Bytes")?, BINARY)? * 8.0,
    };
    Some(Printed::of(number)?.times(factor))
}

/// One, and what a kilo, mega, giga, tera and peta are.
type Scale = [f64; 6];
const DECIMAL: Scale = [1.0, 1e3, 1e6, 1e9, 1e12, 1e15];
const BINARY: Scale =
    [1.0, 1024.0, 1_048_576.0, 1_073_741_824.0, 1_099_511_627_776.0, 1_125_899_906_842_624.0];

fn scale(prefix: &str, scale: Scale) -> Option<f64> {
    let exponent = match prefix {
        "" => 0,
        "K" | "k" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        "P" => 5,
        _ => return None,
    };
    Some(scale[exponent])
}

/// From when to when, how much and how fast, as printed; `None` for what is no number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) start: Printed,
    pub(crate) end: Printed,
    pub(crate) bytes: Option<Printed>,
    pub(crate) bits_per_s: Option<Printed>,
}

impl Figures {
    /// The interval, without figures that cannot be; nothing if it ends before it begins.
    pub(crate) fn interval(&self) -> Option<Interval> {
        let (start_s, end_s) = (self.start.value, self.end.value);
        if start_s > end_s || end_s > LONGEST_S {
            return None;
        }
        let bare = Interval { start_s, end_s, ..Interval::default() };
        let Some((bytes, bits_per_s)) = self.bytes.zip(self.bits_per_s) else { return Some(bare) };
        if bits_per_s.value > FASTEST_BPS || self.is_contradiction(bytes, bits_per_s) {
            return Some(bare);
        }
        let rate = exacter(bytes.value, bits_per_s.value, end_s - start_s);
        Some(Interval { bytes: whole(bytes.value), bits_per_s: rate, ..bare })
    }

    /// Whether no time between the printed ones, rounded as they are, fits volume and rate.
    fn is_contradiction(&self, bytes: Printed, bits_per_s: Printed) -> bool {
        let margin = self.start.half + self.end.half;
        let time = self.end.value - self.start.value;
        let (shortest, longest) = ((time - margin).max(0.0), time + margin);
        bits_per_s.least() * shortest > bytes.most() * 8.0 * SLACK
            || bits_per_s.most() * longest * SLACK < bytes.least() * 8.0
    }
}

/// The printed rate. Where its unit is so large that it shows as zero although something went
/// (`-f T`), it follows from volume and time; where no time passed, there is none.
fn exacter(bytes: f64, bits_per_s: f64, time_s: f64) -> Option<f64> {
    if bits_per_s == 0.0 && time_s > 0.0 {
        Some(bytes * 8.0 / time_s)
    } else {
        (bits_per_s > 0.0).then_some(bits_per_s)
    }
}

/// The number rounded to a whole one, if it is one that can be counted to.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
pub(crate) fn whole(number: f64) -> Option<u64> {
    (0.0..1e18).contains(&number).then(|| number.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: Option<Printed>, expected: f64) -> bool {
        found.is_some_and(|found| (found.value - expected).abs() <= expected.abs() * 1e-12)
    }

    #[test]
    fn volumes_count_by_1024_and_rates_in_bits_by_1000() {
        for (number, unit, bytes) in [
            ("0.00", "Bytes", 0.0),
            ("1048576", "Bytes", 1_048_576.0),
            ("12416", "KBytes", 12_713_984.0),
            ("12.1", "MBytes", 12_687_769.6),
            ("0.001", "GBytes", 1_073_741.824),
            ("2", "TBytes", 2_199_023_255_552.0),
        ] {
            assert!(close(volume(number, unit), bytes), "{number} {unit}");
        }
        for (number, unit, bits_per_s) in [
            ("0.00", "bits/sec", 0.0),
            ("439746697", "bits/sec", 439_746_697.0),
            ("18902", "Kbits/sec", 18_902_000.0),
            ("17,5", "Mbits/sec", 17_500_000.0),
            ("400", "Gbits/sec", 400e9),
            ("0.4", "Tbits/sec", 400e9),
            ("53392535", "Bytes/sec", 427_140_280.0),
            ("53442", "KBytes/sec", 437_796_864.0),
            ("58.1", "MBytes/sec", 487_378_124.8),
            ("46.6", "GBytes/sec", 400_290_951_987.2),
            ("0", "TBytes/sec", 0.0),
        ] {
            assert!(close(rate(number, unit), bits_per_s), "{number} {unit}");
        }
    }

    #[test]
    fn what_is_no_plain_number_is_no_figure() {
        for text in ["", ".", "-1", "+1", "nan", "-nan", "inf", "1e3", "1.2.3", "1 2", "1_0"] {
            assert_eq!(Printed::of(text), None, "{text}");
        }
        assert_eq!(Printed::of("147573952589675872256"), None, "more than can be counted");
        for unit in ["", "Bytes", "bits", "XBytes/sec", "bits/s", "Mbits/sec/m"] {
            assert_eq!(rate("1", unit), None, "{unit}");
        }
    }

    fn interval(times: (&str, &str), bytes: (&str, &str), bps: (&str, &str)) -> Option<Interval> {
        let (start, end) = (Printed::of(times.0)?, Printed::of(times.1)?);
        let (bytes, bits_per_s) = (volume(bytes.0, bytes.1), rate(bps.0, bps.1));
        Figures { start, end, bytes, bits_per_s }.interval()
    }

    #[test]
    fn figures_that_contradict_each_other_are_none() {
        let rate = |times, bytes, bps| interval(times, bytes, bps)?.bits_per_s;
        let gbps = ("8.39", "Gbits/sec");
        assert!(rate(("0.0", "0.0"), ("1.00", "MBytes"), gbps).is_some(), "a time that is rounded");
        assert!(rate(("0.0", "1.0"), ("1.00", "MBytes"), gbps).is_none());
        assert!(rate(("0.0", "1.0"), ("0.99", "GBytes"), gbps).is_some());
        assert!(rate(("0.0", "1.0"), ("99.0", "GBytes"), gbps).is_none());
        assert!(rate(("0.0", "1.0"), ("999", "PBytes"), ("9000", "Pbits/sec")).is_none());
        assert!(rate(("2.0", "1.0"), ("9.00", "GBytes"), gbps).is_none());
    }

    #[test]
    fn a_rate_too_small_for_its_unit_follows_from_the_volume() {
        let found = interval(("0.00", "1.00"), ("2.57", "GBytes"), ("0.00", "TBytes/sec"));
        let bits_per_s = found.and_then(|interval| interval.bits_per_s).expect("a rate");
        assert!((bits_per_s - 2.57 * 1024_f64.powi(3) * 8.0).abs() < 1.0);
    }

    #[test]
    fn nothing_in_no_time_is_no_rate() {
        let found = interval(("0.0", "0.0"), ("0.00", "Bytes"), ("0.00", "bits/sec"));
        let found = found.expect("an interval");
        assert_eq!((found.bytes, found.bits_per_s), (Some(0), None));
    }
}
