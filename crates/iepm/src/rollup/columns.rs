//! The columns of the roll-ups: what each is made of, and how two of them become one.
//!
//! A reading is taken as a roll-up of one run, so that readings are added up as hours are.

/// How a column is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The sum.
    Sum,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The mean, by the weight that stands in an earlier column.
    Mean(usize),
    /// The quotient of two earlier columns.
    Ratio(usize, usize),
    /// One of what the sample says, which cannot be had from two of them.
    Exact,
}

/// A column of a roll-up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) rule: Rule,
    /// What it is of one reading, as SQL; NULL where only sums have it.
    pub(super) raw: &'static str,
}

const fn column(name: &'static str, rule: Rule, raw: &'static str) -> Column {
    Column { name, rule, raw }
}

const fn sum(name: &'static str) -> Column {
    column(name, Rule::Sum, name)
}

const fn min(name: &'static str) -> Column {
    column(name, Rule::Min, name)
}

const fn max(name: &'static str) -> Column {
    column(name, Rule::Max, name)
}

const fn mean(name: &'static str, weight: usize) -> Column {
    column(name, Rule::Mean(weight), name)
}

const fn exact(name: &'static str) -> Column {
    column(name, Rule::Exact, "NULL")
}

const fn ratio(over: usize, under: usize) -> Column {
    column("lossratio", Rule::Ratio(over, under), "NULL")
}

/// The place of `runs` in every table.
pub(crate) const RUNS: usize = 0;
const RUN: Column = column("runs", Rule::Sum, "1");
const PROBLEM: Column =
    column("problems", Rule::Sum, "CASE WHEN problem IS NULL THEN 0 ELSE 1 END");

pub(super) const PING: &[Column] = &[
    RUN,
    PROBLEM,
    sum("transmitted"),
    sum("received"),
    sum("lost"),
    ratio(4, 2),
    min("min"),
    mean("avg", 3),
    max("max"),
    exact("rtt_p50_us"),
    exact("rtt_p95_us"),
    exact("rtt_p99_us"),
    exact("pdv_p95_us"),
    exact("sampled"),
    mean("ipdv_abs_mean_us", RUNS),
    max("loss_period_max"),
    sum("duplicates"),
    sum("reordered"),
];

pub(super) const ROUTE: &[Column] = &[
    RUN,
    PROBLEM,
    sum("reached"),
    column("numhopsmin", Rule::Min, "numhops"),
    column("numhopsmax", Rule::Max, "numhops"),
    column("rttmin_us", Rule::Min, "rtt_us"),
    exact("routes"),
    exact("routeno"),
    exact("changes"),
    exact("sampled"),
];

/// Whether a rate is known.
const MEASURED: &str = "CASE WHEN COALESCE(thruavg, thrumin, thrumax) IS NULL THEN 0 ELSE 1 END";

pub(super) const BANDWIDTH: &[Column] = &[
    RUN,
    PROBLEM,
    column("measured", Rule::Sum, MEASURED),
    sum("bytes"),
    sum("duration_s"),
    min("thrumin"),
    mean("thruavg", 2),
    max("thrumax"),
    min("rttmin"),
    mean("rttavg", 2),
    max("rttmax"),
    sum("retransmits"),
    mean("jitter_us", 2),
    sum("datagrams"),
    sum("lost"),
    ratio(14, 13),
    sum("reordered"),
    sum("duplicates"),
    mean("idle_rtt_p50_us", RUNS),
    mean("loaded_rtt_p50_us", RUNS),
    mean("loaded_rtt_p95_us", RUNS),
    max("loaded_rtt_max_us"),
    sum("loaded_sent"),
    sum("loaded_lost"),
];

pub(super) const ONE_WAY: &[Column] = &[
    RUN,
    PROBLEM,
    min("tmin"),
    exact("tmed"),
    column("tmedavg", Rule::Mean(RUNS), "tmed"),
    max("tmax"),
    exact("to_p95_us"),
    exact("to_sampled"),
    sum("to_sent"),
    sum("to_lost"),
    sum("to_duplicates"),
    sum("to_reordered"),
    max("to_error_us"),
    min("fmin"),
    exact("fmed"),
    column("fmedavg", Rule::Mean(RUNS), "fmed"),
    max("fmax"),
    exact("from_p95_us"),
    exact("from_sampled"),
    sum("from_sent"),
    sum("from_lost"),
    sum("from_duplicates"),
    sum("from_reordered"),
    max("from_error_us"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_and_quotients_are_of_sums_that_stand_before_them() {
        for columns in [PING, ROUTE, BANDWIDTH, ONE_WAY] {
            assert_eq!(columns[RUNS].name, "runs");
            for (place, column) in columns.iter().enumerate() {
                let of = match column.rule {
                    Rule::Mean(weight) => vec![weight],
                    Rule::Ratio(over, under) => vec![over, under],
                    _ => vec![],
                };
                let is_sum = |of: &usize| *of < place && columns[*of].rule == Rule::Sum;
                assert!(of.iter().all(is_sum), "{}", column.name);
            }
        }
        assert_eq!((PING[4].name, PING[2].name), ("lost", "transmitted"));
        assert_eq!((BANDWIDTH[14].name, BANDWIDTH[13].name), ("lost", "datagrams"));
    }
}
