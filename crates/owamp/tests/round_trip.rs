//! Our own reader reads every form that we print to the same figures.

use std::{fs, path::PathBuf};

use owamp::{
    protocol::{Record, Sid},
    report::{self, Document, End, Style, Told},
    statistics::{Known, Percent, Summary},
};
use proptest::prelude::*;
use readings::{
    Direction, Output,
    oneway::{OneWay, Packet, Session},
    owping,
};
use timed_udp::ntp::{ErrorEstimate, NtpTime};

const START: i128 = 1_795_397_441_607_000_000;

/// One direction of a run.
#[derive(Debug, Clone)]
struct Way {
    direction: Direction,
    known: Known,
    records: Vec<Record>,
}

/// What became of a packet: how late it was sent, and the delays of each time that it came, nanoseconds.
#[derive(Debug, Clone)]
struct Fate {
    late: i64,
    delays: Vec<i64>,
    ttl: u8,
    synchronised: bool,
}

impl Way {
    fn of(direction: Direction, fates: &[Fate]) -> Self {
        let asked = u32::try_from(fates.len()).expect("few");
        let start = NtpTime::from_unix_nanos(START);
        let known = Known { asked, start, timeout: 2 << 32, ..Known::default() };
        let of = |(seq, fate): (u32, &Fate)| Self::records_of(start, seq, fate);
        let mut records: Vec<Record> = (0..).zip(fates).flat_map(of).collect();
        records.sort_by_key(|record| (record.received.is_none(), record.received));
        Self { direction, known, records }
    }

    fn records_of(start: NtpTime, seq: u32, fate: &Fate) -> Vec<Record> {
        let due = NtpTime(start.0 + due(seq));
        let after = |time: NtpTime, nanos: i64| {
            NtpTime::from_unix_nanos(time.unix_nanos() + i128::from(nanos))
        };
        let sent = after(due, fate.late);
        let error = Some(ErrorEstimate::at_least(252_000, fate.synchronised));
        let (send_error, receive_error, ttl) = (error, error, fate.ttl);
        let came = |delay: &i64| {
            let received = Some(after(sent, *delay));
            Record { seq, sent, send_error, received, receive_error, ttl }
        };
        if fate.delays.is_empty() {
            return vec![Record {
                received: None,
                send_error: None,
                ttl: 255,
                sent: due,
                ..came(&0)
            }];
        }
        fate.delays.iter().map(came).collect()
    }

    fn summary(&self) -> Summary {
        Summary::of(&self.known, (0..).map(due), &self.records)
    }

    fn told<'a>(&'a self, summary: &'a Summary) -> Told<'a> {
        let here = end("here.example", "192.0.2.1:8801");
        let there = end("192.0.2.2", "192.0.2.2:9318");
        let (from, to) = match self.direction {
            Direction::To => (here, there),
            Direction::From => (there, here),
        };
        Told {
            direction: self.direction,
            from,
            to,
            sid: Sid([0xab; 16]),
            dscp: Some(0),
            padding: 0,
            session_packets: self.known.asked,
            finished: true,
            known: &self.known,
            records: &self.records,
            summary,
        }
    }
}

/// When a packet is due, units of 2^-32 s: one each 10 ms.
fn due(seq: u32) -> u64 {
    (u64::from(seq) + 1) * (1 << 32) / 100
}

/// Calls `print` with what there is to print of the ways.
fn told(ways: &[Way], print: impl FnOnce(&mut Vec<u8>, &[Told<'_>])) -> Vec<u8> {
    let summaries: Vec<Summary> = ways.iter().map(Way::summary).collect();
    let all: Vec<Told<'_>> =
        ways.iter().zip(&summaries).map(|(way, summary)| way.told(summary)).collect();
    let mut out = Vec::new();
    print(&mut out, &all);
    out
}

fn end(host: &str, address: &str) -> End {
    End { host: host.to_owned(), address: address.parse().expect("an address") }
}

fn human(ways: &[Way], style: &Style) -> Vec<u8> {
    told(ways, |out, all| {
        report::approximately(out, 3.0).expect("room");
        all.iter().try_for_each(|it| report::human(out, it, style)).expect("room");
    })
}

fn machine(ways: &[Way]) -> Vec<u8> {
    let style = Style::default();
    told(ways, |out, all| {
        all.iter().try_for_each(|it| report::machine(out, it, &style)).expect("room");
    })
}

fn raw(ways: &[Way]) -> Vec<u8> {
    told(ways, |out, all| {
        all.iter().try_for_each(|it| report::raw(out, it.records)).expect("room");
    })
}

fn json(ways: &[Way], document: &Document<'_>) -> Vec<u8> {
    let style = Style { percentiles: vec!["99.9".parse().expect("one")], ..Style::default() };
    told(ways, |out, all| report::json(out, document, all, &style).expect("room"))
}

fn read(printed: &[u8]) -> OneWay {
    let output = Output { stdout: printed, stderr: b"", end: readings::End::Exited(0) };
    let told = || String::from_utf8_lossy(printed).into_owned();
    owping::read(&output).unwrap_or_else(|wrong| panic!("{wrong}: {}", told()))
}

fn fate() -> impl Strategy<Value = Fate> {
    let delays = prop::collection::vec(-20_000_000..90_000_000i64, 0..3);
    (0..3_000_000i64, delays, 248u8..=255, prop::bool::weighted(0.97))
        .prop_map(|(late, delays, ttl, synchronised)| Fate { late, delays, ttl, synchronised })
}

fn ways() -> impl Strategy<Value = Vec<Way>> {
    let fates = || prop::collection::vec(fate(), 1..40);
    let way = |direction| fates().prop_map(move |fates| Way::of(direction, &fates));
    (way(Direction::To), way(Direction::From)).prop_map(|(to, from)| vec![to, from])
}

fn ms(nanos: Option<i64>) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a delay")]
    nanos.map(|nanos| nanos as f64 / 1e6)
}

/// Whether a figure was read to the digits that were printed, of which one may be a step apart.
fn near(read: Option<f64>, figure: Option<i64>, digits: i32) -> bool {
    match (read, ms(figure)) {
        (None, None) => true,
        (Some(read), Some(figure)) => {
            (read - figure).abs() <= figure.abs() * 10f64.powi(1 - digits) + 1e-9
        }
        _ => false,
    }
}

/// What every form has.
fn has_counts(session: &Session, summary: &Summary) -> bool {
    session.sent == Some(summary.sent)
        && session.lost == Some(summary.lost)
        && session.duplicates == Some(summary.duplicates)
        && session.hops == summary.hops()
}

fn has_delays(session: &Session, summary: &Summary, digits: i32) -> bool {
    let delays = &summary.delays;
    near(session.min_ms, delays.min(), digits)
        && near(session.median_ms, delays.percentile(Percent::P50), digits)
        && near(session.max_ms, delays.max(), digits)
        && near(session.p95_less_p50_ms, summary.p95_less_p50(), digits)
}

/// What only JSON has.
fn has_details(session: &Session, summary: &Summary) -> bool {
    let (detail, delays) = (&session.detail, &summary.delays);
    let verdicts: Vec<&str> = summary.verdicts.iter().map(|it| it.as_str()).collect();
    session.reordered == Some(summary.reordering.reordered)
        && session.synchronised == summary.clocks.synchronised
        && near(detail.p99_ms, delays.percentile(Percent::P99), 15)
        && near(detail.pdv_p95_ms, delays.pdv(Percent::P95), 15)
        && near(detail.ipdv_abs_p95_ms, summary.ipdv.abs_percentile(Percent::P95), 15)
        && detail.negative == Some(delays.negative())
        && detail.loss_periods == Some(summary.loss_periods.count)
        && detail.loss_period_max == Some(summary.loss_periods.longest)
        && detail.reorder_extent_max == Some(summary.reordering.extent_max().unwrap_or(0))
        && near(detail.late_p99_ms, summary.lateness.percentile(Percent::P99), 15)
        && detail.late_sends == Some(summary.lateness.notable)
        && detail.verdict.clone().unwrap_or_default() == verdicts.join(", ")
}

proptest! {
    #[test]
    fn every_form_is_read_to_the_same_figures(ways in ways(), lines in 0usize..60) {
        let style = Style { lines, percentiles: vec![Percent::P90], ..Style::default() };
        let document = Document { target: "192.0.2.2", packets: true, ..Document::default() };
        let forms = [human(&ways, &style), machine(&ways), json(&ways, &document)].map(|it| read(&it));
        for (place, way) in ways.iter().enumerate() {
            let summary = way.summary();
            for (form, digits) in forms.iter().zip([3, 6, 15]) {
                prop_assert!(form.complete && form.problem.is_none(), "{:?}", form);
                let session = &form.sessions[place];
                prop_assert_eq!(session.direction, way.direction);
                prop_assert!(has_counts(session, &summary), "{:?} {:?}", session, summary);
                prop_assert!(has_delays(session, &summary, digits), "{:?} {:?}", session, summary);
            }
            let [people, _, own] = &forms;
            let (people, own) = (&people.sessions[place], &own.sessions[place]);
            prop_assert_eq!(people.packets.len(), lines.min(way.records.len()));
            prop_assert!(has_details(own, &summary), "{:?} {:?}", own, summary);
            let packet = |record: &Record| {
                let delay_ns = record.received.map(|came| came.nanos_since(record.sent));
                Packet { seq: record.seq.into(), delay_ns, ttl: delay_ns.map(|_| record.ttl) }
            };
            prop_assert_eq!(&own.packets, &way.records.iter().map(packet).collect::<Vec<_>>());
            let in_order = |of: &Session| of.one_reordered_ratio.unwrap_or(0.0) == 0.0;
            prop_assert_eq!(in_order(people), in_order(own));
        }
    }

    #[test]
    fn raw_records_are_read_to_the_figures_of_json(way in ways()) {
        let raw = read(&raw(&way[..1]));
        let own = read(&json(&way[..1], &Document { packets: true, ..Document::default() }));
        let (raw, own) = (&raw.sessions[0], &own.sessions[0]);
        prop_assert_eq!(&raw.packets, &own.packets);
        let counts = |of: &Session| (of.sent, of.lost, of.duplicates, of.reordered, of.hops);
        prop_assert_eq!(counts(raw), counts(own));
        let delays = |of: &Session| (of.min_ms, of.median_ms, of.max_ms, of.p95_less_p50_ms);
        prop_assert_eq!(delays(raw), delays(own));
        let detail = |of: &Session| {
            let it = &of.detail;
            (it.p95_ms, it.p99_ms, it.pdv_p95_ms, it.pdv_p99_ms, it.negative)
        };
        prop_assert_eq!(detail(raw), detail(own));
    }
}

/// The documents that the reader and its fuzzing begin with are what we print. `OWPING_JSON=write` writes them anew.
#[test]
fn the_documents_of_the_reader_are_what_is_printed() {
    let fate = |place: i64| Fate {
        late: if place % 17 == 3 { 1_250_000 } else { 3_000 + 500 * place },
        delays: match place {
            5 | 6 | 11 => vec![],
            8 => vec![24_000_000, 24_100_000],
            13 => vec![35_000_000],
            _ => vec![10_600_000 + place * 7_919 % 400_000],
        },
        ttl: if place == 9 { 250 } else { 252 },
        synchronised: true,
    };
    let fates: Vec<Fate> = (0..20).map(fate).collect();
    let dark: Vec<Fate> =
        fates.iter().map(|fate| Fate { delays: Vec::new(), ..fate.clone() }).collect();
    let there = Way::of(Direction::To, &fates);
    let both = [there.clone(), Way::of(Direction::From, &fates[..10])];
    let dark = [there, Way::of(Direction::From, &dark)];
    let of = Document { target: "192.0.2.2", ..Document::default() };
    let warnings = ["the clock of here.example is not synchronised".to_owned()];
    // That these are the words of `owping`, its own test of them sees to (src/client/trouble.rs).
    let refused = "connecting to 192.0.2.2:861: refused: no OWAMP server listens there";
    is_kept("both", &json(&both, &Document { packets: true, ..of.clone() }));
    is_kept("dark", &json(&dark, &Document { warnings: &warnings, ..of.clone() }));
    is_kept("refused", &json(&[], &Document { problem: Some(refused), ..of }));
}

fn is_kept(case: &str, printed: &[u8]) {
    let file = format!("{case}.txt");
    let folder = "../readings/tests/captures/owpingjson";
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), folder, &file].iter().collect();
    if std::env::var_os("OWPING_JSON").is_some() {
        fs::write(&path, printed).expect("written");
    }
    let kept = fs::read(&path).expect("a document");
    assert_eq!(String::from_utf8_lossy(&kept), String::from_utf8_lossy(printed), "{case}");
}
