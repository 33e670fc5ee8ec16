//! Why a test has no figures, or not all.

use std::{fmt, io, net::SocketAddr};

use station::app::{Exit, Failure};

use crate::protocol::{Cause, Wrong};

/// What stood in the way of a test. The words are such that `readings` tells the kinds apart.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The host cannot be found.
    Place(String, String),
    /// The server does not take a connection.
    Connect(SocketAddr, io::Error),
    /// What answers there is no server of ours.
    Stranger(SocketAddr, String),
    /// The server does not want the test.
    Refused(Cause, String),
    /// The server, or the way to it, went away in the middle.
    Broken(String),
    /// The server does not say what it should.
    Silent(&'static str, u64),
    /// What it says makes no sense.
    Senseless(Wrong),
    /// A socket of ours cannot be had, or be as it should.
    Ours(String),
    /// Somebody asked us to end.
    Interrupted,
    /// Nobody reads what we print.
    Output(Failure),
}

impl Trouble {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Refused(Cause::Busy, _) => Exit::TryLater,
            _ => Exit::NeedsPerson,
        }
    }

    pub(super) fn ours(doing: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self::Ours(format!("{doing}: {error}"))
    }
}

impl From<Wrong> for Trouble {
    fn from(wrong: Wrong) -> Self {
        Self::Senseless(wrong)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Output(failure)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(host, why) => write!(f, "finding {host}: {why}"),
            Self::Connect(server, error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => {
                    write!(f, "connecting to {server}: connection refused: no thrulayd listens there")
                }
                _ => write!(f, "connecting to {server}: {error}"),
            },
            Self::Stranger(server, what) => write!(f, "greeting {server}: {what}"),
            Self::Refused(Cause::Busy, why) => {
                write!(f, "proposing a test: the server is busy running a test: {why}; try later")
            }
            Self::Refused(Cause::Never, why) => {
                write!(f, "proposing a test: the server denied test: {why}; ask for less")
            }
            Self::Refused(Cause::Failed, why) => {
                write!(f, "proposing a test: the server could not do it: {why}; its log tells more")
            }
            Self::Broken(why) => write!(f, "premature end of test: {why}"),
            Self::Silent(what, seconds) => write!(f, "{what}: timed out after {seconds} s"),
            Self::Senseless(wrong) => {
                write!(f, "premature end of test: the server says what makes no sense: {wrong}")
            }
            Self::Ours(why) => f.write_str(why),
            Self::Interrupted => f.write_str(
                "the client has terminated the test, as it was asked to: the figures are of what was done until then",
            ),
            Self::Output(failure) => failure.fmt(f),
        }
    }
}
