//! Clients that mean no good: none of them disturbs an honest test, nobody is sent anything over UDP, and what takes too
//! long or makes no sense ends by itself.

#[path = "common/bed.rs"]
mod bed;

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{IpAddr, TcpStream, UdpSocket},
    thread::{self, JoinHandle},
    time::Duration,
};

use bed::{PATIENCE, Server, V4, V6, document, ended, told, until};
use station::world::clock::pause;
use thrulay::protocol::{
    Answer, Cause, GREETING, HELLO, Head, Incoming, Join, LONGEST_BLOCK, Request, TcpProposal,
    TestPacket, Token, UdpProposal,
};
use timed_udp::clock::{Mono, wall};

/// A client that speaks by hand.
struct Talk {
    stream: TcpStream,
    incoming: Incoming,
}

impl Talk {
    /// A connection that has been greeted.
    fn to(server: &Server, address: IpAddr) -> Self {
        let mut stream = TcpStream::connect((address, server.port)).expect("there");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        let mut greeting = [0; GREETING.len()];
        stream.read_exact(&mut greeting).expect("a greeting");
        assert_eq!(greeting, GREETING);
        Self { stream, incoming: Incoming::default() }
    }

    fn say(&mut self, request: &Request) {
        self.stream.write_all(&request.to_bytes()).expect("there");
    }

    /// What is answered; none if the connection ends.
    fn hear(&mut self) -> Option<Answer> {
        loop {
            if let Some((kind, body)) = self.incoming.take().expect("sense") {
                return Some(Answer::read(kind, &body).expect("sense"));
            }
            let mut octets = vec![0; self.incoming.wanted().expect("sense")];
            match self.stream.read(&mut octets) {
                Ok(0) | Err(_) => return None,
                Ok(length) => self.incoming.add(&octets[..length]),
            }
        }
    }
}

fn tcp(streams: u16, block: u32) -> Request {
    Request::Tcp(TcpProposal { streams, duration_s: 60, block, window: 65_536 })
}

const UDP: UdpProposal =
    UdpProposal { packets: 100, size: 1_500, rate: 10_000_000, buffer: 1 << 20 };

/// Kilobytes that a process has in memory.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("ours");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("told");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}

#[test]
fn a_crowd_that_says_nothing_and_one_that_says_rubbish_disturb_no_test() {
    let server = Server::start(&[]);
    let _ = server.measured(V4, "-t 1");
    let before = resident(server.child.id());
    let honest = server.client(V6, "-t 4 --json").spawn().expect("it starts");
    let mut crowd: Vec<TcpStream> = Vec::new();
    for number in 0..400_u32 {
        let Ok(mut stream) = TcpStream::connect((V4, server.port)) else { continue };
        let said: &[u8] = match number % 5 {
            0 => &[],
            1 => &[1, 0],
            2 => &[0xff; 64],
            3 => &[3, 0xff, 0xff, 0, 0],
            _ => b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        };
        let _ = stream.write_all(said);
        crowd.push(stream);
    }
    // One of the same address comes through the crowd.
    let _ = server.measured(V4, "-t 1");
    let output = ended(honest);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(document(&output)["tcp"]["total"]["bytes"].as_u64().is_some_and(|it| it > 0));
    let after = resident(server.child.id());
    assert!(after < before + 30_000, "{before} kB before, {after} kB after");
}

#[test]
fn who_comes_octet_by_octet_is_cut_off() {
    let server = Server::start(&[]);
    let mut talk = Talk::to(&server, V4);
    let slow = thread::spawn(move || {
        for octet in tcp(1, 65_536).to_bytes() {
            let _ = talk.stream.write_all(&[octet]);
            thread::park_timeout(Duration::from_secs(1));
        }
        talk.hear()
    });
    let _ = server.measured(V4, "-t 1");
    assert_eq!(slow.join().expect("well"), None, "17 octets in 17 s are too slow");
}

#[test]
fn a_stream_without_the_token_or_from_elsewhere_joins_nothing() {
    let server = Server::start(&[]);
    let mut control = Talk::to(&server, V4);
    control.say(&tcp(1, 65_536));
    let Some(Answer::Tcp(accepted)) = control.hear() else { panic!("not granted") };
    let mut guesser = Talk::to(&server, V4);
    guesser.say(&Request::Join(Join { token: Token([0; 16]), stream: 0 }));
    assert_eq!(guesser.hear(), None);
    let mut elsewhere = Talk::to(&server, V6);
    elsewhere.say(&Request::Join(Join { token: accepted.token, stream: 0 }));
    assert_eq!(elsewhere.hear(), None, "a token is of its client's address");
    let mut own = Talk::to(&server, V4);
    own.say(&Request::Join(Join { token: accepted.token, stream: 0 }));
    assert!(matches!(own.hear(), Some(Answer::Joined(_))));
    let mut twice = Talk::to(&server, V4);
    twice.say(&Request::Join(Join { token: accepted.token, stream: 0 }));
    assert_eq!(twice.hear(), None, "a stream joins once");
    assert_eq!(control.hear(), None, "and that ends the test");
}

#[test]
fn a_stream_of_rubbish_ends_its_test_and_one_that_takes_no_records_is_waited_for_in_little_room() {
    let server = Server::start(&[]);
    let begin = |block| {
        let mut control = Talk::to(&server, V4);
        control.say(&tcp(1, block));
        let Some(Answer::Tcp(accepted)) = control.hear() else { panic!("not granted") };
        let mut stream = Talk::to(&server, V4);
        stream.say(&Request::Join(Join { token: accepted.token, stream: 0 }));
        assert!(matches!(stream.hear(), Some(Answer::Joined(_))));
        (control, stream)
    };
    let (mut control, mut rubbish) = begin(64);
    rubbish.stream.write_all(&[0xff; 1_000]).expect("there");
    assert_eq!(control.hear(), None);
    let (control, mut deaf) = begin(64);
    deaf.stream.set_write_timeout(Some(Duration::from_millis(500))).expect("not zero");
    let before = resident(server.child.id());
    let mut block = vec![0; 64 * 1_000];
    let mut number = 0;
    let stalled = (0..10_000).any(|_| {
        for chunk in block.chunks_exact_mut(64) {
            chunk[..16].copy_from_slice(&Head { number, sent: 0 }.to_bytes());
            number += 1;
        }
        deaf.stream.write_all(&block).is_err()
    });
    assert!(stalled, "who takes no records is not read any more");
    assert!(resident(server.child.id()) < before + 10_000);
    let _ = server.measured(V4, "-t 1");
    drop(control);
}

#[test]
fn what_is_too_much_is_refused_with_a_reason() {
    let server = Server::start(&["--memory", "64", "--rate", "40M"]);
    for (request, word) in [
        (Request::Udp(UdpProposal { rate: 50_000_000, ..UDP }), "bit/s"),
        (Request::Udp(UdpProposal { rate: 30_000_000, ..UDP }), "bit/s of UDP of one address"),
        (
            Request::Udp(UdpProposal { packets: u32::MAX - 1, rate: 20_000_000, ..UDP }),
            " s are more",
        ),
        (
            Request::Udp(UdpProposal { packets: 50_000_000, size: 80, rate: 20_000_000, ..UDP }),
            "memory",
        ),
        (Request::Udp(UdpProposal { size: 10, ..UDP }), "shorter"),
    ] {
        let mut talk = Talk::to(&server, V4);
        talk.say(&request);
        match talk.hear() {
            Some(Answer::Refused(Cause::Never, why)) => assert!(why.contains(word), "{why}"),
            other => panic!("{request:?}: {other:?}"),
        }
    }
    let mut talk = Talk::to(&server, V4);
    talk.say(&tcp(64, LONGEST_BLOCK));
    assert!(matches!(talk.hear(), Some(Answer::Tcp(_))), "64 small windows fit");
}

#[test]
fn who_takes_all_that_one_address_can_have_leaves_others_as_much() {
    let server = Server::start(&[]);
    let most = Request::Tcp(TcpProposal {
        streams: 64,
        duration_s: 3_600,
        block: 65_536,
        window: 4 << 20,
    });
    let fastest = Request::Udp(UdpProposal { packets: 1_000, rate: 500_000_000, ..UDP });
    let begin = |address| {
        [&most, &fastest].map(|request| {
            let mut talk = Talk::to(&server, address);
            talk.say(request);
            let answer = talk.hear();
            assert!(matches!(answer, Some(Answer::Tcp(_) | Answer::Udp(_))), "{answer:?}");
            talk
        })
    };
    let held = begin(V4);
    for (request, word) in
        [(&most, "octets of memory of one address"), (&fastest, "bit/s of UDP of one address")]
    {
        let mut talk = Talk::to(&server, V4);
        talk.say(request);
        let answer = talk.hear();
        let Some(Answer::Refused(Cause::Busy, why)) = answer else { panic!("{answer:?}") };
        assert!(why.contains(word), "{why}");
    }
    let others = begin(V6);
    drop((held, others));
}

/// How long the server keeps a connection on which nothing is said any more.
fn kept(mut talk: Talk) -> Duration {
    let begun = Mono::now();
    talk.stream.set_read_timeout(Some(PATIENCE * 2)).expect("not zero");
    let end = talk.stream.read(&mut [0]);
    let is_end =
        end.as_ref().map_or_else(|error| error.kind() == ErrorKind::ConnectionReset, |it| *it == 0);
    assert!(is_end, "{end:?}");
    Mono::now().since(begun)
}

#[test]
fn a_test_of_which_nothing_comes_is_over_long_before_its_end_and_one_that_lives_is_not() {
    let server = Server::start(&[]);
    let begin = |streams| {
        let mut control = Talk::to(&server, V4);
        control.say(&Request::Tcp(TcpProposal {
            streams,
            duration_s: 3_600,
            block: 64,
            window: 65_536,
        }));
        let Some(Answer::Tcp(accepted)) = control.hear() else { panic!("not granted") };
        let mut stream = Talk::to(&server, V4);
        stream.say(&Request::Join(Join { token: accepted.token, stream: 0 }));
        assert!(matches!(stream.hear(), Some(Answer::Joined(_))));
        (control, stream)
    };
    let mut datagrams = Talk::to(&server, V4);
    datagrams.say(&Request::Udp(UdpProposal { packets: 1_000_000, ..UDP }));
    let Some(Answer::Udp(accepted)) = datagrams.hear() else { panic!("not granted") };
    let socket = UdpSocket::bind((V4, 0)).expect("a port");
    let mut hello = [0; 1_472];
    TestPacket { token: accepted.token, number: HELLO, sent: wall() }.write(&mut hello);
    socket.send_to(&hello, (V4, accepted.port)).expect("sent");
    assert_eq!(datagrams.hear(), Some(Answer::Heard));
    let ((silent, _stream), (mut lives, mut speaks), (halved, mut half)) =
        (begin(1), begin(1), begin(2));
    let waits = [silent, datagrams, halved].map(|talk| thread::spawn(|| kept(talk)));
    for number in 0.. {
        let mut block = [0; 64];
        block[..16].copy_from_slice(&Head { number, sent: 0 }.to_bytes());
        speaks.stream.write_all(&block).expect("there");
        // Where a stream is missing, those that are there gain no time by what they send.
        let _ = half.stream.write_all(&block);
        pause(Duration::from_secs(1));
        if waits.iter().all(JoinHandle::is_finished) {
            break;
        }
    }
    let [silent, datagrams, halved] = waits.map(|wait| wait.join().expect("it ends").as_secs());
    assert!((28..60).contains(&silent) && (28..60).contains(&datagrams), "{silent} {datagrams}");
    assert!((13..28).contains(&halved), "{halved}");
    lives.say(&Request::Finished);
    assert!(matches!(lives.hear(), Some(Answer::TcpReport(_))), "it went on");
}

#[test]
fn packets_count_with_the_token_from_the_port_that_showed_it_and_nobody_is_answered() {
    let server = Server::start(&[]);
    let mut control = Talk::to(&server, V4);
    control.say(&Request::Udp(UDP));
    let Some(Answer::Udp(accepted)) = control.hear() else { panic!("not granted") };
    let socket = || {
        let socket = UdpSocket::bind((V4, 0)).expect("a port");
        socket.connect((V4, accepted.port)).expect("loopback");
        socket
    };
    let packet = |token, number| {
        let mut octets = [0; 1_472];
        TestPacket { token, number, sent: wall() }.write(&mut octets);
        octets
    };
    let (client, stranger) = (socket(), socket());
    let wrong = Token([1; 16]);
    for number in [HELLO, 0, 1, 2] {
        stranger.send(&packet(wrong, number)).expect("sent");
    }
    client.send(&packet(accepted.token, 7)).expect("sent");
    client.send(&packet(accepted.token, HELLO)).expect("sent");
    assert_eq!(control.hear(), Some(Answer::Heard));
    for number in [0, 1, 1, 3, 100, u32::MAX - 1] {
        client.send(&packet(accepted.token, number)).expect("sent");
        stranger.send(&packet(accepted.token, number + 1)).expect("sent");
        stranger.send(&[0; 5]).expect("sent");
    }
    control.say(&Request::Sent(4));
    let Some(Answer::UdpReport(report)) = control.hear() else { panic!("no report") };
    assert_eq!((report.received, report.unique), (4, 3), "{report:?}");
    for socket in [client, stranger] {
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("not zero");
        // That the port is closed by now may be told; a packet never is.
        assert!(socket.recv(&mut [0; 64]).is_err());
    }
}

#[test]
fn who_goes_gives_back_what_he_took() {
    let server = Server::start(&["--per-address", "1"]);
    for request in [tcp(1, 65_536), Request::Udp(UDP)] {
        until("there is room", || {
            let mut talk = Talk::to(&server, V4);
            talk.say(&request);
            let granted = matches!(talk.hear(), Some(Answer::Tcp(_) | Answer::Udp(_)));
            let mut other = Talk::to(&server, V4);
            other.say(&request);
            let refused = matches!(other.hear(), Some(Answer::Refused(Cause::Busy, _)));
            (granted && refused).then_some(())
        });
    }
    let mut none = Talk::to(&server, V4);
    none.say(&Request::Finished);
    assert_eq!(none.stream.read(&mut [0]).unwrap_or(0), 0, "it has no test");
}
