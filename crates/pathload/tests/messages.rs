//! Whatever octets come are a message or none, and what is understood is understood again when it is written.

use proptest::prelude::*;

#[path = "common/soundness.rs"]
mod soundness;

proptest! {
    #[test]
    fn arbitrary_octets_are_messages_or_none(data in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        soundness::check(&data);
    }

    #[test]
    fn so_are_lines_that_look_like_some(lines in proptest::collection::vec(
        "\\{\"say\":\"(stream|bye|wait|hello|known|sent|refused)\"(,\"(stream|packets|octets|gap|late|unsent|before|seconds)\":[0-9]{1,20}){0,4}\\}\n",
        0..4,
    )) {
        soundness::check(lines.concat().as_bytes());
    }
}
