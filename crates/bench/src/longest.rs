//! For how long at most `iepm roll-up` and `iepm prune` keep others waiting: their longest transaction, as they
//! tell it, on a million readings that are all rolled up and then all go.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use station::world::process;

use crate::{
    bed::{Bed, Station},
    table::{Line, Quantity},
};

/// No loader is to wait for longer, in milliseconds.
const LONGEST: f64 = 100.0;

/// Measures on a station whose readings are of days ago.
///
/// # Errors
/// They do not come to their end, or do not tell.
pub(crate) fn measure(bed: &Bed, station: &Station, of: &str) -> Result<Vec<Line>> {
    let line = |what: &str, longest: f64| {
        let what = format!("longest transaction of {what}, {of}");
        Line::limited(what, Quantity::new(longest, "ms"), LONGEST)
    };
    let rolled = longest(bed, station, &["roll-up"])?;
    station.add_settings("[retention]\nreadings = '1d'\n")?;
    let pruned = longest(bed, station, &["prune"])?;
    Ok(vec![line("iepm roll-up", rolled), line("iepm prune", pruned)])
}

/// Runs a command of `iepm`; gives the milliseconds of its longest transaction.
fn longest(bed: &Bed, station: &Station, arguments: &[&str]) -> Result<f64> {
    let home = station.config.paths.home.as_os_str();
    let mut command = process::command(&bed.program("iepm"), ["--home".as_ref(), home]);
    let command = command.args(["-v"]).args(arguments).env_remove("IEPM_CONFIG");
    let output = command.stdin(Stdio::null()).output().context("starting iepm")?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "iepm {arguments:?} ended with {}: {told}", output.status);
    millis(&told).with_context(|| format!("iepm {arguments:?} does not tell: {told}"))
}

/// What is told of the longest transaction, in milliseconds.
fn millis(told: &str) -> Option<f64> {
    let (_, after) = told.split_once("the longest transaction took ")?;
    let word = after.split_whitespace().next()?;
    let digits = word.trim_end_matches(char::is_alphabetic);
    let in_millis = match &word[digits.len()..] {
        "s" => 1e3,
        "ms" => 1.0,
        "\u{b5}s" => 1e-3,
        "ns" => 1e-6,
        _ => return None,
    };
    Some(digits.parse::<f64>().ok()? * in_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_length_is_read() {
        for (told, expected) in [("12.5ms", 12.5), ("850\u{b5}s", 0.85), ("1.25s", 1250.0)] {
            let told = format!("iepm: 9 written; the longest transaction took {told}\nmore");
            let found = millis(&told).expect("a length");
            assert!((found - expected).abs() < 1e-9, "{told}: {found}");
        }
        assert_eq!(millis("nothing is told"), None);
        assert_eq!(millis("the longest transaction took 3 apples"), None);
    }
}
