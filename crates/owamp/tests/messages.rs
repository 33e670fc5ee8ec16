//! Every message, whatever is in it, is read as it was written: in open mode and sealed, in pieces of any size.

mod common {
    pub(crate) mod soundness;
}

use std::{
    io::{self, Read},
    net::{IpAddr, SocketAddr},
};

use owamp::protocol::{
    Accept, AcceptSession, FetchAck, FetchSession, Fetched, Finished, Inbound, Limits, Outbound,
    Record, Request, RequestSession, SessionEnd, SessionKeys, Sid, SkipRange, Slot, StartAck,
    StopSessions,
};
use proptest::{collection::vec, prelude::*};
use timed_udp::ntp::{ErrorEstimate, NtpTime};

const LIMITS: Limits = Limits { slots: 8, sessions: 4, skips: 9 };

/// A connection that gives a few octets at a time.
struct Dripping<'a>(&'a [u8], usize);

impl Read for Dripping<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = into.len().min(self.1).min(self.0.len());
        self.0.read(&mut into[..length])
    }
}

fn sid() -> impl Strategy<Value = Sid> {
    any::<[u8; 16]>().prop_map(Sid)
}

fn accept() -> impl Strategy<Value = Accept> {
    any::<u8>().prop_map(Accept::from)
}

fn addresses() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    fn of<A: Into<IpAddr>>(address: A, port: u16) -> SocketAddr {
        SocketAddr::new(address.into(), port)
    }
    prop_oneof![
        any::<[([u8; 4], u16); 2]>().prop_map(|[a, b]| (of(a.0, a.1), of(b.0, b.1))),
        any::<[([u8; 16], u16); 2]>().prop_map(|[a, b]| (of(a.0, a.1), of(b.0, b.1))),
    ]
}

fn slot() -> impl Strategy<Value = Slot> {
    prop_oneof![
        any::<u64>().prop_map(|mean| Slot::Exponential { mean }),
        any::<u64>().prop_map(|offset| Slot::Fixed { offset }),
    ]
}

prop_compose! {
    fn request()(
        [server_sends, server_receives] in any::<[bool; 2]>(), [packets, padding, type_p] in any::<[u32; 3]>(),
        (sender, receiver) in addresses(), sid in sid(), [start, timeout] in any::<[u64; 2]>(),
        slots in vec(slot(), 1..8),
    ) -> RequestSession {
        let start = NtpTime(start);
        RequestSession {
            server_sends, server_receives, packets, sender, receiver, sid, padding, start, timeout, type_p, slots,
        }
    }
}

/// In order, apart from each other.
fn skips() -> impl Strategy<Value = Vec<SkipRange>> {
    vec((0_u32..9, 0_u32..9), 0..9).prop_map(|steps| {
        let mut next = 0;
        let step = |(before, length)| {
            let range = SkipRange { first: next + before, last: next + before + length };
            next = range.last + 1;
            range
        };
        steps.into_iter().map(step).collect()
    })
}

prop_compose! {
    fn end()(sid in sid(), next_seq: u32, skips in skips()) -> SessionEnd {
        SessionEnd { sid, next_seq, skips }
    }
}

prop_compose! {
    fn stop()(accept in accept(), ends in vec(end(), 0..4)) -> StopSessions {
        StopSessions { accept, ends }
    }
}

fn any_request() -> impl Strategy<Value = Request> {
    prop_oneof![
        request().prop_map(|request| Request::Session(Box::new(request))),
        Just(Request::Start),
        stop().prop_map(Request::Stop),
        (any::<[u32; 2]>(), sid()).prop_map(|([first, last], sid)| Request::Fetch(FetchSession {
            first,
            last,
            sid
        })),
    ]
}

prop_compose! {
    fn record()(seq: u32, [sent, received] in any::<[u64; 2]>(), errors: [u8; 4], ttl: u8) -> Record {
        let [a, b, c, d] = errors;
        Record {
            seq,
            sent: NtpTime(sent),
            send_error: ErrorEstimate::from_bytes([a, b]),
            received: (received != 0).then_some(NtpTime(received)),
            receive_error: ErrorEstimate::from_bytes([c, d]),
            ttl,
        }
    }
}

/// Carries what `put` writes to `take`, in open mode and sealed, and checks that all of it was taken.
fn carried(drop: usize, put: impl Fn(&mut Outbound), take: impl Fn(&mut Inbound<Dripping<'_>>)) {
    let (keys, iv) = (SessionKeys::new([3; 48]), [4; 16]);
    for (mut to, is_open) in [(Outbound::open(), true), (Outbound::sealed(&keys, &iv), false)] {
        put(&mut to);
        let octets = to.take();
        let dripping = Dripping(&octets, drop);
        let mut from =
            if is_open { Inbound::open(dripping) } else { Inbound::sealed(dripping, &keys, &iv) };
        take(&mut from);
        assert!(from.from().0.is_empty(), "all was read");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn requests_arrive_as_they_were_sent(requests in vec(any_request(), 0..6), drop in 1_usize..99) {
        carried(
            drop,
            |to| requests.iter().for_each(|it| it.put(to)),
            |from| {
                for request in &requests {
                    let read = Request::read(from, &LIMITS).expect("sound");
                    assert_eq!(read.as_ref(), Some(request));
                }
                assert!(Request::read(from, &LIMITS).expect("the end").is_none());
            },
        );
    }

    #[test]
    fn answers_arrive_as_they_were_sent(
        (accept, port, sid) in (accept(), any::<u16>(), sid()), stop in stop(), drop in 1_usize..99,
    ) {
        let (granted, started) = (AcceptSession { accept, port, sid }, StartAck { accept });
        carried(
            drop,
            |to| {
                granted.put(to);
                started.put(to);
                stop.put(to);
            },
            |from| {
                assert_eq!(AcceptSession::read(from).expect("sound"), granted);
                assert_eq!(StartAck::read(from).expect("sound"), started);
                assert_eq!(StopSessions::read(from, &LIMITS).expect("sound"), stop);
            },
        );
    }

    #[test]
    fn a_session_is_fetched_as_it_is_kept(
        session in request(), skips in skips(), records in vec(record(), 0..700), finished: u8, next_seq: u32,
    ) {
        let ack = FetchAck {
            accept: Accept::Yes,
            finished: Finished::from(finished),
            next_seq,
            skips: u32::try_from(skips.len()).expect("few"),
            records: u32::try_from(records.len()).expect("few"),
        };
        let fetched = Fetched { session, skips };
        carried(
            999,
            |to| {
                ack.put(to);
                fetched.put(to);
                for record in &records {
                    Fetched::put_record(&record.to_bytes(), to);
                }
                Fetched::put_end(to);
            },
            |from| {
                assert_eq!(FetchAck::read(from).expect("sound"), ack);
                assert_eq!(Fetched::read(&ack, from, &LIMITS).expect("sound"), fetched);
                let mut read = Vec::new();
                Fetched::read_records(&ack, from, |record| read.push(record)).expect("sound");
                assert_eq!(read, records);
            },
        );
    }

    #[test]
    fn what_is_beyond_a_limit_is_refused_before_it_is_read(
        mut session in request(), mut stop in stop(), mut end in end(), which in 0..3,
    ) {
        match which {
            0 => session.slots = vec![Slot::Fixed { offset: 1 }; 9],
            1 => stop.ends = vec![end; 5],
            _ => {
                end.skips = (0..10).map(|it| SkipRange { first: it, last: it }).collect();
                stop.ends = vec![end];
            }
        }
        let mut to = Outbound::open();
        match which {
            0 => Request::Session(Box::new(session)).put(&mut to),
            _ => Request::Stop(stop).put(&mut to),
        }
        let octets = to.take();
        let failed = Request::read(&mut Inbound::open(&octets[..]), &LIMITS).expect_err("too much");
        prop_assert!(failed.to_string().contains("are more than the"), "{}", failed);
    }

    #[test]
    fn whatever_comes_is_a_message_or_a_reason(octets in vec(any::<u8>(), 0..600), first in 0_u8..6) {
        for what in ["owamp-setup", "owamp-request", "owamp-answer", "owamp-packet", "stamp-packet"] {
            common::soundness::check(what, &octets);
            // Most octets are no command: these are.
            let begun = [&[first][..], &octets].concat();
            common::soundness::check(what, &begun);
        }
    }
}
