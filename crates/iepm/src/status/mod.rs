//! `iepm status`: the last reading and the health of every specification, and the daemons.
//!
//! [`reading`] finds the latest rows by index, [`health`] judges them, [`machine`] looks at daemons and
//! files, [`show`] sets it all in columns, and [`figures`] says what has no column of its own.

mod figures;
mod health;
mod machine;
mod reading;
mod show;
mod wait;

use std::{env, time::Duration};

use serde::Serialize;
use station::{
    app::{self, Common, Exit, Failure},
    filter::Filter,
    text::Timestamp,
    words::config::Config,
    world::{
        clock::{Clock, SystemClock},
        signals::Stop,
        store::{self, Error, Session, Store, StoredSpec},
    },
};

use self::{health::Trouble, machine::Machine};
use crate::network;

pub(crate) use health::{Health, Line};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON: times are microseconds since the epoch
    #[arg(long)]
    json: bool,
    /// Show it anew every SECONDS, until interrupted
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "5",
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    watch: Option<u64>,
    /// Wait until every specification has a reading, at most SECONDS, then show it
    #[arg(long, value_name = "SECONDS", conflicts_with = "watch")]
    wait: Option<u64>,
    /// All stations of the database: a line for each that is not well, and what is wrong; -v shows all
    #[arg(long, conflicts_with_all = ["wait", "node", "tool"])]
    all: bool,
    #[command(flatten)]
    filter: Filter,
}

/// All that is shown.
#[derive(Debug, Serialize)]
struct Picture {
    station: String,
    now_us: Timestamp,
    specifications: Vec<Line>,
    /// Rows of TOOLSPECS that are no specifications, and why.
    wrong: Vec<String>,
    last_problem: Option<Trouble>,
    #[serde(flatten)]
    machine: Machine,
}

pub(crate) fn run(args: &Args, common: &Common) -> Result<Exit, Failure> {
    let config = common.load()?;
    let mut store = crate::store(&config);
    let stop = Stop::on_signals()
        .map_err(|error| Failure::new(Exit::TryLater, "preparing for signals").because(error))?;
    let all_there = match args.wait {
        Some(seconds) => wait::until_all_have_readings(&mut store, &config, args, &stop, seconds)?,
        None => true,
    };
    let Some(seconds) = args.watch else {
        app::print(&shown(&mut store, &config, args, common)?)?;
        return Ok(if all_there { Exit::Well } else { Exit::NeedsPerson });
    };
    while !stop.asked() {
        // A database that is away for a while does not end the watch.
        let text = shown(&mut store, &config, args, common)
            .unwrap_or_else(|failure| format!("{failure}\n"));
        let clear = if app::on_terminal() { "\x1b[H\x1b[2J" } else { "" };
        app::print(&format!("{clear}{text}"))?;
        stop.wait(Duration::from_secs(seconds));
    }
    Ok(Exit::Well)
}

fn shown(
    store: &mut Store,
    config: &Config,
    args: &Args,
    common: &Common,
) -> Result<String, Failure> {
    if args.all {
        return all_stations(store, args, common);
    }
    let clock = SystemClock;
    let moment = clock.moment();
    let (lines, wrong) = store
        .read(|session| lines(session, config, &args.filter, moment.wall))
        .map_err(|error| Failure::store("reading the status", error))?;
    let picture = Picture {
        station: config.node.to_string(),
        now_us: moment.wall,
        last_problem: health::last_problem(&lines),
        specifications: lines,
        wrong,
        machine: machine::look(config, &moment),
    };
    if args.json {
        // Values of these types have nothing that JSON cannot hold.
        return Ok(serde_json::to_string_pretty(&picture).unwrap_or_default() + "\n");
    }
    Ok(show::text(&picture, colour_is_wanted()))
}

fn all_stations(store: &mut Store, args: &Args, common: &Common) -> Result<String, Failure> {
    let network = store
        .read(|session| network::look(session))
        .map_err(|error| Failure::store("looking at all stations", error))?;
    Ok(if args.json {
        format!("{:#}\n", network::as_json(&network))
    } else {
        network::text(&network, common.verbose > 0)
    })
}

/// Colour is for terminals, and for those who did not ask for none (no-color.org).
fn colour_is_wanted() -> bool {
    let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    app::on_terminal() && !refused
}

/// The specifications of the station that are in its file.
fn specs(session: &mut dyn Session, config: &Config) -> Result<Vec<StoredSpec>, Error> {
    let all = store::specs(session, config.node.as_str())?;
    Ok(all.into_iter().filter(|stored| !stored.retired).collect())
}

/// A line for each specification of the station, and the rows that are none.
pub(crate) fn lines(
    session: &mut dyn Session,
    config: &Config,
    filter: &Filter,
    now: Timestamp,
) -> Result<(Vec<Line>, Vec<String>), Error> {
    let (mut lines, mut wrong) = (Vec::new(), Vec::new());
    let mut latest = reading::latest(session, config.node.as_str())?;
    for stored in specs(session, config)? {
        let spec = match stored.spec {
            Ok(spec) => spec,
            Err(fault) => {
                wrong.push(format!("toolspecsID {}: {fault}", stored.id));
                continue;
            }
        };
        let key = &spec.key;
        if filter.takes(key.dest.as_str(), key.tool.as_str()) {
            let seen = latest.remove(&stored.id).unwrap_or_default();
            lines.push(health::judge(&spec, seen, now));
        }
    }
    Ok((lines, wrong))
}

#[cfg(test)]
mod tests {
    use crate::testing::{self, Station};

    use super::*;

    fn spec(station: &mut Station, tool: &'static str) {
        station.execute(
            "INSERT INTO TOOLSPECS (srcNodeID, destNodeID, toolName, toolPath, testtype, time2run, runinterval) \
             VALUES ('s', 'd', ?, 'x', 'background', 15, 600)",
            &[tool.into()],
        );
    }

    fn lines_of(station: &mut Station, now: i64) -> (Vec<Line>, Vec<String>) {
        let config = station.config.clone();
        let now = Timestamp::from_seconds(now);
        let filter = Filter::default();
        station.store.read(|session| lines(session, &config, &filter, now)).expect("read")
    }

    #[test]
    fn the_latest_rows_make_the_lines() {
        let mut station = Station::new();
        spec(&mut station, "ping");
        spec(&mut station, "traceroute");
        for (id, start) in [(1_i64, 1_000_i64), (2, 1_600)] {
            station.execute(
                "INSERT INTO PINGDATA (scheduleID, toolspecsID, srcNodeID, destNodeID, startepoch, start_us, end_us, \
                 received, lossratio, min, avg, max, duplicates, reordered, clock_synchronised) \
                 VALUES (?, 1, 's', 'd', ?, ?, 0, 9, 0.1, 1.5, 2.5, 3.5, 0, 0, 1)",
                &[id.into(), start.into(), Timestamp::from_seconds(start).into()],
            );
        }
        station.execute(
            "INSERT INTO ROUTEDATA (scheduleID, toolspecsID, srcNodeID, destNodeID, startepoch, start_us, end_us, \
             numhops, reached, routeno, rtt_us, clock_synchronised) \
             VALUES (3, 2, 's', 'd', 1600, 1600000000, 0, 7, 1, 2, 12300, 1)",
            &[],
        );
        let (lines, wrong) = lines_of(&mut station, 1_700);
        assert_eq!(wrong, [""; 0]);
        let (ping, route) = (&lines[0], &lines[1]);
        assert_eq!((ping.health.as_str(), ping.age_seconds), ("lossy", Some(100)));
        assert_eq!((ping.min_ms, ping.avg_ms, ping.max_ms), (Some(1.5), Some(2.5), Some(3.5)));
        assert_eq!((route.health.as_str(), route.hops, route.route), ("ok", Some(7), Some(2)));
        assert_eq!(route.rtt_ms, Some(12.3));
    }

    #[test]
    fn a_failure_after_the_last_reading_is_told_with_its_reason() {
        let mut station = Station::new();
        spec(&mut station, "ping");
        for (due, state, reason) in
            [(1_000_i64, "failed", Some("ping is not installed")), (1_600, "pending", None)]
        {
            station.execute(
                "INSERT INTO SCHEDULE (toolspecsID, srcNodeID, destNodeID, toolName, testtype, dueepoch, due_us, \
                 latest_us, state, reason) VALUES (1, 's', 'd', 'ping', 'background', 0, ?, 0, ?, ?)",
                &[Timestamp::from_seconds(due).into(), state.into(), reason.into()],
            );
        }
        let (lines, _) = lines_of(&mut station, 1_601);
        assert_eq!(lines[0].health.as_str(), "failing");
        assert_eq!(lines[0].remark, "failed: ping is not installed");
        assert_eq!(wait::tally(&lines), wait::Tally { answered: 0, failing: 1, all: 1 });
        let problem = health::last_problem(&lines).expect("one");
        assert_eq!((problem.due_us, &*problem.node), (Timestamp::from_seconds(1_000), "d"));
    }

    #[test]
    fn a_row_that_is_no_specification_is_told_and_hides_nothing() {
        let mut station = Station::new();
        spec(&mut station, "ping");
        spec(&mut station, "traceroute");
        station.execute("UPDATE TOOLSPECS SET runinterval = 0 WHERE toolName = 'ping'", &[]);
        let (lines, wrong) = lines_of(&mut station, 1_601);
        assert_eq!((lines.len(), lines[0].health.as_str()), (1, "waiting"));
        assert_eq!(wait::tally(&lines), wait::Tally { answered: 0, failing: 0, all: 1 });
        assert!(wrong[0].starts_with("toolspecsID 1: runinterval: expected 1 to"), "{wrong:?}");
    }
    #[test]
    fn what_another_station_has_wrong_is_not_told_here() {
        let mut station = Station::new();
        testing::two_stations(&mut station);
        station.execute("UPDATE TOOLSPECS SET runinterval = 0 WHERE srcNodeID = 'o'", &[]);
        let config = station.config.clone();
        let seen = |session: &mut dyn Session| {
            lines(session, &config, &Filter::default(), Timestamp::from_seconds(10))
        };
        let (lines, wrong) = station.store.read(seen).expect("read");
        assert_eq!((lines.len(), lines[0].node.as_str()), (1, "d"));
        assert_eq!(wrong, [""; 0]);
    }

    const TEST: &str = "INSERT INTO BWDATA (scheduleID, direction, toolspecsID, srcNodeID, destNodeID, toolName, \
         startepoch, start_us, end_us, thruavg, rttmin, lossratio, unclean, problem, idle_rtt_p50_us, loaded_rtt_p50_us, \
         clock_synchronised) VALUES (?, ?, 1, 's', 'd', 'iperf', ?, 1000000000, 0, ?, ?, ?, ?, ?, 10000, 250000, 1)";

    fn test(
        station: &mut Station,
        (id, direction, start): (i64, &'static str, i64),
        (rate, loss): (Option<f64>, Option<f64>),
        (unclean, problem): (Option<&'static str>, Option<&'static str>),
    ) {
        let rtt: Option<f64> = None;
        station.execute(
            TEST,
            &[
                id.into(),
                direction.into(),
                start.into(),
                rate.into(),
                rtt.into(),
                loss.into(),
                unclean.into(),
                problem.into(),
            ],
        );
    }

    #[test]
    fn both_directions_of_the_newest_test_are_shown() {
        let mut station = Station::new();
        spec(&mut station, "iperf");
        let clean = (None, None);
        test(&mut station, (1, "to", 900), (Some(5.0), None), clean);
        test(&mut station, (2, "from", 1_000), (Some(94.1), Some(0.01)), (Some("load"), None));
        test(&mut station, (2, "to", 1_000), (Some(19.0), None), (Some("load"), None));
        let (lines, _) = lines_of(&mut station, 1_100);
        let line = &lines[0];
        assert_eq!((line.health, line.lossratio), (Health::Lossy, Some(0.01)));
        assert_eq!(
            figures::remark(line),
            "-> 19.0 Mbit/s; <- 94.1 Mbit/s, 1 % lost; rtt 10.000 ms, 250.000 ms under load; !unclean"
        );
        assert!(figures::legend(&lines).starts_with("!unclean: "));
        let json = serde_json::to_value(line).expect("plain values");
        assert_eq!(json["rates"][1]["thruavg_mbit_per_s"], 94.1);
        assert_eq!(
            (&json["rates"][0]["direction"], &json["unclean"]),
            (&"to".into(), &"load".into())
        );
    }

    #[test]
    fn a_test_that_found_nothing_says_why() {
        for (problem, health) in [
            ("refused: connect failed: Connection refused", Health::Down),
            ("no answer", Health::Down),
            ("busy: the server is busy", Health::Down),
            ("broken off", Health::Failing),
            ("usage: bad option", Health::Failing),
        ] {
            let mut station = Station::new();
            spec(&mut station, "iperf");
            test(&mut station, (1, "to", 1_000), (None, None), (None, Some(problem)));
            let (lines, _) = lines_of(&mut station, 1_100);
            assert_eq!((lines[0].health, lines[0].remark.as_str()), (health, problem));
        }
    }

    #[test]
    fn a_test_in_which_all_was_lost_found_the_node_down() {
        let mut station = Station::new();
        spec(&mut station, "iperf");
        test(&mut station, (1, "to", 1_000), (Some(0.0), Some(1.0)), (None, None));
        let why = "the ping beside it: its end is missing";
        assert_eq!(lines_of(&mut station, 1_100).0[0].health, Health::Down);
        test(&mut station, (2, "to", 1_001), (Some(9.0), None), (None, Some(why)));
        let line = &lines_of(&mut station, 1_100).0[0];
        assert_eq!((line.health, line.remark.as_str()), (Health::Ok, why));
    }

    #[test]
    fn one_way_delays_are_shown_by_direction() {
        let mut station = Station::new();
        spec(&mut station, "owping");
        station.execute(
            "INSERT INTO OWAMPDATA (scheduleID, toolspecsID, srcNodeID, destNodeID, startepoch, start_us, end_us, tmin, \
             tmed, tmax, to_sent, to_lost, fmin, fmed, fmax, from_sent, from_lost, overlapped, clock_synchronised) \
             VALUES (1, 1, 's', 'd', 1000, 1000000000, 0, 1.2, 1.31, 4.5, 100, 0, 0.9, NULL, 2, 100, 60, 8, 1)",
            &[],
        );
        let (lines, _) = lines_of(&mut station, 1_100);
        assert_eq!((lines[0].health, lines[0].lossratio), (Health::Lossy, Some(0.6)));
        assert_eq!(
            figures::remark(&lines[0]),
            "-> 1.20/1.31/4.50 ms; <- 0.90/?/2.00 ms, 60 % lost; !overlapped"
        );
        let json = serde_json::to_value(&lines[0]).expect("plain values");
        assert_eq!(
            (&json["one_way"][0]["median_ms"], &json["overlapped"]),
            (&1.31.into(), &8.into())
        );
        assert!(figures::legend(&lines).starts_with("!overlapped: "));
    }
}
