//! Every capture of a traceroute, and what its reader must make of it.
//!
//! Each line of the table was checked by eye against the text of the capture. The hops are checked by
//! telling them again in the tool's own words.

mod common;

use std::fmt::Write;

use common::Capture;
use readings::{
    End, Kind, Output, Unreadable,
    traceroute::{self, Answer, Hop, Traceroute},
};

/// Capture; target, address, TTL of the last answer/hops printed `of` hops allowed, size of a probe,
/// whether it was reached, problem.
#[rustfmt::skip]
const TABLE: &[(&str, &str)] = &[
    ("busyboxtraceroute/normal", "192.0.2.2 192.0.2.2 4/4 of 30, 46 bytes, reached"),
    ("inettraceroute/blackhole", "100.64.3.1 100.64.3.1 2/5 of 5, ? bytes"),
    ("inettraceroute/normal", "192.0.2.2 192.0.2.2 4/4 of 64, ? bytes, reached"),
    ("inettraceroute/resolve", "192.0.2.2 192.0.2.2 4/4 of 64, ? bytes, reached"),
    ("traceroute/A-moas", "192.0.2.2 192.0.2.2 4/4 of 30, 60 bytes, reached"),
    ("traceroute/A-v6-unknown", "2001:db8:2::2 2001:db8:2::2 4/4 of 30, 80 bytes, reached"),
    ("traceroute/A-whois-dark", "192.0.2.2 192.0.2.2 1/1 of 4, 60 bytes, killed!"),
    ("traceroute/H", "100.64.4.1 100.64.4.1 3/3 of 30, 60 bytes"),
    ("traceroute/N", "100.64.1.1 100.64.1.1 3/3 of 30, 60 bytes"),
    ("traceroute/P", "192.0.2.2 192.0.2.2 4/4 of 30, 60 bytes, reached"),
    ("traceroute/X", "100.64.2.1 100.64.2.1 3/3 of 30, 60 bytes"),
    ("traceroute/admin-dest", "192.0.2.2 192.0.2.2 4/4 of 30, 60 bytes, reached"),
    ("traceroute/badopt", "? ? 0/0 of ?, ? bytes, usage!"),
    ("traceroute/blackhole-default", "100.64.3.1 100.64.3.1 2/30 of 30, 60 bytes"),
    ("traceroute/blackhole-w1q1", "100.64.3.1 100.64.3.1 2/30 of 30, 60 bytes"),
    ("traceroute/icmp", "192.0.2.2 192.0.2.2 4/4 of 30, 60 bytes, reached"),
    ("traceroute/late-dest", "192.0.2.2 192.0.2.2 3/8 of 8, 60 bytes"),
    ("traceroute/local-netunreach", "198.18.0.1 198.18.0.1 0/0 of 30, 60 bytes, network unreachable!"),
    ("traceroute/locale-de", "192.0.2.2 192.0.2.2 4/4 of 30, 60 bytes, reached"),
    ("traceroute/loop-default", "100.64.5.1 100.64.5.1 30/30 of 30, 60 bytes"),
    ("traceroute/loopback", "127.0.0.1 127.0.0.1 1/1 of 30, 60 bytes, reached"),
    ("traceroute/lossy", "192.0.2.2 192.0.2.2 4/4 of 30, 60 bytes, reached"),
    ("traceroute/n-q1", "192.0.2.2 192.0.2.2 4/4 of 30, 60 bytes, reached"),
    ("traceroute/n", "192.0.2.2 192.0.2.2 4/4 of 30, 60 bytes, reached"),
    ("traceroute/noargs", "? ? 0/0 of ?, ? bytes, usage!"),
    ("traceroute/normal", "srv.lab.example 192.0.2.2 4/4 of 30, 60 bytes, reached"),
    ("traceroute/resolverdead-ip", "192.0.2.2 192.0.2.2 4/4 of 30, 60 bytes, reached"),
    ("traceroute/slow-dest", "192.0.2.2 192.0.2.2 4/4 of 30, 60 bytes, reached"),
    ("traceroute/starhop-names", "srv.lab.example 192.0.2.2 4/4 of 30, 60 bytes, reached"),
    ("traceroute/starhop-v6", "2001:db8:2::2 2001:db8:2::2 4/4 of 30, 80 bytes, reached"),
    ("traceroute/tcp", "192.0.2.2 192.0.2.2 4/4 of 30, 60 bytes, reached"),
    ("traceroute/term-middle", "100.64.3.1 100.64.3.1 2/2 of 30, 60 bytes, killed!"),
    ("traceroute/unknownhost", "? ? 0/0 of ?, ? bytes, unknown host!"),
    ("traceroute/unpriv-icmp", "192.0.2.2 192.0.2.2 4/4 of 30, 60 bytes, reached"),
    ("traceroute/unpriv-tcp", "? ? 0/0 of ?, ? bytes, not permitted!"),
    ("traceroute/unpriv-udp", "192.0.2.2 192.0.2.2 4/4 of 30, 60 bytes, reached"),
    ("traceroute/v6-H", "2001:db8:2::99 2001:db8:2::99 4/4 of 30, 80 bytes"),
    ("traceroute/v6-N", "2001:db8:f4::1 2001:db8:f4::1 1/1 of 30, 80 bytes"),
    ("traceroute/v6-blackhole", "2001:db8:f3::1 2001:db8:f3::1 1/10 of 10, 80 bytes"),
    ("traceroute/v6-n", "2001:db8:2::2 2001:db8:2::2 4/4 of 30, 80 bytes, reached"),
    ("traceroute/v6", "srv.lab.example 2001:db8:2::2 4/4 of 30, 80 bytes, reached"),
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
    let captures = common::all().into_iter().filter(|capture| capture.tool() == "traceroute");
    let names: Vec<String> = captures.map(|capture| capture.name()).collect();
    let table: Vec<&str> = TABLE.iter().map(|(name, _)| *name).collect();
    for name in &names {
        assert!(table.contains(&name.as_str()), "{name} is not in the table");
    }
    assert_eq!(names.len(), table.len());
}

#[test]
fn every_hop_of_a_capture_can_be_told_again() {
    for capture in common::all().into_iter().filter(|capture| capture.tool() == "traceroute") {
        let reading = of_capture(&capture.folder, &capture.case);
        let again: Vec<String> = reading.hops.iter().map(told_again).collect();
        assert_eq!(again, printed_hops(&capture), "{}", capture.name());
    }
}

#[test]
fn a_killed_run_keeps_the_hops_it_had() {
    let reading = of_capture("traceroute", "term-middle");
    assert_eq!(reading.hops.len(), 2);
    assert_eq!(reading.hops[1].answers.len(), 3);
    assert!(!reading.complete);
}

#[test]
fn half_a_word_is_not_believed() {
    let line = " 1  198.51.100.1  1.376 ms  1.256 ms 203.0.113.2  1.043 ms !X";
    let answers = |cut: &str| {
        let text = format!("traceroute to h (192.0.2.2), 30 hops max, 60 byte packets\n{cut}");
        let reading = read(End::Signalled(15), &text, "").expect("a reading");
        reading.hops.iter().map(|hop| hop.answers.len()).sum::<usize>()
    };
    for (cut, _) in line.char_indices() {
        let text = &line[..cut];
        assert_eq!(answers(text), text.matches(" ms").count(), "{text:?}");
    }
}

#[test]
fn the_target_is_reached_if_it_answers_whatever_it_answers() {
    for (case, reached) in [("n", true), ("P", true), ("admin-dest", true), ("loopback", true)] {
        assert_eq!(of_capture("traceroute", case).reached, reached, "{case}");
    }
}

#[test]
fn the_target_is_not_reached_if_a_router_answers_for_it() {
    for case in ["H", "N", "X", "v6-H", "v6-N", "late-dest", "loop-default", "blackhole-default"] {
        assert!(!of_capture("traceroute", case).reached, "{case}");
    }
}

#[test]
fn the_route_lists_each_address_once_and_holes_as_holes() {
    let route = |case| {
        let route = of_capture("traceroute", case).route();
        let hop = |hop: &Vec<std::net::IpAddr>| {
            hop.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        route.iter().map(hop).collect::<Vec<_>>()
    };
    assert_eq!(
        route("n"),
        ["198.51.100.1", "203.0.113.2 203.0.113.6", "203.0.113.10 203.0.113.14", "192.0.2.2"]
    );
    assert_eq!(route("starhop-names"), ["198.51.100.1", "", "203.0.113.14", "192.0.2.2"]);
    assert_eq!(route("blackhole-w1q1"), ["198.51.100.1", "203.0.113.2"]);
    assert_eq!(route("unknownhost"), [""; 0]);
}

#[test]
fn a_trace_that_begins_later_has_holes_at_its_beginning() {
    let reading = said(" 3  192.0.2.2  1.5 ms\n");
    assert_eq!(reading.numhops, 3);
    assert_eq!(reading.route().iter().map(Vec::len).collect::<Vec<_>>(), [0, 0, 1]);
}

#[test]
fn extensions_and_unusual_flags_are_kept_as_they_are_printed() {
    let reading = said(
        " 1  gw (198.51.100.1) <MPLS:L=16,E=0,S=1,T=1>  1,5 ms !<13>  1.6 ms *\n\
         \x20   203.0.113.2 '-3'  2.5 ms F=1400\n",
    );
    let answers = &reading.hops[0].answers;
    assert_eq!(answers.len(), 4);
    assert_eq!(answers[0].extension.as_deref(), Some("MPLS:L=16,E=0,S=1,T=1"));
    assert_eq!(answers[0].annotation.as_deref(), Some("!<13>"));
    assert_eq!((answers[0].rtt_us, answers[1].rtt_us), (Some(1500), Some(1600)));
    assert!(answers[2].is_silent());
    assert_eq!(answers[3].annotation.as_deref(), Some("F=1400"));
}

#[test]
fn an_address_without_a_time_still_answered() {
    let answers = &said(" 1  198.51.100.1 203.0.113.2  2.5 ms\n").hops[0].answers;
    assert_eq!(answers.iter().map(|a| a.rtt_us).collect::<Vec<_>>(), [None, Some(2500)]);
}

#[test]
fn a_silent_run_that_hung_is_a_reading() {
    let reading = read(End::TimedOut, "", "").expect("a reading");
    assert_eq!(reading.problem.expect("a problem").kind, Kind::Hung);
}

#[test]
fn what_cannot_be_understood_says_why_and_where() {
    let header = "traceroute to h (192.0.2.2), 30 hops max, 60 byte packets\n";
    for (text, complaint) in [
        ("", "nothing was printed (exit status 0)"),
        ("hello\n", "line 1: expected \"traceroute to name (address)\", found \"hello\""),
        (
            &format!("{header} 2  * * *\n 1  * * *\n"),
            "line 3: expected a hop number above 2, found \" 1  * * *\"",
        ),
        (
            &format!("{header} 256  * * *\n"),
            "line 2: expected a hop number from 1 to 255, found \" 256  * * *\"",
        ),
        (&format!("{header} 1  1.5 ms\n"), "line 2: expected an address, found \"1.5\""),
        (&format!("{header} 1  nobody  1.5 ms\n"), "line 2: expected an address, found \"nobody\""),
        (&format!("{header}* * *\n"), "line 2: expected a hop number, found \"* * *\""),
    ] {
        let wrong = read(End::Exited(0), text, "").expect_err(text);
        assert_eq!(wrong.to_string(), complaint);
    }
}

fn of_capture(folder: &str, case: &str) -> Traceroute {
    traceroute::read(&Capture::of(folder, case).output()).expect("a reading")
}

fn read(end: End, stdout: &str, stderr: &str) -> Result<Traceroute, Unreadable> {
    traceroute::read(&Output { stdout: stdout.as_bytes(), stderr: stderr.as_bytes(), end })
}

/// What a traceroute said after its header.
#[track_caller]
fn said(lines: &str) -> Traceroute {
    let text = format!("traceroute to h (192.0.2.2), 30 hops max, 60 byte packets\n{lines}");
    read(End::Exited(0), &text, "").expect("a reading")
}

/// A reading in a few words: target, address, hops tried, TTL of the last that answered.
fn told(reading: &Traceroute) -> String {
    let target = reading.target.as_deref().unwrap_or("?");
    let address = reading.address.map_or("?".to_owned(), |address| address.to_string());
    let mut text = format!("{target} {address} {}/{}", reading.numhops, reading.hops.len());
    let size = |n: Option<u32>| n.map_or("?".to_owned(), |n| n.to_string());
    write!(text, " of {}, {} bytes", size(reading.max_hops), size(reading.packet_bytes))
        .expect("text");
    if reading.reached {
        text += ", reached";
    }
    if let Some(problem) = &reading.problem {
        write!(text, ", {}!", problem.kind).expect("text");
    }
    text
}

/// A hop in words as the tools use them: a host is named when another than the last one answers.
fn told_again(hop: &Hop) -> String {
    let mut words = vec![hop.ttl.to_string()];
    let mut last = None;
    for answer in &hop.answers {
        match answer.address {
            None => words.push("*".to_owned()),
            address => {
                if last != address {
                    words.push(host(answer));
                }
                last = address;
                words.push(time(answer));
            }
        }
    }
    words.join(" ")
}

/// `192.0.2.2=srv [AS64511]`
fn host(answer: &Answer) -> String {
    let mut text = answer.address.expect("an address").to_string();
    if let Some(name) = &answer.name {
        write!(text, "={name}").expect("text");
    }
    if let Some(asn) = &answer.asn {
        write!(text, " [{asn}]").expect("text");
    }
    text
}

/// `1.124 ms !N`
fn time(answer: &Answer) -> String {
    let us = answer.rtt_us.expect("a time");
    let mut text = format!("{}.{:03} ms", us / 1000, us % 1000);
    if let Some(annotation) = &answer.annotation {
        write!(text, " {annotation}").expect("text");
    }
    text
}

/// The hops as the capture has them, with the few differences between the tools taken out.
fn printed_hops(capture: &Capture) -> Vec<String> {
    let text = String::from_utf8(capture.stdout.clone()).expect("text");
    text.lines().skip(1).map(|line| plain(&line.replace("ms ", " ms "))).collect()
}

/// `srv (192.0.2.2)` and `192.0.2.2 (srv)` become `192.0.2.2=srv`, `192.0.2.2 (192.0.2.2)` itself.
fn plain(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let Some(inside) = word.strip_prefix('(').and_then(|word| word.strip_suffix(')')) else {
            words.push(word.to_owned());
            continue;
        };
        let outside = words.pop().expect("a word before");
        let is_address = |word: &str| word.parse::<std::net::IpAddr>().is_ok();
        words.push(match (is_address(inside), is_address(&outside)) {
            (true, true) => outside,
            (true, false) => format!("{inside}={outside}"),
            _ => format!("{outside}={inside}"),
        });
    }
    words.join(" ")
}
