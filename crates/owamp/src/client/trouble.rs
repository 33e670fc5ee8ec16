//! Why a test has no figures, or not all.

use std::{fmt, io, net::SocketAddr};

use super::control::Broken;
use crate::session::Refusal;

/// What stood in the way of a test.
#[derive(Debug)]
pub(super) enum Trouble {
    /// A host cannot be found.
    Place(String, String),
    /// A server does not take a connection.
    Connect(SocketAddr, io::Error),
    /// The control connection is of no use, or of no more.
    Control(Broken),
    /// There is no socket for test packets.
    Socket(String),
    /// A session was refused on our side.
    Session(Refusal),
    /// What carries out sessions does not work.
    Engine(io::Error),
    /// Somebody asked us to end.
    Interrupted,
    /// The figures are not of all packets.
    NotWhole(String),
    /// A file of passphrases is of no use.
    Secrets(String),
    /// Nobody reads what we print.
    Output(io::Error),
}

impl From<Broken> for Trouble {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Asked => Self::Interrupted,
            broken => Self::Control(broken),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(host, why) => write!(f, "finding {host}: {why}"),
            Self::Connect(server, error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => {
                    write!(f, "connecting to {server}: refused: no OWAMP server listens there")
                }
                _ => write!(f, "connecting to {server}: {error}"),
            },
            Self::Control(broken) => write!(f, "talking to the OWAMP server: {broken}"),
            Self::Socket(why) => write!(f, "opening a socket for test packets: {why}"),
            Self::Session(refusal) => refusal.fmt(f),
            Self::Engine(error) => write!(f, "sending and receiving test packets: {error}"),
            Self::Interrupted => {
                f.write_str("interrupted: the figures are of what was sent until then")
            }
            Self::NotWhole(why) | Self::Secrets(why) => f.write_str(why),
            Self::Output(error) => write!(f, "writing the standard output: {error}"),
        }
    }
}

impl std::error::Error for Trouble {}
