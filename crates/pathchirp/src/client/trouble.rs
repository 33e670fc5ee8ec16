//! Why there is no measurement, or why it broke off.

use std::{fmt, io, net::SocketAddr};

use station::app::Exit;

use crate::protocol::message::{Reason, rate};

/// What stood in the way.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The sender cannot be found.
    Place(String, String),
    /// There is no socket.
    Socket(SocketAddr, String),
    /// The network has no way there, or says that nobody listens.
    Network(SocketAddr, io::Error),
    /// Nobody answered.
    Silence(SocketAddr),
    /// Somebody answered what is no answer.
    NotASender(SocketAddr),
    /// The sender refuses: why, seconds to wait, the limit.
    Refused(SocketAddr, Reason, u32, u64),
    /// What the sender grants is too little for a measurement: its average, Mbit/s, and its seconds.
    TooLittle(f64, u32),
    /// The sender was told to end.
    Stopped(SocketAddr),
    /// The sender has not heard us.
    Unheard(SocketAddr),
    /// The sender is there no more.
    Gone(SocketAddr, String),
    /// We were told to end.
    Interrupted,
    /// Nobody reads what we print.
    Output(String),
}

impl Trouble {
    /// What programs are told.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Refused(_, Reason::Busy | Reason::BusyForAddress, ..) | Self::Stopped(_) => {
                Exit::TryLater
            }
            _ => Exit::NeedsPerson,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(host, why) => write!(f, "finding {host}: {why}"),
            Self::Socket(to, why) => write!(f, "opening a socket to {to}: {why}"),
            Self::Network(to, error) => {
                write!(f, "asking the sender {to}: {error}; {}", advice(error, to.port()))
            }
            Self::Silence(to) => write!(
                f,
                "asking the sender {to}: timed out: nobody answered; start a pathchirp_snd there, name its port by -U, or have \
                 firewalls let UDP port {} through",
                to.port()
            ),
            Self::NotASender(to) => write!(
                f,
                "asking the sender {to}: what answers is no pathchirp_snd: name its port by -U"
            ),
            Self::Refused(to, reason, wait, limit) => refused(f, *to, *reason, *wait, *limit),
            Self::TooLittle(average, seconds) => write!(
                f,
                "the sender grants {average} Mbit/s for {seconds} s, in which there are less than three chirps: lower -J or -u, \
                 or have its limits (-a, -t) raised"
            ),
            Self::Stopped(to) => {
                write!(f, "the sender {to} unexpectedly closed the session: it was told to end")
            }
            Self::Unheard(to) => write!(
                f,
                "the sender {to} unexpectedly closed the session: it has not heard of us; the path loses what we send, or a \
                 firewall drops it"
            ),
            Self::Gone(to, why) => {
                write!(f, "the sender {to} closed unexpectedly: {why}; see whether it runs")
            }
            Self::Interrupted => {
                f.write_str("the client has terminated before its time, as it was told to")
            }
            Self::Output(why) => f.write_str(why),
        }
    }
}

fn refused(
    f: &mut fmt::Formatter<'_>,
    to: SocketAddr,
    reason: Reason,
    wait: u32,
    limit: u64,
) -> fmt::Result {
    match reason {
        Reason::Busy => write!(
            f,
            "the sender {to} is busy running a test of others, {limit} at once: try again in {wait} s"
        ),
        Reason::BusyForAddress => write!(
            f,
            "the sender {to} is busy running a test for this address, {limit} at once: try again in {wait} s"
        ),
        Reason::Packets => write!(
            f,
            "server denied test: the sender {to} sends no more than {limit} packets in a chirp: lower -J"
        ),
        Reason::Octets => write!(
            f,
            "server denied test: the sender {to} sends no more than {limit} octets in a packet: lower -p"
        ),
        Reason::Slow => write!(
            f,
            "server denied test: the sender {to} sends no chirp that takes longer than a second, for which the highest rate is to \
             be {} Mbit/s at least: raise -u (there, too, if its own is lower), or lower -J or -p",
            rate(limit) / 1e6
        ),
        Reason::Version => write!(
            f,
            "server denied test: the sender {to} speaks version {limit} of the protocol, and not ours: one of both is to be \
             renewed"
        ),
    }
}

fn advice(error: &io::Error, port: u16) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!(
            "nobody listens on UDP port {port} there: start a pathchirp_snd, or name its port by -U"
        ),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "no way leads there: look at the address, the routes, and firewalls that answer for it"
                .to_owned()
        }
        io::ErrorKind::PermissionDenied => "a firewall of this machine forbids it".to_owned(),
        _ => "look at the address and the interface".to_owned(),
    }
}
