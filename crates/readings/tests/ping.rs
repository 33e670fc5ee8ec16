//! Every capture of a ping, and what its reader must make of it.
//!
//! Each line of the tables was checked by eye against the text of the capture.

mod common;

use std::fmt::Write;

use common::Capture;
use readings::{
    End, Kind, Output, Unreadable,
    ping::{self, Ping, Reply},
};

/// Capture; target, address, payload, received/sent `+`duplicates `~`reordered, `#`numbers in the order
/// of arrival (a dash marks a duplicate), min/mean/max/deviation, percentiles 25 50 75 95 99 with ipdv and
/// pdv, loss periods and the longest, errors, problem.
#[rustfmt::skip]
const TABLE: &[(&str, &str)] = &[
    ("busyboxping/netunreach", "198.18.0.1, 198.18.0.1, 56 bytes, 0/?, 1 local error: network is unreachable, network unreachable!"),
    ("busyboxping/normal", "192.0.2.2, 192.0.2.2, 56 bytes, 4/4, #0-3, 21.564/22.061/22.560/0.354 ms, p 21.564 22.004 22.118 22.560 22.560 ipdv 0.332 pdv 0.996"),
    ("busyboxping/total", "192.0.2.2, 192.0.2.2, 56 bytes, 0/3, holes 1 to 3"),
    ("inetping/hostunreach", "192.0.2.99, 192.0.2.99, 56 bytes, 0/3, holes 1 to 3, 3 host unreachable"),
    ("inetping/normal", "192.0.2.2, 192.0.2.2, 56 bytes, 4/4, #0-3, 21.706/21.910/22.182/0.179 ms, p 21.706 21.805 21.946 22.182 22.182 ipdv 0.253 pdv 0.476"),
    ("inetping/total", "192.0.2.2, 192.0.2.2, 56 bytes, 0/3, holes 1 to 3"),
    ("inetping/unknown", "?, ?, 0/?, unknown host!"),
    ("ping/RR", "192.0.2.2, 192.0.2.2, 56 bytes, 2/2, #1-2, 21.600/21.800/22.000/0.200 ms, p 21.600 21.600 22.000 22.000 22.000 ipdv 0.400 pdv 0.400"),
    ("ping/adaptive", "192.0.2.2, 192.0.2.2, 56 bytes, 20/20, #1-20, 21.500/21.630/21.800/0.095 ms, p 21.500 21.600 21.700 21.800 21.800 ipdv 0.068 pdv 0.300"),
    ("ping/badchecksum", "192.0.2.2, 192.0.2.2, 56 bytes, 4/8, #1 6-8, 21.800/21.875/22.000/0.083 ms, p 21.800 22.000 - - - ipdv 0.200 pdv - holes 1 to 4"),
    ("ping/clockback", "192.0.2.2, 192.0.2.2, 56 bytes, 6/6, #1-6, 21.500/21.800/22.200/0.208 ms, p 21.700 21.800 21.800 22.200 22.200 ipdv 0.220 pdv 0.700"),
    ("ping/deadline-short", "192.0.2.2, 192.0.2.2, 56 bytes, 2/15, #2 4, 21.800/21.850/21.900/0.050 ms, holes 3 to 11"),
    ("ping/dup-loss", "192.0.2.2, 192.0.2.2, 56 bytes, 10/15 +8, #2-5 5' 7 9-10 10' 10' 10' 11 11' 13 13' 14 14' 14', 21.700/21.880/22.000/0.087 ms, p 21.900 21.900 - - - ipdv 0.083 pdv - holes 5 to 1"),
    ("ping/filtered", "100.64.2.1, 100.64.2.1, 56 bytes, 0/3, holes 1 to 3, 3 filtered"),
    ("ping/flood-unpriv", "192.0.2.2, 192.0.2.2, 56 bytes, 0/?, not permitted!"),
    ("ping/flood", "192.0.2.2, 192.0.2.2, 56 bytes, 50/50, 21.342/21.629/21.830/0.114 ms"),
    ("ping/fragneeded", "192.0.2.2, 192.0.2.2, 1472 bytes, 0/3, holes 1 to 3, 1 frag needed, 2 local error: message too long"),
    ("ping/hostunreach", "192.0.2.99, 192.0.2.99, 56 bytes, 0/4, holes 1 to 4, 4 host unreachable"),
    ("ping/int-middle", "192.0.2.2, 192.0.2.2, 56 bytes, 4/4, #1-4, 21.600/21.700/21.800/0.071 ms, p 21.600 21.700 21.700 21.800 21.800 ipdv 0.133 pdv 0.200"),
    ("ping/kill-middle", "192.0.2.2, 192.0.2.2, 56 bytes, 4/?, #1-4, 21.500/21.700/22.000/0.187 ms, p - - - - - ipdv 0.300 pdv -, killed!"),
    ("ping/local-netunreach", "?, ?, 0/?, network unreachable!"),
    ("ping/loss-partial-defW", "192.0.2.2, 192.0.2.2, 56 bytes, 6/15, #1 4-6 11 14, 21.400/21.800/22.000/0.208 ms, p 21.900 - - - - ipdv 0.100 pdv - holes 4 to 4"),
    ("ping/loss-partial-v6", "2001:db8:2::2, 2001:db8:2::2, 56 bytes, 6/15, #4-6 11 13-14, 21.700/21.850/22.000/0.126 ms, p 21.900 - - - - ipdv 0.067 pdv - holes 4 to 4"),
    ("ping/loss-partial-w", "192.0.2.2, 192.0.2.2, 56 bytes, 20/26, #1-13 15 17-20 23 26, 21.600/21.860/22.200/0.143 ms, p 21.800 21.900 22.200 - - ipdv 0.133 pdv - holes 4 to 2"),
    ("ping/loss-total-O", "192.0.2.2, 192.0.2.2, 56 bytes, 0/4, holes 1 to 4"),
    ("ping/loss-total-name", "?, 192.0.2.2, 56 bytes, 0/3, holes 1 to 3"),
    ("ping/loss-total-term", "?, ?, 0/?, killed!"),
    ("ping/loss-total-v6", "2001:db8:2::2, 2001:db8:2::2, 56 bytes, 0/5, holes 1 to 5"),
    ("ping/loss-total-w3", "192.0.2.2, 192.0.2.2, 56 bytes, 0/3, holes 1 to 3"),
    ("ping/name-n", "?, 192.0.2.2, 56 bytes, 3/3, #1-3, 21.400/21.533/21.700/0.125 ms, p 21.400 21.500 21.700 21.700 21.700 ipdv 0.150 pdv 0.300"),
    ("ping/netunreach", "100.64.1.1, 100.64.1.1, 56 bytes, 0/3, holes 1 to 3, 2 net unreachable"),
    ("ping/noargs", "?, ?, 0/?, usage!"),
    ("ping/normal", "192.0.2.2, 192.0.2.2, 56 bytes, 5/5, #1-5, 21.700/22.340/23.400/0.683 ms, p 21.800 21.900 22.900 23.400 23.400 ipdv 0.600 pdv 1.700"),
    ("ping/portunreach", "192.0.2.2, 192.0.2.2, 56 bytes, 0/2, holes 1 to 2, 2 port unreachable"),
    ("ping/q-hostunreach", "192.0.2.99, 192.0.2.99, 56 bytes, 0/4, holes 1 to 4, 4 unspecified"),
    ("ping/q", "192.0.2.2, 192.0.2.2, 56 bytes, 10/10, 21.496/21.778/21.960/0.146 ms"),
    ("ping/quit-middle", "192.0.2.2, 192.0.2.2, 56 bytes, 5/5, #1-5, 21.600/21.680/21.700/0.040 ms, p 21.700 21.700 21.700 21.700 21.700 ipdv 0.025 pdv 0.100"),
    ("ping/reorder", "192.0.2.2, 192.0.2.2, 56 bytes, 15/15 ~6, #4 1-3 5 7-8 6 9-11 14 12-13 15, 150.000/426.733/630.000/112.727 ms, p 372.000 419.000 482.000 630.000 630.000 ipdv 132.786 pdv 480.000"),
    ("ping/resolver-dead", "?, ?, 0/?, resolver failure!"),
    ("ping/s1000", "192.0.2.2, 192.0.2.2, 1000 bytes, 10/10, #1-10, 21.600/21.850/22.000/0.102 ms, p 21.800 21.900 21.900 22.000 22.000 ipdv 0.078 pdv 0.400"),
    ("ping/slow-1400ms", "192.0.2.2, 192.0.2.2, 56 bytes, 10/10, #1-10, 1402.000/1402.000/1402.000/0.000 ms, p 1402.000 1402.000 1402.000 1402.000 1402.000 ipdv 0.000 pdv 0.000"),
    ("ping/toolong", "192.0.2.2, 192.0.2.2, 3000 bytes, 0/2, holes 1 to 2, 2 local error: message too long"),
    ("ping/ttlexceeded-name", "192.0.2.2, 192.0.2.2, 56 bytes, 0/2, holes 1 to 2, 2 ttl exceeded"),
    ("ping/unknownhost", "?, ?, 0/?, unknown host!"),
    ("ping/unpriv-normal", "192.0.2.2, 192.0.2.2, 56 bytes, 3/3, #1-3, 21.500/21.567/21.600/0.047 ms, p 21.500 21.600 21.600 21.600 21.600 ipdv 0.050 pdv 0.100"),
    ("ping/unpriv-nosock", "?, ?, 0/?, not permitted!"),
    ("ping/v4-noaddr", "?, ?, 0/?, no address!"),
    ("ping/v6-hoplimit", "2001:db8:2::2, 2001:db8:2::2, 56 bytes, 0/2, holes 1 to 2, 2 ttl exceeded"),
    ("ping/v6-local-netunreach", "?, ?, 0/?, network unreachable!"),
    ("ping/v6-noaddr", "?, ?, 0/?, no address!"),
    ("ping/v6-unreach", "2001:db8:f4::1, 2001:db8:f4::1, 56 bytes, 0/3, holes 1 to 3, 3 net unreachable"),
    ("ping/v6", "2001:db8:2::2, 2001:db8:2::2, 56 bytes, 5/5, #1-5, 21.600/21.780/21.900/0.117 ms, p 21.700 21.800 21.900 21.900 21.900 ipdv 0.200 pdv 0.300"),
];

#[test]
fn every_capture_says_what_the_table_says() {
    for (name, expected) in TABLE {
        let (folder, case) = name.split_once('/').expect("folder/case");
        assert_eq!(told(&of_capture(folder, case)), *expected, "{name}");
    }
}

#[test]
fn no_capture_is_missing_from_the_table() {
    let captures = common::all().into_iter().filter(|capture| capture.tool() == "ping");
    let names: Vec<String> = captures.map(|capture| capture.name()).collect();
    let table: Vec<&str> = TABLE.iter().map(|(name, _)| *name).collect();
    for name in &names {
        assert!(table.contains(&name.as_str()), "{name} is not in the table");
    }
    assert_eq!(names.len(), table.len());
}

#[test]
fn every_time_in_a_capture_is_the_time_of_a_packet() {
    for capture in common::all().into_iter().filter(|capture| capture.tool() == "ping") {
        let text = String::from_utf8(capture.stdout.clone()).expect("text");
        let printed =
            text.lines().filter_map(|line| line.split_once(" time=")?.1.split(' ').next());
        let printed: Vec<f64> = printed.map(|time| time.parse().expect("a number")).collect();
        let read = of_capture(&capture.folder, &capture.case);
        assert_eq!(printed.len(), read.packets.len(), "{}", capture.name());
        for (printed, packet) in printed.iter().zip(&read.packets) {
            let rtt_us = packet.rtt_us.expect("a time");
            assert!((printed * 1000.0 - ms(rtt_us) * 1000.0).abs() < 0.01, "{}", capture.name());
            assert_eq!((packet.ttl, packet.bytes), (Some(61), read.bytes.map(|bytes| bytes + 8)));
        }
    }
}

#[test]
fn what_is_computed_agrees_with_the_summary() {
    for capture in common::all().into_iter().filter(|capture| capture.tool() == "ping") {
        let text = String::from_utf8(capture.stdout.clone()).expect("text");
        let Some(line) = text.lines().find(|line| line.contains("min/avg/max")) else { continue };
        let values = line.split(" = ").nth(1).expect("values").split(' ').next().expect("values");
        let read = of_capture(&capture.folder, &capture.case);
        let computed = [read.min_ms, read.avg_ms, read.max_ms, read.mdev_ms];
        for (printed, computed) in values.split('/').zip(computed) {
            let printed: f64 = printed.parse().expect("a number");
            // From 100 ms on the replies are printed without decimals; below it with one or more.
            let digit = if printed >= 100.0 { 1.0 } else { 0.1 };
            let off = (printed - computed.expect("a figure")).abs();
            assert!(off <= digit / 2.0, "{}: {off}", capture.name());
        }
    }
}

#[test]
fn a_duplicate_does_not_count_in_the_statistics() {
    let ping = of_capture("ping", "dup-loss");
    assert_eq!(ping.avg_ms, Some(21.88), "the average of the ten first replies");
    assert_eq!(ping.loss_ratio, Some(1.0 / 3.0));
    assert_eq!(ping.lost, Some(5));
}

#[test]
fn a_killed_ping_keeps_the_replies_it_had() {
    let ping = of_capture("ping", "kill-middle");
    assert_eq!(ping.packets.len(), 4);
    assert_eq!((ping.transmitted, ping.lost, ping.loss_ratio), (None, None, None));
    assert!(!ping.complete);
}

#[test]
fn a_ping_killed_while_all_is_lost_says_nothing_but_that() {
    let ping = of_capture("ping", "loss-total-term");
    assert_eq!(ping.problem.expect("a problem").text, "ended by signal 15");
    assert_eq!((ping.received, ping.transmitted), (0, None));
}

#[test]
fn a_hanging_ping_is_a_reading_with_the_problem_that_it_hung() {
    let ping = read(End::TimedOut, "", "").expect("a reading");
    assert_eq!(ping.problem.expect("a problem").kind, Kind::Hung);
}

#[test]
fn problems_are_told_in_the_words_of_the_tool() {
    for (case, words) in [
        ("unknownhost", "ping: nosuch.lab.example: Name or service not known"),
        ("local-netunreach", "ping: connect: Network is unreachable"),
        ("unpriv-nosock", "ping-nocap: socket: Operation not permitted"),
        ("flood-unpriv", "ping: cannot flood; minimal interval allowed for user is 2ms"),
    ] {
        assert_eq!(of_capture("ping", case).problem.expect("a problem").text, words);
    }
}

#[test]
fn a_clock_set_back_is_a_warning_and_no_problem() {
    let ping = of_capture("ping", "clockback");
    let warning = "ping-nocap: Warning: time of day goes back (-2978280us), taking countermeasures";
    assert_eq!(ping.warnings, [warning]);
}

#[test]
fn errors_name_those_who_reported_them() {
    let from: Vec<String> =
        of_capture("ping", "filtered").errors_from.iter().map(ToString::to_string).collect();
    assert_eq!(from, ["203.0.113.14"]);
}

#[test]
fn a_reply_may_carry_a_host_name_a_timestamp_and_a_decimal_comma() {
    let ping = said(
        "[1690000000.123456] 64 bytes from srv.example (192.0.2.2): icmp_seq=1 ttl=61 time=21,6 ms",
    );
    assert_eq!(ping.packets[0].rtt_us, Some(21_600));
    assert_eq!(ping.packets[0].remark, None);
}

#[test]
fn a_reply_without_a_time_has_none() {
    let ping = said("16 bytes from 192.0.2.2: icmp_seq=1 ttl=61");
    assert_eq!((ping.received, ping.packets[0].rtt_us, ping.min_ms), (1, None, None));
    assert_eq!(ping.delay.p50_us, None, "received, but with a delay nobody knows");
}

#[test]
fn a_time_below_one_millisecond_counts_as_one() {
    let ping = said("64 bytes from 192.0.2.2: icmp_seq=1 ttl=61 time<1 ms");
    assert_eq!(ping.packets[0].rtt_us, Some(1000));
    assert_eq!(ping.packets[0].remark.as_deref(), Some("time<1"));
}

#[test]
fn a_time_before_zero_is_told_but_is_no_time() {
    let ping = said("64 bytes from 192.0.2.2: icmp_seq=1 ttl=61 time=-3.5 ms");
    assert_eq!(ping.packets[0].rtt_us, None);
    assert_eq!(ping.packets[0].remark.as_deref(), Some("time=-3.5"));
}

#[test]
fn a_reply_with_a_bad_checksum_is_listed_but_does_not_count() {
    let ping = said(
        "64 bytes from 192.0.2.2: icmp_seq=1 ttl=61 time=9.0 ms (BAD CHECKSUM!)\n\
         64 bytes from 192.0.2.2: icmp_seq=1 ttl=61 time=9.9 ms",
    );
    assert_eq!(ping.packets[0].remark.as_deref(), Some("BAD CHECKSUM"));
    assert_eq!((ping.duplicates, ping.min_ms), (0, Some(9.9)));
}

#[test]
fn wrong_data_is_a_remark_on_the_reply_before_it() {
    let ping = said(
        "64 bytes from 192.0.2.2: icmp_seq=1 ttl=61 time=9.0 ms\n\
         wrong data byte #16 should be 0x10 but was 0x11\n\
         #16\t11 11 12 13 14",
    );
    let remark = ping.packets[0].remark.as_deref();
    assert_eq!(remark, Some("wrong data byte #16 should be 0x10 but was 0x11"));
}

#[test]
fn a_line_that_breaks_off_is_not_believed() {
    let text = "PING h (192.0.2.2) 56(84) bytes of data.\n\
                64 bytes from 192.0.2.2: icmp_seq=1 ttl=61 time=21.6 ms\n\
                64 bytes from 192.0.2.2: icmp_seq=2 ttl=61 time=2";
    let ping = read(End::Signalled(9), text, "").expect("a reading");
    assert_eq!((ping.received, ping.max_ms), (1, Some(21.6)));
}

#[test]
fn numbers_start_again_after_65535_without_disorder() {
    let replies: Vec<String> = [65_534, 65_535, 0, 1].iter().map(|seq| reply(*seq)).collect();
    let ping = said(&replies.join("\n"));
    assert_eq!(seqs(&ping.packets).as_deref(), Some("#65534-65537"));
    assert_eq!(ping.reordered, 0);
}

#[test]
fn an_interval_of_busybox_duplicates_is_understood() {
    let text = "PING h (192.0.2.2): 56 data bytes\n\
                64 bytes from 192.0.2.2: seq=0 ttl=61 time=21.6 ms\n\
                64 bytes from 192.0.2.2: seq=0 ttl=61 time=21.7 ms (DUP!)\n\n\
                --- h ping statistics ---\n\
                2 packets transmitted, 1 packets received, 1 duplicates, 50% packet loss\n\
                round-trip min/avg/max = 21.600/21.650/21.700 ms\n";
    let ping = read(End::Exited(0), text, "").expect("a reading");
    assert_eq!((ping.received, ping.lost, ping.duplicates), (1, Some(1), 1));
    assert_eq!((ping.delay.loss_periods, ping.avg_ms), (Some(1), Some(21.6)));
}

#[test]
fn a_printed_average_that_is_no_number_is_none() {
    let text = "PING h (192.0.2.2): 56 data bytes\n\
                --- h ping statistics ---\n\
                0 packets transmitted, 0 packets received\n\
                round-trip min/avg/max/stddev = inf/nan/0.000/-nan ms\n";
    let ping = read(End::Exited(1), text, "").expect("a reading");
    assert_eq!((ping.min_ms, ping.avg_ms, ping.max_ms), (None, None, Some(0.0)));
    assert_eq!(ping.loss_ratio, None);
}

#[test]
fn more_replies_than_are_kept_are_counted() {
    let count = ping::MOST_PACKETS + 7;
    let mut text = String::from("PING h (192.0.2.2) 56(84) bytes of data.\n");
    for seq in 1..=count {
        writeln!(text, "{}", reply(seq % 65_536)).expect("text");
    }
    let ping = read(End::TimedOut, &text, "").expect("a reading");
    assert_eq!((ping.packets.len(), ping.packets_left_out), (ping::MOST_PACKETS, 7));
    assert_eq!((ping.received, ping.reordered, ping.duplicates), (count as u64, 0, 0));
}

#[test]
fn what_cannot_be_understood_says_why_and_where() {
    let header = "PING h (192.0.2.2) 56(84) bytes of data.\n";
    for (text, complaint) in [
        ("", "nothing was printed (exit status 0)"),
        (
            "ping from iputils 20221126\n",
            "line 1: expected \"PING\", found \"ping from iputils 20221126\"",
        ),
        (
            &format!("{header}64 bytes from 192.0.2.2: icmp_seq=x ttl=61 time=1 ms\n"),
            "line 2: expected a sequence number, found \"x\"",
        ),
        (
            &format!("{header}64 bytes from 192.0.2.2: icmp_seq=1 ttl=256 time=1 ms\n"),
            "line 2: expected a time to live, found \"256\"",
        ),
        (
            &format!("{header}64 Bytes von 192.0.2.2: icmp_seq=1 ttl=61 Zeit=21,6 ms\n"),
            "line 2: expected a line of ping, found \"64 Bytes von 192.0.2.2: icmp_seq=1 ttl=61 Zeit=21,6 ms\"",
        ),
        (
            &format!(
                "{header}\n--- h ping statistics ---\n3 packets transmitted, 5 received, 0% packet loss\n"
            ),
            "line 4: expected at most 3 received, found 5",
        ),
        (
            &format!("{header}99999999999999999999 packets transmitted, 5 received\n"),
            "line 2: expected a number of packets, found \"99999999999999999999\"",
        ),
        (
            &format!("{header}{header}"),
            "line 2: expected one run of ping, found \"PING h (192.0.2.2) 56(84) bytes of data.\"",
        ),
    ] {
        let wrong = read(End::Exited(0), text, "").expect_err(text);
        assert_eq!(wrong.to_string(), complaint);
    }
}

fn of_capture(folder: &str, case: &str) -> Ping {
    ping::read(&Capture::of(folder, case).output()).expect("a reading")
}

fn read(end: End, stdout: &str, stderr: &str) -> Result<Ping, Unreadable> {
    ping::read(&Output { stdout: stdout.as_bytes(), stderr: stderr.as_bytes(), end })
}

/// What a ping that was ended had said after its header.
#[track_caller]
fn said(lines: &str) -> Ping {
    let text = format!("PING h (192.0.2.2) 56(84) bytes of data.\n{lines}\n");
    read(End::Signalled(15), &text, "").expect("a reading")
}

fn reply(seq: usize) -> String {
    format!("64 bytes from 192.0.2.2: icmp_seq={seq} ttl=61 time=21.6 ms")
}

#[expect(clippy::cast_precision_loss, reason = "delays of a laboratory")]
fn ms(us: u64) -> f64 {
    us as f64 / 1000.0
}

/// A reading in one line; what is zero or missing is not told.
fn told(ping: &Ping) -> String {
    let mut parts = vec![
        ping.target.clone().unwrap_or_else(|| "?".to_owned()),
        ping.address.map_or("?".to_owned(), |address| address.to_string()),
    ];
    parts.extend(ping.bytes.map(|bytes| format!("{bytes} bytes")));
    parts.push(counts(ping));
    parts.extend(seqs(&ping.packets));
    parts.extend(times(ping));
    parts.extend(delay(ping));
    parts.extend(ping.errors.iter().map(|(kind, count)| format!("{count} {kind}")));
    parts.extend(ping.problem.as_ref().map(|problem| format!("{}!", problem.kind)));
    parts.join(", ")
}

/// `10/15 +8 ~2`: received of transmitted, duplicates, reordered.
fn counts(ping: &Ping) -> String {
    let sent = ping.transmitted.map_or("?".to_owned(), |sent| sent.to_string());
    let mut text = format!("{}/{sent}", ping.received);
    for (mark, count) in [(" +", ping.duplicates), (" ~", ping.reordered)] {
        if count > 0 {
            write!(text, "{mark}{count}").expect("text");
        }
    }
    text
}

/// `#2-5 5' 7`: in the order of arrival, with duplicates dashed.
fn seqs(packets: &[Reply]) -> Option<String> {
    let mut runs: Vec<(u64, u64, bool)> = Vec::new();
    for Reply { seq, duplicate, .. } in packets {
        match runs.last_mut() {
            Some((_, end, false)) if *end + 1 == *seq && !duplicate => *end = *seq,
            _ => runs.push((*seq, *seq, *duplicate)),
        }
    }
    let runs: Vec<String> = runs
        .iter()
        .map(|(from, to, duplicate)| match (from == to, duplicate) {
            (_, true) => format!("{from}'"),
            (true, false) => from.to_string(),
            (false, false) => format!("{from}-{to}"),
        })
        .collect();
    (!runs.is_empty()).then(|| format!("#{}", runs.join(" ")))
}

/// `21.700/21.880/22.000/0.087 ms`: smallest, mean, largest, deviation.
fn times(ping: &Ping) -> Option<String> {
    let mdev = ping.mdev_ms.map_or("?".to_owned(), |mdev| format!("{mdev:.3}"));
    Some(format!("{:.3}/{:.3}/{:.3}/{mdev} ms", ping.min_ms?, ping.avg_ms?, ping.max_ms?))
}

/// `p 21.9 21.9 - - - ipdv 0.083 pdv 0.7`, milliseconds; `holes 5 to 1`: loss periods, the longest.
fn delay(ping: &Ping) -> Option<String> {
    let delay = &ping.delay;
    let ms = |us: Option<f64>| us.map_or("-".to_owned(), |us| format!("{:.3}", us / 1000.0));
    let whole =
        |us: Option<u64>| us.map_or("-".to_owned(), |us| format!("{}.{:03}", us / 1000, us % 1000));
    let ps = [delay.p25_us, delay.p50_us, delay.p75_us, delay.p95_us, delay.p99_us].map(whole);
    let mut text = String::new();
    if delay.p25_us.is_some() || delay.ipdv_abs_mean_us.is_some() {
        text = format!(
            "p {} ipdv {} pdv {}",
            ps.join(" "),
            ms(delay.ipdv_abs_mean_us),
            whole(delay.pdv_p95_us)
        );
    }
    if let (Some(periods @ 1..), Some(longest)) = (delay.loss_periods, delay.loss_period_max) {
        write!(text, " holes {periods} to {longest}").expect("text");
    }
    (!text.is_empty()).then(|| text.trim().to_owned())
}
