//! Whether a chirp counts, or what became of it on the two machines spoils it.

use std::fmt;

use timed_udp::train::Gaps;

use super::{Group, Step, steps};

/// A group as it was to be sent, and as it was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timed {
    /// When it was to be sent, seconds after the chirp's start; none if nothing of it came.
    pub due: Option<f64>,
    /// How long the sending of its first packet took, seconds: if long, it left later than it says.
    pub held: f64,
    /// As it was.
    pub group: Group,
}

/// Why a chirp does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unfit {
    /// Packets left so late that the rates are not those of a chirp.
    LateSender,
    /// Packets came in bunches, though they were sent apart, where a queue does not do that.
    Coalesced,
    /// The receiver's own queue dropped packets.
    OwnDrops,
    /// Most packets did not come.
    TooFew,
    /// It had too few groups to say anything.
    TooShort,
}

impl Unfit {
    /// A word for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LateSender => "late sender",
            Self::Coalesced => "coalesced arrivals",
            Self::OwnDrops => "own drops",
            Self::TooFew => "too few packets",
            Self::TooShort => "too few groups",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::LateSender => {
                "the sender's machine is too busy to send at the right times: give it rest, or probe slower rates (-u), or \
                 larger groups (-J)"
            }
            Self::Coalesced => {
                "a network card collects packets before it hands them over: name larger groups (-J), or have it collect \
                 none (ethtool -C)"
            }
            Self::OwnDrops => "this machine is too busy to take the packets: give it rest",
            Self::TooFew => "the path loses most of the packets: probe slower rates (-u)",
            Self::TooShort => {
                "the sender makes chirps no longer than a second: name smaller groups (-J), a smaller factor (-s), or a higher \
                 rate (-u)"
            }
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What counts of a chirp.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// Its steps, with the rates at which they were sent indeed.
    pub steps: Vec<Step>,
    /// The fastest of them, bit/s, if the sender's machine did not do those that were wanted.
    pub reach: Option<f64>,
}

/// A gap was kept if it is not off by more than this factor.
const KEPT: f64 = 1.5;
/// With more of the gaps not kept, up to where the sender's machine was at its end, a chirp is none; of the faster half of
/// gaps, in which the queue is to grow, fewer.
const LATE_PART: (f64, f64) = (0.5, 0.34);
/// A packet whose sending took so much longer than that of most, seconds, and longer than this part of the gap behind it,
/// left nobody knows when.
const HELD: (f64, f64) = (50e-6, 0.25);
/// Steps of a chirp that counts.
const LEAST_STEPS: usize = 6;
/// So many closed gaps in the faster half, and at least this part of them, are bunches.
const BUNCHED: (usize, f64) = (3, 0.3);
/// No queue is longer; who sees more sees a clock being set.
const LONGEST_QUEUE: f64 = 5.0;

/// Judges a chirp. `own_drops` is what the receiver's queue dropped meanwhile.
///
/// # Errors
/// Why it does not count.
pub fn judge(chirp: &[Timed], own_drops: u32) -> Result<Fit, Unfit> {
    if own_drops > 0 {
        return Err(Unfit::OwnDrops);
    }
    if (1..=LEAST_STEPS).contains(&chirp.len()) {
        return Err(Unfit::TooShort);
    }
    let came: Vec<Timed> =
        chirp.iter().filter(|it| it.group.delay.is_some() && it.due.is_some()).copied().collect();
    if came.len() * 2 < chirp.len() || came.len() <= LEAST_STEPS {
        return Err(Unfit::TooFew);
    }
    if is_late(&came) {
        return Err(Unfit::LateSender);
    }
    let known = without_held(chirp);
    if is_bunched(&known) {
        return Err(Unfit::Coalesced);
    }
    let wanted = wanted(&came);
    let mut steps = steps(&known);
    // Who was late and catches up is faster for a step than anybody wanted.
    steps.retain(|step| step.growth.abs() < LONGEST_QUEUE && step.rate() < wanted * KEPT);
    let fastest = steps.iter().map(Step::rate).fold(0.0, f64::max);
    let reach = (fastest * KEPT < wanted).then_some(fastest);
    Ok(Fit { steps, reach })
}

/// The groups; of those that were held up on the sender's machine it is not known when they left.
fn without_held(chirp: &[Timed]) -> Vec<Group> {
    let mut usual: Vec<f64> = chirp.iter().map(|it| it.held).collect();
    usual.sort_by(f64::total_cmp);
    let most = usual.get(usual.len() / 2).map_or(0.0, |usual| usual * 2.0) + HELD.0;
    let behind = chirp.iter().skip(1).map(|it| it.group.sent).chain([f64::INFINITY]);
    let groups = chirp.iter().zip(behind).map(|(it, next)| {
        let is_held = it.held > most && it.held > (next - it.group.sent) * HELD.1;
        Group { delay: it.group.delay.filter(|_| !is_held), ..it.group }
    });
    groups.collect()
}

/// The highest rate that was to be, bit/s.
fn wanted(came: &[Timed]) -> f64 {
    let rates = came.windows(2).map(|pair| pair[0].group.bits / gap(&pair[0], &pair[1]).0);
    rates.filter(|rate| rate.is_finite()).fold(0.0, f64::max)
}

/// Whether the sender was late, and not only at its end: rates beyond its machine are slower than they were to be from
/// some rate on, one after the other.
fn is_late(came: &[Timed]) -> bool {
    let gaps: Vec<(f64, f64)> = came.windows(2).map(|pair| gap(&pair[0], &pair[1])).collect();
    let last = gaps.iter().rposition(|(due, was)| *was < due * KEPT).map_or(0, |place| place + 1);
    let is_kept = |(due, was): &(f64, f64)| *was < due * KEPT && *due < was * KEPT;
    let part = |gaps: &[(f64, f64)]| {
        crate::real(gaps.iter().filter(|gap| !is_kept(gap)).count())
            / crate::real(gaps.len().max(1))
    };
    let within = &gaps[..last];
    last < LEAST_STEPS
        || part(within) > LATE_PART.0
        || part(&within[(gaps.len() / 2).min(last)..]) > LATE_PART.1
}

/// How far apart they were to be sent, and how far they were, seconds.
fn gap(one: &Timed, two: &Timed) -> (f64, f64) {
    let due = two.due.unwrap_or(0.0) - one.due.unwrap_or(0.0);
    (due, two.group.sent - one.group.sent)
}

/// In the faster half a queue that is busy spreads packets, and one that is not leaves them as they are: gaps that closed
/// were closed by a machine.
fn is_bunched(groups: &[Group]) -> bool {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "above zero, below years"
    )]
    let nanos = |seconds: f64| (seconds * 1e9) as u64;
    let came: Vec<&Group> = groups.iter().filter(|group| group.delay.is_some()).collect();
    let least = came.iter().filter_map(|it| it.delay).fold(f64::INFINITY, f64::min);
    let half = came[came.len() / 2..].iter();
    let times: Vec<(u64, u64)> = half
        .map(|it| (nanos(it.sent), nanos(it.sent + it.delay.unwrap_or(least) - least)))
        .collect();
    let gaps = Gaps::of(&times);
    gaps.closed >= BUNCHED.0 && gaps.closed_part() >= BUNCHED.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        estimate::simulator::{Cross, Dice, Ends, Link, chirp},
        shape::Shape,
    };

    const SHAPE: Shape = Shape { low: 10e6, high: 400e6, spread: 1.2, octets: 1_028, group: 1 };

    fn came(kind: Cross, part: f64, seed: u64) -> Vec<Timed> {
        let mut link = Link::new(100e6, part * 100e6, kind, seed);
        let groups = chirp(&mut link, &SHAPE, 1.0, Ends { noise: 5e-6, ..Ends::default() });
        groups.into_iter().map(|group| Timed { due: Some(group.sent), held: 0.0, group }).collect()
    }

    #[test]
    fn a_chirp_through_a_queue_counts_however_busy_that_is() {
        for part in [0.0, 0.3, 0.6, 0.9] {
            for kind in [Cross::Steady, Cross::Random, Cross::Bursts(4)] {
                let unfit =
                    (0..200).filter(|seed| judge(&came(kind, part, *seed), 0).is_err()).count();
                assert!(unfit <= 4, "{part} {kind:?}: {unfit} of 200");
            }
        }
    }

    #[test]
    fn a_card_that_collects_packets_is_seen() {
        for collects in [250e-6, 500e-6, 1e-3] {
            let mut chirp = came(Cross::Random, 0.3, 1);
            for it in &mut chirp {
                let came = it.group.sent + it.group.delay.expect("came");
                it.group.delay = Some((came / collects).ceil() * collects - it.group.sent);
            }
            assert_eq!(judge(&chirp, 0), Err(Unfit::Coalesced), "{collects}");
        }
    }

    /// The sender cannot send faster than one packet in 40 microseconds.
    #[test]
    fn rates_beyond_the_senders_machine_are_left_out_and_told() {
        let mut chirp = came(Cross::Random, 0.3, 2);
        let mut last = f64::NEG_INFINITY;
        for it in &mut chirp {
            it.group.sent = it.group.sent.max(last + 40e-6);
            last = it.group.sent;
        }
        let fit = judge(&chirp, 0).expect("what was sent well counts");
        let reach = fit.reach.expect("the rest was not");
        assert!((130e6..220e6).contains(&reach), "{reach}");
    }

    #[test]
    fn a_sender_that_is_late_all_the_time_is_no_sender() {
        let mut chirp = came(Cross::Random, 0.3, 2);
        let mut dice = Dice::new(3);
        for it in &mut chirp {
            it.group.sent += dice.even() * 2e-3;
        }
        chirp.sort_by(|one, two| one.group.sent.total_cmp(&two.group.sent));
        assert_eq!(judge(&chirp, 0), Err(Unfit::LateSender));
    }

    #[test]
    fn a_chirp_of_which_half_is_lost_or_that_our_queue_dropped_does_not_count() {
        let mut chirp = came(Cross::Random, 0.3, 4);
        assert_eq!(judge(&chirp, 1), Err(Unfit::OwnDrops));
        let keeps = chirp.len() / 3;
        for it in &mut chirp[keeps..] {
            it.group.delay = None;
        }
        assert_eq!(judge(&chirp, 0), Err(Unfit::TooFew));
        assert_eq!(judge(&[], 0), Err(Unfit::TooFew));
        chirp.truncate(LEAST_STEPS);
        assert_eq!(judge(&chirp, 0), Err(Unfit::TooShort), "whatever came of it");
    }

    #[test]
    fn a_clock_that_is_set_within_a_chirp_is_no_queue() {
        let mut chirp = came(Cross::Random, 0.3, 4);
        for it in &mut chirp[10..] {
            it.group.delay = it.group.delay.map(|delay| delay + 3_600.0);
        }
        let fit = judge(&chirp, 0).expect("the rest counts");
        assert!(fit.steps.iter().all(|step| step.growth.abs() < 1.0));
    }
}
