//! A way to a server that is cut where it hurts most: when a commit is under way, or at a packet of the
//! story's choice.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crate::pause;

/// What becomes of the packet at which a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The server never has it.
    Lost,
    /// The server has it, and its answer is lost.
    Unanswered,
    /// The server has it, and its answer breaks off after a few bytes.
    HalfAnswered,
    /// The server has it when the story [says so](Cutter::deliver); the client hears nothing.
    Late,
}

/// Which packets of a client are cut.
#[derive(Debug, Default)]
enum Plan {
    #[default]
    None,
    /// A sixth of the commits before the server has them, and a sixth after; what comes next is drawn from
    /// the number.
    SomeCommits(u64),
    /// The packet that comes after so many others, from all clients together; then none.
    After(usize, Cut),
    /// The next commit after a packet that has this text; then none.
    CommitAfter(&'static str, Cut),
}

impl Plan {
    /// What becomes of a packet; nothing: it goes through.
    fn judge(&mut self, packet: &[u8]) -> Option<Cut> {
        let commits = packet.get(4..) == Some(b"\x03COMMIT");
        match self {
            Self::None => None,
            Self::SomeCommits(chance) => commits.then(|| draw(chance)).flatten(),
            Self::CommitAfter("", cut) if commits => {
                let cut = *cut;
                *self = Self::None;
                Some(cut)
            }
            Self::CommitAfter(text, _) => {
                if packet.windows(text.len().max(1)).any(|part| part == text.as_bytes()) {
                    *text = "";
                }
                None
            }
            Self::After(0, cut) => {
                let cut = *cut;
                *self = Self::None;
                Some(cut)
            }
            Self::After(left, _) => {
                *left -= 1;
                None
            }
        }
    }
}

/// Drawn by chance, but the same in each story.
fn draw(chance: &mut u64) -> Option<Cut> {
    *chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1) | 1;
    match (*chance >> 40) % 6 {
        0 => Some(Cut::Lost),
        1 => Some(Cut::Unanswered),
        _ => None,
    }
}

/// Takes connections on a port of the loopback and hands them on to a server, until it cuts them.
#[derive(Debug)]
pub struct Cutter {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    plan: Mutex<Plan>,
    cuts: AtomicUsize,
    /// What is late is on its way now.
    delivers: AtomicBool,
}

impl Cutter {
    /// Before the server on `port` of the loopback.
    pub fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let own = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared::default());
        let cutter = Self { port: own, shared: Arc::clone(&shared) };
        // It ends with the story's process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || hand_on(client, port, &shared));
            }
        });
        cutter
    }

    /// Its own port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts a third of the commits from now on.
    pub fn cut_commits(&self) {
        self.follow(Plan::SomeCommits(1));
    }

    /// Cuts once, at the packet that a client sends after `packets` others.
    pub fn cut_after(&self, packets: usize, cut: Cut) {
        self.follow(Plan::After(packets, cut));
    }

    /// Cuts once, at the next commit after a packet that has this text.
    pub fn cut_commit_after(&self, text: &'static str, cut: Cut) {
        self.follow(Plan::CommitAfter(text, cut));
    }

    /// Has the server get what is late.
    pub fn deliver(&self) {
        self.shared.delivers.store(true, Ordering::SeqCst);
    }

    /// Cuts no more.
    pub fn rest(&self) {
        self.follow(Plan::None);
    }

    fn follow(&self, plan: Plan) {
        *self.shared.plan.lock().unwrap_or_else(PoisonError::into_inner) = plan;
    }

    /// How often it cut.
    pub fn cuts(&self) -> usize {
        self.shared.cuts.load(Ordering::SeqCst)
    }
}

fn hand_on(mut client: TcpStream, port: u16, shared: &Shared) -> io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let breaks_off = Arc::new(AtomicBool::new(false));
    let (answers, back) = (server.try_clone()?, client.try_clone()?);
    let answers_break_off = Arc::clone(&breaks_off);
    thread::spawn(move || hand_back(answers, back, &answers_break_off));
    let mut packet = Vec::new();
    loop {
        let more = next_packet(&mut client, &mut packet)?;
        let cut = shared.plan.lock().unwrap_or_else(PoisonError::into_inner).judge(&packet);
        if !more || matches!(cut, Some(Cut::Lost | Cut::Unanswered)) {
            // Not a packet of the answer gets back.
            client.shutdown(Shutdown::Both)?;
        }
        if cut == Some(Cut::HalfAnswered) {
            breaks_off.store(true, Ordering::SeqCst);
        }
        if cut.is_some() {
            shared.cuts.fetch_add(1, Ordering::SeqCst);
        }
        while cut == Some(Cut::Late) && !shared.delivers.load(Ordering::SeqCst) {
            pause(Duration::from_millis(10));
        }
        if more && cut != Some(Cut::Lost) {
            server.write_all(&packet)?;
        }
        if !more || cut.is_some() {
            return server.shutdown(Shutdown::Write);
        }
    }
}

/// Reads one packet of a client: three bytes of length, a number, the content. Nothing more: the client
/// has closed.
fn next_packet(client: &mut TcpStream, packet: &mut Vec<u8>) -> io::Result<bool> {
    packet.resize(4, 0);
    if client.read_exact(packet).is_err() {
        packet.clear();
        return Ok(false);
    }
    let length = u32::from_le_bytes([packet[0], packet[1], packet[2], 0]);
    packet.resize(4 + length as usize, 0);
    client.read_exact(&mut packet[4..])?;
    Ok(true)
}

/// Hands answers back, until one of them is to break off.
fn hand_back(
    mut server: TcpStream,
    mut client: TcpStream,
    breaks_off: &AtomicBool,
) -> io::Result<()> {
    let mut bytes = vec![0; 65_536];
    loop {
        let length = server.read(&mut bytes)?;
        let last = length == 0 || breaks_off.load(Ordering::SeqCst);
        client.write_all(&bytes[..if last { length.min(3) } else { length }])?;
        if last {
            return client.shutdown(Shutdown::Both);
        }
    }
}
