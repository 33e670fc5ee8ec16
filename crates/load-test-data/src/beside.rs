//! The ping beside a throughput test: the round-trip time on the idle path, and on the loaded one.
//!
//! A request is sent at the ping's start plus its number times its interval. It belongs to the idle path
//! if its reply was there before the test began (or it was lost, and sent before); to the loaded one if
//! it was sent while the test went on. What was on its way when the test began is neither, and so is
//! what was sent after its end. A lost request has an undefined round-trip time, larger than any
//! other (RFC 2681 section 2.4): a percentile that falls among lost ones is none.

use std::ops::Range;

use readings::{
    End, Output,
    ping::{Ping, Reply},
    statistics::percentile,
};
use station::{
    text::Timestamp,
    words::run::{self, Parts},
};

use crate::tables;

/// What the ping beside a test tells; times in microseconds.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Beside {
    /// Median round-trip time before the test; none if it falls among lost requests, or nothing was sent.
    pub idle_p50_us: Option<u64>,
    /// Median while the test went on.
    pub loaded_p50_us: Option<u64>,
    /// 95th percentile while the test went on.
    pub loaded_p95_us: Option<u64>,
    /// The largest of those that were answered while the test went on.
    pub loaded_max_us: Option<u64>,
    /// Requests sent while the test went on.
    pub sent: Option<u64>,
    /// Those of them that were not answered.
    pub lost: Option<u64>,
    /// The replies to them, in the form of the packets of PINGDATA.
    pub packets: Option<String>,
    /// Why there are no figures.
    pub problem: Option<String>,
}

/// What the ping beside a run tells, if there was one.
#[must_use]
pub fn read(parts: &Parts<'_>) -> Option<Beside> {
    let header = &parts.header;
    let beside = header.alone.as_ref()?.beside.as_ref()?;
    let (stdout, stderr) = parts.beside;
    let output = Output { stdout, stderr, end: End::from(&beside.ended) };
    let found = readings::ping::read(&output)
        .map_err(|unreadable| format!("its output was not understood: {unreadable}"))
        .and_then(|ping| Times::of(beside, (header.start_us, header.end_us), &ping)?.judge(&ping));
    Some(found.unwrap_or_else(|why| Beside {
        problem: Some(format!("the ping beside it: {why}")),
        ..Beside::default()
    }))
}

/// When the requests of a ping were sent.
#[derive(Debug, PartialEq, Eq)]
struct Times {
    /// The first request, microseconds since the epoch.
    start: i64,
    /// Microseconds between two.
    interval: i64,
    /// The number of the first request.
    first: u64,
    /// How many were sent.
    sent: u64,
    /// When the test went on.
    test: (Timestamp, Timestamp),
}

impl Times {
    fn of(beside: &run::Beside, test: (Timestamp, Timestamp), ping: &Ping) -> Result<Self, String> {
        let why = || ping.problem.as_ref().map_or("its end is missing".to_owned(), tables::told);
        let sent = ping.transmitted.ok_or_else(why)?;
        let interval = interval_us(&beside.argv).ok_or("how often it asked is not known")?;
        let first = first(ping, sent);
        Ok(Self { start: beside.start_us.0, interval, first, sent, test })
    }

    /// The requests that were sent before and during the test, counted from 0.
    fn spans(&self) -> (Range<u64>, Range<u64>) {
        let until = |Timestamp(end)| {
            let requests = i128::from(end) - i128::from(self.start);
            let requests = (requests + i128::from(self.interval) - 1) / i128::from(self.interval);
            u64::try_from(requests.max(0)).unwrap_or(u64::MAX).min(self.sent)
        };
        let (begin, end) = (until(self.test.0), until(self.test.1));
        (0..begin, begin..end.max(begin))
    }

    /// Whether a reply was there before the test began.
    fn is_early(&self, index: u64, reply: &Reply) -> bool {
        let sent = i128::from(self.start) + i128::from(index) * i128::from(self.interval);
        sent + i128::from(reply.rtt_us.unwrap_or(0)) <= i128::from(self.test.0.0)
    }

    fn judge(&self, ping: &Ping) -> Result<Beside, String> {
        let firsts = ping.packets.iter().filter(|reply| reply.is_first());
        let replies: Vec<(u64, &Reply)> =
            firsts.filter_map(|reply| Some((reply.seq.checked_sub(self.first)?, reply))).collect();
        if u64::try_from(replies.len()) != Ok(ping.received) {
            return Err("it does not name every reply".to_owned());
        }
        if replies.iter().any(|(_, reply)| reply.rtt_us.is_none()) {
            return Err("it does not tell every round-trip time".to_owned());
        }
        Ok(self.figures(&replies))
    }

    fn figures(&self, replies: &[(u64, &Reply)]) -> Beside {
        let (before, during) = self.spans();
        let among = |span: &Range<u64>| -> Vec<(u64, &Reply)> {
            replies.iter().filter(|(index, _)| span.contains(index)).copied().collect()
        };
        let (answered, loaded) = (among(&before), among(&during));
        let early = answered.iter().filter(|(index, reply)| self.is_early(*index, reply)).copied();
        let (idle, delays) = (sorted(early), sorted(loaded.iter().copied()));
        let lost_before = lost(&before, answered.len());
        let lost = lost(&during, loaded.len());
        Beside {
            idle_p50_us: percentile(&idle, lost_before, 50),
            loaded_p50_us: percentile(&delays, lost, 50),
            loaded_p95_us: percentile(&delays, lost, 95),
            loaded_max_us: delays.last().copied(),
            sent: Some(during.end - during.start),
            lost: Some(lost),
            packets: tables::packets(loaded.into_iter().map(|(_, reply)| reply)),
            problem: None,
        }
    }
}

fn lost(span: &Range<u64>, answered: usize) -> u64 {
    (span.end - span.start).saturating_sub(u64::try_from(answered).unwrap_or(u64::MAX))
}

/// The round-trip times, the smallest first.
fn sorted<'a>(replies: impl Iterator<Item = (u64, &'a Reply)>) -> Vec<u64> {
    let mut delays: Vec<u64> = replies.filter_map(|(_, reply)| reply.rtt_us).collect();
    delays.sort_unstable();
    delays
}

/// The number of the first request: 1 by iputils, 0 by the others. Where no reply tells, it is the
/// usual ping's.
fn first(ping: &Ping, sent: u64) -> u64 {
    let mut numbers = ping.packets.iter().map(|reply| reply.seq);
    let from_zero = numbers.clone().any(|seq| seq == 0) && numbers.all(|seq| seq < sent);
    u64::from(!from_zero)
}

/// Microseconds between two requests, by the options of a ping; none where they do not say: adaptive
/// and flooding pings.
fn interval_us(argv: &[String]) -> Option<i64> {
    const SECOND: i64 = 1_000_000;
    let mut words = argv.iter().skip(1).map(String::as_str);
    let mut interval = Some(SECOND);
    while let Some(word) = words.next() {
        interval = match word {
            "-i" | "--interval" => micros(words.next()?),
            "-A" | "-f" => return None,
            _ => match word.strip_prefix("--interval=").or_else(|| word.strip_prefix("-i")) {
                Some(length) => micros(length),
                None => interval,
            },
        };
    }
    interval
}

/// Microseconds of a length in seconds; none of one that is no number, or beyond 1 us to an hour.
fn micros(seconds: &str) -> Option<i64> {
    let micros = seconds.parse::<f64>().ok()? * 1e6;
    #[expect(clippy::cast_possible_truncation, reason = "between 1 and 3.6e9")]
    (1.0..=3.6e9).contains(&micros).then(|| micros.round() as i64)
}

#[cfg(test)]
mod tests {
    use station::words::run::Ended;

    use super::*;

    fn reply(seq: u64, rtt_us: u64) -> Reply {
        Reply { seq, rtt_us: Some(rtt_us), ttl: None, bytes: None, duplicate: false, remark: None }
    }

    fn ping(sent: u64, replies: &[(u64, u64)]) -> Ping {
        Ping {
            transmitted: Some(sent),
            received: replies.len() as u64,
            packets: replies.iter().map(|(seq, rtt)| reply(*seq, *rtt)).collect(),
            complete: true,
            ..Ping::default()
        }
    }

    /// A ping from second 0 on, and a test from second 3 to 8.
    fn judged(options: &[&str], ping: &Ping) -> Result<Beside, String> {
        let beside = run::Beside {
            argv: [&["ping"], options].concat().iter().map(|word| (*word).to_owned()).collect(),
            start_us: Timestamp(0),
            ended: Ended::Exited { status: 0 },
            stdout_bytes: 0,
            stderr_bytes: 0,
        };
        let test = (Timestamp::from_seconds(3), Timestamp::from_seconds(8));
        Times::of(&beside, test, ping)?.judge(ping)
    }

    #[test]
    fn the_idle_and_the_loaded_path_are_told_apart() {
        // Sent in the seconds 0 to 8: three before the test, five during it, one after.
        let replies = [1, 2, 3, 4, 5, 6, 7, 8, 9].map(|seq| (seq, seq * 1_000));
        let seen = judged(&[], &ping(9, &replies)).expect("figures");
        assert_eq!((seen.idle_p50_us, seen.loaded_p50_us), (Some(2_000), Some(6_000)));
        assert_eq!((seen.loaded_p95_us, seen.loaded_max_us), (Some(8_000), Some(8_000)));
        assert_eq!((seen.sent, seen.lost), (Some(5), Some(0)));
        let packets = seen.packets.expect("some");
        assert!(packets.starts_with("[[4,4000,null],") && packets.ends_with("[8,8000,null]]"));
    }

    #[test]
    fn what_is_on_its_way_when_the_test_begins_is_of_neither_path() {
        let seen = judged(&[], &ping(4, &[(1, 10_000), (2, 10_000), (3, 1_500_000), (4, 90_000)]));
        let seen = seen.expect("figures");
        assert_eq!((seen.idle_p50_us, seen.loaded_max_us), (Some(10_000), Some(90_000)));
        assert_eq!((seen.sent, seen.lost), (Some(1), Some(0)));
    }

    #[test]
    fn a_percentile_among_lost_requests_is_none() {
        let seen = judged(&[], &ping(9, &[(1, 100), (5, 900), (6, 800), (8, 700)])).expect("some");
        // Two of three were lost before the test, two of five during it.
        assert_eq!((seen.idle_p50_us, seen.loaded_p50_us), (None, Some(900)));
        assert_eq!((seen.loaded_p95_us, seen.loaded_max_us), (None, Some(900)));
        assert_eq!((seen.sent, seen.lost), (Some(5), Some(2)));
        let seen = judged(&[], &ping(9, &[])).expect("figures");
        assert_eq!((seen.loaded_p50_us, seen.sent, seen.lost), (None, Some(5), Some(5)));
    }

    #[test]
    fn the_options_tell_how_often_it_asked() {
        let interval = |options: &[&str]| {
            let words = [&["ping", "-n"], options, &["192.0.2.1"]].concat();
            interval_us(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(interval(&[]), Some(1_000_000));
        for options in [&["-i", "0.2"][..], &["-i0.2"], &["--interval=0.2"], &["--interval", "0.2"]]
        {
            assert_eq!(interval(options), Some(200_000), "{options:?}");
        }
        for options in [&["-A"][..], &["-f"], &["-i", "0"], &["-i", "x"], &["-i", "1e99"]] {
            assert_eq!(interval(options), None, "{options:?}");
        }
    }

    #[test]
    fn numbers_from_zero_are_known_by_the_zero() {
        assert_eq!(first(&ping(3, &[(0, 1), (2, 1)]), 3), 0);
        assert_eq!(first(&ping(3, &[(1, 1), (3, 1)]), 3), 1);
        assert_eq!(first(&ping(3, &[]), 3), 1);
        let seen = judged(&[], &ping(9, &[(0, 1), (3, 2), (7, 3), (8, 4)])).expect("figures");
        assert_eq!((seen.loaded_max_us, seen.sent, seen.lost), (Some(3), Some(5), Some(3)));
    }

    #[test]
    fn without_figures_there_is_a_reason() {
        let why = |options, ping| judged(options, &ping).expect_err("no figures");
        assert_eq!(why(&["-A"], ping(1, &[])), "how often it asked is not known");
        assert_eq!(why(&[], Ping::default()), "its end is missing");
        let quiet = Ping { received: 5, transmitted: Some(5), ..Ping::default() };
        assert_eq!(why(&[], quiet), "it does not name every reply");
        let mut untimed = ping(1, &[(1, 5)]);
        untimed.packets[0].rtt_us = None;
        assert_eq!(why(&[], untimed), "it does not tell every round-trip time");
    }

    #[test]
    fn no_number_is_too_large() {
        let seen = judged(&["-i", "0.000001"], &ping(u64::MAX, &[(u64::MAX, u64::MAX)]));
        assert_eq!(seen.expect("figures").sent, Some(5_000_000));
    }
}
