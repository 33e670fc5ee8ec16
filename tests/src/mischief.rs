//! What hostile clients do to a server: connections that say nothing or nonsense, and floods of forged packets.

use std::{
    net::{SocketAddr, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{Host, pause};

/// Octets that nobody can foresee, and everybody can repeat.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut octet = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| octet()).collect()
}

/// Connections from a host to a server: so many, or as many as it takes.
pub fn connections(from: &Host, server: SocketAddr, number: usize) -> Vec<TcpStream> {
    from.inside(move || (0..number).filter_map(|_| TcpStream::connect(server).ok()).collect())
}

/// Packets that go on until it ends, or is dropped.
#[derive(Debug)]
pub struct Flood {
    is_over: Arc<AtomicBool>,
    sender: Option<JoinHandle<u64>>,
}

impl Flood {
    /// Sends from a host what `packets` gives for each round, round after round with so long a pause between them: some
    /// thousands of packets in a second, for with a whole processor gone it would be the lab's matter and not the
    /// server's.
    #[track_caller]
    pub fn begin(
        from: &Host,
        pauses: Duration,
        mut packets: impl FnMut(u64) -> Vec<(SocketAddr, Vec<u8>)> + Send + 'static,
    ) -> Self {
        let socket = from.inside(|| UdpSocket::bind("0.0.0.0:0").expect("a socket"));
        let is_over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_over);
        let work = move || {
            let (mut round, mut sent) = (0, 0);
            while !stop.load(Ordering::Relaxed) {
                for (server, packet) in packets(round) {
                    sent += u64::from(socket.send_to(&packet, server).is_ok());
                }
                round += 1;
                pause(pauses);
            }
            sent
        };
        let sender = thread::Builder::new().name("flood".to_owned()).spawn(work);
        Self { is_over, sender: Some(sender.expect("a thread")) }
    }

    /// Ends it; says how many packets were sent.
    pub fn end(mut self) -> u64 {
        self.stop()
    }

    fn stop(&mut self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.sender.take().map_or(0, |sender| sender.join().unwrap_or(0))
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop();
    }
}
