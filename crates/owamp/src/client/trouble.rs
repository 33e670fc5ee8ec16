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

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use readings::{End, Kind, Output, read};
    use rustix::io::Errno;
    use serde_json::json;

    use super::*;
    use crate::protocol::{Accept, Mode, Modes, Wrong};

    /// As text, and as JSON.
    #[track_caller]
    fn is_read_as(kind: Kind, trouble: impl Into<Trouble>) {
        let said = trouble.into().to_string();
        let stderr = format!("owping: {said}\n").into_bytes();
        let json = json!({"owping": 1, "problem": said}).to_string();
        for stdout in [&b""[..], json.as_bytes()] {
            let output = Output { stdout, stderr: &stderr, end: End::Exited(1) };
            let reading = read("owping", &output).expect("a reading");
            assert_eq!(reading.problem().map(|it| it.kind), Some(kind), "{said}");
        }
    }

    fn connect(error: Errno) -> Trouble {
        Trouble::Connect(SocketAddr::from(([192, 0, 2, 2], 861)), error.into())
    }

    fn lost(error: io::ErrorKind) -> Broken {
        io::Error::from(error).into()
    }

    #[test]
    fn a_server_that_cannot_be_reached_is_told_by_what_keeps_us_from_it() {
        let place = |why: &str| Trouble::Place("host.example".to_owned(), why.to_owned());
        is_read_as(Kind::UnknownHost, place("Name or service not known"));
        is_read_as(Kind::NoAddress, place("no address associated with it is of IPv6"));
        is_read_as(Kind::NoAddress, place("it has no address of the server's family"));
        is_read_as(Kind::Refused, connect(Errno::CONNREFUSED));
        is_read_as(Kind::NoAnswer, connect(Errno::TIMEDOUT));
        is_read_as(Kind::NetworkUnreachable, connect(Errno::HOSTUNREACH));
    }

    #[test]
    fn a_server_that_does_not_want_us_refuses_at_whichever_step() {
        let steps = ["the connection", "our name (-u) and passphrase (-k)", "a session"];
        for step in steps {
            for accept in (1..=6u8).map(Accept::from) {
                is_read_as(Kind::Refused, Broken::Refused(step, accept));
            }
        }
        let ours = Modes::default().with(Mode::Open);
        is_read_as(Kind::Refused, Broken::NoMode(Modes::default(), ours));
        // It would serve whoever has a passphrase.
        let theirs = Modes::default().with(Mode::Encrypted);
        is_read_as(Kind::Other, Broken::NoMode(theirs, ours));
    }

    #[test]
    fn a_server_that_says_nothing_ends_or_talks_nonsense_is_told_so() {
        is_read_as(Kind::NoAnswer, lost(io::ErrorKind::TimedOut));
        is_read_as(Kind::Broken, lost(io::ErrorKind::UnexpectedEof));
        is_read_as(Kind::Broken, Broken::from(io::Error::from(Errno::CONNRESET)));
        let what = "81 are no more than 80, which is invalid".to_owned();
        let (message, field) = ("Fetch-Ack", "Number of Records");
        let kind = crate::protocol::Kind::TooMuch;
        is_read_as(Kind::Broken, Broken::Wrong(Wrong { message, field, what, kind }));
    }

    #[test]
    fn what_is_ours_is_not_told_as_the_servers() {
        is_read_as(Kind::Interrupted, Broken::Asked);
        is_read_as(Kind::Other, Trouble::Socket("Address already in use".to_owned()));
        is_read_as(Kind::Other, Trouble::Session(Refusal::Ended));
        is_read_as(Kind::NotPermitted, Trouble::Engine(Errno::PERM.into()));
        is_read_as(Kind::Other, Trouble::NotWhole("the server stopped after 3 of 9".to_owned()));
        is_read_as(Kind::Other, Trouble::Secrets("keys has no passphrase of \"x\"".to_owned()));
        is_read_as(Kind::Other, Trouble::Output(Errno::NOSPC.into()));
    }

    /// The reader's tests begin with that document, which `tests/round_trip.rs` prints without a server.
    #[test]
    fn the_readers_document_of_a_refusal_has_the_words_of_one() {
        let file = "../readings/tests/captures/owpingjson/refused.txt";
        let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), file].iter().collect();
        let kept = fs::read_to_string(path).expect("a document");
        let said = connect(Errno::CONNREFUSED).to_string();
        assert!(kept.contains(&said), "{said}: {kept}");
    }
}
