//! Time, memory and wake-ups, as this machine tells them.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use station::world::clock::{Clock, Monotonic, SystemClock};

/// A watch that was started.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Monotonic);

impl Stopwatch {
    /// Starts it.
    #[must_use]
    pub fn start() -> Self {
        Self(SystemClock.moment().monotonic)
    }

    /// The time since then.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.until(SystemClock.moment().monotonic)
    }
}

/// How long `work` takes.
///
/// # Errors
/// What `work` says.
pub fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
    let watch = Stopwatch::start();
    let done = work()?;
    Ok((watch.elapsed(), done))
}

/// Has everything written to disk that waits for it, so that nobody pays for what was prepared.
pub fn settle() {
    rustix::fs::sync();
}

/// The most memory that a process has held so far, MB; not taken over from whoever started it, as the
/// figure of `getrusage(2)` is.
///
/// # Errors
/// It has ended.
pub fn peak_memory(pid: u32) -> Result<f64> {
    memory(pid, "VmHWM:")
}

/// The memory that a process holds, MB.
///
/// # Errors
/// It has ended.
pub fn memory_now(pid: u32) -> Result<f64> {
    memory(pid, "VmRSS:")
}

fn memory(pid: u32, field: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = number_of(&status, field).with_context(|| format!("process {pid}: no {field}"))?;
    Ok(kib * 1024.0 / 1e6)
}

fn number_of(status: &str, field: &str) -> Option<f64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(field))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

/// How often the threads of a process have been put on a processor so far.
///
/// # Errors
/// It has ended.
pub fn switches(pid: u32) -> Result<f64> {
    let mut sum = 0.0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the two looks; the process has not.
        let Ok(status) = fs::read_to_string(thread?.path().join("status")) else { continue };
        let fields = ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"];
        sum += fields.iter().filter_map(|field| number_of(&status, field)).sum::<f64>();
    }
    Ok(sum)
}

/// The one in the middle; of an even number, the upper of the two.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value that the share `part` of `values` does not exceed; none of none.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "there are far fewer values than a f64 counts"
)]
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let index = (part * sorted.len() as f64) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_there() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((quantile(&[1.0, 2.0, 3.0, 4.0], 1.0) - 4.0).abs() < f64::EPSILON);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn this_process_has_memory_and_wakes_up() {
        let own = std::process::id();
        // The peak is asked last: it is no less than what was there before.
        let before = memory_now(own).expect("it runs");
        assert!(peak_memory(own).expect("it runs") >= before);
        assert!(switches(own).expect("it runs") > 0.0);
    }
}
