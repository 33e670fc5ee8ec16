//! Every capture of an owping, and what its reader must make of it.
//!
//! Each line of the table was checked by eye against the text of the capture.

mod common;

use std::fmt::Write;

use common::Capture;
use proptest::{prelude::*, sample::Index};
use readings::{
    Direction, End, Kind, Output, Unreadable,
    oneway::{OneWay, Packet, Percentile, Session},
    owping,
};

/// Capture; of each session direction, hosts, target's address, lost/sent `+`duplicates `~`reordered, min/median/max,
/// P95 less P50, clocks, hops, packets that were printed; then problem, and whether all sessions ended.
#[rustfmt::skip]
const TABLE: &[(&str, &str)] = &[
    ("owping/M", "to cli.lab.example>192.0.2.2 192.0.2.2 0/20 lost +0 ~0, 10.598/10.800/10.832 ms, jitter 0.100, unsync, hops 3-3; from 192.0.2.2>cli.lab.example 192.0.2.2 0/20 lost +0 ~0, 10.583/10.800/13.872 ms, jitter 0.200, unsync, hops 3-3"),
    ("owping/R", "to ? 0/10 lost +0 ~0, 10.641/10.675/10.866 ms, jitter 0.191, unsync, hops 3-3, 10 packets; from ? 0/10 lost +0 ~0, 10.707/10.754/11.170 ms, jitter 0.416, unsync, hops 3-3, 10 packets"),
    ("owping/a99-b", "to cli.lab.example>192.0.2.2 192.0.2.2 0/20 lost +0 ~0, 10.600/10.800/10.800 ms, jitter 0.000, unsync, hops 3-3; from 192.0.2.2>cli.lab.example 192.0.2.2 0/20 lost +0 ~0, 10.600/10.800/10.800 ms, jitter 0.200, unsync, hops 3-3"),
    ("owping/against-twampd", "refused!; cut"),
    ("owping/dark-long", "from 192.0.2.2>cli.lab.example 192.0.2.2 23/50 lost +0 ~0, 11.100/12.500/14.100 ms, jitter -, unsync, hops 3-3; broken off!; cut"),
    ("owping/default", "to cli.lab.example>192.0.2.2 192.0.2.2 0/100 lost +0 ~0, 10.600/10.700/12.000 ms, jitter 0.200, unsync, hops 3-3; from 192.0.2.2>cli.lab.example 192.0.2.2 0/100 lost +0 ~0, 10.600/10.800/12.300 ms, jitter 0.200, unsync, hops 3-3"),
    ("owping/dupreorder-R", "to ? 0/15 lost +2 ~2, 12.708/46.984/68.809 ms, jitter 21.825, unsync, hops 3-3, 17 packets"),
    ("owping/files", "to cli.lab.example>192.0.2.2 192.0.2.2 0/20 lost +0 ~0, 10.600/10.700/10.900 ms, jitter 0.100, err 0.504, hops 3-3; from 192.0.2.2>cli.lab.example 192.0.2.2 0/20 lost +0 ~0, 10.600/10.700/11.600 ms, jitter 0.300, err 0.504, hops 3-3"),
    ("owping/from", "from 192.0.2.2>cli.lab.example 192.0.2.2 0/20 lost +0 ~0, 10.600/10.800/10.800 ms, jitter 0.100, unsync, hops 3-3"),
    ("owping/halfsync", "to cli.lab.example>192.0.2.2 192.0.2.2 0/10 lost +0 ~0, 10.700/10.800/10.900 ms, jitter 0.200, unsync, hops 3-3; from 192.0.2.2>cli.lab.example 192.0.2.2 0/10 lost +0 ~0, 10.600/10.700/11.200 ms, jitter 0.500, unsync, hops 3-3"),
    ("owping/hops-vary", "to cli.lab.example>192.0.2.2 192.0.2.2 0/20 lost +0 ~0, 10.600/10.700/10.800 ms, jitter 0.200, err 0.504, hops 3-3; from 192.0.2.2>cli.lab.example 192.0.2.2 0/20 lost +0 ~0, 10.600/10.700/13.400 ms, jitter 0.200, err 0.504, hops 5-5"),
    ("owping/hostunreach", "refused!; cut"),
    ("owping/int-middle", "from 192.0.2.2>cli.lab.example 192.0.2.2 0/0 lost +0 ~0, -/-/- ms, jitter -, ?, hops ?; broken off!; cut"),
    ("owping/loss-M", "to cli.lab.example>192.0.2.2 192.0.2.2 10/40 lost +0 ~0, 10.597/10.700/10.806 ms, jitter -, unsync, hops 3-3; from 192.0.2.2>cli.lab.example 192.0.2.2 9/40 lost +0 ~0, 10.569/10.700/11.616 ms, jitter -, unsync, hops 3-3"),
    ("owping/loss-R", "to ? 2/15 lost +0 ~0, 10.575/10.631/11.304 ms, jitter -, unsync, hops 3-3, 15 packets; from ? 2/15 lost +0 ~0, 10.591/10.642/10.699 ms, jitter -, unsync, hops 3-3, 15 packets"),
    ("owping/loss", "to cli.lab.example>192.0.2.2 192.0.2.2 6/50 lost +0 ~0, 10.600/10.700/13.600 ms, jitter -, unsync, hops 3-3; from 192.0.2.2>cli.lab.example 192.0.2.2 10/50 lost +0 ~0, 10.600/10.700/12.900 ms, jitter -, unsync, hops 3-3"),
    ("owping/name", "to cli.lab.example>srv.lab.example ? 0/10 lost +0 ~0, 10.600/10.800/12.300 ms, jitter 1.600, unsync, hops 3-3; from srv.lab.example>cli.lab.example ? 0/10 lost +0 ~0, 10.600/10.700/11.900 ms, jitter 1.300, unsync, hops 3-3"),
    ("owping/netunreach", "refused!; cut"),
    ("owping/noargs", "usage!; cut"),
    ("owping/nu", "to cli.lab.example>192.0.2.2 192.0.2.2 0/10 lost +0 ~0, 10.600/10.800/10.900 ms, jitter 0.200, unsync, hops 3-3; from 192.0.2.2>cli.lab.example 192.0.2.2 0/10 lost +0 ~0, 10.600/10.700/10.900 ms, jitter 0.200, unsync, hops 3-3"),
    ("owping/refused", "refused!; cut"),
    ("owping/server-dies", "broken off!; cut"),
    ("owping/sync-v", "to cli.lab.example>192.0.2.2 192.0.2.2 0/10 lost +0 ~0, 10.600/10.800/11.000 ms, jitter 0.300, err 0.504, hops 3-3, 10 packets"),
    ("owping/sync", "to cli.lab.example>192.0.2.2 192.0.2.2 0/50 lost +0 ~0, 10.600/10.700/10.900 ms, jitter 0.200, err 0.504, hops 3-3; from 192.0.2.2>cli.lab.example 192.0.2.2 0/50 lost +0 ~0, 10.600/10.700/12.400 ms, jitter 0.300, err 0.504, hops 3-3"),
    ("owping/term-middle", "from 192.0.2.2>cli.lab.example 192.0.2.2 0/0 lost +0 ~0, -/-/- ms, jitter -, ?, hops ?; broken off!; cut"),
    ("owping/total-loss-M", "to cli.lab.example>192.0.2.2 192.0.2.2 20/20 lost +0 ~0, -/-/- ms, jitter -, unsync, hops ?"),
    ("owping/total-loss-R", "to ? 5/5 lost +0 ~0, -/-/- ms, jitter -, ?, hops ?, 5 packets"),
    ("owping/total-loss", "to cli.lab.example>192.0.2.2 192.0.2.2 20/20 lost +0 ~0, -/-/- ms, jitter -, unsync, hops ?; from 192.0.2.2>cli.lab.example 192.0.2.2 20/20 lost +0 ~0, -/-/- ms, jitter -, unsync, hops ?"),
    ("owping/unknownhost", "unknown host!; cut"),
    ("owping/v3-U", "to cli.lab.example>192.0.2.2 192.0.2.2 0/3 lost +0 ~0, 10.600/10.700/10.700 ms, jitter 0.000, unsync, hops 3-3, 3 packets; from 192.0.2.2>cli.lab.example 192.0.2.2 0/3 lost +0 ~0, 10.600/10.700/11.300 ms, jitter 0.700, unsync, hops 3-3, 3 packets"),
    ("owpingjson/both", "to here.example>192.0.2.2 192.0.2.2 3/20 lost +1 ~2, 10.600/10.711/35.000 ms, jitter -, err 0.507, hops 3-5, 21 packets; from 192.0.2.2>here.example 192.0.2.2 2/10 lost +1 ~1, 10.600/10.632/24.000 ms, jitter -, err 0.507, hops 3-5, 11 packets"),
    ("owpingjson/dark", "to here.example>192.0.2.2 192.0.2.2 3/20 lost +1 ~2, 10.600/10.711/35.000 ms, jitter -, err 0.507, hops 3-5; from 192.0.2.2>here.example 192.0.2.2 20/20 lost +0 ~0, -/-/- ms, jitter -, err 0.254, hops ?"),
    ("owpingjson/refused", "refused!; cut"),
];

#[test]
fn every_capture_says_what_the_table_says() {
    for (name, expected) in TABLE {
        let (folder, case) = name.split_once('/').expect("folder/case");
        let reading = owping::read(&Capture::of(folder, case).output()).expect("a reading");
        assert_eq!(told(&reading), *expected, "{name}");
    }
}

#[test]
fn no_capture_is_missing_from_the_table() {
    let captures = common::all().into_iter().filter(|capture| capture.tool() == "owping");
    let names: Vec<String> = captures.map(|capture| capture.name()).collect();
    let table: Vec<&str> = TABLE.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, table);
}

#[test]
fn a_raw_session_has_every_packet_in_the_order_of_arrival() {
    let reading = of_capture("loss-R");
    let [to, from] = &reading.sessions[..] else { panic!("two sessions") };
    let numbers = |session: &Session| session.packets.iter().map(|it| it.seq).collect::<Vec<_>>();
    assert_eq!(numbers(to), [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 13, 14, 8, 12]);
    assert_eq!(numbers(from), [0, 1, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 2, 6]);
    let lost = Packet { seq: 8, delay_ns: None, ttl: None };
    assert_eq!((to.packets[0].ttl, to.packets[13]), (Some(252), lost));
    assert_eq!(to.packets[0].delay_ns, Some(10_790_000));
}

#[test]
fn the_second_raw_session_may_begin_with_any_packet() {
    let text = "0 4294967296 1 0.001 4299262263 1 0.002 250\n\
                1 8589934592 1 0.001 00000000000000000000 1 0.001 255\n\
                1 12884901888 1 0.001 12889196855 1 0.002 252\n\
                0 8589934593 1 0.001 17179869184 1 0.002 251\n";
    let reading = read(End::Exited(0), text, "").expect("a reading");
    let [to, from] = &reading.sessions[..] else { panic!("two sessions") };
    assert_eq!((to.sent, to.lost, from.sent, from.lost), (Some(2), Some(1), Some(2), Some(0)));
    assert_eq!((to.hops, from.hops, from.reordered), (Some((5, 5)), Some((3, 4)), Some(1)));
    assert_eq!((to.synchronised, to.error_ms), (Some(true), Some(3.0)));
    assert_eq!((to.direction, from.direction), (Direction::To, Direction::From));
}

#[test]
fn raw_records_out_of_order_are_put_in_the_order_of_arrival() {
    let text = "1 4294967296 0 0 12884901888 0 0 252\n0 4294967295 0 0 8589934592 0 0 252\n";
    let session = &read(End::Exited(0), text, "").expect("a reading").sessions[0];
    assert_eq!((session.reordered, session.duplicates), (Some(0), Some(0)));
}

#[test]
fn a_delay_before_zero_is_told_as_it_is() {
    let text = "0 8589934592 0 0 4294967296 0 0 252\n1 8589934592 0 0 8589934592 0 0 252\n\
                2 8589934592 0 0 0 0 0 255\n3 8589934592 0 0 0 0 0 255\n4 8589934592 0 0 0 0 0 255\n";
    let session = &read(End::Exited(0), text, "").expect("a reading").sessions[0];
    assert_eq!((session.min_ms, session.max_ms), (Some(-1000.0), Some(0.0)));
    assert_eq!(session.median_ms, None, "three of five are lost");
    assert_eq!(session.packets[0].delay_ns, Some(-1_000_000_000));
}

#[test]
fn a_raw_run_that_was_ended_does_not_know_how_many_were_sent() {
    let text = "0 4294967296 0 0 4299262263 0 0 252\n1 8589934592 0 0 85";
    for end in [End::Exited(0), End::Signalled(15)] {
        let reading = read(end, text, "").expect("a reading");
        let session = &reading.sessions[0];
        assert_eq!((session.sent, session.lost, session.median_ms), (None, None, None));
        assert_eq!((session.packets.len(), session.min_ms.is_some()), (1, true));
        assert!(!reading.complete);
    }
}

#[test]
fn at_most_two_raw_sessions_are_in_a_run() {
    let text = "0 1 0 0 9 0 0 252\n0 2 0 0 9 0 0 252\n0 3 0 0 9 0 0 252\n";
    let wrong = read(End::Exited(0), text, "").expect_err("a third session");
    assert_eq!(
        wrong.to_string(),
        "line 3: expected at most two sessions, found \"0 3 0 0 9 0 0 252\""
    );
}

#[test]
fn percentiles_that_were_asked_for_are_kept() {
    let sessions = of_capture("a99-b").sessions;
    let median = Percentile { percent: 50.0, delay_ms: Some(10.8) };
    assert!(sessions.iter().all(|session| session.percentiles == [median]));
}

#[test]
fn a_session_alone_is_from_the_target_if_that_one_could_not_be_fetched() {
    let text = summary("[a.example]:1 to [b.example]:2", "");
    let direction =
        |stderr| read(End::Exited(0), &text, stderr).expect("a reading").sessions[0].direction;
    assert_eq!(direction("owping: Unable to fetch data for sid(c0)"), Direction::From);
    assert_eq!(direction(""), Direction::To);
}

#[test]
fn an_address_among_names_is_the_target() {
    let direction = |ends| {
        let reading = read(End::Exited(0), &summary(ends, ""), "").expect("a reading");
        (reading.sessions[0].direction, reading.sessions[0].address.map(|it| it.to_string()))
    };
    let address = Some("2001:db8::2".to_owned());
    assert_eq!(direction("[2001:db8::2]:1 to [b]:2"), (Direction::From, address.clone()));
    assert_eq!(direction("[a]:1 to [2001:db8::2]:2"), (Direction::To, address));
}

#[test]
fn a_host_that_measures_itself_goes_there_and_back() {
    let text = summary("[a]:1 to [a]:2", "") + &summary("[a]:3 to [a]:4", "");
    let sessions = read(End::Exited(0), &text, "").expect("a reading").sessions;
    let directions: Vec<Direction> = sessions.iter().map(|session| session.direction).collect();
    assert_eq!(directions, [Direction::To, Direction::From]);
}

#[test]
fn parts_of_a_session_are_kept_apart() {
    let there = summary("[a]:1 to [b]:2", "");
    let text = there.clone() + &there + &summary("[b]:1 to [a]:2", "");
    let sessions = read(End::Exited(0), &text, "").expect("a reading").sessions;
    let directions: Vec<Direction> = sessions.iter().map(|session| session.direction).collect();
    assert_eq!(directions, [Direction::To, Direction::To, Direction::From]);
}

#[test]
fn a_summary_may_tell_of_hops_that_vary_and_of_reordering() {
    let more = "hops takes 2 values; min hops = 3, max hops = 5\n\
                1-reordering = 25.000000%\n2-reordering = 5.000000%\nno 3-reordering\n";
    let reading = read(End::Exited(0), &summary("[a]:1 to [b]:2", more), "").expect("a reading");
    let session = &reading.sessions[0];
    assert_eq!((session.hops, session.reordered), (Some((3, 5)), None));
    assert_eq!(session.one_reordered_ratio, Some(0.25));
    assert!(reading.complete);
}

#[test]
fn a_median_that_was_rounded_over_the_largest_delay_is_that_delay() {
    let text =
        summary("[a]:1 to [b]:2", "one-way delay min/median/max = 10.6/10.9/10.8 ms, (unsync)\n");
    let session = &read(End::Exited(0), &text, "").expect("a reading").sessions[0];
    assert_eq!(session.median_ms, Some(10.8));
}

/// Found by fuzzing.
#[test]
fn a_median_below_the_smallest_delay_is_that_delay_though_the_largest_is_unknown() {
    let text =
        summary("[a]:1 to [b]:2", "one-way delay min/median/maz = 20.6/10.7/11.6 ms, (unsync)\n");
    let session = &read(End::Exited(0), &text, "").expect("a reading").sessions[0];
    assert_eq!((session.min_ms, session.median_ms, session.max_ms), (Some(20.6), Some(20.6), None));
}

#[test]
fn delays_in_every_unit_become_milliseconds() {
    for (printed, expected) in [
        ("1.06e+07/-1.08e+07/inf ns", None),
        ("-1.06/0.5/2 s", Some((-1060.0, 2000.0))),
        ("10.6/10.8/1.1e+01 ms", Some((10.6, 11.0))),
    ] {
        let line = format!("one-way delay min/median/max = {printed}, (err=500 us)\n");
        let text = summary("[a]:1 to [b]:2", &line);
        let session = &read(End::Exited(0), &text, "").expect("a reading").sessions[0];
        assert_eq!(session.min_ms.zip(session.max_ms), expected, "{printed}");
        assert_eq!((session.error_ms, session.synchronised), (Some(0.5), Some(true)));
    }
}

#[test]
fn a_machines_session_that_did_not_finish_is_no_end() {
    let capture = Capture::of("owping", "total-loss-M");
    let text = String::from_utf8(capture.stdout).expect("text");
    let text = text.replace("SESSION_FINISHED\t1", "SESSION_FINISHED\t0");
    let reading = read(End::Exited(0), &text, "").expect("a reading");
    assert!(!reading.complete);
    assert_eq!(reading.problem.expect("a problem").kind, Kind::CutShort);
}

#[test]
fn json_has_the_figures_that_the_summaries_lack() {
    let reading = json(|text| text);
    let to = &reading.sessions[0];
    let detail = &to.detail;
    assert_eq!((detail.loss_periods, detail.loss_period_max), (Some(2), Some(2)));
    assert_eq!((detail.p95_ms, detail.pdv_p95_ms), (None, None), "15 % are lost");
    assert_eq!((detail.ipdv_abs_p95_ms, detail.reorder_extent_max), (Some(24.304_972), Some(2)));
    assert_eq!((detail.late_p99_ms, detail.late_sends), (Some(1.25), Some(1)));
    let own = (detail.skipped, detail.own_drops, detail.clock_step_ms, detail.negative);
    assert_eq!(own, (Some(0), Some(0), Some(0.0), Some(0)));
    assert_eq!(detail.verdict.as_deref(), Some("late sender"));
    assert_eq!(to.one_reordered_ratio, Some(2.0 / 18.0));
    assert!(to.percentiles.contains(&Percentile { percent: 99.9, delay_ms: None }));
    assert_eq!(to.packets[18], Packet { seq: 5, delay_ns: None, ttl: None });
}

#[test]
fn a_key_that_json_gains_is_no_hindrance_and_a_newer_form_is() {
    let known = json(|text| text);
    assert_eq!(json(|text| text.replace("{\"owping\":1", "{\"more\":[{}],\"owping\":1")), known);
    let newer = document().replace("\"owping\":1", "\"owping\":2");
    let wrong = read(End::Exited(0), &newer, "").expect_err("too new");
    assert_eq!(wrong.to_string(), "expected version 1 of owping's JSON at most, found 2");
}

#[test]
fn json_of_a_run_that_was_ended_is_what_there_is_of_whole_documents() {
    let document = document();
    let stream = document.clone() + &document[..document.len() / 2];
    let reading = read(End::Signalled(9), &stream, "").expect("a reading");
    assert_eq!((reading.sessions.len(), reading.complete), (2, false));
    assert_eq!(reading.problem.expect("a problem").kind, Kind::Killed);
    let wrong = read(End::Exited(0), &stream, "").expect_err("half a document");
    assert!(wrong.to_string().contains("no whole document of owping's JSON"), "{wrong}");
}

#[test]
fn json_that_contradicts_itself_is_no_reading() {
    for (known, other) in
        [("\"lost\":3", "\"lost\":21"), ("\"min_ns\":10600000", "\"min_ns\":90000000")]
    {
        let text = document().replacen(known, other, 1);
        read(End::Exited(0), &text, "").expect_err(other);
    }
    let unfinished = json(|text| text.replacen("\"finished\":true", "\"finished\":false", 1));
    assert!(!unfinished.complete);
    assert_eq!(unfinished.problem.expect("a problem").kind, Kind::CutShort);
}

fn document() -> String {
    String::from_utf8(Capture::of("owpingjson", "both").stdout).expect("text")
}

/// A run with both directions, changed.
fn json(change: impl Fn(String) -> String) -> OneWay {
    read(End::Exited(0), &change(document()), "").expect("a reading")
}

#[test]
fn clocks_that_disagree_are_a_warning() {
    let text = format!(
        "\nDirectional delays may be inaccurate due to out of sync clocks!\n{}",
        summary("[a]:1 to [b]:2", "no reordering\n")
    );
    let text = format!("Approximately 3.4 seconds until results available\n{text}");
    let reading =
        read(End::Exited(0), &text, "owping: NTP: Status UNSYNC (x)\n").expect("a reading");
    assert_eq!(reading.warnings.len(), 2);
    assert!(reading.complete && reading.problem.is_none());
}

#[test]
fn a_silent_run_that_hung_is_a_reading() {
    let reading = read(End::TimedOut, "", "").expect("a reading");
    assert_eq!(reading.problem.expect("a problem").kind, Kind::Hung);
}

#[test]
fn what_cannot_be_understood_says_why_and_where() {
    let header = "--- owping statistics from [a]:1 to [b]:2 ---";
    for (text, complaint) in [
        ("", "nothing was printed (exit status 0)"),
        ("hello\n", "line 1: expected a line of owping, found \"hello\""),
        (
            "--- owping statistics from a to b ---\n",
            "line 1: expected \"from [host]:port to [host]:port\", \
             found \"--- owping statistics from a to b ---\"",
        ),
        (
            &format!("{header}\nx sent, 0 lost (0.000%), 0 duplicates\n"),
            "line 2: expected a line of owping's summary, \
             found \"x sent, 0 lost (0.000%), 0 duplicates\"",
        ),
        (
            &format!("{header}\n2 sent, 3 lost (0.000%), 0 duplicates\n"),
            "expected at most as many packets lost as sent",
        ),
        (
            &format!("{header}\none-way delay min/median/max = 3/2/1 ms, (unsync)\n"),
            "expected a smallest delay below the largest",
        ),
        ("SUMMARY\t3.00\nSENT\tx\n", "line 2: expected a value for its key, found \"SENT\\tx\""),
        ("0 1 0 0 2 0 0 252\nx\n", "line 2: expected a record of owping, found \"x\""),
    ] {
        let wrong = read(End::Exited(0), text, "").expect_err(text);
        assert_eq!(wrong.to_string(), complaint);
    }
}

#[test]
fn what_is_read_of_a_beginning_was_there() {
    for capture in common::all().into_iter().filter(|capture| capture.tool() == "owping") {
        let whole = owping::read(&capture.output()).expect("a reading").sessions;
        for length in 0..=capture.stdout.len() {
            let output = Output { stdout: &capture.stdout[..length], ..capture.output() };
            let Ok(part) = owping::read(&output) else { continue };
            for (part, whole) in part.sessions.iter().zip(&whole) {
                let place = format!("{} to {length}", capture.name());
                assert!(whole.packets.starts_with(&part.packets), "{place}");
                assert!(part.median_ms.is_none() || raw(part) || part.median_ms == whole.median_ms);
                assert!(part.lost.is_none() || raw(part) || part.lost == whole.lost, "{place}");
                assert!(part.direction == whole.direction, "{place}");
            }
        }
    }
}

/// A raw output that is cut between two lines cannot be told from a whole one of fewer packets.
fn raw(session: &Session) -> bool {
    session.from.is_none()
}

/// What became of a packet.
#[derive(Debug, Clone)]
enum Fate {
    Lost,
    /// The delays of each time that it came.
    Came(Vec<u64>),
}

/// Of the packets of two sessions, as many there as back.
fn fates() -> impl Strategy<Value = Vec<(Fate, Fate)>> {
    let came = prop::collection::vec(1..100u64, 1..4).prop_map(Fate::Came);
    let fate = prop_oneof![1 => Just(Fate::Lost), 3 => came];
    prop::collection::vec((fate.clone(), fate), 1..30)
}

proptest! {
    #[test]
    fn raw_sessions_say_what_became_of_their_packets(
        fates in fates(),
        shuffle in any::<Index>(),
    ) {
        let (there, back): (Vec<Fate>, Vec<Fate>) = fates.into_iter().unzip();
        let text = records(&there, 1_000, shuffle) + &records(&back, 5_000, shuffle);
        let reading = read(End::Exited(0), &text, "").expect("a reading");
        prop_assert_eq!(reading.sessions.len(), 2);
        for (session, fates) in reading.sessions.iter().zip([&there, &back]) {
            let lost = fates.iter().filter(|fate| matches!(fate, Fate::Lost)).count() as u64;
            let arrivals = arrivals(fates);
            let more = arrivals.len() as u64 + lost - fates.len() as u64;
            prop_assert_eq!(session.sent, Some(fates.len() as u64));
            prop_assert_eq!((session.lost, session.duplicates), (Some(lost), Some(more)));
            prop_assert_eq!(session.reordered, Some(reordered(&arrivals)));
        }
    }
}

/// Arrivals in the order of time: when, and of which packet. Packets leave 10 apart.
fn arrivals(fates: &[Fate]) -> Vec<(u64, usize)> {
    let came = fates.iter().enumerate().flat_map(|(seq, fate)| match fate {
        Fate::Lost => Vec::new(),
        Fate::Came(delays) => delays.iter().map(|delay| (10 * seq as u64 + delay, seq)).collect(),
    });
    let mut arrivals: Vec<(u64, usize)> = came.collect();
    arrivals.sort_by_key(|(time, _)| *time);
    arrivals
}

/// Packets that came, for the first time, after one that was sent later.
fn reordered(arrivals: &[(u64, usize)]) -> u64 {
    let late = |(place, (_, seq)): &(usize, &(u64, usize))| {
        let before = &arrivals[..*place];
        let first = before.iter().all(|(_, other)| other != seq);
        first && before.iter().any(|(_, other)| other > seq)
    };
    arrivals.iter().enumerate().filter(late).count() as u64
}

/// The records of a session as owping prints them, lost packets anywhere among the others.
fn records(fates: &[Fate], begin: u64, shuffle: Index) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (time, seq) in arrivals(fates) {
        let sent = begin + 10 * seq as u64;
        lines.push(format!("{seq} {sent} 0 0 {} 0 0 252\n", begin + time));
    }
    for (seq, fate) in fates.iter().enumerate() {
        if matches!(fate, Fate::Lost) {
            let sent = begin + 10 * seq as u64;
            let place = shuffle.index(lines.len() + 1);
            lines.insert(place, format!("{seq} {sent} 0 0 {:020} 0 0 255\n", 0));
        }
    }
    lines.concat()
}

/// A session's summary.
fn summary(ends: &str, more: &str) -> String {
    format!(
        "--- owping statistics from {ends} ---\n\
         20 sent, 1 lost (5.000%), 0 duplicates\n{more}"
    )
}

fn of_capture(case: &str) -> OneWay {
    owping::read(&Capture::of("owping", case).output()).expect("a reading")
}

fn read(end: End, stdout: &str, stderr: &str) -> Result<OneWay, Unreadable> {
    owping::read(&Output { stdout: stdout.as_bytes(), stderr: stderr.as_bytes(), end })
}

fn told(reading: &OneWay) -> String {
    let mut parts: Vec<String> = reading.sessions.iter().map(told_session).collect();
    if let Some(problem) = &reading.problem {
        parts.push(format!("{}!", problem.kind));
    }
    if !reading.complete {
        parts.push("cut".to_owned());
    }
    parts.join("; ")
}

fn told_session(session: &Session) -> String {
    let mut text = session.direction.as_str().to_owned();
    if let (Some(from), Some(to)) = (&session.from, &session.to) {
        write!(text, " {from}>{to}").expect("text");
    }
    let address = session.address.map_or("?".to_owned(), |address| address.to_string());
    write!(text, " {address} {}/{} lost", whole(session.lost), whole(session.sent)).expect("text");
    let more = (whole(session.duplicates), whole(session.reordered));
    write!(text, " +{} ~{}, ", more.0, more.1).expect("text");
    let delays = [session.min_ms, session.median_ms, session.max_ms];
    let delays: Vec<String> = delays.iter().map(|delay| ms(*delay)).collect();
    write!(text, "{} ms, jitter {}", delays.join("/"), ms(session.p95_less_p50_ms)).expect("text");
    let clocks = match session.synchronised {
        None => "?".to_owned(),
        Some(false) => "unsync".to_owned(),
        Some(true) => format!("err {}", ms(session.error_ms)),
    };
    let hops = session.hops.map_or("?".to_owned(), |(least, most)| format!("{least}-{most}"));
    write!(text, ", {clocks}, hops {hops}").expect("text");
    if !session.packets.is_empty() {
        write!(text, ", {} packets", session.packets.len()).expect("text");
    }
    text
}

fn whole(number: Option<u64>) -> String {
    number.map_or("?".to_owned(), |number| number.to_string())
}

fn ms(delay: Option<f64>) -> String {
    delay.map_or("-".to_owned(), |delay| format!("{delay:.3}"))
}
