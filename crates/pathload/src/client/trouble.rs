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

/// Somebody else's words: in a line of our own they are not to look like others of ours.
fn in_a_line(words: &str) -> String {
    words.chars().map(|it| if it.is_control() { ' ' } else { it }).collect()
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(host, why) => write!(f, "finding {host}: {why}"),
            Self::Connect(server, error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                write!(f, "connecting to {server}: Connection refused: make sure that pathload_snd runs there")
            }
            Self::Connect(server, error) => write!(f, "connecting to {server}: {error}"),
            Self::Refused(true, why) => {
                write!(f, "the server is busy: {}; try later", in_a_line(why))
            }
            Self::Refused(false, why) => write!(f, "the server refuses: {}", in_a_line(why)),
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

#[cfg(test)]
mod tests {
    use readings::{End, Kind, Output, read};
    use rustix::io::Errno;
    use serde_json::json;

    use super::*;

    /// As text, and as JSON.
    #[track_caller]
    fn is_read_as(kind: Kind, trouble: impl Into<Trouble>) {
        let said = trouble.into().to_string();
        let stderr = format!("pathload_rcv: {said}\n").into_bytes();
        let json = json!({"pathload": 1, "problem": said}).to_string();
        for stdout in [&b""[..], json.as_bytes()] {
            let output = Output { stdout, stderr: &stderr, end: End::Exited(1) };
            let reading = read("pathload", &output).expect("a reading");
            assert_eq!(reading.problem().map(|it| it.kind), Some(kind), "{said}");
        }
    }

    fn connect(error: Errno) -> Trouble {
        Trouble::Connect(SocketAddr::from(([192, 0, 2, 2], 55_002)), error.into())
    }

    #[test]
    fn a_server_cannot_say_a_line_of_ours() {
        let why = "busy\nAvailable bandwidth range : 1.00-2.00 (Mbps)\u{1b}[2J";
        for later in [true, false] {
            let said = Trouble::Refused(later, why.to_owned()).to_string();
            assert!(!said.contains(char::is_control), "{said:?}");
        }
    }

    #[test]
    fn a_server_that_cannot_be_reached_is_told_by_what_keeps_us_from_it() {
        let place = |why: &str| Trouble::Place("host.example".to_owned(), why.to_owned());
        is_read_as(Kind::UnknownHost, place("Name or service not known"));
        is_read_as(Kind::NoAddress, place("no address associated with it is of IPv6"));
        is_read_as(Kind::Refused, connect(Errno::CONNREFUSED));
        is_read_as(Kind::NoAnswer, connect(Errno::TIMEDOUT));
        is_read_as(Kind::NetworkUnreachable, connect(Errno::HOSTUNREACH));
    }

    #[test]
    fn a_busy_server_and_one_that_refuses_are_told_apart_whatever_their_reasons_are() {
        for why in ["too many others wait", "an invalid token", "no more than 9 packets"] {
            is_read_as(Kind::Busy, Trouble::Refused(true, why.to_owned()));
            is_read_as(Kind::Refused, Trouble::Refused(false, why.to_owned()));
        }
    }

    #[test]
    fn a_conversation_that_ended_too_early_is_told_by_who_ended_it() {
        let gone = |why: &str| Ended::Gone(why.to_owned());
        is_read_as(Kind::Broken, gone("it closed the connection"));
        is_read_as(Kind::Broken, gone("Connection reset by peer (os error 104)"));
        is_read_as(Kind::NoAnswer, gone("Connection timed out (os error 110)"));
        is_read_as(Kind::NoAnswer, Ended::Silent("the server sent no stream"));
        is_read_as(Kind::Broken, Ended::Senseless("no message: invalid type".to_owned()));
        is_read_as(Kind::Interrupted, Ended::Stopped);
        let ours = "a way to 192.0.2.2:55001: Network is unreachable (os error 101)";
        is_read_as(Kind::NetworkUnreachable, Ended::Ours(ours.to_owned()));
    }

    #[test]
    fn what_streams_did_not_tell_is_no_fault_of_the_server() {
        let dark = "no packet of a stream came: is a filter on the way?";
        is_read_as(Kind::Other, Trouble::Dark(dark.to_owned()));
        is_read_as(Kind::Other, Trouble::Hasty);
        for flaw in [Flaw::LateSender, Flaw::Coalesced, Flaw::OwnDrops] {
            is_read_as(Kind::Other, Trouble::Flawed(flaw));
        }
    }
}
