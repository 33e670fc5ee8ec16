//! The checksum of a table: SHA-256 over its rows in the order of their keys, whichever engine holds them.

use sha2::{Digest, Sha256};
use station::world::store::Value;

/// Rows counted and summed up, one after the other.
#[derive(Debug, Clone, Default)]
pub(super) struct Checksum {
    rows: u64,
    hash: Sha256,
}

impl Checksum {
    /// The next row. Each value goes in with its type and length, so that no two rows look alike.
    pub(super) fn add(&mut self, row: &[Value<'_>]) {
        self.rows += 1;
        for value in row {
            match value {
                Value::Null => self.put(b'n', &[]),
                Value::Int(int) => self.put(b'i', &int.to_be_bytes()),
                Value::Real(real) => self.put(b'r', &canonical(*real).to_be_bytes()),
                Value::Text(text) => self.put(b't', text.as_bytes()),
                Value::Bytes(bytes) => self.put(b'b', bytes),
            }
        }
    }

    fn put(&mut self, kind: u8, bytes: &[u8]) {
        self.hash.update([kind]);
        self.hash.update((bytes.len() as u64).to_be_bytes());
        self.hash.update(bytes);
    }

    /// How many rows there were.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// In hexadecimal digits.
    pub(super) fn hex(&self) -> String {
        let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or('?');
        let digits = |byte: u8| [digit(byte >> 4), digit(byte & 15)];
        self.hash.clone().finalize().into_iter().flat_map(digits).collect()
    }
}

/// The bits of a number. The embedded engine keeps no sign of a zero.
fn canonical(real: f64) -> u64 {
    if real == 0.0 { 0 } else { real.to_bits() }
}

/// Whether two values are the same, bit for bit.
pub(super) fn is_same(one: &Value<'_>, other: &Value<'_>) -> bool {
    match (one, other) {
        (Value::Real(one), Value::Real(other)) => canonical(*one) == canonical(*other),
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(rows: &[&[Value<'_>]]) -> String {
        let mut sum = Checksum::default();
        for row in rows {
            sum.add(row);
        }
        sum.hex()
    }

    #[test]
    fn rows_that_differ_in_anything_have_another_checksum() {
        let third = 1.0 / 3.0;
        let all = [
            sum(&[]),
            sum(&[&[Value::Null]]),
            sum(&[&["".into()]]),
            sum(&[&["".into(), Value::Null]]),
            sum(&[&[Value::Null, "".into()]]),
            sum(&[&["ab".into(), "c".into()]]),
            sum(&[&["a".into(), "bc".into()]]),
            sum(&[&["1".into()]]),
            sum(&[&[1_i64.into()]]),
            sum(&[&[Value::Real(1.0)]]),
            sum(&[&[third.into()]]),
            sum(&[&[f64::from_bits(third.to_bits() + 1).into()]]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[at + 1..].contains(one), "{at}");
        }
    }

    #[test]
    fn a_zero_has_no_sign() {
        assert_eq!(sum(&[&[Value::Real(-0.0)]]), sum(&[&[Value::Real(0.0)]]));
        assert!(is_same(&Value::Real(-0.0), &Value::Real(0.0)));
        assert!(!is_same(&Value::Real(0.0), &Value::Int(0)));
    }
}
