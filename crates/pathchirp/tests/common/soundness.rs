//! What holds of every message, whatever its octets were. The fuzzing targets check the same.

use pathchirp::protocol::{
    message::{Answer, Asked, nonce_of_other_version},
    packet::{self, Packet},
};

/// Reads the octets as the named end's messages, and panics if one breaks one of its promises.
pub(crate) fn check(what: &str, octets: &[u8]) {
    match what {
        "pathchirp-asked" => check_asked(octets),
        "pathchirp-answer" => check_answer(octets),
        other => panic!("there are no messages {other}"),
    }
}

fn check_asked(octets: &[u8]) {
    let _ = nonce_of_other_version(octets);
    match Asked::read(octets) {
        Ok(asked) => {
            let written = asked.octets();
            assert_eq!(Asked::read(&written), Ok(asked));
            assert!(written.len() <= octets.len(), "what is read was there");
            if let Asked::Request { wish, .. } = asked {
                let shape = wish.shape(wish.low, wish.high, 48);
                assert!(shape.offsets().is_sorted() && shape.groups() <= 1_024);
            }
        }
        Err(wrong) => assert!(!wrong.to_string().is_empty()),
    }
}

fn check_answer(octets: &[u8]) {
    if let Ok(answer) = Answer::read(octets) {
        assert_eq!(Answer::read(&answer.octets()), Ok(answer));
    }
    match Packet::read(octets) {
        Ok(read) => {
            assert!(Packet::is_one(octets) && read.group < read.groups);
            let mut written = [0; packet::LEAST];
            read.write(&mut written);
            assert_eq!(Packet::read(&written), Ok(read));
        }
        Err(wrong) => assert!(!wrong.to_string().is_empty()),
    }
}
