//! What is answered to a message. Sends nothing.

use std::net::IpAddr;

use timed_udp::clock::Mono;

use super::table::{Client, Decision, Table};
use crate::protocol::{
    VERSION, Wrong,
    cookie::Secret,
    message::{Answer, Asked, Reason, nonce_of_other_version},
};

/// What came of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// A client said hello.
    Hello,
    /// A session began.
    Began,
    /// The same request came again.
    Again,
    /// A session was refused.
    Refused(Reason),
    /// A client goes on.
    Lives,
    /// A client ended its session.
    Ended,
    /// A request without a good cookie.
    NoCookie,
    /// A request of which the session is over.
    Replayed,
    /// Of a session that there is not.
    NoSession,
    /// From an address that can be nobody's.
    Nobody,
    /// No message at all.
    Wrong(Wrong),
}

/// Decides about a message, and gives the answer if there is one: it is never longer than the message. `session` gives a
/// random number.
pub(super) fn hear(
    table: &mut Table,
    secret: &Secret,
    client: Client,
    octets: &[u8],
    session: impl FnOnce() -> u64,
    now: Mono,
) -> (Heard, Option<Answer>) {
    if !is_somebody(client) {
        return (Heard::Nobody, None);
    }
    let peer = client.peer;
    match Asked::read(octets) {
        Ok(Asked::Hello { nonce }) => {
            let cookie = secret.cookie(peer, now);
            (Heard::Hello, Some(Answer::Cookie { nonce, cookie }))
        }
        Ok(Asked::Request { cookie, .. }) if !secret.is_of(&cookie, peer, now) => {
            (Heard::NoCookie, None)
        }
        Ok(Asked::Request { nonce, wish, .. }) => {
            decided(nonce, table.request(client, nonce, wish, session(), now))
        }
        Ok(Asked::Feedback { session, low, high, .. }) => {
            let is_one = table.feedback(peer, session, (low, high), now);
            (if is_one { Heard::Lives } else { Heard::NoSession }, None)
        }
        Ok(Asked::End { session, .. }) => {
            (if table.end(peer, session, now) { Heard::Ended } else { Heard::NoSession }, None)
        }
        Err(wrong @ Wrong::Version(_)) => {
            (Heard::Wrong(wrong), nonce_of_other_version(octets).map(other_version))
        }
        Err(wrong) => (Heard::Wrong(wrong), None),
    }
}

fn other_version(nonce: u64) -> Answer {
    Answer::Refused { nonce, reason: Reason::Version, wait: 0, limit: VERSION.into() }
}

fn decided(nonce: u64, decision: Decision) -> (Heard, Option<Answer>) {
    match decision {
        Decision::Accepted { session, granted, is_new } => {
            let heard = if is_new { Heard::Began } else { Heard::Again };
            (heard, Some(Answer::Accepted { nonce, session, granted }))
        }
        Decision::Refused { reason, wait, limit } => {
            (Heard::Refused(reason), Some(Answer::Refused { nonce, reason, wait, limit }))
        }
        Decision::Replayed => (Heard::Replayed, None),
    }
}

fn is_somebody(client: Client) -> bool {
    let is_many = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_multicast(),
    };
    let source = client.peer.ip().to_canonical();
    client.peer.port() > 0
        && !source.is_unspecified()
        && !is_many(source)
        && !client.own.is_some_and(is_many)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::{
        super::limits::tests::{LIMITS, WISH},
        *,
    };
    use crate::protocol::message::End;

    fn client(peer: &str) -> Client {
        Client { peer: peer.parse().expect("an address"), own: None, socket: 0 }
    }

    struct Bed {
        table: Table,
        secret: Secret,
    }

    impl Bed {
        fn new() -> Self {
            Self { table: Table::new(LIMITS), secret: Secret::new([7; 32]) }
        }

        fn hear(&mut self, peer: &str, octets: &[u8]) -> (Heard, Option<Answer>) {
            hear(&mut self.table, &self.secret, client(peer), octets, || 42, Mono(5))
        }

        fn say(&mut self, peer: &str, asked: Asked) -> (Heard, Option<Answer>) {
            self.hear(peer, &asked.octets())
        }
    }

    const HERE: &str = "192.0.2.1:5000";

    #[test]
    fn who_gives_its_cookie_back_gets_a_session_and_can_end_it() {
        let mut bed = Bed::new();
        let (heard, answer) = bed.say(HERE, Asked::Hello { nonce: 1 });
        let Some(Answer::Cookie { nonce: 1, cookie }) = answer else { panic!("{heard:?}") };
        let request = Asked::Request { nonce: 2, cookie, wish: WISH };
        let accepted = Answer::Accepted { nonce: 2, session: 42, granted: WISH };
        assert_eq!(bed.say(HERE, request), (Heard::Began, Some(accepted)));
        assert_eq!(bed.say(HERE, request), (Heard::Again, Some(accepted)));
        let end = Asked::End { session: 42, why: End::Stopped };
        assert_eq!(bed.say(HERE, end), (Heard::Ended, None));
        assert_eq!(bed.say(HERE, request), (Heard::Replayed, None));
    }

    #[test]
    fn hellos_leave_nothing_behind_and_a_cookie_is_of_no_use_elsewhere() {
        let mut bed = Bed::new();
        let (_, answer) = bed.say(HERE, Asked::Hello { nonce: 1 });
        let Some(Answer::Cookie { cookie, .. }) = answer else { panic!("no cookie") };
        for peer in ["192.0.2.1:5001", "192.0.2.2:5000", "[2001:db8::1]:5000"] {
            let request = Asked::Request { nonce: 2, cookie, wish: WISH };
            assert_eq!(bed.say(peer, request), (Heard::NoCookie, None));
        }
        assert_eq!(bed.table.len(), 0);
    }

    #[test]
    fn nobody_and_everybody_get_nothing() {
        let mut bed = Bed::new();
        for peer in ["0.0.0.0:5000", "224.0.0.1:5000", "255.255.255.255:5000", "192.0.2.1:0"] {
            assert_eq!(bed.say(peer, Asked::Hello { nonce: 1 }), (Heard::Nobody, None), "{peer}");
        }
    }

    #[test]
    fn a_client_of_another_version_hears_which_is_ours() {
        let mut octets = Asked::Hello { nonce: 9 }.octets();
        octets[4] = 2;
        let (_, answer) = Bed::new().hear(HERE, &octets);
        assert!(matches!(answer, Some(Answer::Refused { nonce: 9, reason: Reason::Version, .. })));
    }

    proptest! {
        #[test]
        fn no_answer_is_ever_longer_than_what_was_said(
            kind in 0..10_u8, version in 0..3_u8, rest in vec(any::<u8>(), 0..120),
        ) {
            let octets = [&b"chrp"[..], &[version, kind, 0, 0], &rest].concat();
            let (_, answer) = Bed::new().hear(HERE, &octets);
            prop_assert!(answer.is_none_or(|it| it.octets().len() <= octets.len()));
        }
    }
}
