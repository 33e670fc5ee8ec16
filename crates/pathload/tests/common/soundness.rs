//! What holds for whatever octets come as lines or packets: for the tests of arbitrary ones, and for `fuzz`.

use pathload::protocol::{Answer, LONGEST_LINE, Mark, Request, Token, line, take};

/// Panics if a reader breaks one of its promises.
pub(crate) fn check(data: &[u8]) {
    lines::<Request>(data);
    lines::<Answer>(data);
    if let Some(mark) = Mark::read(data) {
        let mut again = vec![0; data.len()];
        mark.write(&mut again);
        assert_eq!(Mark::read(&again), Some(mark));
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(token) = Token::of_text(text)
    {
        assert_eq!(token.as_text(), text.to_ascii_lowercase());
    }
}

/// Every message that is understood is understood again when it is written; what is taken is never more than was there.
fn lines<T>(data: &[u8])
where
    T: serde::Serialize + for<'a> serde::Deserialize<'a> + PartialEq + std::fmt::Debug,
{
    let mut left = data.to_vec();
    loop {
        let before = left.len();
        match take::<T>(&mut left) {
            Ok(Some(message)) => {
                assert!(left.len() < before);
                let mut written = line(&message);
                if written.len() <= LONGEST_LINE {
                    assert_eq!(take::<T>(&mut written), Ok(Some(message)));
                }
            }
            Ok(None) => {
                assert_eq!(left.len(), before);
                assert!(before < LONGEST_LINE);
                return;
            }
            Err(why) => {
                assert!(!why.is_empty());
                return;
            }
        }
    }
}
