//! `pathload_snd`: sends streams to whoever asks for them and shows that it is where it says.
//!
//! - `queue`: who is measured next. Pure.
//! - `serve`: one measurement.

mod queue;
mod serve;

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use clap::Parser;
use station::{
    app::{Exit, Failure},
    doors::{self, Options},
    news::{Cause, News},
    world::signals::{Stop, wait_for},
};
use timed_udp::{
    clock::Mono,
    socket::{Opening, Port},
};

pub(crate) use self::serve::payload;
use self::{
    queue::{Queue, Refusal, Ticket},
    serve::Turn,
};
use crate::{
    CONTROL_PORT, STREAM_PORT,
    control::{Control, Ended},
    protocol::{Answer, Limits},
};

/// Conversations at once, those that are being refused among them.
const TALKS: usize = 64;
/// How often who waits is told that it does.
const TELLING: Duration = Duration::from_secs(5);
/// How often it is looked whether it is somebody's turn, or somebody has gone.
const GLANCE: Duration = Duration::from_millis(100);
const STACK: usize = 512 << 10;

/// Sends streams of packets to clients that measure the available bandwidth of the path from here to them (pathload_rcv)
#[derive(Debug, Parser)]
#[command(name = "pathload_snd", version, disable_help_flag = true)]
#[expect(
    clippy::doc_markdown,
    reason = "these comments are the help texts, which know no backticks"
)]
pub struct Args {
    /// Go on serving after a measurement
    #[arg(short = 'i', long)]
    iterate: bool,
    /// Say only what is wrong
    #[arg(short, long)]
    quiet: bool,
    /// TCP port
    #[arg(short, long, value_name = "PORT", default_value_t = CONTROL_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// UDP port that streams are sent from
    #[arg(long, value_name = "PORT", default_value_t = STREAM_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    udp_port: u16,
    /// Our address; may be given several times [default: all addresses of both families]
    #[arg(short = 'B', long = "bind", value_name = "ADDRESS")]
    bind: Vec<IpAddr>,
    /// The highest rate of a stream, Mbit/s
    #[arg(long, value_name = "MBITS", default_value_t = 1_200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// How long a measurement may take, s
    #[arg(long, value_name = "SECONDS", default_value_t = 170, value_parser = clap::value_parser!(u32).range(5..=3_600))]
    duration: u32,
    /// How many clients may wait for their turn
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(..=1_000))]
    waiting: u16,
    /// Say more; twice: still more
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Print this help
    #[arg(short, long, short_alias = 'H', action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// The program.
///
/// # Errors
/// The port cannot be bound.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    station::app::say_more(args.verbose);
    let listeners = doors::listen(&args.bind, args.port, Options { port: "-p", address: "-B" })?;
    is_free(&listeners, args.udp_port)?;
    let stop = Stop::on_signals()
        .map_err(|error| Failure::new(Exit::NeedsPerson, "listening to signals").because(error))?;
    if !args.quiet {
        doors::announce(&listeners);
    }
    let server = Server {
        limits: Limits {
            rate: u64::from(args.rate) * 1_000_000,
            packets: 4_000,
            octets: crate::shape::LONGEST,
            seconds: args.duration,
        },
        port: args.udp_port,
        quiet: args.quiet,
        once: !args.iterate,
        queue: Mutex::new(Queue::new(usize::from(args.waiting) + 1)),
        talks: AtomicUsize::new(0),
        done: AtomicBool::new(false),
        news: News::default(),
        stop,
    };
    Arc::new(server).serve(&listeners);
    Ok(Exit::Well)
}

/// Whether streams can be sent from the port: better told now than to every client.
fn is_free(listeners: &[TcpListener], port: u16) -> Result<(), Failure> {
    for local in listeners.iter().filter_map(|it| it.local_addr().ok()) {
        let opened = Opening { port: Port::One(port), ..Opening::at(local.ip()) }.open();
        opened.map_err(|error| {
            let is_taken = error.io().is_some_and(|error| error.kind() == io::ErrorKind::AddrInUse);
            let (exit, advice) = if is_taken {
                (Exit::TryLater, "another program has it already")
            } else {
                (Exit::Config, "name another port by --udp-port")
            };
            let failure = Failure::new(exit, format!("sending from UDP port {port}"));
            failure.why(format_args!("{error}; {advice}"))
        })?;
    }
    Ok(())
}

/// What all conversations share.
struct Server {
    limits: Limits,
    port: u16,
    quiet: bool,
    /// It ends after one measurement.
    once: bool,
    queue: Mutex<Queue>,
    talks: AtomicUsize,
    done: AtomicBool,
    news: News,
    stop: Stop,
}

impl Server {
    fn serve(self: &Arc<Self>, listeners: &[TcpListener]) {
        while !self.stop.asked() && !self.done.load(Ordering::Relaxed) {
            let mut fds: Vec<BorrowedFd<'_>> = listeners.iter().map(AsFd::as_fd).collect();
            fds.push(self.stop.fd());
            wait_for(&fds, Duration::from_millis(500));
            for listener in listeners {
                let taken = doors::take(listener, TALKS, |stream, peer| self.take(stream, peer));
                if let Err(error) = taken {
                    self.news.tell(Cause::Ours, || format!("taking a connection: {error}"));
                }
            }
        }
        // Those who are in the midst of a measurement are told by the end of their connections.
    }

    /// Gives a connection a thread, or, if there are too many, an end.
    fn take(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        if self.talks.fetch_add(1, Ordering::Relaxed) >= TALKS {
            self.talks.fetch_sub(1, Ordering::Relaxed);
            let address = peer.ip().to_canonical();
            let told = || format!("{address}: there are {TALKS} conversations already");
            return self.news.tell(Cause::Crowd, told);
        }
        let ours = Arc::clone(self);
        let talk = thread::Builder::new().name("client".to_owned()).stack_size(STACK);
        let spawned = talk.spawn(move || {
            ours.host(stream, peer);
            ours.talks.fetch_sub(1, Ordering::Relaxed);
        });
        if let Err(error) = spawned {
            self.talks.fetch_sub(1, Ordering::Relaxed);
            let told = || format!("starting a thread for {}: {error}", peer.ip());
            self.news.tell(Cause::Ours, told);
        }
    }

    fn host(&self, stream: TcpStream, peer: SocketAddr) {
        let address = peer.ip().to_canonical();
        let talk = |stream: TcpStream| -> Result<Option<serve::Done>, Ended> {
            let local = stream.local_addr()?;
            let mut control = Control::new(stream, &self.stop)?;
            let ticket = match self.queue().enter(address) {
                Ok(ticket) => Place { server: self, ticket },
                Err(refusal) => {
                    let why = refuse(&mut control, refusal);
                    self.news.tell(Cause::Refused, || format!("{address}: refused: {why}"));
                    return Ok(None);
                }
            };
            self.wait(&mut control, &ticket)?;
            let mut turn =
                Turn { control: &mut control, local, peer, port: self.port, limits: self.limits };
            let done = turn.serve();
            if let Err(Ended::Ours(why)) = &done {
                let _ = turn.control.say(&Answer::Refused { later: true, why: why.clone() });
            }
            self.done.fetch_or(self.once && done.is_ok(), Ordering::Relaxed);
            done.map(Some)
        };
        match talk(stream) {
            Ok(Some(serve::Done { streams, octets })) if !self.quiet => {
                log::info!("measured with {address}: {streams} streams, {octets} octets");
            }
            Ok(_) | Err(Ended::Stopped) => {}
            Err(Ended::Ours(why)) => log::error!("{address}: {why}"),
            Err(Ended::Gone(why) | Ended::Senseless(why)) => {
                self.news.tell(Cause::Broken, || format!("{address}: {why}"));
            }
            Err(Ended::Silent(what)) => {
                self.news.tell(Cause::Broken, || format!("{address}: {what}"));
            }
        }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        // Whoever panicked with it has left it whole: each change is one step.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a client's turn, and tells it that it waits.
    fn wait(&self, control: &mut Control<'_>, place: &Place<'_>) -> Result<(), Ended> {
        let (mut told, mut tell_at) = (None, Mono::now());
        loop {
            let before = self.queue().before(place.ticket);
            if before == 0 {
                return Ok(());
            }
            if told != Some(before) || Mono::now() >= tell_at {
                let before = u32::try_from(before).unwrap_or(u32::MAX);
                let seconds = before.saturating_mul(self.limits.seconds);
                control.say(&Answer::Wait { before, seconds })?;
                tell_at = Mono::now() + TELLING;
            }
            told = Some(before);
            if !control.is_there() {
                return Err(Ended::Gone("it did not wait for its turn".to_owned()));
            }
            control.pause(Mono::now() + GLANCE)?;
        }
    }
}

fn refuse(control: &mut Control<'_>, refusal: Refusal) -> &'static str {
    let why = match refusal {
        Refusal::Twice => "its address is measured, or waits, already",
        Refusal::Full => "too many others wait",
    };
    let _ = control.say(&Answer::Refused { later: true, why: why.to_owned() });
    why
}

/// A place in the queue, given back however the conversation ends.
struct Place<'a> {
    server: &'a Server,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.server.queue().leave(self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_documents_table_of_servers_is_understood() {
        let args = Args::try_parse_from("pathload_snd -q -i".split(' ')).expect("understood");
        assert!(args.quiet && args.iterate);
        assert_eq!((args.port, args.udp_port), (55_002, 55_001));
        for wrong in ["-p 0", "--rate 0", "--duration 1", "-B x", "more"] {
            let line = format!("pathload_snd {wrong}");
            assert!(Args::try_parse_from(line.split(' ')).is_err(), "{wrong}");
        }
    }
}
