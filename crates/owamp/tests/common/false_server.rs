//! A server of OWAMP that follows the protocol, in open mode, as far as a test lets it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread::{self, JoinHandle},
    time::Duration,
};

use owamp::{
    protocol::{
        Accept, AcceptSession, FetchAck, FetchSession, Fetched, Finished, Inbound, Limits, Mode,
        Modes, Outbound, PacketKey, Record, Request, RequestSession, ServerGreeting, ServerStart,
        SessionEnd, SetUpResponse, Sid, StartAck, StopSessions,
    },
    session::units_of,
};
use timed_udp::{
    clock::wall,
    ntp::{ErrorEstimate, NtpTime},
};

const LIMITS: Limits = Limits { slots: 9, sessions: 9, skips: 4_096 };
const CLOCK: ErrorEstimate =
    ErrorEstimate { synchronised: true, z: false, scale: 0, multiplier: 1 };

/// Has one client served in a thread: the port that it listens on.
pub(crate) fn serve(talk: impl FnOnce(TcpStream) + Send + 'static) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let thread = thread::spawn(move || talk(listener.accept().expect("a client").0));
    (port, thread)
}

/// The first word.
pub(crate) fn greeting() -> [u8; ServerGreeting::LENGTH] {
    let modes = Modes::default().with(Mode::Open);
    ServerGreeting { modes, challenge: [1; 16], salt: [2; 16], count: 1_024 }.to_bytes()
}

/// A session that was asked for, and our socket of it.
pub(crate) struct Session {
    pub(crate) request: RequestSession,
    pub(crate) socket: UdpSocket,
}

/// A conversation.
pub(crate) struct Talk {
    pub(crate) stream: TcpStream,
    from: Inbound<TcpStream>,
    pub(crate) to: Outbound,
    pub(crate) sessions: Vec<Session>,
}

impl Talk {
    /// Greets a client and lets it in.
    pub(crate) fn begin(mut stream: TcpStream) -> Self {
        stream.write_all(&greeting()).expect("it listens");
        let mut response = [0; SetUpResponse::LENGTH];
        stream.read_exact(&mut response).expect("it answers");
        let start = ServerStart { accept: Accept::Yes, server_iv: [0; 16] };
        stream.write_all(&start.to_bytes()).expect("it listens");
        let from = Inbound::open(stream.try_clone().expect("a descriptor"));
        let mut talk = Self { stream, from, to: Outbound::open(), sessions: Vec::new() };
        ServerStart::put_start_time(&mut talk.to, wall());
        talk.say();
        talk
    }

    pub(crate) fn say(&mut self) {
        // Who is gone does not hear it.
        let _ = self.stream.write_all(&self.to.take());
    }

    /// What the client says next; nothing when it is gone.
    pub(crate) fn hear(&mut self) -> Option<Request> {
        Request::read(&mut self.from, &LIMITS).ok().flatten()
    }

    /// Agrees to all sessions and starts them.
    pub(crate) fn agree(&mut self) {
        loop {
            match self.hear() {
                Some(Request::Session(request)) => self.accept(*request),
                Some(Request::Start) => break,
                other => panic!("{other:?} before the start"),
            }
        }
        StartAck { accept: Accept::Yes }.put(&mut self.to);
        self.say();
    }

    fn accept(&mut self, mut request: RequestSession) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        if request.server_receives {
            request.sid = Sid([9; 16]);
        }
        let port = socket.local_addr().expect("bound").port();
        AcceptSession { accept: Accept::Yes, port, sid: request.sid }.put(&mut self.to);
        self.say();
        self.sessions.push(Session { request, socket });
    }

    /// The session that we send, or that which we receive.
    pub(crate) fn session(&self, is_sent: bool) -> Option<&Session> {
        self.sessions.iter().find(|session| session.request.server_sends == is_sent)
    }

    /// Sends our session when it is time to; the clock is `ahead` for each packet.
    pub(crate) fn send(&self, ahead: impl Fn(u32) -> Duration) {
        let Some(Session { request, socket }) = self.session(true) else { return };
        let to = SocketAddr::new(request.receiver.ip(), request.receiver.port());
        while wall().nanos_since(request.start) < 0 {
            thread::yield_now();
        }
        for seq in 0..request.packets {
            let mut packet = [0; 14];
            let sent = NtpTime(wall().0.wrapping_add(units_of(ahead(seq))));
            PacketKey::Open.seal(seq, sent, CLOCK, &mut packet).expect("room");
            socket.send_to(&packet, to).expect("sent");
        }
    }

    /// Hears Stop-Sessions.
    pub(crate) fn hear_stop(&mut self) {
        match self.hear() {
            Some(Request::Stop(_)) => {}
            other => panic!("{other:?} instead of a stop"),
        }
    }

    /// Puts our own to be said.
    pub(crate) fn put_stop(&mut self) {
        let sent = self.session(true).map(|session| &session.request);
        let end =
            |it: &RequestSession| SessionEnd { sid: it.sid, next_seq: it.packets, skips: vec![] };
        let ends = sent.map(end).into_iter().collect();
        StopSessions { accept: Accept::Yes, ends }.put(&mut self.to);
    }

    /// Hears which session is to be fetched.
    pub(crate) fn hear_fetch(&mut self) -> FetchSession {
        match self.hear() {
            Some(Request::Fetch(fetch)) => fetch,
            other => panic!("{other:?} instead of a fetch"),
        }
    }

    /// Gives the records of the session that we received: as many are promised as there are.
    pub(crate) fn give(&mut self, finished: Finished, records: &[Record]) {
        let promised = u32::try_from(records.len()).expect("few");
        self.promise(finished, promised);
        for record in records {
            Fetched::put_record(&record.to_bytes(), &mut self.to);
        }
        Fetched::put_end(&mut self.to);
        self.say();
    }

    /// Begins to give so many records.
    pub(crate) fn promise(&mut self, finished: Finished, records: u32) {
        let session = self.session(false).expect("one that we received").request.clone();
        let (accept, next_seq) = (Accept::Yes, session.packets);
        FetchAck { accept, finished, next_seq, skips: 0, records }.put(&mut self.to);
        Fetched { session, skips: vec![] }.put(&mut self.to);
    }

    /// The record of a packet that came 1 ms after it was due, or did not.
    pub(crate) fn record(&self, seq: u32, came: bool) -> Record {
        let sent = self.session(false).expect("one that we received").request.start;
        let received = NtpTime(sent.0.wrapping_add(units_of(Duration::from_millis(1))));
        Record {
            seq,
            sent,
            send_error: came.then_some(CLOCK),
            received: came.then_some(received),
            receive_error: Some(CLOCK),
            ttl: 255,
        }
    }
}
