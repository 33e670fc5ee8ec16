//! Why there are no figures. The words are such that `readings` tells the kinds apart.

use std::{fmt, io, net::SocketAddr};

use station::app::Exit;

use crate::{control::Ended, trend::Flaw};

/// What stood in the way.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The host cannot be found.
    Place(String, String),
    /// The server does not take a connection.
    Connect(SocketAddr, io::Error),
    /// The server does not want to.
    Refused(bool, String),
    /// The conversation ended too early.
    Ended(Ended),
    /// Packets do not come.
    Dark(String),
    /// What came is not to be believed.
    Flawed(Flaw),
    /// The time was over before anything was known.
    Hasty,
}

impl Trouble {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Refused(true, _) => Exit::TryLater,
            _ => Exit::NeedsPerson,
        }
    }
}

impl From<Ended> for Trouble {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(host, why) => write!(f, "finding {host}: {why}"),
            Self::Connect(server, error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                write!(f, "connecting to {server}: Connection refused: make sure that pathload_snd runs there")
            }
            Self::Connect(server, error) => write!(f, "connecting to {server}: {error}"),
            Self::Refused(true, why) => write!(f, "the server is busy: {why}; try later"),
            Self::Refused(false, why) => write!(f, "the server refuses: {why}"),
            Self::Ended(Ended::Gone(why)) => {
                write!(f, "Measurement terminated: the server went away: {why}")
            }
            Self::Ended(Ended::Silent(what)) => write!(f, "Measurement terminated: timed out: {what}"),
            Self::Ended(Ended::Senseless(what)) => {
                write!(f, "Measurement terminated: the server says what makes no sense: {what}")
            }
            Self::Ended(Ended::Stopped) => f.write_str("Measurement terminated, as it was asked to"),
            Self::Ended(Ended::Ours(why)) => f.write_str(why),
            Self::Dark(why) => write!(f, "Measurement terminated: {why}"),
            Self::Hasty => f.write_str(
                "Measurement terminated: the time was over before any rate was known to be above or below what is left: allow more by -t, or by the server's --duration",
            ),
            Self::Flawed(Flaw::LateSender) => f.write_str(
                "Measurement terminated due to frequent CS @ sender/receiver: the sender's machine is too busy to keep the gaps",
            ),
            Self::Flawed(Flaw::Coalesced) => f.write_str(
                "Measurement terminated due to interrupt coalescence @ receiver: packets come in bunches that the path did not make",
            ),
            Self::Flawed(Flaw::OwnDrops) => f.write_str(
                "Measurement terminated due to full receive queue @ receiver: let it have more memory (net.core.rmem_max)",
            ),
        }
    }
}
