//! What is told of a period by all its packets, or runs, together: percentiles and routes.
//!
//! Percentiles are those of [`readings::statistics`]: a lost packet's delay is larger than any other. A run
//! whose packets are not all known is none of the sample, and its packets not of `sampled`.

use std::collections::{BTreeMap, BTreeSet};

use readings::statistics::percentile;

/// The sample of a period, so far.
#[derive(Debug, Clone)]
pub(crate) enum Sample {
    /// Of tools whose figures are added up.
    None,
    /// Round trips, us.
    Trips(Delays),
    /// One-way delays, ns: to the target, and from it.
    Ways([Delays; 2]),
    /// The numbers of the routes, in the order of time.
    Routes(Vec<i64>),
}

/// Delays, and how many packets have none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Delays {
    known: Vec<i64>,
    lost: u64,
}

impl Sample {
    /// Adds a reading, by its columns as text: `packets`, `transmitted`, `received`; or `to_packets`,
    /// `from_packets`; or `routeno`.
    pub(super) fn add(&mut self, columns: &[String]) {
        match self {
            Self::None => {}
            Self::Trips(delays) => {
                let _ = trips(delays, columns);
            }
            Self::Ways(ways) => {
                for (delays, packets) in ways.iter_mut().zip(columns) {
                    let _ = way(delays, packets);
                }
            }
            Self::Routes(routes) => routes.extend(columns[0].parse::<i64>()),
        }
    }

    /// What it says, in the order of the columns.
    pub(super) fn said(self) -> Vec<Option<f64>> {
        match self {
            Self::None => Vec::new(),
            Self::Trips(mut delays) => {
                let [p50, p95, p99] = delays.percentiles([50, 95, 99]);
                let pdv = p95.zip(delays.known.first()).map(|(p95, min)| p95 - real(*min));
                vec![p50, p95, p99, pdv, Some(delays.size())]
            }
            Self::Ways(ways) => ways.into_iter().flat_map(Delays::said_of_way).collect(),
            Self::Routes(routes) => said_of_routes(&routes),
        }
    }
}

/// `[[sequence number, round trip in us, TTL], ...]`: the first reply to each request counts.
fn trips(delays: &mut Delays, columns: &[String]) -> Option<()> {
    let [packets, transmitted, received] = columns else { return None };
    let (transmitted, received): (u64, u64) = (transmitted.parse().ok()?, received.parse().ok()?);
    let known: Vec<i64> = first_delays(packets)?.into_values().flatten().collect();
    if known.len() as u64 != received {
        return None;
    }
    delays.lost += transmitted.checked_sub(received)?;
    delays.known.extend(known);
    Some(())
}

/// `[[number, delay in ns, TTL], ...]`: a lost one has the delay null.
fn way(delays: &mut Delays, packets: &str) -> Option<()> {
    for delay in first_delays(packets)?.into_values() {
        match delay {
            Some(delay) => delays.known.push(delay),
            None => delays.lost += 1,
        }
    }
    Some(())
}

/// The first delay of each packet; none at all of what is no list of packets.
fn first_delays(packets: &str) -> Option<BTreeMap<i64, Option<i64>>> {
    let mut first = BTreeMap::new();
    if packets.is_empty() {
        return Some(first);
    }
    let packets: Vec<Vec<serde_json::Value>> = serde_json::from_str(packets).ok()?;
    for packet in packets {
        first.entry(packet.first()?.as_i64()?).or_insert(packet.get(1)?.as_i64());
    }
    Some(first)
}

impl Delays {
    fn percentiles<const N: usize>(&mut self, of: [u8; N]) -> [Option<f64>; N] {
        self.known.sort_unstable();
        of.map(|percent| percentile(&self.known, self.lost, percent).map(real))
    }

    #[expect(clippy::cast_precision_loss, reason = "packets of a day")]
    fn size(&self) -> f64 {
        (self.known.len() as u64 + self.lost) as f64
    }

    /// The median in ms, the 95th percentile in us, and of how many packets.
    fn said_of_way(mut self) -> [Option<f64>; 3] {
        let [p50, p95] = self.percentiles([50, 95]);
        [p50.map(|ns| ns / 1e6), p95.map(|ns| ns / 1e3), Some(self.size())]
    }
}

#[expect(clippy::cast_precision_loss, reason = "delays stay far below 2^53")]
fn real(number: i64) -> f64 {
    number as f64
}

/// How many there are; the one that was taken most, the one that was seen first of several; how often it changed.
#[expect(clippy::cast_precision_loss, reason = "runs of a day")]
fn said_of_routes(routes: &[i64]) -> Vec<Option<f64>> {
    let distinct: BTreeSet<_> = routes.iter().collect();
    let times = |route: &&i64| routes.iter().filter(|other| other == route).count();
    let most = distinct.iter().copied().rev().max_by_key(times);
    let changes = routes.windows(2).filter(|pair| pair[0] != pair[1]).count();
    vec![
        Some(distinct.len() as f64),
        most.map(|route| real(*route)),
        Some(changes as f64),
        Some(routes.len() as f64),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trips_of(runs: &[[&str; 3]]) -> Vec<Option<f64>> {
        let mut sample = Sample::Trips(Delays::default());
        for run in runs {
            sample.add(&run.map(str::to_owned));
        }
        sample.said()
    }

    #[test]
    fn percentiles_are_of_all_packets_and_the_lost_ones_are_the_largest() {
        // Medians of the runs are 10 and 500; that of all packets is neither.
        let one = ["[[1,10,64],[2,10,64],[3,20,64],[1,900,64]]", "3", "3"];
        let two = ["[[1,500,64]]", "3", "1"];
        assert_eq!(
            trips_of(&[one, two]),
            [Some(20.0), None, None, None, Some(6.0)],
            "the second reply to a request is a duplicate"
        );
        assert_eq!(trips_of(&[one]), [10.0, 20.0, 20.0, 10.0, 3.0].map(Some));
    }

    #[test]
    fn a_run_whose_packets_are_not_all_known_is_none_of_the_sample() {
        for odd in
            [["", "3", "3"], ["[[1,10,64]]", "", "1"], ["[[1,null,64]]", "1", "1"], ["x", "1", "1"]]
        {
            assert_eq!(trips_of(&[odd, ["[[1,7,1]]", "1", "1"]])[4], Some(1.0), "{odd:?}");
        }
        assert_eq!(
            trips_of(&[["", "4", "0"]]),
            [None, None, None, None, Some(4.0)],
            "all are lost"
        );
    }

    #[test]
    fn each_way_has_its_own_packets() {
        let mut sample = Sample::Ways([Delays::default(), Delays::default()]);
        sample.add(&["[[0,-5000000,255],[1,7000000,255],[2,null,null]]".to_owned(), String::new()]);
        let none = [None, None, Some(0.0)];
        assert_eq!(sample.said(), [vec![Some(7.0), None, Some(3.0)], none.to_vec()].concat());
    }

    #[test]
    fn routes_are_counted_and_so_are_their_changes() {
        let mut sample = Sample::Routes(vec![]);
        for route in ["2", "1", "1", "", "2"] {
            sample.add(&[route.to_owned()]);
        }
        assert_eq!(sample.said(), [2.0, 1.0, 2.0, 4.0].map(Some));
        assert_eq!(Sample::Routes(vec![]).said()[1], None);
    }
}
