//! Routes that were seen last longer ago than readings are kept.
//!
//! When a route was seen last is in no index, and each loader that sees it again would have to change that.
//! So all routes of the station are gone through in the order of their key, some at a time.

use station::{
    text::Timestamp,
    world::store::{self, Error, Row, Session, Value},
};

use crate::rollup::Desk;

/// So many routes are looked at together, and go in one transaction at most.
const BATCH: usize = 500;

/// The routes of a pair of nodes from a number on.
const OF_PAIR: &str = "SELECT routenoID, destNodeID, routeno, lastepoch FROM ROUTENO \
     WHERE srcNodeID = ? AND destNodeID = ? AND routeno > ? ORDER BY routeno LIMIT ?";

/// The routes of the pairs after one.
const OF_NEXT_PAIRS: &str = "SELECT routenoID, destNodeID, routeno, lastepoch FROM ROUTENO \
     WHERE srcNodeID = ? AND destNodeID > ? ORDER BY destNodeID, routeno LIMIT ?";

/// A loader may have seen it again meanwhile.
const DELETE: &str = "DELETE FROM ROUTENO WHERE routenoID = ? AND lastepoch < ?";

/// A row of ROUTENO.
#[derive(Debug, Default)]
struct Route {
    id: i64,
    dest: String,
    number: i64,
    last: i64,
}

/// Deletes a station's routes that were seen last before `before`; says how many. Readings that name one are
/// as old.
pub(super) fn prune(
    desk: &mut Desk<'_>,
    station: &str,
    before: Timestamp,
    dry_run: bool,
) -> Result<u64, Error> {
    let (mut gone, mut after) = (0, Route::default());
    loop {
        let mut some = desk.read(|session| following(session, station, &after))?;
        let old = some.iter().filter(|route| route.last < before.seconds());
        let old: Vec<i64> = old.map(|route| route.id).collect();
        gone += match old.len() as u64 {
            0 => 0,
            count if dry_run => count,
            _ => desk.change(|session| delete(session, &old, before))?,
        };
        let Some(last) = some.pop() else { return Ok(gone) };
        after = last;
    }
}

/// The routes of a station that come after one.
fn following(session: &mut dyn Session, station: &str, after: &Route) -> Result<Vec<Route>, Error> {
    let [src, dest] = [Value::from(station), after.dest.as_str().into()];
    let values = [src.clone(), dest.clone(), after.number.into(), (BATCH as u64).into()];
    let mut found = store::all(session, OF_PAIR, &values, route)?;
    let room = BATCH.saturating_sub(found.len()) as u64;
    if room > 0 {
        found.extend(store::all(session, OF_NEXT_PAIRS, &[src, dest, room.into()], route)?);
    }
    Ok(found)
}

fn route(row: &Row<'_>) -> Result<Route, Error> {
    Ok(Route { id: row.int(0)?, dest: row.text(1), number: row.int(2)?, last: row.int(3)? })
}

fn delete(session: &mut dyn Session, routes: &[i64], before: Timestamp) -> Result<u64, Error> {
    let row = |id: &i64| vec![Value::from(*id), before.seconds().into()];
    session.execute_many(DELETE, &routes.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use crate::testing::{self, Station};

    use super::*;

    fn go(station: &mut Station, at: Timestamp, dry_run: bool) -> u64 {
        prune(&mut Desk::new(&mut station.store, 0), "s", at, dry_run).expect("pruned")
    }

    #[test]
    fn a_route_goes_when_it_was_seen_last_long_ago() {
        let mut station = Station::new();
        // Of a pair with more than one batch of them, and of others before and after it.
        for (dest, hundreds) in [("c", 1_i64), ("d", 60), ("e", 2)] {
            station.execute(
                "INSERT INTO ROUTENO (srcNodeID, destNodeID, routeno, route, firstepoch, lastepoch) \
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) \
                 SELECT 's', ?, (a.i - 1) * 100 + b.i, 'r', 0, (a.i - 1) * 100 + b.i FROM n a, n b WHERE a.i <= ?",
                &[dest.into(), hundreds.into()],
            );
        }
        let at = Timestamp::from_seconds(5_990);
        for dry_run in [true, false] {
            assert_eq!(go(&mut station, at, dry_run), 100 + 5_989 + 200);
        }
        let left = station
            .rows("SELECT destNodeID, MIN(lastepoch), COUNT(*) FROM ROUTENO GROUP BY destNodeID");
        assert_eq!(left, [["d", "5990", "11"]]);
    }

    #[test]
    fn another_stations_routes_are_its_own_to_prune() {
        let mut station = Station::new();
        testing::two_stations(&mut station);
        assert_eq!(go(&mut station, Timestamp::from_seconds(100), false), 1);
        assert_eq!(station.rows("SELECT srcNodeID FROM ROUTENO"), [["o"]]);
    }

    #[test]
    fn a_route_that_was_seen_again_meanwhile_stays() {
        let mut station = Station::new();
        testing::two_stations(&mut station);
        let found = station.store.read(|session| following(session, "s", &Route::default()));
        let found: Vec<i64> = found.expect("read").iter().map(|route| route.id).collect();
        station.execute("UPDATE ROUTENO SET lastepoch = 200", &[]);
        let at = Timestamp::from_seconds(100);
        let gone = station.store.transaction(|session| delete(session, &found, at));
        assert_eq!((gone.expect("none"), found.len()), (0, 1));
    }
}
