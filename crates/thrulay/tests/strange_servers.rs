//! Servers that are slow, or mean no good: what they say is no figure before it can be one.

#[path = "common/bed.rs"]
mod bed;

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Output, Stdio},
    thread,
};

use bed::{PATIENCE, V4, program, told, until};
use thrulay::protocol::{AcceptedTcp, Answer, GREETING, Incoming, Request, Token};

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
