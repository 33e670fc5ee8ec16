//! `iepm history`: what a specification has measured, by the hour or by the day.
//!
//! Periods come from the roll-ups; what is not rolled up yet, or came late, is added up from its readings, so that
//! what is shown is right whenever `iepm roll-up` was there last.

mod show;

use std::ops::Range;

use station::{
    app::{self, Common, Exit, Failure},
    world::{
        clock::{Clock, SystemClock},
        store::{self, Error, Session, StoredSpec},
    },
};

use crate::{
    rollup::{
        keep::{self, Rows, Seen},
        kinds::Kind,
        late,
        work::{DAY, HOUR, begin},
    },
    which::Which,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// The last N hours, an hour a row; 24 if nothing else is asked for
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000), conflicts_with = "days")]
    hours: Option<u32>,
    /// The last N days (UTC), a day a row
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_600))]
    days: Option<u32>,
    /// Print JSON, with all columns of the roll-ups
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print comma separated values, with all columns of the roll-ups
    #[arg(long)]
    csv: bool,
}

/// So many seconds are read at once.
const STRETCH: i64 = 32 * DAY;

pub(crate) fn run(args: &Args, common: &Common) -> Result<Exit, Failure> {
    let config = common.load()?;
    let mut store = crate::store(&config);
    let failed = |error| Failure::store("reading the history", error);
    let specs =
        store.read(|session| store::specs(session, config.node.as_str())).map_err(failed)?;
    let which = &args.which;
    let is_meant =
        |stored: &&StoredSpec| stored.spec.as_ref().is_ok_and(|spec| which.is(&spec.key));
    let Some(spec) = specs.iter().find(is_meant) else {
        let asked = format!("reading the history of {} to {}", which.tool, which.node);
        let why = "TOOLSPECS has no such specification; `iepm status` shows all".to_owned();
        return Err(Failure::new(Exit::NeedsPerson, asked).why(why));
    };
    let kind = Kind::of(&which.tool);
    let (period, stretch) = args.stretch(SystemClock.now().seconds());
    let mut rows = Rows::new();
    let mut from = stretch.start;
    while from < stretch.end {
        let some = from..stretch.end.min(begin(from, DAY) + STRETCH);
        rows.extend(
            store.read(|session| periods(session, kind, spec.id, period, &some)).map_err(failed)?,
        );
        from = some.end;
    }
    let text = match (args.json, args.csv) {
        (true, _) => show::json(kind, &rows),
        (_, true) => show::csv(kind, &rows),
        _ => show::text(&which.tool, kind, &rows),
    };
    app::print(&text)?;
    Ok(Exit::Well)
}

/// One that was taken out of the file still has what it measured.
impl Args {
    /// The period, and from when to when; the period that is not over is the last.
    fn stretch(&self, now: i64) -> (i64, Range<i64>) {
        let (period, number) = match (self.days, self.hours) {
            (Some(days), _) => (DAY, days),
            (None, hours) => (HOUR, hours.unwrap_or(24)),
        };
        let end = begin(now, period) + period;
        (period, end - period * i64::from(number)..end)
    }
}

/// The periods of a stretch, as they are when everything is counted.
fn periods(
    session: &mut dyn Session,
    kind: &'static Kind,
    spec: i64,
    period: i64,
    stretch: &Range<i64>,
) -> Result<Rows, Error> {
    let days = begin(stretch.start, DAY)..begin(stretch.end - 1, DAY) + DAY;
    let seen = keep::seen(session, kind, spec, &days)?;
    let mut rows = keep::stored(session, kind, spec, period, &days)?;
    for job in seen.jobs(i64::MAX) {
        rows.extend(keep::compute(session, kind, spec, &job)?);
    }
    for hour in came_after_all(&seen, period) {
        let hour = hour..hour + HOUR;
        let readings = keep::of_readings_between(session, kind, spec, &hour, &|_| true)?;
        late::add(&mut rows, &readings, period);
    }
    rows.retain(|place, _| place.period == period && stretch.contains(&place.start));
    Ok(rows)
}

/// The hours that have readings although what they were counted in cannot be computed anew.
fn came_after_all(seen: &Seen, period: i64) -> Vec<i64> {
    let is_gone = |hour: i64| {
        let of_day = seen.days.get(&begin(hour, DAY)).is_some_and(|day| day.gone);
        // The hours of such a day are gone, too: what comes is of no hour any more.
        if of_day { period == DAY } else { seen.hours.get(&hour).is_some_and(|hour| hour.gone) }
    };
    seen.readings.keys().copied().filter(|hour| is_gone(*hour)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rollup::{Desk, RUNS},
        testing::Station,
    };

    const D: i64 = 20_000 * DAY;

    fn route(station: &mut Station, id: i64, start: i64) {
        station.execute(
            "INSERT INTO ROUTEDATA (scheduleID, toolspecsID, srcNodeID, destNodeID, startepoch, start_us, end_us, \
             numhops, reached, routeno, clock_synchronised) VALUES (?, 1, 's', 'd', ?, 0, 0, 7, 1, 1, 1)",
            &[id.into(), (D + start).into()],
        );
    }

    fn runs(station: &mut Station, period: i64, stretch: Range<i64>) -> Vec<(i64, f64)> {
        let kind = Kind::of("traceroute");
        let stretch = D + stretch.start..D + stretch.end;
        let rows = station
            .store
            .read(|session| periods(session, kind, 1, period, &stretch))
            .expect("read");
        let row = |(place, figures): (keep::Place, crate::rollup::Figures)| {
            (place.start - D, figures.value(RUNS).expect("counted"))
        };
        rows.into_iter().map(row).collect()
    }

    #[test]
    fn what_is_rolled_up_and_what_is_not_is_shown_alike() {
        let mut station = Station::new();
        for (id, start) in [(1, 0), (2, 10), (3, HOUR), (4, DAY)] {
            route(&mut station, id, start);
        }
        let hours = [(0, 2.0), (HOUR, 1.0)];
        assert_eq!(runs(&mut station, HOUR, 0..2 * HOUR), hours);
        let mut desk = Desk::new(&mut station.store, D + DAY);
        desk.refresh(Kind::of("traceroute"), 1, D..D + 2 * DAY).expect("rolled up");
        desk.flush().expect("written");
        drop(desk);
        assert_eq!(runs(&mut station, HOUR, 0..2 * HOUR), hours);
        assert_eq!(runs(&mut station, DAY, 0..2 * DAY), [(0, 3.0), (DAY, 1.0)]);
        route(&mut station, 5, 20);
        assert_eq!(runs(&mut station, HOUR, 0..HOUR), [(0, 3.0)], "it came late");
        assert_eq!(runs(&mut station, DAY, 0..DAY), [(0, 4.0)]);
    }

    #[test]
    fn what_came_after_the_readings_went_is_shown_too() {
        let mut station = Station::new();
        route(&mut station, 1, 0);
        let kind = Kind::of("traceroute");
        let mut desk = Desk::new(&mut station.store, D + DAY);
        desk.refresh(kind, 1, D..D + DAY).expect("rolled up");
        desk.flush().expect("written");
        desk.change(|session| late::delete_hour(session, kind, 1, (D, D))).expect("deleted");
        drop(desk);
        route(&mut station, 2, 10);
        assert_eq!(runs(&mut station, HOUR, 0..HOUR), [(0, 2.0)]);
        assert_eq!(runs(&mut station, DAY, 0..DAY), [(0, 2.0)]);
    }

    #[test]
    fn the_period_that_goes_on_is_the_last() {
        let of = |line: &[&str]| {
            let args = <Args as clap::FromArgMatches>::from_arg_matches(
                &<Args as clap::Args>::augment_args(clap::Command::new("history"))
                    .get_matches_from([&["history", "gw", "ping"], line].concat()),
            );
            args.expect("arguments").stretch(D + 5)
        };
        assert_eq!(of(&[]), (HOUR, D - 23 * HOUR..D + HOUR));
        assert_eq!(of(&["--days", "7"]), (DAY, D - 6 * DAY..D + DAY));
    }
}
