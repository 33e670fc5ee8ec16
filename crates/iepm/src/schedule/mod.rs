//! `iepm schedule`: the next runs, what became of the last ones, and how full the station is; with
//! `--capacity`, whether the runs that must be alone fit.

mod day;
mod next;
mod past;

use std::{collections::BTreeSet, time::Duration};

use serde::Serialize;
use station::{
    app::{self, Common, Exit, Failure},
    filter::Filter,
    text::{Timestamp, human_duration},
    words::{config::Config, run::State, toolspec::ToolSpec},
    world::{
        clock::{Clock, SystemClock},
        store::{self, Error, Session, Store},
    },
};

use crate::{
    capacity::{self, Claim, Report},
    load::Load,
};

use self::next::Next;

pub(crate) use day::{BAD, Outcome, alike, outcomes};

/// What "the last day" is.
const DAY: Duration = Duration::from_secs(86_400);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many runs are shown
    #[arg(short = 'n', long = "number", value_name = "N", default_value_t = 20)]
    number: usize,
    /// Show the last runs instead
    #[arg(long)]
    past: bool,
    /// Show whether the runs that must be alone fit, and if not, what to change
    #[arg(long, conflicts_with_all = ["past", "number", "node", "tool"])]
    capacity: bool,
    /// Print JSON: times are microseconds since the epoch
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    filter: Filter,
}

/// The whole answer to "what is coming, and what became of the last".
#[derive(Debug, Serialize)]
struct Overview {
    now_us: Timestamp,
    next: Vec<Next>,
    last_day: Vec<Outcome>,
    load: Load,
}

pub(crate) fn run(args: &Args, common: &Common) -> Result<Exit, Failure> {
    let config = common.load()?;
    let now = SystemClock.now();
    let mut store = crate::store(&config);
    if args.capacity {
        return capacity(&mut store, &config, args.json, now);
    }
    let text = if args.past {
        let rows = store.read(|session| past::rows(session, &config, args.number, &args.filter));
        rows.map(|rows| if args.json { json(&rows) } else { past::text(&rows) })
    } else {
        let seen = store.read(|session| overview(session, &config, args, now));
        seen.map(|seen| if args.json { json(&seen) } else { seen.text() })
    };
    let text = text.map_err(|error| Failure::store("reading the schedule", error))?;
    app::print(&text)?;
    Ok(Exit::Well)
}

/// Whether the runs that must be alone fit.
fn capacity(
    store: &mut Store,
    config: &Config,
    as_json: bool,
    now: Timestamp,
) -> Result<Exit, Failure> {
    let claims = store
        .read(|session| claims(session, config, now))
        .map_err(|error| Failure::store("reading the specifications and their runs", error))?;
    let report = Report::of(&claims);
    app::print(&if as_json { json(&report) } else { report.text() })?;
    Ok(if report.fits { Exit::Well } else { Exit::NeedsPerson })
}

/// What this station's specifications claim of the time in which one may run, with what their runs took.
fn claims(session: &mut dyn Session, config: &Config, now: Timestamp) -> Result<Vec<Claim>, Error> {
    let claim = |(id, spec): &(i64, ToolSpec)| Some((*id, Claim::of(spec)?));
    let mut claims: Vec<(i64, Claim)> = active(session, config)?.iter().filter_map(claim).collect();
    let tools: BTreeSet<&str> = claims.iter().map(|(_, claim)| claim.tool.as_str()).collect();
    let measured = capacity::measured(session, config.node.as_str(), tools, now)?;
    for (id, claim) in &mut claims {
        claim.measured = measured.get(id).copied();
    }
    Ok(claims.into_iter().map(|(_, claim)| claim).collect())
}

fn json(value: &impl Serialize) -> String {
    // Values of these types have nothing that JSON cannot hold.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

fn overview(
    session: &mut dyn Session,
    config: &Config,
    args: &Args,
    now: Timestamp,
) -> Result<Overview, Error> {
    let specs = active(session, config)?;
    let takes = |spec: &ToolSpec| args.filter.takes(spec.key.dest.as_str(), spec.key.tool.as_str());
    let shown: Vec<&(i64, ToolSpec)> = specs.iter().filter(|(_, spec)| takes(spec)).collect();
    let mut open = next::open(session, config.node.as_str())?;
    open.retain(|run| args.filter.takes(&run.node, &run.tool));
    let all: Vec<&ToolSpec> = specs.iter().map(|(_, spec)| spec).collect();
    Ok(Overview {
        now_us: now,
        next: next::merge(&shown, open, now, args.number),
        last_day: day::outcomes(
            session,
            config.node.as_str(),
            now - DAY,
            &args.filter,
            &State::ALL,
        )?,
        load: Load::of(&all, now),
    })
}

/// The specifications that this station carries out, with their keys.
pub(crate) fn active(
    session: &mut dyn Session,
    config: &Config,
) -> Result<Vec<(i64, ToolSpec)>, Error> {
    let right = |stored: store::StoredSpec| {
        let spec = stored.spec.ok().filter(|_| !stored.retired)?;
        spec.on.then_some((stored.id, spec))
    };
    Ok(store::specs(session, config.node.as_str())?.into_iter().filter_map(right).collect())
}

impl Overview {
    fn text(&self) -> String {
        let parts = [
            "The next runs".to_owned(),
            next::text(&self.next, self.now_us),
            "What became of the runs of the last 24 hours".to_owned(),
            day::text(&self.last_day),
            "How full the station is".to_owned(),
            load_text(&self.load),
        ];
        let [next, runs, last, outcomes, full, load] = parts;
        format!("{next}\n{runs}\n{last}\n{outcomes}\n{full}\n{load}")
    }
}

fn load_text(load: &Load) -> String {
    let running: Vec<String> =
        load.side_by_side.iter().map(|(tool, runs)| format!("{tool} {runs:.1}")).collect();
    let side_by_side = if running.is_empty() { "nothing".to_owned() } else { running.join(", ") };
    let wait = human_duration(Duration::from_secs(load.worst_wait_seconds));
    format!(
        "  starts per minute  {:.1} on average, {} in the fullest of the coming hour ({})\n\
         \x20 one at a time      {:.0} % of the time is taken; the longest wait for the others is {wait}\n\
         \x20 side by side       {side_by_side} on average\n",
        load.starts_per_minute,
        load.fullest_minute,
        load.fullest_minute_at,
        load.exclusive_share * 100.0,
    )
}

#[cfg(test)]
mod tests {
    use crate::testing;

    use super::*;

    #[test]
    fn the_load_is_told_in_three_lines() {
        let rows = "s,a,ping,background,15,600,,90\ns,b,iperf,background-syn,30,1800,,5\ns,c,iperf,background-syn,30,1800,,6\n";
        let specs = testing::specs(rows);
        let specs: Vec<&ToolSpec> = specs.iter().map(|placed| &placed.spec).collect();
        let load = Load::of(&specs, Timestamp::from_seconds(1_800_000_000));
        assert_eq!(
            load_text(&load),
            "  starts per minute  0.2 on average, 2 in the fullest of the coming hour (2027-01-15T08:00:00Z)\n\
             \x20 one at a time      3 % of the time is taken; the longest wait for the others is 40s\n\
             \x20 side by side       ping 0.0 on average\n"
        );
    }

    #[test]
    fn only_this_stations_specifications_that_are_on_are_carried_out() {
        let mut station = testing::Station::new();
        for (src, on, retired) in
            [("s", 1, None), ("s", 0, None), ("s", 0, Some(5)), ("x", 1, None)]
        {
            station.execute(
                "INSERT INTO TOOLSPECS (srcNodeID, destNodeID, toolName, variant, toolPath, testtype, time2run, \
                 runinterval, toolDo, retiredepoch) \
                 VALUES (?, 'd', 'ping', ?, 'ping', 'background', 1, 10, ?, ?)",
                &[src.into(), format!("v{on}{}", retired.is_some()).into(), i64::from(on).into(), retired.map(i64::from).into()],
            );
        }
        let config = station.config.clone();
        let active = station.store.read(|session| active(session, &config)).expect("read");
        assert_eq!(active.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1]);
    }
}
