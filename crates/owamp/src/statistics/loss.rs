//! How losses lie together (RFC 3357).

use super::ratio;

/// Loss periods, which are runs of consecutive lost packets, and the distances of losses. Packets that were never sent
/// are not counted between others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LossPeriods {
    /// How many periods there were.
    pub count: u64,
    /// Packets of the longest; 0 without loss.
    pub longest: u64,
    /// Mean packets of a period; none without loss.
    pub mean: Option<f64>,
    /// The smallest distance from a lost packet to the one that was lost before it: 1 if they are consecutive. None
    /// with fewer than two losses.
    pub distance_min: Option<u64>,
    /// The mean distance.
    pub distance_mean: Option<f64>,
}

impl LossPeriods {
    /// Of whether each packet that was sent is lost, in the order of their numbers.
    pub(super) fn of(lost: impl Iterator<Item = bool>) -> Self {
        let mut periods = Self::default();
        let (mut length, mut losses) = (0, 0);
        let mut ends: Option<(u64, u64)> = None;
        for (place, is_lost) in (0u64..).zip(lost) {
            if !is_lost {
                length = 0;
                continue;
            }
            periods.count += u64::from(length == 0);
            length += 1;
            losses += 1;
            periods.longest = periods.longest.max(length);
            let distance = ends.map(|(_, last)| place - last);
            periods.distance_min = periods.distance_min.into_iter().chain(distance).min();
            ends = Some((ends.map_or(place, |(first, _)| first), place));
        }
        periods.mean = (periods.count > 0).then(|| ratio(losses, periods.count));
        let across = ends.filter(|(first, last)| first < last);
        periods.distance_mean = across.map(|(first, last)| ratio(last - first, losses - 1));
        periods
    }
}
