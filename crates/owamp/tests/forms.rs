//! What the reference tool printed: for each capture there are records of which we print exactly that.

use std::{fs, net::SocketAddr, path::PathBuf};

use owamp::{
    protocol::Record,
    report::{self, End, Style, Told, Unit},
    statistics::{Known, Percent, Summary},
};
use readings::Direction;
use timed_udp::ntp::{ErrorEstimate, NtpTime};

const MS: f64 = 1e6;

fn capture(case: &str) -> String {
    let file = format!("{case}.txt");
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "../readings/tests/captures/owping", &file].iter().collect();
    fs::read_to_string(path).expect("a capture")
}

/// The records of a capture of `-R`, one session after the other.
fn records(text: &str) -> Vec<Vec<Record>> {
    let mut sessions: Vec<Vec<Record>> = Vec::new();
    for record in text.lines().map(record) {
        let is_another = |known: &Record| known.seq == record.seq && known.sent != record.sent;
        match sessions.last_mut() {
            Some(session) if !session.iter().any(is_another) => session.push(record),
            _ => sessions.push(vec![record]),
        }
    }
    sessions
}

fn record(line: &str) -> Record {
    let words: Vec<&str> = line.split(' ').collect();
    let number = |place: usize| words[place].parse::<u64>().expect("a number");
    // All of them are the least that there is.
    let estimate = |place: usize| Some(ErrorEstimate::at_least(0, number(place) == 1));
    Record {
        seq: words[0].parse().expect("a number"),
        sent: NtpTime(number(1)),
        send_error: estimate(2),
        received: Some(NtpTime(number(4))).filter(|time| time.0 != 0),
        receive_error: estimate(5),
        ttl: words[7].parse().expect("a TTL"),
    }
}

/// A session as it is to be printed.
struct Case {
    from: End,
    to: End,
    sid: [u8; 16],
    known: Known,
    /// When the last packet is due.
    last: NtpTime,
    records: Vec<Record>,
    style: Style,
    finished: bool,
}

impl Case {
    /// Every packet at the first one's time, but for the last.
    fn schedule(&self) -> impl Iterator<Item = u64> {
        let length = self.last.0 - self.known.start.0;
        let asked = u64::from(self.known.asked);
        (1..).map(move |number| if number == asked { length } else { 0 })
    }

    fn print(&self, form: impl Fn(&mut Vec<u8>, &Told<'_>, &Style)) -> String {
        let summary = Summary::of(&self.known, self.schedule(), &self.records);
        let told = Told {
            direction: Direction::To,
            from: self.from.clone(),
            to: self.to.clone(),
            sid: self.sid,
            dscp: Some(0),
            padding: 0,
            session_packets: self.known.asked,
            finished: self.finished,
            known: &self.known,
            records: &self.records,
            summary: &summary,
        };
        let mut out = Vec::new();
        form(&mut out, &told, &self.style);
        String::from_utf8(out).expect("text")
    }

    fn human(&self) -> String {
        self.print(|out, told, style| report::human(out, told, style).expect("room"))
    }

    fn machine(&self) -> String {
        self.print(|out, told, style| report::machine(out, told, style).expect("room"))
    }

    /// Packets of these delays, nanoseconds; the rest of those asked for are lost.
    fn deliver(&mut self, delays: &[i64], error: ErrorEstimate, hops: u8) {
        let sent = self.known.start;
        let record = |seq: u32| {
            let delay = delays.get(seq as usize).map(|delay| i128::from(*delay));
            let received = delay.map(|delay| NtpTime::from_unix_nanos(sent.unix_nanos() + delay));
            let (send_error, receive_error) = (Some(error), Some(error));
            Record { seq, sent, send_error, received, receive_error, ttl: 255 - hops }
        };
        self.records = (0..self.known.asked).map(record).collect();
    }
}

/// The text between two others.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("{before:?} in {text}"));
    rest.split_once(after).unwrap_or_else(|| panic!("{after:?} in {rest}")).0
}

fn time(text: &str) -> NtpTime {
    let time = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.3f");
    let millis = time.expect("a time").and_utc().timestamp_millis();
    NtpTime::from_unix_nanos(i128::from(millis) * 1_000_000)
}

fn end(host: &str, port: &str) -> End {
    let address = host.parse().unwrap_or_else(|_| "198.51.100.2".parse().expect("an address"));
    let address = SocketAddr::new(address, port.parse().expect("a port"));
    End { host: host.to_owned(), address }
}

/// Packets sent and lost.
fn counts(text: &str) -> (u32, u32) {
    let counted = text.lines().find(|line| line.contains(" sent, ")).expect("counts");
    let words: Vec<u32> = counted.split([' ', ',']).filter_map(|it| it.parse().ok()).collect();
    (words[0], words[1])
}

/// What a summary for people says of a session, without its packets.
fn session(text: &str) -> Case {
    let (from, to) = (between(text, "from [", "]"), between(text, " to [", "]"));
    let from_port = between(text, &format!("from [{from}]:"), " ");
    let to_port = between(text, &format!(" to [{to}]:"), " ");
    let start = time(between(text, "first:\t", "\n"));
    let unit = if text.contains(" us, (") { Unit::Microseconds } else { Unit::Milliseconds };
    Case {
        from: end(from, from_port),
        to: end(to, to_port),
        sid: sid(between(text, "SID:\t", "\n")),
        known: Known { asked: counts(text).0, start, timeout: 2 << 32, ..Known::default() },
        last: time(between(text, "last:\t", "\n")),
        records: Vec::new(),
        style: Style { unit, ..Style::default() },
        finished: true,
    }
}

fn sid(text: &str) -> [u8; 16] {
    u128::from_str_radix(text, 16).expect("an identifier").to_be_bytes()
}

/// What each clock of the laboratory said: together 0.504 ms, or nothing to speak of.
fn clocks(text: &str) -> ErrorEstimate {
    let is_synchronised = text.contains("err=0.504 ms)");
    ErrorEstimate::at_least(if is_synchronised { 251_000 } else { 0 }, is_synchronised)
}

/// Delays of which the smallest, median, largest and 95th percentile are as a summary shows them, in several ways that
/// its rounding leaves; nanoseconds.
fn delays(text: &str) -> Vec<Vec<i64>> {
    let scale = if text.contains(" us, (") { 1e-3 } else { 1.0 };
    let figure = |text: &str| text.parse::<f64>().expect("a figure") * scale;
    let shown: Vec<f64> = between(text, "min/median/max = ", " ").split('/').map(figure).collect();
    let jitter = figure(between(text, "jitter = ", " "));
    let (sent, lost) = counts(text);
    let mut ways = Vec::new();
    for shift in [0.0, -0.049_99, 0.049_99] {
        for stretch in [1.0, 0.999_6, 1.000_4, 0.0] {
            let median = shown[1] + shift;
            let p95 = if jitter.is_nan() { shown[2] } else { median + jitter * stretch };
            let delay = |rank: u32| match rank {
                1 => shown[0],
                rank if rank < (sent * 95).div_ceil(100) => median,
                rank if rank < sent - lost => p95,
                rank if rank == (sent * 95).div_ceil(100) => p95,
                _ => shown[2].max(p95),
            };
            #[expect(clippy::cast_possible_truncation, reason = "a delay")]
            let way = (1..=sent - lost).map(|rank| (delay(rank) * MS).round() as i64).collect();
            ways.push(largest_last(way, shown[2]));
        }
    }
    ways
}

/// Where the losses begin before the 95th percentile, the last packet that came is the largest all the same.
fn largest_last(mut delays: Vec<i64>, largest: f64) -> Vec<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "a delay")]
    if let Some(last) = delays.last_mut().filter(|last| **last < (largest * MS) as i64 - 50_000) {
        *last = (largest * MS) as i64;
    }
    delays
}

/// The sessions of a capture for people.
fn summaries(text: &str) -> Vec<&str> {
    sessions(text, "\n--- owping")
}

fn sessions<'a>(text: &'a str, begin: &str) -> Vec<&'a str> {
    let marks: Vec<usize> = text.match_indices(begin).map(|(place, _)| place).collect();
    let ends = marks.iter().skip(1).copied().chain([text.len()]);
    marks.iter().zip(ends).map(|(from, to)| &text[*from..to]).collect()
}

fn without_jitter(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("one-way jitter"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_summary_for_people_is_the_reference_tools() {
    let cases =
        "default sync files halfsync name from nu hops-vary loss dark-long total-loss a99-b";
    for case in cases.split(' ') {
        for summary in summaries(&capture(case)) {
            let mut of = session(summary);
            of.style.percentiles.extend((case == "a99-b").then_some(Percent::P50));
            let hops = summary.split_once("hops = ").map(|(_, rest)| &rest[..1]);
            let hops = hops.map_or(0, |hops| hops.parse().expect("a number"));
            let mut print = |delays: &Vec<i64>| {
                of.deliver(delays, clocks(summary), hops);
                of.human()
            };
            let ways: Vec<String> = delays(summary).iter().map(&mut print).collect();
            let is_so = ways.iter().any(|way| way == summary)
                // There a percentile is the edge of a bucket, and so may lie above the largest delay.
                || case == "a99-b"
                    && ways.iter().any(|way| without_jitter(way) == without_jitter(summary));
            assert!(is_so, "{case}: {summary}\n{}", ways[0]);
        }
    }
}

#[test]
fn a_session_of_which_nothing_was_sent_is_the_reference_tools() {
    for case in ["int-middle", "term-middle"] {
        let text = capture(case);
        let summary = summaries(&text)[0];
        let mut of = session(summary);
        of.known.asked = 100;
        assert_eq!(of.human(), summary);
    }
}

#[test]
fn lines_of_packets_are_the_reference_tools() {
    for (case, lines) in [("sync-v", usize::MAX), ("v3-U", 3)] {
        let text = capture(case);
        for pair in summaries(&text).chunks(2) {
            let mut of = session(pair[1]);
            (of.style.lines, of.style.unix_times) = (lines, case == "v3-U");
            let shown = pair[0].lines().filter_map(|line| line.split_once("delay="));
            let millis = |it: &str| it.split(' ').next().expect("a word").parse::<f64>();
            #[expect(clippy::cast_possible_truncation, reason = "a delay")]
            let delays: Vec<i64> =
                shown.map(|(_, it)| (millis(it).expect("a delay") * MS).round() as i64).collect();
            of.deliver(&delays, clocks(pair[1]), 3);
            let (ours, theirs) = (of.human(), pair.concat());
            let median = |text: &str| between(text, "min/median/max = ", " ").to_owned();
            let [own, other] = [&ours, &theirs].map(|text| median(text));
            // The one figure that is a bucket's edge there is the median.
            assert_eq!(
                without_jitter(&ours).replace(&own, ""),
                without_jitter(&theirs).replace(&other, "")
            );
        }
    }
}

#[test]
fn a_limit_of_lines_is_none_of_the_summary() {
    let text = capture("sync-v");
    let mut of = session(summaries(&text)[1]);
    of.style.lines = 3;
    of.deliver(&[10_000_000; 10], clocks(""), 3);
    let printed = of.human();
    assert_eq!(printed.matches("seq_no=").count(), 3);
    assert!(printed.contains("\n10 sent, 0 lost"), "{printed}");
}

#[test]
fn synchronised_packets_have_their_times_if_these_are_asked_for() {
    let text = capture("sync-v");
    let mut of = session(summaries(&text)[1]);
    (of.style.lines, of.style.unix_times) = (usize::MAX, true);
    of.deliver(&[10_750_000], clocks("err=0.504 ms)"), 3);
    let line = "\nseq_no=0 delay=1.075000e+01 ms (sync, err=0.504 ms) sent=1795397757.016000 recv=1795397757.026750\n";
    assert!(of.human().contains(line), "{}", of.human());
    assert!(of.human().contains("\nseq_no=1          *LOST*\n"), "{}", of.human());
}

#[test]
fn raw_records_are_the_reference_tools_to_the_octet() {
    for case in ["R", "loss-R", "dupreorder-R", "total-loss-R"] {
        let text = capture(case);
        let mut out = Vec::new();
        for session in records(&text) {
            report::raw(&mut out, &session).expect("room");
        }
        assert_eq!(String::from_utf8(out).expect("text"), text, "{case}");
    }
}

#[test]
fn reordering_and_duplicates_of_raw_records_are_told() {
    let text = capture("dupreorder-R");
    let summary = "\n--- owping statistics from [a]:1 to [b]:2 ---\nSID:\t00\nfirst:\t2026-11-23T01:36:18.434\n\
         last:\t2026-11-23T01:36:18.763\n15 sent, 0 lost (0.000%), 0 duplicates\n";
    let mut of = session(summary);
    of.records = records(&text).concat();
    let printed = of.human();
    for line in [
        "15 sent, 0 lost (0.000%), 2 duplicates",
        "one-way delay min/median/max = 12.7/47/68.8 ms, (unsync)",
        "one-way jitter = 21.8 ms (P95-P50)",
        "hops = 3 (consistently)",
        "1-reordering = 11.764706%",
        "no 2-reordering",
    ] {
        assert!(printed.contains(&format!("\n{line}\n")), "{line}: {printed}");
    }
    let machine = of.machine();
    assert!(machine.ends_with("\n<NREORDERING>\n\t1\t2\n</NREORDERING>\n"), "{machine}");
}

/// What a summary for machines says of a session, without its packets.
fn of_machine(text: &str) -> Case {
    let value = |key: &str| between(text, &format!("{key}\t"), "\n");
    let number = |key: &str| value(key).parse::<u64>().expect("a number");
    let start = NtpTime(number("START_TIME"));
    let asked = value("SESSION_PACKET_COUNT").parse().expect("a number");
    let [from, to] = ["FROM", "TO"].map(|end| {
        let address = value(&format!("{end}_ADDR")).parse().expect("an address");
        let port = value(&format!("{end}_PORT")).parse().expect("a port");
        End {
            host: value(&format!("{end}_HOST")).to_owned(),
            address: SocketAddr::new(address, port),
        }
    });
    Case {
        from,
        to,
        sid: sid(value("SID")),
        known: Known { asked, start, timeout: number("LOSS_TIMEOUT"), ..Known::default() },
        last: NtpTime(number("END_TIME")),
        records: Vec::new(),
        style: Style::default(),
        finished: value("SESSION_FINISHED") == "1",
    }
}

/// Delays at the upper edges of their buckets, the first and the last as they are told.
fn of_buckets(text: &str) -> Vec<i64> {
    let Some((_, rest)) = text.split_once("<BUCKETS>\n") else { return Vec::new() };
    let nanos = |key: &str| {
        let seconds: f64 = between(text, &format!("{key}\t"), "\n").parse().expect("a delay");
        #[expect(clippy::cast_possible_truncation, reason = "a delay")]
        let nanos = (seconds * 1e9).round() as i64;
        nanos
    };
    let mut delays = Vec::new();
    for line in rest.lines().take_while(|line| line.starts_with('\t')) {
        let words: Vec<i64> = line.split('\t').filter_map(|it| it.parse().ok()).collect();
        delays.extend((0..words[1]).map(|_| (words[0] * 100_000).min(nanos("MAX"))));
    }
    delays[0] = nanos("MIN");
    *delays.last_mut().expect("a delay") = nanos("MAX");
    delays
}

#[test]
fn the_summary_for_machines_is_the_reference_tools() {
    for case in ["M", "loss-M", "total-loss-M"] {
        let text = capture(case);
        let summaries = sessions(&text, "SUMMARY");
        assert!(!summaries.is_empty());
        for summary in summaries {
            let mut of = of_machine(summary);
            of.deliver(&of_buckets(summary), clocks(""), 3);
            let printed = of.machine();
            assert_eq!(printed.lines().count(), summary.lines().count(), "{case}\n{printed}");
            for (ours, theirs) in printed.lines().zip(summary.lines()) {
                assert!(ours == theirs || is_near(ours, theirs), "{case}: {ours} for {theirs}");
            }
        }
    }
}

/// A figure that the reference tool knows to the width of a bucket only.
fn is_near(ours: &str, theirs: &str) -> bool {
    let figure = |line: &str| {
        let (key, value) = line.split_once('\t')?;
        ["MEDIAN", "PDV"]
            .contains(&key)
            .then(|| Some((key.to_owned(), value.parse::<f64>().ok()?)))?
    };
    figure(ours)
        .zip(figure(theirs))
        .is_some_and(|((key, one), (other, two))| key == other && (one - two).abs() <= 1.001e-4)
}

#[test]
fn it_is_said_first_how_long_it_takes() {
    let mut out = Vec::new();
    report::approximately(&mut out, 3.449).expect("room");
    assert_eq!(out, b"Approximately 3.4 seconds until results available\n");
}
