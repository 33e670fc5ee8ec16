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
    /// By how much it grew from there on, seconds.
    pub rise: f64,
    /// The highest rate before the queue grew up to the chirp's end, for however short a time, bit/s: so much was free.
    pub level: f64,
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
    let rise = open.map_or(0.0, |start| delays[delays.len() - 1] - delays[start]);
    Some(Single { estimate: sum / time, turning, rise, level: level(steps, &delays), highest })
}

/// By how much a queue must grow for it to be more than stamps that are a little wrong: so many seconds for each second.
pub(super) const STRAIN: f64 = 0.08;

/// The rate of the last step before delays only grow; the highest, if that is no more than stamps may be wrong.
fn level(steps: &[Step], delays: &[f64]) -> f64 {
    let grows = delays.windows(2).rev().take_while(|pair| pair[1] > pair[0]).count();
    let (before, growing) = steps.split_at(steps.len() - grows);
    let rise: f64 = growing.iter().map(|step| step.growth).sum();
    let time: f64 = growing.iter().map(|step| step.gap).sum();
    let level = if rise > STRAIN * time { before.last().or(steps.first()) } else { steps.last() };
    level.map_or(0.0, Step::rate)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const RULES: Rules = Rules { decrease: 1.5, length: 5 };

    /// A chirp of packets of 1,000 bits from 1 kbit/s on, each rate 1.2 times the one before, with these delays.
    fn chirp(delays: &[f64]) -> Vec<Step> {
        let step = |(place, pair): (usize, &[f64])| Step {
            gap: 1.0 / 1.2_f64.powi(i32::try_from(place).expect("few")),
            bits: 1_000.0,
            growth: pair[1] - pair[0],
        };
        delays.windows(2).enumerate().map(step).collect()
    }

    #[test]
    fn an_excursion_ends_when_the_delay_has_fallen_by_the_decrease_factor() {
        let delays = [0.0, 1.0, 2.0, 3.0, 2.5, 2.1, 1.9, 0.0, 0.0];
        assert_eq!(excursions(&delays, RULES), [Excursion { start: 0, end: Some(6) }]);
        let slow = Rules { decrease: 6.0, ..RULES };
        assert_eq!(excursions(&delays, slow), [Excursion { start: 0, end: Some(7) }]);
    }

    #[test]
    fn what_is_shorter_than_the_busy_period_length_is_none() {
        let delays = [0.0, 3.0, 0.0, 0.0, 3.0, 0.0, 0.0];
        assert_eq!(excursions(&delays, RULES), []);
        let short = Rules { length: 1, ..RULES };
        assert_eq!(excursions(&delays, short).len(), 2);
    }

    #[test]
    fn a_queue_that_grows_to_the_end_tells_the_rate_at_which_it_began_to() {
        let delays = [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 4.0, 6.0, 9.0];
        let said = single(&chirp(&delays), RULES).expect("steps");
        let rate = 1_000.0 * 1.2_f64.powi(3);
        assert!(said.turning.is_some_and(|found| (found - rate).abs() < 1e-6), "{said:?}");
        assert!((said.estimate - rate).abs() < 1e-6, "all steps say the same: {said:?}");
    }

    #[test]
    fn a_queue_that_grows_for_less_than_an_excursion_tells_up_to_where_it_did_not() {
        let grows = |by: f64| {
            let delays = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, by, 2.0 * by];
            single(&chirp(&delays), RULES).expect("steps")
        };
        let said = grows(0.2);
        assert_eq!(said.turning, None);
        let last = 1_000.0 * 1.2_f64.powi(5);
        assert!((said.level - last).abs() < 1e-6, "{said:?}");
        let slight = grows(0.01);
        assert!((slight.level - slight.highest).abs() < 1e-6, "{slight:?}");
    }

    #[test]
    fn a_queue_that_never_grows_tells_the_highest_rate() {
        let said = single(&chirp(&[0.0; 10]), RULES).expect("steps");
        assert_eq!(said.turning, None);
        assert!((said.estimate - said.highest).abs() < 1e-6);
        assert_eq!(single(&[], RULES), None);
    }

    #[test]
    fn within_an_excursion_that_ends_rising_delays_tell_their_own_rates() {
        let delays = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 1.0, 0.0, 0.0, 0.0];
        let steps = chirp(&delays);
        let said = single(&steps, RULES).expect("steps");
        // Five rising steps by their own rates, four by the highest.
        let sum: f64 = steps[..5].iter().map(|step| step.bits).sum::<f64>()
            + steps[5..].iter().map(|step| said.highest * step.gap).sum::<f64>();
        let time: f64 = steps.iter().map(|step| step.gap).sum();
        assert!((said.estimate - sum / time).abs() < 1e-6, "{said:?}");
    }

    proptest! {
        #[test]
        fn an_estimate_lies_between_the_lowest_and_the_highest_rate(
            delays in vec(-1.0..1.0_f64, 2..60), decrease in 1.01..5.0_f64, length in 1..10_usize,
        ) {
            let steps = chirp(&delays);
            let said = single(&steps, Rules { decrease, length }).expect("steps");
            prop_assert!(said.estimate >= steps[0].rate() * 0.999 && said.estimate <= said.highest * 1.001);
            let found = excursions(&delays, Rules { decrease, length });
            prop_assert!(found.windows(2).all(|pair| pair[0].end.is_some_and(|end| end <= pair[1].start)));
        }
    }
}
