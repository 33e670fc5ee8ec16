//! Finds the server, waits for our turn, and shows that we are at the address that streams are to come to.

use std::{
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use station::{
    text::Family,
    world::{peers, signals::Stop},
};
use timed_udp::{
    clock::Mono,
    socket::{Opening, TimedSocket},
};

use super::{Args, trouble::Trouble};
use crate::{
    control::{Control, Ended},
    protocol::{Answer, Limits, Token, VERSION},
};

/// How long the server may take to say something.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
const CONNECTING: Duration = Duration::from_secs(10);
/// No server grants less, bit/s: the least that `--rate` takes.
const LEAST_RATE: u64 = 1_000_000;
/// From one knock to the next: any of them may be lost.
const KNOCKS: Duration = Duration::from_millis(100);
/// A stream of the fastest kind, as the kernel counts packets.
const RECEIVE_BUFFER: usize = 16 << 20;

/// What was agreed upon.
pub(super) struct Agreed<'a> {
    pub(super) control: Control<'a>,
    pub(super) socket: TimedSocket,
    pub(super) server: SocketAddr,
    pub(super) token: Token,
    pub(super) limits: Limits,
    /// When the server's time for us is over.
    pub(super) until: Mono,
}

/// Agrees with the server; `until` is also how long we wait for our turn.
pub(super) fn agree<'a>(args: &Args, stop: &'a Stop, until: Mono) -> Result<Agreed<'a>, Trouble> {
    let stream = connect(args)?;
    let ours = |error: std::io::Error| Trouble::Ended(error.into());
    let (local, server) = (stream.local_addr().map_err(ours)?, stream.peer_addr().map_err(ours)?);
    let mut control = Control::new(stream, stop).map_err(ours)?;
    let (token, port, limits) = our_turn(&mut control, until)?;
    // A second less: the server began to count before we heard of it.
    let until = Mono::now() + Duration::from_secs(limits.seconds.saturating_sub(1).into());
    let scope = if let SocketAddr::V6(six) = local { six.scope_id() } else { 0 };
    let opening = Opening { scope, receive_buffer: RECEIVE_BUFFER, ..Opening::at(local.ip()) };
    let failed = |why: String| Trouble::Ended(Ended::Ours(why));
    let socket = opening.open().map_err(|error| failed(error.to_string()))?;
    let mut sender = server;
    sender.set_port(port);
    socket.connect(sender).map_err(|error| failed(format!("a way to {sender}: {error}")))?;
    knock(&mut control, &socket, &token)?;
    Ok(Agreed { control, socket, server, token, limits, until })
}

fn connect(args: &Args) -> Result<TcpStream, Trouble> {
    let place = |why: String| Trouble::Place(args.sender.clone(), why);
    let family = Family::of_options(args.ipv4, args.ipv6, None);
    let mut trouble = place("it has no address".to_owned());
    for address in peers::addresses(&args.sender, args.port, family).map_err(place)? {
        match TcpStream::connect_timeout(&address, CONNECTING) {
            Ok(stream) => return Ok(stream),
            Err(error) => trouble = Trouble::Connect(address, error),
        }
    }
    Err(trouble)
}

/// Waits until the server says that it is our turn.
fn our_turn(control: &mut Control<'_>, until: Mono) -> Result<(Token, u16, Limits), Trouble> {
    let mut waits = false;
    loop {
        let next = until.min(Mono::now() + PATIENCE);
        let answer = match control.wait(next, "the server does not say whose turn it is") {
            Err(Ended::Silent(_)) if waits && Mono::now() >= until => {
                return Err(others_first());
            }
            answer => answer?,
        };
        match answer {
            Answer::Wait { before, seconds } => {
                waits = true;
                // However often it says so.
                if Mono::now() >= until {
                    return Err(others_first());
                }
                log::info!("{before} before us are measured first, in at most {seconds} s");
            }
            Answer::Refused { later, why } => return Err(Trouble::Refused(later, why)),
            Answer::Hello { limits, .. } if limits.rate < LEAST_RATE => {
                let why = format!("{} bit/s are granted, which is no rate", limits.rate);
                return Err(Ended::Senseless(why).into());
            }
            Answer::Hello { version: VERSION, token, port, limits } => {
                let token = Token::of_text(&token);
                let token = token.ok_or_else(|| Ended::Senseless("no token".to_owned()))?;
                return Ok((token, port, limits));
            }
            other => return Err(Ended::Senseless(format!("{other:?}")).into()),
        }
    }
}

fn others_first() -> Trouble {
    Trouble::Refused(true, "others were measured for as long as we had (-t)".to_owned())
}

fn knock(control: &mut Control<'_>, socket: &TimedSocket, token: &Token) -> Result<(), Trouble> {
    let until = Mono::now() + PATIENCE;
    while Mono::now() < until {
        // A knock that could not be sent, or that a host refused as it came too early, is as one that was lost.
        let _ = socket.send(&token.knock());
        match control.wait(until.min(Mono::now() + KNOCKS), "") {
            Ok(Answer::Known) => return Ok(()),
            Ok(Answer::Refused { later, why }) => return Err(Trouble::Refused(later, why)),
            Ok(other) => return Err(Ended::Senseless(format!("{other:?}")).into()),
            Err(Ended::Silent(_)) => {}
            Err(Ended::Gone(_)) => break,
            Err(ended) => return Err(ended.into()),
        }
    }
    let server = socket.local();
    Err(Trouble::Dark(format!(
        "the server did not hear us by UDP (from {server}): is a filter on the way?"
    )))
}
