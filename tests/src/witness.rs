//! A server that watches how many clients it has at a time: an independent witness of who had the channel.

use std::{
    io::{ErrorKind, Read},
    net::{TcpListener, TcpStream},
    os::fd::AsFd,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::sockopt::set_socket_reuseaddr,
};

/// Takes what any number of clients send, and never answers; it ends when this is dropped.
#[derive(Debug)]
pub struct Witness {
    port: u16,
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What a witness has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// How many clients there were.
    pub clients: usize,
    /// How many came while another was there.
    pub overlaps: usize,
    /// How many are there.
    pub there: usize,
    /// Bytes that they sent.
    pub bytes: usize,
}

impl Witness {
    /// A witness that listens on every address of this machine.
    pub fn listening() -> Self {
        Self::of(TcpListener::bind("0.0.0.0:0").expect("a port"))
    }

    /// A witness with this listener.
    pub fn of(listener: TcpListener) -> Self {
        set_socket_reuseaddr(&listener, true).expect("a socket");
        listener.set_nonblocking(true).expect("a socket");
        let port = listener.local_addr().expect("bound").port();
        let (seen, stop) =
            (Arc::new(Mutex::new(Seen::default())), Arc::new(AtomicBool::new(false)));
        let thread = thread::spawn({
            let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
            move || watch(&listener, &seen, &stop)
        });
        Self { port, seen, stop, thread: Some(thread) }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it has seen so far.
    pub fn seen(&self) -> Seen {
        *self.seen.lock().expect("whole")
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn watch(listener: &TcpListener, seen: &Mutex<Seen>, stop: &AtomicBool) {
    let mut clients: Vec<TcpStream> = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    while !stop.load(Ordering::Relaxed) {
        wait(listener, &clients);
        // Who has gone is taken out before anybody new is let in: what it sent, and its end, are here already.
        let mut bytes = drain(&mut clients, &mut buffer);
        while let Ok((client, _)) = listener.accept() {
            bytes += drain(&mut clients, &mut buffer);
            client.set_nonblocking(true).expect("a socket");
            let mut seen = seen.lock().expect("whole");
            seen.clients += 1;
            seen.overlaps += usize::from(!clients.is_empty());
            clients.push(client);
        }
        let mut seen = seen.lock().expect("whole");
        seen.there = clients.len();
        seen.bytes += bytes;
    }
}

fn wait(listener: &TcpListener, clients: &[TcpStream]) {
    let mut fds = vec![PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN)];
    fds.extend(
        clients.iter().map(|client| PollFd::from_borrowed_fd(client.as_fd(), PollFlags::IN)),
    );
    let rest = Timespec::try_from(Duration::from_millis(50)).expect("short");
    let _ = poll(&mut fds, Some(&rest));
}

/// Reads what there is; those who have ended are taken out.
fn drain(clients: &mut Vec<TcpStream>, buffer: &mut [u8]) -> usize {
    let mut bytes = 0;
    clients.retain_mut(|client| {
        loop {
            match client.read(buffer) {
                Ok(0) => return false,
                Ok(length) => bytes += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    });
    bytes
}
