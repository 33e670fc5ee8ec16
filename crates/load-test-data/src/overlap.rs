//! Which runs had the channel for themselves, and which others went on meanwhile.
//!
//! Pings and routes go on beside a throughput test, and see its queues. Nothing is left out for that:
//! their rows name the run that had the channel, and whoever analyses them can tell both apart.

use std::time::Duration;

use station::{
    text::Timestamp,
    words::run::Header,
    world::store::{self, Error, Session},
};

use crate::file::{Content, Prepared};

/// A try that has no end so long after the limit of its run has none because its daemon died.
const BEYOND: Duration = Duration::from_secs(30);

/// The times at which runs had the channel of a station, in the order of their starts.
#[derive(Debug, Default)]
pub struct Tries(Vec<Try>);

#[derive(Debug)]
struct Try {
    schedule_id: i64,
    start: Timestamp,
    /// When it ended; or has, at the latest, if nobody says so.
    end: Timestamp,
}

/// From the one that went on at a time (they go one by one, so it is the last that had begun) to
/// another time. By index: this is asked for every batch.
pub const SPAN: &str = "SELECT t.scheduleID, t.start_us, t.end_us, COALESCE(s.limit_s, 0) FROM TRIES t \
     LEFT JOIN SCHEDULE s ON s.scheduleID = t.scheduleID WHERE t.srcNodeID = ? AND t.start_us <= ? \
     AND t.start_us >= COALESCE((SELECT MAX(start_us) FROM TRIES WHERE srcNodeID = ? AND start_us <= ?), 0) \
     ORDER BY t.start_us";

impl Tries {
    /// Those of `station` while the runs of a batch went on: one look into an index, or none at all.
    ///
    /// # Errors
    /// What the engine says.
    pub fn during(
        session: &mut dyn Session,
        station: &str,
        batch: &[Prepared],
    ) -> Result<Self, Error> {
        let headers = || batch.iter().filter_map(|file| beside_others(&file.content));
        let times = || headers().flat_map(|header| [header.start_us, header.end_us]);
        let (Some(first), Some(last)) = (times().min(), times().max()) else {
            return Ok(Self::default());
        };
        let values = [station.into(), last.into(), station.into(), first.into()];
        let row = |row: &store::Row<'_>| {
            let start = row.timestamp(1)?;
            let limit = Duration::from_secs(row.int(3)?.unsigned_abs());
            let end = row.optional_int(2)?.map_or(start + limit + BEYOND, Timestamp);
            Ok(Try { schedule_id: row.int(0)?, start, end })
        };
        store::all(session, SPAN, &values, row).map(Self)
    }

    /// The first run that had the channel at some time while a run went on beside others; none for a run
    /// that had the channel itself.
    #[must_use]
    pub fn overlapping(&self, header: &Header) -> Option<i64> {
        let others = self.0.iter().filter(|one| one.schedule_id != header.schedule_id);
        let found = others.into_iter().find(|one| one.overlaps(header.start_us, header.end_us));
        found.filter(|_| header.alone.is_none()).map(|one| one.schedule_id)
    }
}

impl Try {
    fn overlaps(&self, start: Timestamp, end: Timestamp) -> bool {
        self.start <= end && start <= self.end
    }
}

/// The header of a reading whose run went on beside others.
fn beside_others(content: &Content) -> Option<&Header> {
    match content {
        Content::Reading(measured) => Some(&measured.header).filter(|it| it.alone.is_none()),
        Content::Rejected(..) | Content::Unreachable(_) => None,
    }
}
