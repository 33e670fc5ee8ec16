//! Real sockets on loopback, over both versions of IP.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use timed_udp::{
    clock::{Mono, wall},
    inbox::{BATCH, Inbox, StampedBy},
    socket::{OpenError, Opening, Port, PortRange, Stamps, TimedSocket},
};

const ADDRESSES: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

fn open(opening: &Opening<'_>) -> TimedSocket {
    opening.open().unwrap_or_else(|error| panic!("{error}"))
}

/// Receives until something is there.
fn wait_for(inbox: &mut Inbox, socket: &TimedSocket) -> usize {
    let limit = Mono::now() + Duration::from_secs(20);
    loop {
        match inbox.receive(socket).expect("it receives") {
            0 => assert!(Mono::now() < limit, "nothing came"),
            count => return count,
        }
    }
}

#[test]
fn a_packet_tells_when_it_came_from_where_to_where_and_over_how_many_hops() {
    for address in ADDRESSES {
        let from = open(&Opening { hop_limit: 77, dscp: 46, ..Opening::at(address) });
        let to = open(&Opening::at(address));
        let mut inbox = Inbox::new(16);
        for round in 0_u8..3 {
            let before = wall();
            from.send_to(&[round; 40], to.local()).expect("it is sent");
            assert_eq!(wait_for(&mut inbox, &to), 1);
            let after = wall();
            let (arrival, kept) = inbox.batch().next().expect("one");
            assert!(before <= arrival.received && arrival.received <= after, "{arrival:?}");
            assert_eq!(arrival.stamped_by, StampedBy::Kernel);
            assert_eq!((arrival.from, arrival.to), (from.local(), Some(address)));
            assert_eq!(arrival.hop_limit, Some(77));
            assert_eq!((arrival.length, kept), (40, &[round; 16][..]), "longer than a slot");
        }
        assert_eq!(to.stamps(), Stamps::Timestamping);
    }
}

#[test]
fn one_inbox_serves_sockets_of_both_versions_in_turn() {
    let mut inbox = Inbox::new(64);
    let pairs = ADDRESSES.map(|at| (open(&Opening::at(at)), open(&Opening::at(at))));
    for _ in 0..3 {
        for (from, to) in &pairs {
            from.send_to(b"packet", to.local()).expect("it is sent");
            wait_for(&mut inbox, to);
            let (arrival, kept) = inbox.batch().next().expect("one");
            assert_eq!((arrival.from, kept), (from.local(), &b"packet"[..]));
            assert_eq!((arrival.hop_limit, arrival.stamped_by), (Some(255), StampedBy::Kernel));
        }
    }
}

#[test]
fn packets_come_in_batches_and_in_order() {
    let (from, to) = (open(&Opening::at(ADDRESSES[0])), open(&Opening::at(ADDRESSES[0])));
    let sent = u8::try_from(BATCH).expect("small") + 8;
    for number in 0..sent {
        from.send_to(&[number], to.local()).expect("it is sent");
    }
    let (mut inbox, mut got) = (Inbox::new(1), Vec::new());
    while got.len() < usize::from(sent) {
        wait_for(&mut inbox, &to);
        got.extend(inbox.batch().map(|(_, kept)| kept[0]));
    }
    assert!(got.into_iter().eq(0..sent));
    assert_eq!(inbox.receive(&to).expect("it receives"), 0);
}

#[test]
fn packets_that_found_our_own_queue_full_are_counted() {
    for address in ADDRESSES {
        let from = open(&Opening::at(address));
        let to = open(&Opening { receive_buffer: 4_096, ..Opening::at(address) });
        assert_eq!(to.dropped(), 0);
        let sent = 200;
        for _ in 0..sent {
            from.send_to(&[0; 512], to.local()).expect("it is sent");
        }
        let (mut inbox, mut came) = (Inbox::new(1), 0);
        let limit = Mono::now() + Duration::from_secs(20);
        while came + to.dropped() < sent {
            came += u32::try_from(inbox.receive(&to).expect("it receives")).expect("small");
            assert!(Mono::now() < limit, "{came} came, {} were dropped", to.dropped());
        }
        assert!(to.dropped() > 0 && came > 0, "{came} came");
    }
}

#[test]
fn the_kernel_tells_when_a_packet_left() {
    for address in ADDRESSES {
        let (from, to) = (open(&Opening::at(address)), open(&Opening::at(address)));
        from.send_to(b"not stamped", to.local()).expect("it is sent");
        for number in 0..3 {
            from.stamp_sending(true).expect("the kernel stamps");
            let before = wall();
            from.send_to(b"stamped", to.local()).expect("it is sent");
            from.stamp_sending(false).expect("it stops");
            from.send_to(b"not stamped", to.local()).expect("it is sent");
            let limit = Mono::now() + Duration::from_secs(20);
            let (stamped, left) = loop {
                if let Some(stamp) = Inbox::send_stamp(&from).expect("it can be asked") {
                    break stamp;
                }
                assert!(Mono::now() < limit, "no stamp");
            };
            assert_eq!(stamped, number);
            assert!(before <= left && left <= wall());
        }
        assert_eq!(Inbox::send_stamp(&from).expect("it can be asked"), None);
    }
}

#[test]
fn a_range_gives_its_free_ports_and_says_when_there_are_none() {
    // A port that was free a moment ago, and the one above it if that is free too.
    let probe = open(&Opening::at(ADDRESSES[0])).local().port();
    let range = PortRange::new(probe, probe).expect("a range");
    let opening = Opening { port: Port::Of(&range), ..Opening::at(ADDRESSES[0]) };
    let first = open(&opening);
    assert_eq!(first.local().port(), probe);
    let error = opening.open().expect_err("its only port is taken");
    assert!(matches!(error, OpenError::Exhausted { .. }), "{error}");
    assert!(error.to_string().contains(&format!("all ports of {probe}-{probe} are in use")));
    drop(first);
    assert_eq!(open(&opening).local().port(), probe);
    assert!(PortRange::new(9, 8).is_none() && PortRange::new(0, 8).is_none());
}

#[test]
fn a_closed_port_is_reported_to_a_connected_socket() {
    let gone = open(&Opening::at(ADDRESSES[0])).local();
    let from = open(&Opening::at(ADDRESSES[0]));
    from.connect(gone).expect("it connects");
    from.send(b"anybody?").expect("it is sent");
    let limit = Mono::now() + Duration::from_secs(20);
    while from.pending_error().expect("it can be asked").is_none() {
        assert!(Mono::now() < limit, "no ICMP");
    }
    from.send(b"anybody now?").expect("an error that was told does not come again");
}
