//! Messages of both directions: what is written is read as what was meant, whole or in pieces, and anything else is
//! refused with a reason.

#[path = "common/soundness.rs"]
mod soundness;

use proptest::{collection::vec, prelude::*};
use thrulay::protocol::{
    AcceptedTcp, AcceptedUdp, Answer, Cause, Head, Heads, Join, Record, Records, Request,
    TcpProposal, TestPacket, Token, UdpProposal,
};

fn requests() -> [Request; 5] {
    [
        Request::Tcp(TcpProposal { streams: 3, duration_s: 60, block: 65_536, window: 4_194_304 }),
        Request::Udp(UdpProposal { packets: 1_666, size: 1_500, rate: 5_000_000, buffer: 0 }),
        Request::Join(Join { token: Token([7; 16]), stream: 63 }),
        Request::Finished,
        Request::Sent(1_666),
    ]
}

fn answers() -> [Answer; 6] {
    let token = Token([9; 16]);
    [
        Answer::Tcp(AcceptedTcp { token, duration_s: 30, window: 0 }),
        Answer::Udp(AcceptedUdp { token, port: 40_000, buffer: 8_388_608 }),
        Answer::Refused(Cause::Busy, "8 tests are allowed here".to_owned()),
        Answer::Joined(8_388_608),
        Answer::Heard,
        Answer::TcpReport(vec![1, u64::MAX]),
    ]
}

#[test]
fn every_message_is_read_as_what_it_was() {
    for request in requests() {
        let octets = request.to_bytes();
        assert_eq!(Request::read(octets[0], &octets[3..]), Ok(request));
    }
    for answer in answers() {
        let octets = answer.to_bytes();
        assert_eq!(Answer::read(octets[0], &octets[3..]), Ok(answer));
    }
}

#[test]
fn a_message_that_lacks_an_octet_or_has_one_more_is_refused() {
    for request in requests() {
        let mut octets = request.to_bytes();
        octets.push(0);
        assert!(Request::read(octets[0], &octets[3..]).is_err(), "{request:?}");
        octets.truncate(octets.len() - 2);
        if octets.len() > 3 {
            assert!(Request::read(octets[0], &octets[3..]).is_err(), "{request:?}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let wrong = [
        Request::Tcp(TcpProposal { streams: 0, duration_s: 1, block: 64, window: 0 }),
        Request::Tcp(TcpProposal { streams: 65, duration_s: 1, block: 64, window: 0 }),
        Request::Tcp(TcpProposal { streams: 1, duration_s: 0, block: 64, window: 0 }),
        Request::Tcp(TcpProposal { streams: 1, duration_s: 1, block: 63, window: 0 }),
        Request::Udp(UdpProposal { packets: 0, size: 1_500, rate: 1, buffer: 0 }),
        Request::Udp(UdpProposal { packets: 1, size: 1_500, rate: 0, buffer: 0 }),
        Request::Join(Join { token: Token([0; 16]), stream: 64 }),
    ];
    for request in wrong {
        let octets = request.to_bytes();
        let refused = Request::read(octets[0], &octets[3..]).expect_err("refused");
        assert!(refused.to_string().len() > 20, "{refused}");
    }
}

#[test]
fn a_reason_for_a_refusal_cannot_write_on_a_terminal() {
    let octets = Answer::Refused(Cause::Never, "no\u{1b}[2J\u{7}\n".to_owned()).to_bytes();
    let read = Answer::read(octets[0], &octets[3..]);
    assert_eq!(read, Ok(Answer::Refused(Cause::Never, "no[2J".to_owned())));
}

#[test]
fn a_packet_with_another_token_is_of_no_test() {
    let sent = timed_udp::ntp::NtpTime(0x1234_5678_9abc_def0);
    let packet = TestPacket { token: Token([3; 16]), number: 17, sent };
    let mut octets = [0xff; 100];
    packet.write(&mut octets);
    assert_eq!(TestPacket::read(&octets, &Token([3; 16])), Some(packet));
    assert_eq!(TestPacket::read(&octets, &Token([4; 16])), None);
    assert_eq!(TestPacket::read(&octets[..31], &Token([3; 16])), None);
}

/// A stream of blocks.
fn blocks(block: usize, count: u64) -> Vec<u8> {
    let one = |number| {
        let mut octets = vec![0xaa; block];
        octets[..16].copy_from_slice(&Head { number, sent: number * 10 }.to_bytes());
        octets
    };
    (0..count).flat_map(one).collect()
}

proptest! {
    #[test]
    fn heads_are_found_in_whatever_pieces_a_stream_comes(
        block in 64_u32..300,
        count in 0_u64..40,
        pieces in vec(1_usize..700, 1..50),
    ) {
        let stream = blocks(block as usize, count);
        let (mut heads, mut octets) = (Heads::of(block), Vec::new());
        let (mut rest, mut lengths) = (&stream[..], pieces.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(*lengths.next().expect("some")));
            heads.take(piece, &mut octets).expect("all is right");
            rest = after;
        }
        prop_assert_eq!(heads.received(), stream.len() as u64);
        let mut records: Vec<Record> = Vec::new();
        let mut reader = Records::default();
        for piece in octets.chunks(pieces[0]) {
            let written = stream.len() as u64;
            reader.take(piece, written, |record| records.push(record)).expect("all is right");
        }
        prop_assert_eq!(records.len() as u64, count);
        for (number, record) in (0..).zip(&records) {
            prop_assert_eq!(record.head, Head { number, sent: number * 10 });
            prop_assert!(record.received >= number * u64::from(block) + 16);
        }
    }

    #[test]
    fn arbitrary_octets_are_messages_or_refused(octets in vec(any::<u8>(), 0..600)) {
        for what in ["thrulay-request", "thrulay-answer", "thrulay-stream"] {
            soundness::check(what, &octets);
        }
    }

    #[test]
    fn messages_that_were_changed_on_their_way_are_messages_or_refused(
        which in 0_usize..11,
        at in any::<prop::sample::Index>(),
        octet in any::<u8>(),
        piece in 1_u8..255,
    ) {
        let mut all: Vec<Vec<u8>> = requests().iter().map(Request::to_bytes).collect();
        all.extend(answers().iter().map(Answer::to_bytes));
        let mut octets = vec![piece];
        octets.extend(&all[which]);
        let place = at.index(octets.len());
        octets[place] = octet;
        soundness::check("thrulay-request", &octets);
        soundness::check("thrulay-answer", &octets);
    }
}

#[test]
fn a_record_tells_no_more_than_was_sent_and_no_less_than_the_one_before() {
    let record = |number, received| Record { head: Head { number, sent: 0 }, received }.to_bytes();
    let take = |octets: &[u8]| Records::default().take(octets, 100, |_| ());
    assert_eq!(take(&[record(0, 16), record(1, 100)].concat()), Ok(()));
    for wrong in [[record(0, 16), record(1, 101)], [record(0, 90), record(1, 89)]] {
        let why = take(&wrong.concat()).expect_err("refused").to_string();
        assert!(why.contains("to 100 are possible"), "{why}");
    }
    assert!(take(&record(0, u64::MAX)).is_err());
}

#[test]
fn a_stream_that_is_none_is_refused_at_its_first_block() {
    let wrong = Heads::of(64).take(&[0xff; 64], &mut Vec::new()).expect_err("refused");
    assert!(wrong.to_string().contains("where 0 is next"), "{wrong}");
}
