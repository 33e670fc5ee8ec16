//! Paths of three hosts with a narrow link and other traffic on it: what of it is free is known.

use std::time::Duration;

use anyhow::Result;
use stories::{
    Lab,
    bottleneck::{Bottleneck, CrossTraffic, Crossing},
};

/// Capacities, Mbit/s, and the part of each that other traffic takes, per cent.
const CAPACITIES: [u32; 4] = [10, 50, 100, 500];
const PARTS: [u32; 3] = [0, 30, 60];
/// How long a packet may wait before the narrow link.
const QUEUE: Duration = Duration::from_millis(200);

/// A path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Narrow {
    /// Mbit/s.
    pub(crate) capacity: u32,
    /// What other traffic takes of it, per cent.
    pub(crate) part: u32,
}

impl Narrow {
    /// Every capacity with every part.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        CAPACITIES.into_iter().flat_map(|capacity| PARTS.map(|part| Self { capacity, part }))
    }

    /// What a run on it is called.
    pub(crate) fn name(self, run: u32, what: &str) -> String {
        format!("{} Mbit/s, {} % other, run {run}: {what}", self.capacity, self.part)
    }

    /// Makes it.
    pub(crate) fn lab(self) -> Lab {
        let lab = Lab::up();
        lab.narrows(Bottleneck { bits: self.bits(), queue: QUEUE });
        lab
    }

    /// Has something measured while other traffic goes on; also gives what was free meanwhile, Mbit/s.
    pub(crate) fn beside_others<T>(
        self,
        lab: &Lab,
        measure: impl FnOnce() -> Result<T>,
    ) -> Result<(T, f64)> {
        let bits = self.bits() * u64::from(self.part) / 100;
        let crossing = (bits > 0).then(|| lab.crosses(CrossTraffic { bits, packet: 1_500 }));
        let begun = crossing.as_ref().map(Crossing::mark);
        let told = measure()?;
        let crossed = crossing.as_ref().zip(begun).map_or(0.0, |(it, mark)| it.rate_since(mark));
        Ok((told, f64::from(self.capacity) - crossed / 1e6))
    }

    fn bits(self) -> u64 {
        u64::from(self.capacity) * 1_000_000
    }
}
