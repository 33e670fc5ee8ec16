//! How late packets were sent, against their schedule: what the sender added, which is not the network's.

use readings::statistics::quantile;

use super::{Due, Percent, packets::Packets};

/// Lateness that is worth a word, nanoseconds: 1 ms.
pub const NOTABLE_NS: i64 = 1_000_000;

/// How late the packets that came were sent, by the sender's time stamps; a lost packet did not tell. Negative: early.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lateness {
    /// Ascending.
    sorted: Vec<i64>,
    /// Packets that were late by more than the error that their own time stamp admits to.
    pub beyond_error: u64,
    /// Packets that were late by more than [`NOTABLE_NS`].
    pub notable: u64,
}

impl Lateness {
    pub(super) fn of(packets: &Packets<'_>, due: &Due) -> Self {
        let mut lateness = Self::default();
        for (packet, due) in packets.all.iter().zip(&due.times) {
            if !packet.came {
                continue;
            }
            let record = packet.record;
            let late = record.sent.nanos_since(*due);
            let error = record.send_error.map_or(0.0, |error| error.seconds() * 1e9);
            #[expect(
                clippy::cast_precision_loss,
                reason = "a comparison of what is nearly equal is chance"
            )]
            let is_beyond = late as f64 > error;
            lateness.beyond_error += u64::from(is_beyond);
            lateness.notable += u64::from(late > NOTABLE_NS);
            lateness.sorted.push(late);
        }
        lateness.sorted.sort_unstable();
        lateness
    }

    /// A percentile, nanoseconds; none if no packet came.
    #[must_use]
    pub fn percentile(&self, percent: Percent) -> Option<i64> {
        quantile(&self.sorted, 0, percent.thousandths())
    }

    /// The largest, nanoseconds.
    #[must_use]
    pub fn max(&self) -> Option<i64> {
        self.sorted.last().copied()
    }
}
