//! `iepm retire-station`: a station of the database is gone for good. Its specifications are retired, its
//! open runs are closed, its list of nodes is dropped; its readings stay.

use station::{
    app::{self, Common, Exit, Failure},
    text::{NodeId, Timestamp, human_duration},
    words::monhost::{Monhost, State},
    world::{
        clock::{Clock, SystemClock},
        store::{self, Error, Session},
    },
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The station's name in NODES
    #[arg(value_name = "NAME")]
    station: NodeId,
}

/// What was done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Done {
    specs: u64,
    runs: u64,
    /// Whether the station has ever reported.
    known: bool,
}

/// What stands in the way.
type Refused = String;

pub(crate) fn run(args: &Args, common: &Common) -> Result<Exit, Failure> {
    let config = common.load()?;
    let (name, now) = (args.station.as_str(), SystemClock.now());
    let doing = format!("retiring the station {name}");
    let done = crate::store(&config)
        .transaction(|session| retire(session, name, now))
        .map_err(|error| Failure::store(&doing, error))?;
    let Done { specs, runs, .. } =
        done.map_err(|why| Failure::new(Exit::NeedsPerson, doing).why(why))?;
    app::print(&format!(
        "{name} is retired: {specs} specifications, {runs} open runs; its readings stay until \
         `iepm prune --station {name}` finds them too old\n"
    ))?;
    Ok(Exit::Well)
}

fn retire(
    session: &mut dyn Session,
    station: &str,
    now: Timestamp,
) -> Result<Result<Done, Refused>, Error> {
    let row = store::monhost_of(session, station)?;
    let at = session.now()?;
    if let Some(why) = row.as_ref().and_then(|row| lives(row, at)) {
        return Ok(Err(why));
    }
    let epoch = now.seconds();
    let known = store::retire_monhost(session, station, epoch)?;
    let specs = session.execute(
        "UPDATE TOOLSPECS SET toolDo = 0, agenda_us = 0, retiredepoch = ? \
         WHERE srcNodeID = ? AND retiredepoch IS NULL",
        &[epoch.into(), station.into()],
    )?;
    let mut runs = 0;
    for close in CLOSE {
        runs += session.execute(close, &[station.into()])?;
    }
    for drop in DROP {
        session.execute(drop, &[station.into()])?;
    }
    if !known && specs == 0 && runs == 0 {
        return Ok(Err(
            "the database knows no such station; `iepm status --all` shows all".to_owned()
        ));
    }
    Ok(Ok(Done { specs, runs, known }))
}

const CLOSE: [&str; 2] = [
    "UPDATE SCHEDULE SET state = 'cancelled', opentoolspecsID = NULL, reason = 'its station was retired' \
     WHERE state = 'pending' AND srcNodeID = ?",
    "UPDATE SCHEDULE SET state = 'lost', opentoolspecsID = NULL, reason = 'its station was retired' \
     WHERE state IN ('running', 'finished') AND srcNodeID = ?",
];

const DROP: [&str; 3] = [
    "DELETE FROM AGENDA WHERE srcNodeID = ?",
    "DELETE FROM NODELISTS WHERE srcNodeID = ?",
    "DELETE FROM LEASES WHERE holderNodeID = ?",
];

fn lives(row: &Monhost, now: Timestamp) -> Option<Refused> {
    let lives = row.state != State::Stopped && row.silent(now).is_none() && !row.retired;
    lives.then(|| {
        format!(
            "it reported {} ago from {} on {}; end it there first (`kill-all-servers`)",
            human_duration(row.seen.until(now)),
            row.home,
            row.host
        )
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::{self, Station};

    use super::*;

    fn retired(station: &mut Station, name: &str) -> Result<Done, Refused> {
        let now = Timestamp::from_seconds(1_000);
        station.store.transaction(|session| retire(session, name, now)).expect("asked")
    }

    #[test]
    fn a_station_that_is_gone_is_closed_and_its_readings_stay() {
        let mut station = Station::new();
        testing::two_stations(&mut station);
        testing::reports(&mut station, "o", 9_000);
        let before = station.rows::<1>("SELECT COUNT(*) FROM PINGDATA");
        let done = retired(&mut station, "o").expect("retired");
        assert_eq!(done, Done { specs: 1, runs: 2, known: true });
        let sql =
            "SELECT srcNodeID, toolDo, retiredepoch IS NULL FROM TOOLSPECS ORDER BY srcNodeID";
        assert_eq!(station.rows(sql), [["o", "0", "0"], ["s", "1", "1"]]);
        let sql = "SELECT state FROM SCHEDULE WHERE srcNodeID = 'o' ORDER BY scheduleID";
        assert_eq!(station.rows(sql), [["cancelled"], ["lost"], ["loaded"]]);
        let sql = "SELECT state FROM SCHEDULE WHERE srcNodeID = 's' ORDER BY scheduleID";
        assert_eq!(station.rows(sql), [["pending"], ["finished"], ["loaded"]]);
        assert_eq!(station.rows::<1>("SELECT COUNT(*) FROM PINGDATA"), before);
    }

    #[test]
    fn one_that_lives_and_one_that_never_was_are_refused() {
        let mut station = Station::new();
        testing::reports(&mut station, "o", 5);
        let why = retired(&mut station, "o").expect_err("it lives");
        assert!(why.starts_with("it reported ") && why.contains("end it there first"), "{why}");
        let why = retired(&mut station, "nobody").expect_err("nobody");
        assert!(why.contains("knows no such station"), "{why}");
    }
}
