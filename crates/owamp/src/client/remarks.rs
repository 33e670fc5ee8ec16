//! What people are to know of the figures beside them: verdicts, and delays that cannot be. Pure.

use std::collections::BTreeSet;

use readings::Direction;

use crate::statistics::{Summary, Verdict};

/// A line for each way and reason; a way may be in parts.
pub(super) fn remarks(parts: &[(Direction, &Summary)]) -> Vec<String> {
    let mut remarks = Vec::new();
    for (direction, way) in [(Direction::To, "to"), (Direction::From, "from")] {
        let of_way = || parts.iter().filter(|(of, _)| *of == direction).map(|(_, part)| *part);
        let verdicts: BTreeSet<Verdict> =
            of_way().flat_map(|part| part.verdicts.iter().copied()).collect();
        for verdict in verdicts {
            remarks.push(format!("{way} the target: {verdict}: {}", verdict.why()));
        }
        let negative: u64 = of_way().map(|part| part.delays.negative()).sum();
        if negative > 0 {
            remarks.push(format!(
                "{way} the target: {negative} delays are below zero: the clocks of both hosts disagree by more than the \
                 delay"
            ));
        }
    }
    remarks
}
