//! What holds of everything that comes over the network: it is understood and written again as what was understood, or
//! refused with a reason; and never does it take more room than it should. The fuzzing targets check the same.

use thrulay::{
    protocol::{
        Answer, Heads, Incoming, LONGEST, PACKET, RECORD, Record, Records, Request, TestPacket,
        Token,
    },
    report::UdpOutcome,
    report::udp,
    statistics::Lateness,
};

/// Gives the octets to the readers of `what`, and panics if one breaks its promise.
pub(crate) fn check(what: &str, octets: &[u8]) {
    match what {
        "thrulay-request" => messages(octets, |kind, body| {
            let request = Request::read(kind, body)?;
            Ok((request.to_bytes(), request))
        }),
        "thrulay-answer" => messages(octets, |kind, body| {
            let answer = Answer::read(kind, body)?;
            if let Answer::UdpReport(report) = &answer {
                printed(report);
            }
            Ok((answer.to_bytes(), answer))
        }),
        "thrulay-stream" => stream(octets),
        other => panic!("there is no target {other}"),
    }
}

/// Message after message, in pieces of which the first octet tells the length.
fn messages<T: PartialEq + std::fmt::Debug>(
    octets: &[u8],
    mut read: impl FnMut(u8, &[u8]) -> Result<(Vec<u8>, T), thrulay::protocol::Wrong>,
) {
    let Some((piece, mut octets)) = octets.split_first() else { return };
    let piece = usize::from(*piece).max(1);
    let mut incoming = Incoming::default();
    while let Ok(wanted) = incoming.wanted() {
        assert!(wanted <= LONGEST, "no more than a message is ever wanted");
        let (now, rest) = octets.split_at(wanted.min(piece).min(octets.len()));
        octets = rest;
        incoming.add(now);
        match incoming.take() {
            Ok(None) if now.is_empty() => return,
            Ok(None) => {}
            Ok(Some((kind, body))) => match read(kind, &body) {
                Ok((again, first)) => {
                    let second = read(again[0], &again[3..]).expect("what we write we understand");
                    assert_eq!(second.1, first);
                }
                Err(wrong) => assert!(!wrong.to_string().is_empty()),
            },
            Err(wrong) => return assert!(!wrong.to_string().is_empty()),
        }
    }
}

/// Whatever a server reports can be printed.
fn printed(report: &thrulay::protocol::UdpReport) {
    let outcome = UdpOutcome {
        buffer: 1,
        size: 1_500,
        payload: 1_472,
        rate: 1,
        proposed: 1,
        lateness: Lateness::default(),
        synchronised: false,
        report: Some(report.clone()),
    };
    assert!(udp(&outcome).ends_with('\n'));
}

/// The first octet chooses the block's length, the second that of the pieces.
fn stream(octets: &[u8]) {
    let [block, piece, octets @ ..] = octets else { return };
    let (block, piece) = (64 + u32::from(*block), usize::from(*piece).max(1));
    let (mut heads, mut records) = (Heads::of(block), Vec::new());
    for piece in octets.chunks(piece) {
        if heads.take(piece, &mut records).is_err() {
            break;
        }
    }
    assert_eq!(records.len() % RECORD, 0);
    let most = octets.len() / block as usize + 1;
    assert!(records.len() / RECORD <= most, "one record for each block at the most");
    let (mut back, mut count) = (Records::default(), 0);
    back.take(&records, octets.len() as u64, |_| count += 1).expect("what we answer we understand");
    assert_eq!(count * RECORD, records.len());
    let written = u64::from(block) * octets.len() as u64;
    let _ = Records::default().take(octets, written, |record: Record| {
        assert_eq!(record.to_bytes().len(), RECORD);
        assert!(record.received <= written, "nobody has more than was sent");
    });
    let token = Token(octets.first_chunk().copied().unwrap_or_default());
    if let Some(packet) = TestPacket::read(octets, &token) {
        let mut again = [0; PACKET];
        packet.write(&mut again);
        assert_eq!(TestPacket::read(&again, &token), Some(packet));
        assert_eq!(TestPacket::read(&again, &Token([1; 16])).is_some(), token == Token([1; 16]));
    }
}
