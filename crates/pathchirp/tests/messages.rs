//! Messages of both ends, whatever comes.

#[path = "common/soundness.rs"]
mod soundness;

use proptest::{collection::vec, prelude::*};

proptest! {
    #[test]
    fn whatever_comes_breaks_no_promise(kind in 0..10_u8, rest in vec(any::<u8>(), 0..160), head: bool) {
        let octets = if head { [&b"chrp"[..], &[1, kind, 0, 0], &rest].concat() } else { rest };
        for what in ["pathchirp-asked", "pathchirp-answer"] {
            soundness::check(what, &octets);
        }
    }
}
