//! Numbers and times as C's `printf` and `strftime` write them.

use chrono::DateTime;
use timed_udp::ntp::NtpTime;

/// `%.<digits>g`.
pub(super) fn general(value: f64, digits: usize) -> String {
    let digits = digits.max(1);
    if !value.is_finite() {
        return if value.is_nan() { "nan".to_owned() } else { format!("{value}") };
    }
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let most = i32::try_from(digits).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= most {
        return format!("{}{}", trimmed(mantissa), power(exponent));
    }
    let after = usize::try_from(most - 1 - exponent).unwrap_or(0);
    trimmed(&format!("{value:.after$}")).to_owned()
}

/// `%e`.
pub(super) fn scientific(value: f64) -> String {
    let text = format!("{value:.6e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{mantissa}{}", power(exponent.parse().unwrap_or(0)))
}

/// Without zeros at the end of its fraction, and without a point that nothing follows.
fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

fn power(exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("e{sign}{:02}", exponent.unsigned_abs())
}

/// A time of day so many seconds ahead of UTC, to the nearest millisecond: `2026-11-23T01:30:41.607`.
pub(super) fn local(time: NtpTime, utc_offset: i32) -> String {
    let millis = (time.unix_nanos() + 500_000).div_euclid(1_000_000);
    let local = millis + i128::from(utc_offset) * 1_000;
    let local = i64::try_from(local).ok().and_then(DateTime::from_timestamp_millis);
    local.map_or("XXX".to_owned(), |time| time.format("%Y-%m-%dT%H:%M:%S%.3f").to_string())
}

/// Seconds after 1970 with six digits: `%f`.
pub(super) fn unix(time: NtpTime) -> String {
    let micros = (time.unix_nanos() + 500).div_euclid(1_000);
    format!("{}.{:06}", micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000))
}

/// Nanoseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "fifteen digits are more than are printed")]
pub(super) fn seconds(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}

/// Seconds as nanoseconds, to a tenth.
pub(super) fn nanos(seconds: f64) -> f64 {
    (seconds * 1e10).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_printf_writes_them() {
        for (value, expected) in [
            (10.6, "10.6"),
            (0.0, "0"),
            (-0.25, "-0.25"),
            (10_600.0, "1.06e+04"),
            (999.6, "1e+03"),
            (0.000_123_456, "0.000123"),
            (0.000_012_3, "1.23e-05"),
            (200.0, "200"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(general(value, 3), expected);
        }
        assert_eq!(general(0.010_597_7, 6), "0.0105977");
        assert_eq!(general(4.656_612_873_077_393e-10, 6), "4.65661e-10");
        assert_eq!(scientific(10.75), "1.075000e+01");
        assert_eq!(scientific(-0.000_5), "-5.000000e-04");
    }

    #[test]
    fn times_are_rounded_to_the_millisecond_and_carry_over() {
        let time = NtpTime::from_unix_nanos(1_795_397_441_999_600_000);
        assert_eq!(local(time, 0), "2026-11-23T01:30:42.000");
        assert_eq!(local(time, -7_200), "2026-11-22T23:30:42.000");
        assert_eq!(unix(time), "1795397441.999600");
    }
}
