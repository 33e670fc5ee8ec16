//! `iepm roll-up`: the readings of each hour and day in one row, which stay when the readings go.
//!
//! [`columns`] says what the rows are made of, [`figures`] and [`sample`] add readings up, [`kinds`] has
//! the statements, [`work`] decides what has to be done, [`keep`] reads and writes,
//! [`desk`] does it in bounded transactions, [`late`] is for what is deleted, and what comes after that.
//!
//! While readings are there they are right, and roll-ups only what they come to: a roll-up that is of
//! fewer runs than there are readings is computed anew. `iepm prune` makes sure of that right before it
//! deletes them.

mod columns;
mod desk;
mod figures;
pub(crate) mod keep;
pub(crate) mod kinds;
pub(crate) mod late;
mod sample;
pub(crate) mod work;

#[cfg(test)]
pub(crate) use columns::RUNS;
pub(crate) use desk::Desk;
pub(crate) use figures::Figures;

use station::{
    app::{Common, Exit, Failure},
    words::config::Config,
    world::{
        clock::{Clock, SystemClock},
        store::{self, Error, Session, Store},
    },
};

use self::{
    desk::Told,
    kinds::Kind,
    work::{DAY, begin},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Look through everything that is kept, not only what came since the last time and the week before
    #[arg(long)]
    all: bool,
}

/// A reading that came later than this is counted when it is shown, and when it is pruned.
const LOOK_BACK: i64 = 8 * DAY;

pub(crate) fn run(args: &Args, common: &Common) -> Result<Exit, Failure> {
    let config = common.load()?;
    Common::is_ours(&config)?;
    let Some(_lock) = crate::only_one(&config, "roll-up")? else { return Ok(Exit::Well) };
    let mut store = crate::store(&config);
    let now = SystemClock.now().seconds();
    let told = roll_up(&mut store, &config, now, args.all)
        .map_err(|error| Failure::store("rolling readings up", error))?;
    log::info!("{} roll-ups written; the longest transaction took {:?}", told.rows, told.longest);
    Ok(Exit::Well)
}

/// Rolls up what a station has measured.
fn roll_up(store: &mut Store, config: &Config, now: i64, all: bool) -> Result<Told, Error> {
    let note = format!("rollup {}", config.node);
    let (specs, since) = store.read(|session| {
        let since = store::get_note(session, &note)?.and_then(|note| note.parse::<i64>().ok());
        Ok((specs_of(session, config.node.as_str())?, since))
    })?;
    // A clock that was wrong for a while is no reason to leave out what came after it.
    let from =
        since.filter(|since| !all && *since <= now).map_or(i64::MIN, |since| since - LOOK_BACK);
    let mut desk = Desk::new(store, now);
    for (spec, tool) in specs {
        let kind = Kind::of(&tool);
        if let Some(first) = desk.read(|session| kind.first_reading(session, spec))? {
            let days = begin(first.max(from), DAY)..begin(now, DAY) + DAY;
            desk.refresh(kind, spec, days)?;
        }
    }
    desk.flush()?;
    let told = desk.told;
    let today = begin(now, DAY).to_string();
    store.transaction(|session| store::put_note(session, &note, &today))?;
    Ok(told)
}

/// The specifications of a station, those that were taken out of the file included, with their tools.
fn specs_of(session: &mut dyn Session, station: &str) -> Result<Vec<(i64, String)>, Error> {
    let sql =
        "SELECT toolspecsID, toolName FROM TOOLSPECS WHERE srcNodeID = ? ORDER BY toolspecsID";
    store::all(session, sql, &[station.into()], |row| Ok((row.int(0)?, row.text(1))))
}

#[cfg(test)]
mod tests {
    use super::{work::HOUR, *};
    use crate::testing::Station;

    const D: i64 = 20_000 * DAY;

    fn spec(station: &mut Station, tool: &'static str) {
        station.execute(
            "INSERT INTO TOOLSPECS (srcNodeID, destNodeID, toolName, toolPath, testtype, time2run, runinterval) \
             VALUES ('s', 'd', ?, 'x', 'background', 15, 600)",
            &[tool.into()],
        );
    }

    fn rolled(station: &mut Station, now: i64) -> usize {
        let config = station.config.clone();
        roll_up(&mut station.store, &config, now, false).expect("rolled up").rows
    }

    #[test]
    fn each_direction_and_what_was_flagged_has_a_row_of_its_own() {
        let mut station = Station::new();
        spec(&mut station, "iperf");
        for (id, direction, rate, unclean) in [
            (1_i64, "to", Some(10.0), None),
            (1, "from", Some(90.0), None),
            (2, "to", Some(20.0), None),
            (3, "to", Some(1.0), Some("load")),
            (4, "to", None, None),
        ] {
            station.execute(
                "INSERT INTO BWDATA (scheduleID, direction, toolspecsID, srcNodeID, destNodeID, toolName, startepoch, \
                 start_us, end_us, thrumin, thruavg, thrumax, bytes, datagrams, lost, unclean, problem, clock_synchronised) \
                 VALUES (?, ?, 1, 's', 'd', 'iperf', ?, 0, 0, ?, ?, ?, 500, 10, 1, ?, ?, 1)",
                &[
                    id.into(),
                    direction.into(),
                    (D + id).into(),
                    rate.into(),
                    rate.into(),
                    rate.into(),
                    unclean.into(),
                    rate.map_or(Some("refused"), |_| None).into(),
                ],
            );
        }
        assert_eq!(rolled(&mut station, D + HOUR), 3, "the day is not over");
        let sql = "SELECT direction, flagged, runs, problems, measured, thrumin, thruavg, thrumax, bytes, lossratio \
                   FROM BWROLLUP WHERE period = 3600 ORDER BY direction, flagged";
        let expected = [
            ["from", "0", "1", "0", "1", "90", "90", "90", "500", "0.1"],
            ["to", "0", "3", "1", "2", "10", "15", "20", "1500", "0.1"],
            ["to", "1", "1", "0", "1", "1", "1", "1", "500", "0.1"],
        ];
        assert_eq!(station.rows(sql), expected);
        assert_eq!(rolled(&mut station, D + DAY), 3, "the rows of the day");
        assert_eq!(rolled(&mut station, D + DAY), 0);
    }

    #[test]
    fn routes_and_one_way_delays_are_rolled_up() {
        let mut station = Station::new();
        spec(&mut station, "traceroute");
        spec(&mut station, "owping");
        for (id, route, hops) in
            [(1_i64, Some(2_i64), 9_i64), (2, Some(1), 7), (3, Some(2), 8), (4, None, 0)]
        {
            station.execute(
                "INSERT INTO ROUTEDATA (scheduleID, toolspecsID, srcNodeID, destNodeID, startepoch, start_us, end_us, \
                 numhops, reached, routeno, rtt_us, clock_synchronised) VALUES (?, 1, 's', 'd', ?, 0, 0, ?, ?, ?, ?, 1)",
                &[
                    id.into(),
                    (D + id).into(),
                    hops.into(),
                    route.is_some().into(),
                    route.into(),
                    route.map(|_| 1_000 * hops).into(),
                ],
            );
        }
        for (id, packets) in
            [(5_i64, "[[0,1000000,255],[1,3000000,255]]"), (6, "[[0,5000000,255],[1,null,null]]")]
        {
            station.execute(
                "INSERT INTO OWAMPDATA (scheduleID, toolspecsID, srcNodeID, destNodeID, startepoch, start_us, end_us, \
                 tmin, tmed, tmax, to_sent, to_lost, to_packets, fmin, fmed, fmax, overlapped, clock_synchronised) \
                 VALUES (?, 2, 's', 'd', ?, 0, 0, 1, 2, 5, 2, 1, ?, -1, 1, 2, 9, 1)",
                &[id.into(), (D + id).into(), packets.into()],
            );
        }
        assert_eq!(rolled(&mut station, D + DAY), 4);
        let sql = "SELECT period, runs, reached, numhopsmin, numhopsmax, rttmin_us, routes, routeno, changes, sampled \
                   FROM ROUTEROLLUP ORDER BY period LIMIT 1";
        assert_eq!(station.rows(sql), [["3600", "4", "3", "0", "9", "7000", "2", "2", "2", "3"]]);
        let sql = "SELECT flagged, tmin, tmed, tmedavg, tmax, to_p95_us, to_sampled, to_sent, to_lost, fmin, fmed, \
                   from_sampled FROM OWAMPROLLUP ORDER BY period LIMIT 1";
        let row = ["1", "1", "3", "2", "5", "", "4", "4", "2", "-1", "", "0"];
        assert_eq!(station.rows(sql), [row]);
    }

    #[test]
    fn it_goes_on_where_it_was_and_looks_back_a_week() {
        let mut station = Station::new();
        spec(&mut station, "traceroute");
        let route = |station: &mut Station, id: i64, start: i64| {
            station.execute(
                "INSERT INTO ROUTEDATA (scheduleID, toolspecsID, srcNodeID, destNodeID, startepoch, start_us, end_us, \
                 numhops, reached, clock_synchronised) VALUES (?, 1, 's', 'd', ?, 0, 0, 7, 1, 1)",
                &[id.into(), start.into()],
            );
        };
        route(&mut station, 1, D);
        assert_eq!(rolled(&mut station, D + 20 * DAY), 2);
        route(&mut station, 2, D + 1);
        route(&mut station, 3, D + 13 * DAY);
        assert_eq!(
            rolled(&mut station, D + 20 * DAY + HOUR),
            2,
            "the one that is three weeks late waits"
        );
        let config = station.config.clone();
        let all = roll_up(&mut station.store, &config, D + 21 * DAY, true).expect("rolled up");
        assert_eq!(all.rows, 2);
        let runs = station.rows("SELECT SUM(runs) FROM ROUTEROLLUP WHERE period = 86400");
        assert_eq!(runs, [["3"]]);
    }
}
