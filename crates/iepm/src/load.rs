//! How full a station is: told from its specifications alone.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use station::{
    text::Timestamp,
    words::{
        grid::Grid,
        toolspec::{TestType, ToolSpec},
    },
};

use crate::capacity::{Claim, Fit, Window};

/// How far the starts are counted ahead.
const HOUR: Duration = Duration::from_secs(3_600);

/// How full a station is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Load {
    /// Runs that start each minute, on average.
    pub(crate) starts_per_minute: f64,
    /// The most runs that start in one minute of the coming hour.
    pub(crate) fullest_minute: u32,
    /// When that minute begins.
    pub(crate) fullest_minute_at: Timestamp,
    /// The share of the time that `background-syn` runs are allotted; more than 1 is too much.
    pub(crate) exclusive_share: f64,
    /// How many specifications' runs may wait longer than they may, though none takes longer than allotted.
    pub(crate) windows_not_kept: usize,
    /// The longest that a `background-syn` run can wait for all others, seconds.
    pub(crate) worst_wait_seconds: u64,
    /// How many background runs of each tool go side by side, on average, if all take their time2run.
    pub(crate) side_by_side: BTreeMap<String, f64>,
}

impl Load {
    /// The load of specifications that are on, in the hour from `now`.
    pub(crate) fn of(specs: &[&ToolSpec], now: Timestamp) -> Self {
        let (fullest_minute, fullest_minute_at) = fullest_minute(specs, now);
        let claims: Vec<Claim> = specs.iter().filter_map(|spec| Claim::of(spec)).collect();
        let fit = Fit::of(&claims);
        let is_kept = |claim: &&Claim| fit.window(claim) != Window::NotKept;
        Self {
            starts_per_minute: specs
                .iter()
                .map(|s| 60.0 / f64::from(s.runinterval.seconds()))
                .sum(),
            fullest_minute,
            fullest_minute_at,
            exclusive_share: fit.share,
            windows_not_kept: claims.len() - claims.iter().filter(is_kept).count(),
            worst_wait_seconds: claims.iter().map(|it| fit.worst_wait(it)).max().unwrap_or(0),
            side_by_side: side_by_side(specs),
        }
    }
}

fn share(spec: &ToolSpec) -> f64 {
    f64::from(spec.time2run.seconds()) / f64::from(spec.runinterval.seconds())
}

fn side_by_side(specs: &[&ToolSpec]) -> BTreeMap<String, f64> {
    let mut running = BTreeMap::new();
    for spec in specs.iter().filter(|spec| spec.testtype == TestType::Background) {
        *running.entry(spec.key.tool.to_string()).or_default() += share(spec);
    }
    running
}

fn fullest_minute(specs: &[&ToolSpec], now: Timestamp) -> (u32, Timestamp) {
    let mut minutes = [0_u32; 60];
    for spec in specs {
        let grid = Grid::of(spec);
        let mut slot = grid.first_from(now);
        while slot.due < now + HOUR {
            let minute = usize::try_from(now.until(slot.due).as_secs() / 60).unwrap_or(0);
            minutes[minute.min(59)] += 1;
            slot = grid.slot(slot.number + 1);
        }
    }
    let most = minutes.iter().max().copied().unwrap_or(0);
    let first = minutes.iter().position(|count| *count == most).unwrap_or(0);
    (most, now + Duration::from_secs(first as u64 * 60))
}

#[cfg(test)]
mod tests {
    use crate::testing;

    use super::*;

    fn load(rows: &str) -> Load {
        let specs = testing::specs(rows);
        let specs: Vec<&ToolSpec> = specs.iter().map(|placed| &placed.spec).collect();
        Load::of(&specs, Timestamp::from_seconds(600_000))
    }

    #[test]
    fn thirty_targets_of_two_exclusive_tools_fill_the_channel() {
        let row = |n| {
            format!(
                "s,n{n},iperf,background-syn,30,1800,,\ns,n{n},miperf,background-syn,30,1800,,\n"
            )
        };
        let load = load(&(0..30).map(row).collect::<String>());
        assert!((load.exclusive_share - 1.0).abs() < 1e-9, "{load:?}");
        assert_eq!(load.worst_wait_seconds, 59 * 40);
        assert!((load.starts_per_minute - 2.0).abs() < 1e-9, "{load:?}");
    }

    #[test]
    fn the_fullest_minute_is_found_on_the_grid() {
        let load = load(
            "s,a,ping,background,15,600,,90\ns,b,ping,background,15,600,,100\ns,c,ping,background,15,300,,0\n",
        );
        assert_eq!(load.fullest_minute, 2);
        assert_eq!(load.fullest_minute_at, Timestamp::from_seconds(600_060));
        assert_eq!(load.side_by_side, BTreeMap::from([("ping".to_owned(), 0.1)]));
    }

    #[test]
    fn a_station_without_specifications_is_empty() {
        let load = load("");
        assert_eq!((load.fullest_minute, load.worst_wait_seconds), (0, 0));
    }
}
