//! Which packets came after later ones (RFC 4737).

use readings::statistics::quantile;

use super::{packets::Packets, ratio};

/// Reordering.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reordering {
    /// Packets that came after one with a higher number (RFC 4737 section 3.3), duplicates left out.
    pub reordered: u64,
    /// Their share of the packets that came, 0 to 1 (section 4.1); none if none came.
    pub ratio: Option<f64>,
    /// The extent of each of them, ascending: how many packets earlier the first came that should have come after
    /// it (section 4.2.1).
    extents: Vec<u64>,
    /// How many arrivals are n-reordered, for n = 1, 2, ...: they came right after n that all have higher numbers
    /// (section 5.4). Up to the last n that has any.
    pub n_reordered: Vec<u64>,
    /// Arrivals, duplicates among them: what the reference tool has `n_reordered` be a share of.
    pub arrivals: u64,
}

impl Reordering {
    pub(super) fn of(packets: &Packets<'_>) -> Self {
        let arrivals = &packets.arrivals;
        let firsts = arrivals.iter().filter(|(_, is_first)| *is_first).map(|(number, _)| *number);
        let mut extents = extents(firsts.clone());
        extents.sort_unstable();
        let reordered = super::count(extents.iter());
        let came = super::count(firsts);
        Self {
            reordered,
            ratio: (came > 0).then(|| ratio(reordered, came)),
            extents,
            n_reordered: n_reordered(arrivals.iter().map(|(number, _)| *number)),
            arrivals: super::count(arrivals.iter()),
        }
    }

    /// The largest extent; none without reordering.
    #[must_use]
    pub fn extent_max(&self) -> Option<u64> {
        self.extents.last().copied()
    }

    /// A percentile of the extents of the reordered packets.
    #[must_use]
    pub fn extent(&self, percent: super::Percent) -> Option<u64> {
        quantile(&self.extents, 0, percent.thousandths())
    }
}

/// The extent of each reordered packet of a sequence of numbers that all differ.
fn extents(numbers: impl Iterator<Item = u32>) -> Vec<u64> {
    // Each number that was higher than all before it, with its place: ascending in both.
    let mut peaks: Vec<(u32, u64)> = Vec::new();
    let mut extents = Vec::new();
    for (place, number) in (0u64..).zip(numbers) {
        let after = peaks.partition_point(|(peak, _)| *peak < number);
        match peaks.get(after) {
            Some((_, first)) => extents.push(place - first),
            None => peaks.push((number, place)),
        }
    }
    extents
}

/// For n = 1, 2, ..., how many numbers stand right behind n that are all higher.
fn n_reordered(numbers: impl Iterator<Item = u32>) -> Vec<u64> {
    // Each number that no later one is below, with its place: the last that is not above the new one ends its run.
    let mut lower: Vec<(u32, usize)> = Vec::new();
    let mut runs: Vec<u64> = Vec::new();
    for (place, number) in numbers.enumerate() {
        while lower.pop_if(|(other, _)| *other > number).is_some() {}
        let run = lower.last().map_or(place, |(_, before)| place - before - 1);
        lower.push((number, place));
        if run > 0 {
            runs.resize(runs.len().max(run), 0);
            runs[run - 1] += 1;
        }
    }
    // A packet behind five higher ones is also behind four.
    let mut sum = 0;
    for runs in runs.iter_mut().rev() {
        sum += *runs;
        *runs = sum;
    }
    runs
}
