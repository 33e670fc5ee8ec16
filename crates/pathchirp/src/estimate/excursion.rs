//! The published estimate of one chirp: excursions of its queueing delays, and what each of them says (pathChirp, PAM
//! 2003, sections 3.1 to 3.3).

use super::Step;

/// What an excursion is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// The decrease factor F: an excursion is over when the delay has fallen to this part of its height; above 1.
    pub decrease: f64,
    /// The busy period length L: what is shorter, in packets, is no excursion.
    pub length: usize,
}

/// A time in which delays are increased: the queue was busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Excursion {
    /// The group at which it begins.
    pub start: usize,
    /// The group at which it is over; none if it goes on to the chirp's end.
    pub end: Option<usize>,
}

/// The excursions of a chirp (section 3.2).
#[must_use]
pub fn excursions(delays: &[f64], rules: Rules) -> Vec<Excursion> {
    let mut found = Vec::new();
    let mut at = 0;
    while at + 1 < delays.len() {
        if delays[at] >= delays[at + 1] {
            at += 1;
            continue;
        }
        let end = end_of(delays, at, rules.decrease);
        let last = end.unwrap_or(delays.len() - 1);
        if last - at >= rules.length {
            found.push(Excursion { start: at, end });
            at = last;
        } else {
            at += 1;
        }
    }
    found
}

fn end_of(delays: &[f64], start: usize, decrease: f64) -> Option<usize> {
    let base = delays[start];
    let mut height = 0.0_f64;
    for (place, delay) in delays.iter().enumerate().skip(start + 1) {
        height = height.max(delay - base);
        if delay - base < height / decrease {
            return Some(place);
        }
    }
    None
}

/// What one chirp says by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Single {
    /// The published estimate D, bit/s: the estimates of the steps, weighed by their gaps (section 3.3).
    pub estimate: f64,
    /// The rate from which on the queue only grew, bit/s; none if it did not grow up to the chirp's end: then as much
    /// as the highest rate was free, or more.
    pub turning: Option<f64>,
    /// The highest rate, bit/s.
    pub highest: f64,
}

/// The published estimate of a chirp; none if there are no steps.
#[must_use]
pub fn single(steps: &[Step], rules: Rules) -> Option<Single> {
    let highest = steps.last()?.rate();
    let mut delays = vec![0.0];
    for step in steps {
        delays.push(delays[delays.len() - 1] + step.growth);
    }
    let found = excursions(&delays, rules);
    let open = found.iter().find(|it| it.end.is_none()).map(|it| it.start);
    let turning = open.map(|start| steps[start].rate());
    let is_within = |place: usize| {
        found.iter().any(|it| it.end.is_some_and(|end| (it.start..end).contains(&place)))
    };
    let (mut sum, mut time) = (0.0, 0.0);
    for (place, step) in steps.iter().enumerate() {
        let rises = step.growth >= 0.0 && is_within(place);
        let said = if rises { step.rate() } else { turning.unwrap_or(highest) };
        sum += said * step.gap;
        time += step.gap;
    }
    Some(Single { estimate: sum / time, turning, highest })
}
