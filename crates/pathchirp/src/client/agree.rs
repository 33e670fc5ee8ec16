//! Finding the sender and agreeing with it.

use std::{fs::File, io::Read, net::SocketAddr, os::fd::AsFd, time::Duration};

use station::{
    text::Family,
    world::{
        peers,
        signals::{Stop, wait_for},
    },
};
use timed_udp::{
    clock::Mono,
    inbox::Inbox,
    socket::{Opening, TimedSocket},
};

use super::{Args, trouble::Trouble};
use crate::{
    protocol::{
        cookie::Cookie,
        message::{Answer, Asked, Wish},
    },
    shape::{HEADERS_V4, HEADERS_V6},
};

/// Room for chirps that come while something else is done, octets.
const QUEUE: usize = 8 << 20;
/// How often something is asked for, and how long an answer is waited for each time.
const TRIES: u32 = 6;
/// See [`TRIES`].
const PATIENCE: Duration = Duration::from_millis(500);

/// What was agreed upon.
#[derive(Debug)]
pub(super) struct Agreed {
    pub(super) socket: TimedSocket,
    pub(super) sender: SocketAddr,
    pub(super) session: u64,
    pub(super) granted: Wish,
}

impl Agreed {
    /// Octets of the headers of a packet.
    pub(super) fn headers(&self) -> u32 {
        if self.sender.is_ipv4() { HEADERS_V4 } else { HEADERS_V6 }
    }
}

/// The sender's addresses, of the wanted family.
pub(super) fn find(args: &Args) -> Result<Vec<SocketAddr>, Trouble> {
    let family = Family::of_options(args.ipv4, args.ipv6, None);
    peers::addresses(&args.sender, args.port, family)
        .map_err(|why| Trouble::Place(args.sender.clone(), why))
}

/// Agrees with the first of these addresses that there is a way to.
pub(super) fn agree(args: &Args, all: &[SocketAddr], stop: &Stop) -> Result<Agreed, Trouble> {
    let mut last = None;
    for sender in all {
        match open(*sender).and_then(|socket| Talk::new(socket, *sender, stop)?.agree(args.wish()))
        {
            Err(trouble @ (Trouble::Socket(..) | Trouble::Network(..) | Trouble::Silence(_))) => {
                last = Some(trouble);
            }
            other => return other,
        }
    }
    Err(last.unwrap_or(Trouble::Interrupted))
}

/// Where the sender is: at the first of its addresses unless another one answered.
pub(super) fn whose(agreed: &Result<Agreed, Trouble>, first: SocketAddr) -> SocketAddr {
    match agreed {
        Ok(agreed) => agreed.sender,
        Err(Trouble::Refused(sender, ..) | Trouble::NotASender(sender)) => *sender,
        Err(_) => first,
    }
}

fn open(to: SocketAddr) -> Result<TimedSocket, Trouble> {
    let own = peers::own_address(to).map_err(|error| Trouble::Network(to, error))?;
    let scope = if let SocketAddr::V6(six) = to { six.scope_id() } else { 0 };
    let opening = Opening { scope, receive_buffer: QUEUE, ..Opening::at(own) };
    let socket = opening.open().map_err(|error| Trouble::Socket(to, error.to_string()))?;
    socket.connect(to).map_err(|error| Trouble::Network(to, error))?;
    Ok(socket)
}

struct Talk<'a> {
    socket: TimedSocket,
    sender: SocketAddr,
    stop: &'a Stop,
    inbox: Inbox,
    nonce: u64,
    is_strange: bool,
}

impl<'a> Talk<'a> {
    fn new(socket: TimedSocket, sender: SocketAddr, stop: &'a Stop) -> Result<Self, Trouble> {
        let mut octets = [0; 8];
        File::open("/dev/urandom")
            .and_then(|mut it| it.read_exact(&mut octets))
            .map_err(|error| Trouble::Socket(sender, format!("reading /dev/urandom: {error}")))?;
        let nonce = u64::from_be_bytes(octets);
        Ok(Self { socket, sender, stop, inbox: Inbox::new(256), nonce, is_strange: false })
    }

    fn agree(mut self, wish: Wish) -> Result<Agreed, Trouble> {
        let nonce = self.nonce;
        let cookie = self.ask(&Asked::Hello { nonce }, |answer| match answer {
            Answer::Cookie { nonce: of, cookie } if of == nonce => Some(Ok(cookie)),
            other => refusal(&other, nonce).map(Err),
        })?;
        let (session, granted) = self.request(cookie, wish)?;
        let Self { socket, sender, .. } = self;
        Ok(Agreed { socket, sender, session, granted })
    }

    fn request(&mut self, cookie: Cookie, wish: Wish) -> Result<(u64, Wish), Trouble> {
        let nonce = self.nonce;
        self.ask(&Asked::Request { nonce, cookie, wish }, |answer| match answer {
            Answer::Accepted { nonce: of, session, granted } if of == nonce => {
                Some(Ok((session, granted)))
            }
            other => refusal(&other, nonce).map(Err),
        })
    }

    /// Asks until something comes that is an answer to it.
    fn ask<T>(
        &mut self,
        asked: &Asked,
        take: impl Fn(Answer) -> Option<Result<T, Refusal>>,
    ) -> Result<T, Trouble> {
        for _ in 0..TRIES {
            self.socket.send(&asked.octets()).map_err(|it| Trouble::Network(self.sender, it))?;
            let until = Mono::now() + PATIENCE;
            while Mono::now() < until {
                if self.stop.asked() {
                    return Err(Trouble::Interrupted);
                }
                let left = until.since(Mono::now());
                wait_for(&[self.socket.as_fd(), self.stop.fd()], left);
                if let Some(found) = self.heard(&take)? {
                    return Ok(found);
                }
            }
        }
        let trouble = if self.is_strange { Trouble::NotASender } else { Trouble::Silence };
        Err(trouble(self.sender))
    }

    fn heard<T>(
        &mut self,
        take: impl Fn(Answer) -> Option<Result<T, Refusal>>,
    ) -> Result<Option<T>, Trouble> {
        let sender = self.sender;
        self.inbox.receive(&self.socket).map_err(|error| Trouble::Network(sender, error))?;
        for (_, octets) in self.inbox.batch() {
            match Answer::read(octets).map(&take) {
                Ok(Some(Ok(found))) => return Ok(Some(found)),
                Ok(Some(Err((reason, wait, limit)))) => {
                    return Err(Trouble::Refused(sender, reason, wait, limit));
                }
                Ok(None) => {}
                Err(_) => self.is_strange = true,
            }
        }
        Ok(None)
    }
}

type Refusal = (crate::protocol::message::Reason, u32, u64);

fn refusal(answer: &Answer, to: u64) -> Option<Refusal> {
    match *answer {
        Answer::Refused { nonce, reason, wait, limit } if nonce == to => {
            Some((reason, wait, limit))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{net::UdpSocket, thread};

    use clap::Parser;

    use super::*;
    use crate::protocol::message::Reason;

    /// A sender on loopback that answers a hello and a request.
    fn answer(socket: &UdpSocket, granted: bool) {
        let mut room = [0; 256];
        loop {
            let (length, peer) = socket.recv_from(&mut room).expect("a message");
            let (answer, is_last) = match Asked::read(&room[..length]).expect("of a client") {
                Asked::Hello { nonce } => (Answer::Cookie { nonce, cookie: [7; 16] }, false),
                Asked::Request { nonce, wish, .. } if granted => {
                    (Answer::Accepted { nonce, session: 5, granted: wish }, true)
                }
                Asked::Request { nonce, .. } => {
                    (Answer::Refused { nonce, reason: Reason::Busy, wait: 9, limit: 1 }, true)
                }
                other => panic!("{other:?}"),
            };
            socket.send_to(&answer.octets(), peer).expect("loopback");
            if is_last {
                return;
            }
        }
    }

    #[test]
    fn the_address_that_is_told_is_the_one_that_answered_and_the_first_if_none_did() {
        let args = Args::parse_from(["pathchirp_rcv", "-S", "name-of-two"]);
        let stop = Stop::on_signals().expect("signals");
        for granted in [true, false] {
            let here = UdpSocket::bind("127.0.0.1:0").expect("a port");
            let sender = here.local_addr().expect("bound");
            // Nobody is at the first address of the name.
            let nobody = SocketAddr::new([127, 0, 0, 2].into(), sender.port());
            let agreed = thread::scope(|scope| {
                scope.spawn(|| answer(&here, granted));
                agree(&args, &[nobody, sender], &stop)
            });
            assert_eq!(agreed.is_ok(), granted, "{agreed:?}");
            assert_eq!(whose(&agreed, nobody), sender);
            drop(here);
            let silence = agree(&args, &[nobody, sender], &stop);
            assert_eq!(whose(&silence, nobody), nobody, "{silence:?}");
        }
    }
}
