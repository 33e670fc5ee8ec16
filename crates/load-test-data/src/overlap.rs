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

/// A try that has no end after so long has none because its daemon died.
const LONGEST: Duration = Duration::from_secs(2 * 3_600);

/// The times at which runs had the channel of a station, in the order of their starts.
#[derive(Debug, Default)]
pub struct Tries(Vec<Try>);

#[derive(Debug)]
struct Try {
    schedule_id: i64,
    start: Timestamp,
    end: Option<Timestamp>,
}

/// From the one that went on at a time (they go one by one, so it is the last that had begun) to
/// another time. By index: this is asked for every batch.
pub const SPAN: &str = "SELECT scheduleID, start_us, end_us FROM TRIES WHERE srcNodeID = ? AND start_us <= ? \
     AND start_us >= COALESCE((SELECT MAX(start_us) FROM TRIES WHERE srcNodeID = ? AND start_us <= ?), 0) \
     ORDER BY start_us";

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
            let end = row.optional_int(2)?.map(Timestamp);
            Ok(Try { schedule_id: row.int(0)?, start: row.timestamp(1)?, end })
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
        let goes_on = || start <= self.start + LONGEST;
        self.start <= end && self.end.map_or_else(goes_on, |over| start <= over)
    }
}

/// The header of a reading whose run went on beside others.
fn beside_others(content: &Content) -> Option<&Header> {
    match content {
        Content::Reading(measured) => Some(&measured.header).filter(|it| it.alone.is_none()),
        Content::Rejected(..) | Content::Unreachable(_) => None,
    }
}
