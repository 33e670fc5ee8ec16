//! What the options of `owping` do to its packets, seen by a server.
#![expect(clippy::disallowed_methods, reason = "a real program is started and waited for")]

#[path = "common/false_server.rs"]
mod false_server;

use std::{net::SocketAddr, process::Command, sync::mpsc::channel, time::Duration};

use false_server::{Talk, serve};
use owamp::protocol::Finished;
use serde_json::Value;

const OWPING: &str = env!("CARGO_BIN_EXE_owping");
const PATIENCE: Duration = Duration::from_secs(60);

/// The packets of the session that we receive: how long, and whence.
fn packets(talk: &Talk) -> Vec<(usize, SocketAddr)> {
    let session = talk.session(false).expect("one that we receive");
    session.socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut octets = [0; 2_000];
    let packet = |_| session.socket.recv_from(&mut octets).expect("a packet");
    (0..session.request.packets).map(packet).collect()
}

#[test]
fn ports_address_and_padding_are_those_that_were_asked_for() {
    let (tell, told) = channel();
    let (port, server) = serve(move |stream| {
        let client = stream.peer_addr().expect("connected");
        let mut talk = Talk::begin(stream);
        talk.agree();
        talk.send(|_| Duration::ZERO);
        let asked: Vec<_> = talk.sessions.iter().map(|it| it.request.clone()).collect();
        tell.send((client, asked, packets(&talk))).expect("somebody waits");
        talk.hear_stop();
        talk.put_stop();
        talk.say();
        talk.hear_fetch();
        let records: Vec<_> = (0..5).map(|seq| talk.record(seq, true)).collect();
        talk.give(Finished::Well, &records);
    });
    let mut command = Command::new(OWPING);
    command.args(["-p", &port.to_string(), "-c", "5", "-i", "0.01f", "-L", "0.5", "--json"]);
    command.args(["-P", "20100-20139", "-S", "127.0.0.7", "-s", "186", "127.0.0.1"]);
    let output = command.output().expect("run");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    server.join().expect("served");
    let (client, asked, packets) = told.recv().expect("told");
    let is_ours = |address: SocketAddr| {
        address.ip().to_string() == "127.0.0.7" && (20_100..=20_139).contains(&address.port())
    };
    assert_eq!(client.ip().to_string(), "127.0.0.7");
    assert_eq!(packets.len(), 5);
    // 14 octets are the fields of a packet in open mode.
    assert!(packets.iter().all(|(length, from)| *length == 200 && is_ours(*from)), "{packets:?}");
    for request in &asked {
        assert_eq!(request.padding, 186);
        assert!(is_ours(if request.server_sends { request.receiver } else { request.sender }));
    }
    let it: Value = serde_json::from_slice(&output.stdout).expect("a document");
    assert_eq!(it["sessions"][0]["from"]["address"], "127.0.0.7");
    assert_eq!(it["sessions"][1]["to"]["address"], "127.0.0.7");
    assert_eq!(
        (&it["sessions"][1]["lost"], &it["sessions"][0]["padding"]),
        (&0.into(), &186.into())
    );
}

#[test]
fn people_are_told_local_times() {
    let (port, server) = serve(|stream| {
        let mut talk = Talk::begin(stream);
        talk.agree();
        talk.send(|_| Duration::ZERO);
        talk.hear_stop();
        talk.put_stop();
        talk.say();
    });
    let mut command = Command::new(OWPING);
    // Five and a half hours ahead of UTC, as POSIX writes it.
    command.env("TZ", "HERE-5:30").args(["-p", &port.to_string(), "-c", "5", "-i", "0.01f"]);
    let output = command.args(["-L", "0.5", "-f", "127.0.0.1"]).output().expect("run");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{said}");
    server.join().expect("served");
    let (_, first) = said.split_once("first:\t").expect("a time");
    let first = first.lines().next().expect("a line");
    let told = chrono::NaiveDateTime::parse_from_str(first, "%Y-%m-%dT%H:%M:%S%.3f");
    let told = told.expect("a time").and_utc().timestamp_millis();
    let now = timed_udp::clock::wall().unix_nanos() / 1_000_000;
    let ahead = i128::from(told) - now;
    assert!((ahead - 19_800_000).abs() < 60_000, "{first} is {ahead} ms ahead of UTC");
}
