//! Ports to be bound to.

use std::{
    fmt,
    sync::atomic::{AtomicU32, Ordering},
};

/// Ports of which a free one is taken, each time beginning after the one that was taken last: so a port is not
/// used again as long as can be, and what is late for a session that has ended does not meet the next one.
#[derive(Debug)]
pub struct PortRange {
    first: u16,
    last: u16,
    next: AtomicU32,
}

impl PortRange {
    /// From `first` to `last`; none if there is no port in it, or zero is.
    #[must_use]
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if first == 0 || last < first {
            return None;
        }
        Some(Self { first, last, next: AtomicU32::new(0) })
    }

    /// How many ports there are.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.last as u32 - self.first as u32 + 1
    }

    pub(crate) fn take(&self) -> u16 {
        let offset = self.next.fetch_add(1, Ordering::Relaxed) % self.count();
        self.first + u16::try_from(offset).unwrap_or(0)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// Which port a socket gets.
#[derive(Debug, Clone, Copy)]
pub enum Port<'a> {
    /// Any that is free.
    Any,
    /// This one.
    One(u16),
    /// A free one of these.
    Of(&'a PortRange),
}
