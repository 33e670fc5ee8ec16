//! Conversations over real sockets on loopback, with honest clients and others.

mod greedy;

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd,
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, JoinHandle},
    time::Duration,
};

use station::world::signals::wait_for;
use timed_udp::{clock::wall, ntp::ErrorEstimate};

use super::*;
use crate::{
    protocol::{
        Accept, AcceptSession, FetchAck, FetchSession, Fetched, Finished, Inbound, KeyId, Limits,
        Mode, Modes, Outbound, PacketKey, PassPhrase, Record, Request, RequestSession,
        ServerGreeting, ServerStart, SessionEnd, SessionKeys, SetUpResponse, Slot, StartAck,
        StopSessions,
    },
    session::units_of,
};

const PATIENCE: Duration = Duration::from_secs(60);
const LIMITS: Limits = Limits { slots: 9, sessions: 9, skips: 99 };
const ERROR: ErrorEstimate =
    ErrorEstimate { synchronised: false, z: false, scale: 0, multiplier: 1 };
const IV: [u8; BLOCK] = [5; BLOCK];

/// A server, as long as it lives.
struct Bed {
    server: Arc<Server>,
    place: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Bed {
    fn new(limits: &str, change: impl FnOnce(&mut Settings)) -> Self {
        Self::at("127.0.0.1:0", limits, change)
    }

    fn at(place: &str, limits: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let (secrets, mistakes) = secrets::parse("iepm 736563726574\nann 616e6e\n");
        assert_eq!(mistakes, []);
        let (classes, mistakes) = match limits {
            "" => (Classes::default(), Vec::new()),
            text => classes::parse(text, &secrets),
        };
        assert_eq!(mistakes, []);
        let mut settings = Settings { ports: None, ..Settings::default() };
        change(&mut settings);
        let files = Files { settings, classes, secrets };
        let server = Arc::new(Server::start(files).expect("it starts"));
        let listener = TcpListener::bind(place).expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let (place, is_over) = (listener.local_addr().expect("bound"), Arc::default());
        let (ours, flag) = (Arc::clone(&server), Arc::clone(&is_over));
        let thread = Some(thread::spawn(move || accept(&ours, &listener, &flag)));
        Self { server, place, is_over, thread }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.place).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream
    }

    fn client(&self, mode: Mode) -> Client {
        self.user(mode, "iepm", b"secret").expect("let in")
    }

    fn user(&self, mode: Mode, user: &str, secret: &[u8]) -> Result<Client, Accept> {
        Client::greet(self.connect(), mode, user, secret)
    }
}

fn accept(server: &Arc<Server>, listener: &TcpListener, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        wait_for(&[listener.as_fd()], Duration::from_millis(20));
        listen::take_all(server, listener);
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.server.doors.close();
        self.thread.take().map(JoinHandle::join);
    }
}

/// A client that was let in.
struct Client {
    mode: Mode,
    keys: Option<SessionKeys>,
    from: Inbound<TcpStream>,
    to: Outbound,
    stream: TcpStream,
}

impl Client {
    fn greet(mut stream: TcpStream, mode: Mode, user: &str, secret: &[u8]) -> Result<Self, Accept> {
        let mut bytes = [0; ServerGreeting::LENGTH];
        stream.read_exact(&mut bytes).expect("a greeting");
        let greeting = ServerGreeting::from_bytes(&bytes);
        let (mut response, mut keys) = (SetUpResponse::open(), None);
        if mode != Mode::Open {
            let mine = SessionKeys::new([77; 48]);
            let how = greeting.derivation().expect("sound");
            let token = mine.to_token(&greeting.challenge, &PassPhrase(secret.to_vec()), &how);
            let key_id = KeyId::new(user).expect("short");
            response = SetUpResponse { mode, key_id, token, client_iv: IV };
            keys = Some(mine);
        }
        stream.write_all(&response.to_bytes()).expect("it reads");
        let mut bytes = [0; ServerStart::LENGTH];
        stream.read_exact(&mut bytes).expect("an answer");
        let start = ServerStart::from_bytes(&bytes);
        let other = stream.try_clone().expect("a socket");
        let (mut from, to) = match &keys {
            Some(keys) => {
                (Inbound::sealed(other, keys, &start.server_iv), Outbound::sealed(keys, &IV))
            }
            None => (Inbound::open(other), Outbound::open()),
        };
        if start.accept != Accept::Yes {
            return Err(start.accept);
        }
        ServerStart::read_start_time(&mut from).expect("there");
        Ok(Self { mode, keys, from, to, stream })
    }

    fn say(&mut self, request: &Request) {
        request.put(&mut self.to);
        self.stream.write_all(&self.to.take()).expect("it reads");
    }

    fn ask(&mut self, request: RequestSession) -> AcceptSession {
        self.say(&Request::Session(Box::new(request)));
        AcceptSession::read(&mut self.from).expect("an answer")
    }

    fn start(&mut self) -> Accept {
        self.say(&Request::Start);
        StartAck::read(&mut self.from).expect("an answer").accept
    }

    fn stop(&mut self, ends: Vec<SessionEnd>) -> StopSessions {
        self.say(&Request::Stop(StopSessions { accept: Accept::Yes, ends }));
        StopSessions::read(&mut self.from, &LIMITS).expect("an answer")
    }

    fn fetch(&mut self, fetch: FetchSession) -> Result<(FetchAck, Fetched, Vec<Record>), Accept> {
        self.say(&Request::Fetch(fetch));
        let ack = FetchAck::read(&mut self.from).expect("an answer");
        if ack.accept != Accept::Yes {
            return Err(ack.accept);
        }
        let fetched = Fetched::read(&ack, &mut self.from, &LIMITS).expect("the session");
        let mut records = Vec::new();
        Fetched::read_records(&ack, &mut self.from, |record| records.push(record))
            .expect("records");
        Ok((ack, fetched, records))
    }

    fn key(&self, sid: &Sid) -> PacketKey {
        PacketKey::of_session(self.mode, self.keys.as_ref(), sid).expect("keys")
    }

    /// Has the server receive `count` packets, of which all but those in `lost` are sent; its identifier.
    fn sends(&mut self, count: u32, lost: &[u32]) -> Sid {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let answer = self.ask(receives(count, socket.local_addr().expect("bound").port()));
        assert_eq!(answer.accept, Accept::Yes);
        assert_eq!(self.start(), Accept::Yes);
        let key = self.key(&answer.sid);
        for seq in 0..count {
            // As the schedule wants it.
            station::world::clock::pause(Duration::from_millis(2));
            if lost.contains(&seq) {
                continue;
            }
            let mut packet = vec![0; PacketKey::shortest(self.mode) + 20];
            key.seal(seq, wall(), ERROR, &mut packet).expect("room");
            socket.send_to(&packet, ("127.0.0.1", answer.port)).expect("sent");
        }
        answer.sid
    }
}

fn every(millis: u64) -> Vec<Slot> {
    vec![Slot::Fixed { offset: units_of(Duration::from_millis(millis)) }]
}

/// The server is to receive.
fn receives(packets: u32, from: u16) -> RequestSession {
    RequestSession {
        server_sends: false,
        server_receives: true,
        packets,
        sender: SocketAddr::new([127, 0, 0, 1].into(), from),
        receiver: SocketAddr::new([127, 0, 0, 1].into(), 0),
        sid: Sid::default(),
        padding: 20,
        start: wall(),
        timeout: units_of(Duration::from_secs(2)),
        type_p: 0,
        slots: every(2),
    }
}

/// The server is to send.
fn sends(packets: u32, to: u16) -> RequestSession {
    let request = receives(packets, 0);
    RequestSession {
        server_sends: true,
        server_receives: false,
        sender: request.receiver,
        receiver: SocketAddr::new([127, 0, 0, 1].into(), to),
        sid: Sid([8; 16]),
        ..request
    }
}

fn numbers(records: &[Record]) -> (Vec<u32>, Vec<u32>) {
    let (came, lost): (Vec<&Record>, Vec<&Record>) =
        records.iter().partition(|record| record.received.is_some());
    let numbers = |records: Vec<&Record>| records.iter().map(|record| record.seq).collect();
    (numbers(came), numbers(lost))
}

#[test]
fn what_the_server_receives_is_fetched_in_every_mode_then_and_later() {
    let bed = Bed::new("", |_| {});
    for mode in Mode::ALL {
        let mut client = bed.client(mode);
        let sid = client.sends(6, &[3]);
        let end = SessionEnd { sid, next_seq: 5, skips: Vec::new() };
        // Number 5 was sent, and its sender says that it was not: it came all the same.
        assert_eq!(client.stop(vec![end]).ends, []);
        let (ack, fetched, records) = client.fetch(FetchSession::whole(sid)).expect("there");
        assert_eq!((ack.finished, ack.next_seq), (Finished::Well, 5), "{mode}");
        assert_eq!((fetched.session.sid, fetched.session.packets), (sid, 6));
        assert_eq!(numbers(&records), (vec![0, 1, 2, 4, 5], vec![3]));
        let mut later = bed.client(mode);
        let part = FetchSession { first: 2, last: 4, sid };
        let (_, _, records) = later.fetch(part).expect("there");
        assert_eq!(numbers(&records), (vec![2, 4], vec![3]));
        assert_eq!(later.fetch(FetchSession::whole(Sid([1; 16]))).err(), Some(Accept::Failure));
    }
}

#[test]
fn what_is_on_its_way_when_a_client_stops_is_waited_for() {
    let bed = Bed::new("", |_| {});
    let mut client = bed.client(Mode::Open);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let request = receives(2, socket.local_addr().expect("bound").port());
    let answer = client.ask(RequestSession { timeout: 6 << 32, ..request });
    assert_eq!((answer.accept, client.start()), (Accept::Yes, Accept::Yes));
    let key = client.key(&answer.sid);
    let send = |seq| {
        let mut packet = [0; 40];
        key.seal(seq, wall(), ERROR, &mut packet).expect("room");
        socket.send_to(&packet, ("127.0.0.1", answer.port)).expect("sent");
    };
    send(0);
    client.stop(vec![SessionEnd { sid: answer.sid, next_seq: 2, skips: Vec::new() }]);
    station::world::clock::pause(Duration::from_secs(2));
    send(1);
    let (_, _, records) = client.fetch(FetchSession::whole(answer.sid)).expect("there");
    assert_eq!(numbers(&records), (vec![0, 1], vec![]));
}

#[test]
fn what_the_server_sends_arrives_in_every_mode_and_is_told_of() {
    let bed = Bed::new("", |_| {});
    for mode in Mode::ALL {
        let mut client = bed.client(mode);
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let request = sends(5, socket.local_addr().expect("bound").port());
        let key = client.key(&request.sid);
        let answer = client.ask(request);
        assert_eq!((answer.accept, answer.sid), (Accept::Yes, Sid([8; 16])));
        assert_eq!(client.start(), Accept::Yes);
        for seq in 0..5 {
            let mut packet = [0; 200];
            let (length, from) = socket.recv_from(&mut packet).expect("a packet");
            assert_eq!(from.port(), answer.port);
            assert_eq!(length, PacketKey::shortest(mode) + 20);
            assert_eq!(key.open(&packet[..length]).expect("authentic").seq, seq);
        }
        let stop = client.stop(Vec::new());
        let told = SessionEnd { sid: Sid([8; 16]), next_seq: 5, skips: Vec::new() };
        assert_eq!((stop.accept, stop.ends), (Accept::Yes, vec![told]));
    }
}

#[test]
fn both_families_are_served_by_one_listener_and_an_address_that_is_not_told_is_ours() {
    let mut bed = Bed::at("[::]:0", "", |_| {});
    let port = bed.place.port();
    for local in ["127.0.0.1", "::1"] {
        let local: IpAddr = local.parse().expect("an address");
        let nowhere: IpAddr = if local.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
        bed.place = SocketAddr::new(local, port);
        let mut client = bed.client(Mode::Encrypted);
        let socket = UdpSocket::bind((local, 0)).expect("a port");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let mut request = sends(1, socket.local_addr().expect("bound").port());
        request.sender = SocketAddr::new(nowhere, 0);
        request.receiver.set_ip(local);
        let answer = client.ask(request);
        assert_eq!((answer.accept, client.start()), (Accept::Yes, Accept::Yes), "{local}");
        let (_, from) = socket.recv_from(&mut [0; 200]).expect("a packet");
        assert_eq!(from, SocketAddr::new(local, answer.port));
    }
}

#[test]
fn a_session_that_is_over_is_stopped_by_the_server_if_its_client_does_not() {
    let bed = Bed::new("", |_| {});
    let mut client = bed.client(Mode::Open);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = socket.local_addr().expect("bound").port();
    let timeout = units_of(Duration::from_millis(100));
    assert_eq!(client.ask(RequestSession { timeout, ..sends(2, port) }).accept, Accept::Yes);
    assert_eq!(client.start(), Accept::Yes);
    let stop = StopSessions::read(&mut client.from, &LIMITS).expect("by itself");
    assert_eq!(stop.ends[0].next_seq, 2);
    client.say(&Request::Stop(StopSessions { accept: Accept::Yes, ends: Vec::new() }));
    // The conversation goes on.
    assert_eq!(client.ask(sends(1, port)).accept, Accept::Yes);
}

#[test]
fn a_client_that_goes_leaves_what_came_and_others_cannot_fetch_it() {
    let bed = Bed::new("", |_| {});
    let mut client = bed.client(Mode::Authenticated);
    let sid = client.sends(3, &[]);
    drop(client);
    let fetch = FetchSession::whole(sid);
    let found = until(|| bed.client(Mode::Encrypted).fetch(fetch).ok());
    assert_eq!(found.0.finished, Finished::Badly(2));
    let mut others =
        [bed.client(Mode::Open), bed.user(Mode::Encrypted, "ann", b"ann").expect("in")];
    for other in &mut others {
        assert_eq!(other.fetch(fetch).err(), Some(Accept::Failure));
    }
    bed.server.shelf.sweep(patience::now() + Duration::from_secs(3_600));
    assert_eq!(bed.client(Mode::Encrypted).fetch(fetch).err(), Some(Accept::Failure));
}

/// Tries again until there is something.
fn until<T>(mut what: impl FnMut() -> Option<T>) -> T {
    let end = patience::now() + PATIENCE;
    loop {
        if let Some(it) = what() {
            return it;
        }
        assert!(patience::now() < end, "in time");
        station::world::clock::pause(Duration::from_millis(20));
    }
}

#[test]
fn who_has_not_the_passphrase_is_refused_and_who_is_in_no_class_is_told_at_once() {
    let bed = Bed::new("limit a with allow_open_mode=off\nassign user iepm a\n", |_| {});
    for (user, secret) in [("iepm", &b"Secret"[..]), ("nobody", b"secret"), ("", b"")] {
        let refused = bed.user(Mode::Encrypted, user, secret).err();
        assert_eq!(refused, Some(Accept::Failure), "{user}");
    }
    assert_eq!(bed.user(Mode::Open, "", b"").err(), Some(Accept::NotSupported));
    assert!(bed.user(Mode::Authenticated, "iepm", b"secret").is_ok());
    assert_eq!(bed.user(Mode::Authenticated, "ann", b"ann").err(), Some(Accept::Failure));
    let mut greeting = [0; ServerGreeting::LENGTH];
    bed.connect().read_exact(&mut greeting).expect("a greeting");
    assert_eq!(ServerGreeting::from_bytes(&greeting).modes, Modes(6));
}

#[test]
fn what_is_refused_says_by_its_number_why() {
    let limits =
        "limit a with bandwidth=1m, disk=2k, sessions=2, allow_open_mode=on\nassign default a\n";
    let bed = Bed::new(limits, |_| {});
    let mut client = bed.client(Mode::Open);
    let mut third = sends(1, 9_000);
    third.receiver.set_ip(IpAddr::from([127, 0, 0, 2]));
    assert_eq!(client.ask(third).accept, Accept::PermanentLimit);
    assert_eq!(client.ask(receives(41, 9_000)).accept, Accept::PermanentLimit, "disk");
    let fast = RequestSession { slots: vec![Slot::Fixed { offset: 1 }], ..sends(1, 9_000) };
    assert_eq!(client.ask(fast).accept, Accept::PermanentLimit, "bandwidth");
    let mut far = receives(1, 9_000);
    far.receiver.set_ip(IpAddr::from([192, 0, 2, 1]));
    assert_eq!(client.ask(far).accept, Accept::NotSupported, "not an address of ours");
    assert_eq!(client.ask(sends(1, 0)).accept, Accept::NotSupported, "no port");
    let first = client.ask(receives(15, 9_000));
    assert_eq!(first.accept, Accept::Yes);
    assert_eq!(client.ask(receives(15, 9_000)).accept, Accept::TemporaryLimit, "disk");
    assert_eq!(client.ask(sends(1, 9_000)).accept, Accept::Yes);
    assert_eq!(client.ask(sends(1, 9_000)).accept, Accept::TemporaryLimit, "sessions");
    // Who goes gives all of it back.
    drop(client);
    until(|| (bed.client(Mode::Open).ask(receives(15, 9_000)).accept == Accept::Yes).then_some(()));
}

#[test]
fn messages_that_are_cut_or_out_of_order_end_the_conversation_and_no_other() {
    let bed = Bed::new("", |_| {});
    let mut honest = bed.client(Mode::Open);
    let whole = |put: &dyn Fn(&mut Outbound)| {
        let mut to = Outbound::open();
        put(&mut to);
        to.take()
    };
    let request = Request::Session(Box::new(receives(1, 9_000)));
    let stop = Request::Stop(StopSessions { accept: Accept::Yes, ends: Vec::new() });
    let request = whole(&|to| request.put(to));
    for cut in (1..request.len()).step_by(7) {
        let mut client = bed.client(Mode::Open);
        client.stream.write_all(&request[..cut]).expect("it reads");
        client.stream.shutdown(std::net::Shutdown::Write).expect("a socket");
        assert_eq!(client.stream.read(&mut [0; 9]).expect("the end"), 0, "cut at {cut}");
    }
    let mut too_many_slots = request.clone();
    too_many_slots[4..8].fill(0xff);
    let unknown = vec![9; 64];
    for bad in [too_many_slots, unknown, whole(&|to| stop.put(to))] {
        let mut client = bed.client(Mode::Open);
        client.stream.write_all(&bad).expect("it reads");
        assert!(matches!(client.stream.read(&mut [0; 9]), Ok(0) | Err(_)), "it is ended");
    }
    // While sessions go on nothing else is heard.
    let mut client = bed.client(Mode::Open);
    client.sends(2, &[]);
    client.stream.write_all(&request).expect("it reads");
    assert!(matches!(client.stream.read(&mut [0; 9]), Ok(0 | 1..) | Err(_)));
    assert_eq!(honest.ask(receives(1, 9_000)).accept, Accept::Yes);
}

#[test]
fn a_message_that_is_sent_twice_is_not_authentic() {
    let bed = Bed::new("", |_| {});
    let mut client = bed.client(Mode::Authenticated);
    Request::Session(Box::new(receives(1, 9_000))).put(&mut client.to);
    let octets = client.to.take();
    client.stream.write_all(&octets).expect("it reads");
    assert_eq!(AcceptSession::read(&mut client.from).expect("one").accept, Accept::Yes);
    client.stream.write_all(&octets).expect("it reads");
    assert!(AcceptSession::read(&mut client.from).is_err(), "it is ended");
}

#[test]
fn a_thousand_connections_that_say_nothing_keep_nobody_out() {
    let bed = Bed::new("", |settings| (settings.connections, settings.per_address) = (200, 150));
    let mut silent = Vec::new();
    let mut honest = bed.client(Mode::Open);
    for number in 0..1_000 {
        silent.push(bed.connect());
        if number % 250 == 0 {
            assert_eq!(honest.ask(receives(1, 9_000)).accept, Accept::Yes);
            bed.client(Mode::Authenticated);
        }
    }
    bed.client(Mode::Encrypted);
    assert!(bed.server.doors.count() <= 200);
    let sid = honest.sends(3, &[]);
    let end = SessionEnd { sid, next_seq: 3, skips: Vec::new() };
    honest.stop(vec![end]);
    let (_, _, records) = honest.fetch(FetchSession::whole(sid)).expect("there");
    assert_eq!(numbers(&records).0, [0, 1, 2]);
}
