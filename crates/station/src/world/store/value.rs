//! What goes into a statement and comes out of a row.

use std::borrow::Cow;

use crate::text::Timestamp;

use super::error::{Error, Kind};

/// A value of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// NULL: not known, or not defined.
    Null,
    /// An integer.
    Int(i64),
    /// A number with a fraction.
    Real(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// What is no text: bytes that are not UTF-8, which somebody else wrote into a file of the embedded engine.
    Bytes(Cow<'a, [u8]>),
}

impl<'a> Value<'a> {
    /// A text, if the bytes are one.
    pub(super) fn of_bytes(bytes: &'a [u8]) -> Self {
        str::from_utf8(bytes)
            .map_or(Self::Bytes(Cow::Borrowed(bytes)), |text| Self::Text(Cow::Borrowed(text)))
    }

    /// The same, of no row any more.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Int(int) => Value::Int(int),
            Self::Real(real) => Value::Real(real),
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
        }
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u32> for Value<'_> {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}

impl From<u64> for Value<'_> {
    fn from(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Int(value.into())
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(Timestamp(micros): Timestamp) -> Self {
        Self::Int(micros)
    }
}

impl From<f64> for Value<'_> {
    fn from(value: f64) -> Self {
        // The engines have no NaN: what is not a number is not known.
        if value.is_finite() { Self::Real(value) } else { Self::Null }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Self::Text(Cow::Owned(value))
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One row of a query's answer, read column by column as it is asked for.
pub struct Row<'a>(pub(super) &'a dyn Columns);

/// The columns of a row that an engine holds.
pub(super) trait Columns {
    /// What stands in `column`, from 0 on; NULL beyond the last.
    fn at(&self, column: usize) -> Value<'_>;
}

impl<'a> Row<'a> {
    /// Whatever stands in a column, from 0 on; NULL beyond the last.
    #[must_use]
    pub fn at(&self, column: usize) -> Value<'a> {
        self.0.at(column)
    }

    fn wrong(&self, column: usize, expected: &str) -> Error {
        let found = self.at(column);
        Error::new(Kind::Other, format!("expected {expected} in column {column}, found {found:?}"))
    }

    /// An integer.
    ///
    /// # Errors
    /// It is none.
    pub fn int(&self, column: usize) -> Result<i64, Error> {
        self.optional_int(column)?.ok_or_else(|| self.wrong(column, "an integer"))
    }

    /// An integer or NULL.
    ///
    /// # Errors
    /// It is neither.
    pub fn optional_int(&self, column: usize) -> Result<Option<i64>, Error> {
        match self.at(column) {
            Value::Null => Ok(None),
            Value::Int(value) => Ok(Some(value)),
            _ => Err(self.wrong(column, "an integer")),
        }
    }

    /// A number or NULL.
    ///
    /// # Errors
    /// It is neither.
    #[expect(clippy::cast_precision_loss, reason = "an integer in a column of numbers is small")]
    pub fn optional_real(&self, column: usize) -> Result<Option<f64>, Error> {
        match self.at(column) {
            Value::Null => Ok(None),
            Value::Int(value) => Ok(Some(value as f64)),
            Value::Real(value) => Ok(Some(value)),
            Value::Text(_) | Value::Bytes(_) => Err(self.wrong(column, "a number")),
        }
    }

    /// A point in time.
    ///
    /// # Errors
    /// It is none.
    pub fn timestamp(&self, column: usize) -> Result<Timestamp, Error> {
        self.int(column).map(Timestamp)
    }

    /// A text; what is NULL is empty, and what somebody wrote as a number is its digits.
    #[must_use]
    pub fn text(&self, column: usize) -> String {
        self.str(column).into_owned()
    }

    /// As [`Self::text`], borrowed where it can be.
    #[must_use]
    pub fn str(&self, column: usize) -> Cow<'a, str> {
        match self.at(column) {
            Value::Null => Cow::Borrowed(""),
            Value::Int(value) => Cow::Owned(value.to_string()),
            Value::Real(value) => Cow::Owned(value.to_string()),
            Value::Text(text) => text,
            Value::Bytes(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }
}
