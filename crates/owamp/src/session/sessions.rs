//! The sessions that an engine carries, each in its place.

use std::collections::HashMap;

use timed_udp::{
    clock::{ClockState, KnownState, Mono},
    inbox::Inbox,
};

use super::{
    receiver::Receiver,
    sender::{Press, Sender},
    store::Writer,
    timers::Token,
};

/// What sessions use, one after the other.
pub(super) struct Tools {
    pub(super) inbox: Inbox,
    pub(super) press: Press,
    pub(super) state: KnownState,
    pub(super) writer: Writer,
}

pub(super) struct Session {
    pub(super) id: u64,
    pub(super) role: Role,
    pub(super) alarm: Mono,
    pub(super) clock: ClockState,
    pub(super) steps: usize,
}

pub(super) enum Role {
    Sender(Box<Sender>),
    Receiver(Box<Receiver>),
}

impl Role {
    pub(super) fn act(&mut self, tools: &mut Tools) -> Option<Mono> {
        let Tools { inbox, press, state, writer } = tools;
        match self {
            Self::Sender(sender) => sender.act(press, state),
            Self::Receiver(receiver) => receiver.act(inbox, state, writer),
        }
    }
}

/// The sessions, each in its place.
#[derive(Default)]
pub(super) struct Sessions {
    places: Vec<(u32, Option<Session>)>,
    free: Vec<u32>,
    ids: HashMap<u64, Token>,
}

impl Sessions {
    pub(super) fn add(&mut self, session: Session) -> Token {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push((0, None));
            u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
        });
        let (life, room) = &mut self.places[place as usize];
        let token = Token { place, life: *life };
        self.ids.insert(session.id, token);
        *room = Some(session);
        token
    }

    pub(super) fn token(&self, id: u64) -> Option<Token> {
        self.ids.get(&id).copied()
    }

    pub(super) fn get(&mut self, token: Token) -> Option<&mut Session> {
        let (life, session) = self.places.get_mut(token.place as usize)?;
        session.as_mut().filter(|_| *life == token.life)
    }

    pub(super) fn remove(&mut self, token: Token) -> Option<Session> {
        let (life, room) = self.places.get_mut(token.place as usize)?;
        let session = room.take_if(|_| *life == token.life)?;
        // What still waits for the one that was here does not find its successor.
        *life = life.wrapping_add(1) & (u32::MAX >> 1);
        self.free.push(token.place);
        self.ids.remove(&session.id);
        Some(session)
    }
}

#[cfg(test)]
mod tests {
    use timed_udp::socket::Opening;

    use super::*;
    use crate::{
        protocol::PacketKey,
        session::{ReceiveSpec, Source, Timetable},
    };

    fn session(id: u64) -> Session {
        let here = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
        let now = timed_udp::clock::Moment::now();
        let spec = ReceiveSpec {
            id,
            socket: Opening::at(here).open().expect("a socket"),
            peer: Source { address: here, port: None },
            key: PacketKey::Open,
            start: now.wall,
            timetable: Timetable::new(std::iter::empty()),
            timeout: std::time::Duration::ZERO,
            most_records: 0,
        };
        let role = Role::Receiver(Box::new(Receiver::new(spec, now)));
        Session { id, role, alarm: now.mono, clock: ClockState::now(), steps: 0 }
    }

    #[test]
    fn what_waits_for_a_session_that_ended_does_not_find_its_successor() {
        let mut sessions = Sessions::default();
        let first = sessions.add(session(5));
        assert_eq!(sessions.token(5), Some(first));
        assert!(sessions.remove(first).is_some_and(|it| it.id == 5));
        let second = sessions.add(session(6));
        assert_eq!(second.place, first.place);
        assert!(sessions.get(first).is_none() && sessions.remove(first).is_none());
        assert!(sessions.get(second).is_some());
        assert_eq!((sessions.token(5), sessions.token(6)), (None, Some(second)));
    }
}
