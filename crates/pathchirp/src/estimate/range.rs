//! Which rates the next chirp is to have.

/// What is probed, bit/s.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// The lowest rate.
    pub low: f64,
    /// The highest rate.
    pub high: f64,
}
