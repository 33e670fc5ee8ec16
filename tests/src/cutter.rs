//! A way to a server that is cut where it hurts most: when a commit is under way.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Takes connections on a port of the loopback and hands them on to a server. Once it is armed, a sixth of
/// the commits that come through is cut before the server has it, and a sixth after, before it is answered.
#[derive(Debug)]
pub struct Cutter {
    port: u16,
    cuts: Arc<AtomicUsize>,
    /// What the next commit's turn is drawn from; 0 while nothing is to be cut.
    chance: Arc<AtomicUsize>,
}

impl Cutter {
    /// Before the server on `port` of the loopback.
    pub fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let own = listener.local_addr().expect("an address").port();
        let (cuts, chance) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (told, drawn) = (Arc::clone(&cuts), Arc::clone(&chance));
        // It ends with the story's process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (cuts, chance) = (Arc::clone(&told), Arc::clone(&drawn));
                thread::spawn(move || hand_on(client, port, &cuts, &chance));
            }
        });
        Self { port: own, cuts, chance }
    }

    /// Its own port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts from now on, or no more.
    pub fn arm(&self, armed: bool) {
        self.chance.store(usize::from(armed), Ordering::SeqCst);
    }

    /// How many commits were cut.
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

fn hand_on(
    mut client: TcpStream,
    port: u16,
    cuts: &AtomicUsize,
    chance: &AtomicUsize,
) -> io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    let (mut answers, mut back) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut answers, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    let mut bytes = vec![0; 65_536];
    loop {
        let length = client.read(&mut bytes)?;
        let said = &bytes[..length];
        let commits = said.ends_with(b"\x03COMMIT");
        let turn = if commits { draw(chance) } else { 2 };
        let cut = turn < 2;
        if cut || length == 0 {
            // Not a packet of the answer gets back.
            client.shutdown(Shutdown::Both)?;
        }
        if turn != 1 {
            server.write_all(said)?;
        }
        if cut || length == 0 {
            cuts.fetch_add(usize::from(cut), Ordering::SeqCst);
            return server.shutdown(Shutdown::Write);
        }
    }
}

/// A number below 6, by chance, but the same in each story; 2 while nothing is to be cut.
fn draw(chance: &AtomicUsize) -> usize {
    let next = |before: usize| {
        (before > 0).then(|| before.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1) | 1)
    };
    let drawn = chance.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
    drawn.map_or(2, |drawn| (drawn >> 40) % 6)
}
