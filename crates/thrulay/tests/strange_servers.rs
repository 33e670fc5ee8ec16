//! Servers that are slow, or mean no good: what they say is no figure before it can be one.

#[path = "common/bed.rs"]
mod bed;

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    process::{Command, Output, Stdio},
    thread,
};

use bed::{PATIENCE, V4, program, told, until};
use thrulay::protocol::{
    AcceptedTcp, AcceptedUdp, Answer, GREETING, HEAD, Incoming, Record, Request, Token, UdpReport,
};

const TOKEN: Token = Token([7; 16]);

/// A server that speaks by hand.
struct Host {
    listener: TcpListener,
}

/// A connection to it.
struct Guest {
    stream: TcpStream,
    incoming: Incoming,
}

impl Host {
    fn new() -> Self {
        let listener = TcpListener::bind((V4, 0)).expect("a port");
        listener.set_nonblocking(true).expect("ours");
        Self { listener }
    }

    fn client(&self, args: &str) -> Command {
        let port = self.listener.local_addr().expect("bound").port();
        let mut command = program("thrulay");
        command.args(["-p", &port.to_string()]).args(args.split_whitespace()).arg(V4.to_string());
        command.stdin(Stdio::null());
        command
    }

    /// A connection that has been greeted with nothing yet.
    fn admit(&self) -> Guest {
        let (stream, _) = until("a client comes", || self.listener.accept().ok());
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        Guest { stream, incoming: Incoming::default() }
    }

    /// Grants a TCP test, and takes its streams in when all of them have come.
    fn begin(&self) -> (Guest, Vec<Guest>) {
        let mut control = self.admit();
        control.greet();
        let Some(Request::Tcp(wanted)) = control.hear() else { panic!("no proposal") };
        let accepted = AcceptedTcp { token: TOKEN, duration_s: wanted.duration_s, window: 0 };
        control.say(&Answer::Tcp(accepted));
        let mut streams: Vec<Guest> = (0..wanted.streams).map(|_| self.admit()).collect();
        streams.iter_mut().for_each(Guest::greet);
        for stream in &mut streams {
            assert!(matches!(stream.hear(), Some(Request::Join(join)) if join.token == TOKEN));
        }
        for stream in &mut streams {
            stream.say(&Answer::Joined(65_536));
        }
        (control, streams)
    }
}

impl Guest {
    fn greet(&mut self) {
        self.stream.write_all(&GREETING).expect("there");
    }

    fn say(&mut self, answer: &Answer) {
        self.stream.write_all(&answer.to_bytes()).expect("there");
    }

    /// What it says; none if it goes.
    fn hear(&mut self) -> Option<Request> {
        loop {
            if let Some((kind, body)) = self.incoming.take().expect("sense") {
                return Some(Request::read(kind, &body).expect("sense"));
            }
            let mut octets = vec![0; self.incoming.wanted().expect("sense")];
            match self.stream.read(&mut octets) {
                Ok(0) | Err(_) => return None,
                Ok(length) => self.incoming.add(&octets[..length]),
            }
        }
    }
}

/// A client of a host that does this.
fn meets(args: &str, host: impl FnOnce(&Host) + Send + 'static) -> Output {
    let it = Host::new();
    let mut client = it.client(args);
    let host = thread::spawn(move || host(&it));
    let output = client.output().expect("it starts");
    host.join().expect("well");
    output
}

#[test]
fn streams_join_side_by_side_as_each_takes_three_round_trips() {
    let output = meets("-t 1 -m 8 --json", |host| {
        // None of them is greeted before all have come.
        let (_control, streams) = host.begin();
        assert_eq!(streams.len(), 8);
    });
    let text = told(&output);
    assert!(!text.contains("greeting") && !text.contains("joining"), "{text}");
    assert!(text.contains("premature end of test"), "{text}");
}

/// A client that has met somebody who says what cannot be.
fn disbelieves(output: &Output, word: &str) {
    let text = told(output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("says what makes no sense") && text.contains(word), "{text}");
}

#[test]
fn no_server_has_received_more_than_was_sent() {
    for received in [u64::MAX, 1 << 40] {
        let output = meets("-t 20 -m 2", move |host| {
            let (mut control, mut streams) = host.begin();
            let record = |stream: &mut Guest| {
                let mut record = Record::default().to_bytes();
                stream.stream.read_exact(&mut record[..HEAD]).expect("a block");
                record[HEAD..].copy_from_slice(&received.to_be_bytes());
                record
            };
            let records: Vec<_> = streams.iter_mut().map(record).collect();
            for (stream, record) in streams.iter_mut().zip(records) {
                // It may have gone already, for what another stream was told.
                let _ = stream.stream.write_all(&record);
            }
            assert_eq!(control.hear(), None, "it does not believe it");
        });
        disbelieves(&output, "octets came");
        let total = told(&output);
        let total = total.lines().find(|line| line.starts_with("#(**)")).expect("a total");
        assert_eq!(total.split_whitespace().nth(3), Some("0.000"), "{total}");
    }
}

#[test]
fn no_server_reports_more_than_was_sent() {
    let reports = |octets: Vec<u64>| {
        meets("-t 1", move |host| {
            let (mut control, mut streams) = host.begin();
            let mut taken = streams.remove(0).stream;
            let reader = thread::spawn(move || io::copy(&mut taken, &mut io::sink()));
            assert_eq!(control.hear(), Some(Request::Finished));
            control.say(&Answer::TcpReport(octets));
            let _ = reader.join();
        })
    };
    disbelieves(&reports(vec![u64::MAX]), "were sent");
    disbelieves(&reports(vec![0, 0]), "2 streams");
    let output = meets("-t 1 -u 1M", |host| {
        let mut control = host.admit();
        control.greet();
        assert!(matches!(control.hear(), Some(Request::Udp(_))));
        let socket = UdpSocket::bind((V4, 0)).expect("a port");
        let port = socket.local_addr().expect("bound").port();
        control.say(&Answer::Udp(AcceptedUdp { token: TOKEN, port, buffer: 65_536 }));
        socket.recv(&mut [0; 2_048]).expect("a packet");
        control.say(&Answer::Heard);
        let Some(Request::Sent(sent)) = control.hear() else { panic!("not sent") };
        let (received, unique) = (u64::from(sent) + 1, u64::from(sent) + 1);
        let report = UdpReport { received, unique, ..UdpReport::default() };
        control.say(&Answer::UdpReport(Box::new(report)));
    });
    disbelieves(&output, "were sent");
}
