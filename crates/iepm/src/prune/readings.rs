//! Readings that are older than they are kept: they go day by day, each hour when it and its day are rolled
//! up; and roll-ups that are older than those are kept.

use station::{
    text::Timestamp,
    words::config::Retention,
    world::store::{self, Error, Kind as Fault, Session},
};

use crate::rollup::{
    Desk,
    keep::seen,
    kinds::{Kind, kinds},
    late::{delete_hour, delete_hours_of},
    work::{DAY, HOUR, begin},
};

/// So many readings go in one transaction, and those of an hour in any case: a few milliseconds.
const READINGS: i64 = 500;
/// So many specifications are gone through together.
const SPECS: usize = 1_000;
/// So often it is tried to delete what comes while it is being deleted.
const TRIES: u32 = 4;

/// What is kept, by the time before which it goes: seconds since the epoch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    pub(super) readings: i64,
    pub(super) hours: i64,
    pub(super) days: i64,
}

impl Before {
    /// What is made of others is kept for as long as those at least.
    pub(super) fn at(now: Timestamp, kept: &Retention) -> Self {
        let hours = kept.hours.max(kept.readings);
        let days = kept.days.max(hours);
        let before = |length| (now - length).seconds();
        Self { readings: before(kept.readings), hours: before(hours), days: before(days) }
    }
}

/// What was deleted, or would be.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone {
    pub(super) readings: u64,
    /// Roll-ups of hours, and of days.
    pub(super) hours: u64,
    pub(super) days: u64,
}

/// Deletes the readings of whole days that were over before a time, and the roll-ups.
pub(super) fn prune(desk: &mut Desk<'_>, specs: &[i64], before: Before) -> Result<Gone, Error> {
    let mut gone = Gone::default();
    for kind in kinds() {
        for some in specs.chunks(SPECS) {
            gone.readings += readings(desk, kind, some, begin(before.readings, DAY))?;
        }
        for spec in specs {
            gone.hours += hours(desk, kind, *spec, begin(before.hours, DAY))?;
            gone.days += days(desk, kind, *spec, begin(before.days, DAY))?;
        }
    }
    Ok(gone)
}

/// Counts what [`prune`] would delete.
pub(super) fn count(desk: &mut Desk<'_>, specs: &[i64], before: Before) -> Result<Gone, Error> {
    let mut gone = Gone::default();
    for kind in kinds() {
        for spec in specs {
            let until = |end: i64| 0..begin(end, DAY);
            let [readings, hours, days] = desk.read(|session| {
                Ok([
                    kind.count(session, *spec, None, &until(before.readings))?,
                    kind.count(session, *spec, Some(HOUR), &until(before.hours))?,
                    kind.count(session, *spec, Some(DAY), &until(before.days))?,
                ])
            })?;
            gone.readings += readings;
            gone.hours += hours;
            gone.days += days;
        }
    }
    Ok(gone)
}

/// Deletes the readings of some specifications, the oldest day of all of them first: what was measured at the
/// same time lies together.
fn readings(
    desk: &mut Desk<'_>,
    kind: &'static Kind,
    specs: &[i64],
    before: i64,
) -> Result<u64, Error> {
    let (mut gone, mut tries) = (0, 0);
    while let Some((day, specs)) = oldest_day(desk, kind, specs, before)? {
        for spec in &specs {
            desk.refresh(kind, *spec, day..day + DAY)?;
        }
        desk.flush()?;
        match delete(desk, kind, &specs, day) {
            Ok(rows) => gone += rows,
            // It is rolled up with the others now, and then they go.
            Err(error) if error.kind() == Fault::Conflict && tries < TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(gone)
}

/// The first day before a time that has readings, and the specifications that have some then.
fn oldest_day(
    desk: &mut Desk<'_>,
    kind: &'static Kind,
    specs: &[i64],
    before: i64,
) -> Result<Option<(i64, Vec<i64>)>, Error> {
    let first = |session: &mut dyn Session| {
        let first = |spec: &i64| Ok((kind.first_reading(session, *spec)?, *spec));
        specs.iter().map(first).collect::<Result<Vec<_>, Error>>()
    };
    let first = desk.read(first)?.into_iter();
    let days: Vec<(i64, i64)> = first
        .filter_map(|(first, spec)| {
            Some((begin(first.filter(|first| *first < before)?, DAY), spec))
        })
        .collect();
    let Some(day) = days.iter().map(|(day, _)| *day).min() else { return Ok(None) };
    let specs = days.into_iter().filter(|(of, _)| *of == day).map(|(_, spec)| spec);
    Ok(Some((day, specs.collect())))
}

/// An hour of a specification, and how many readings it has.
type Hour = (i64, i64, i64);

/// Deletes the readings of a day that are rolled up.
fn delete(desk: &mut Desk<'_>, kind: &'static Kind, specs: &[i64], day: i64) -> Result<u64, Error> {
    let mut hours: Vec<Hour> = Vec::new();
    for spec in specs {
        let seen = desk.read(|session| seen(session, kind, *spec, &(day..day + DAY)))?;
        hours.extend(seen.readings.into_iter().map(|(hour, count)| (hour, *spec, count)));
    }
    hours.sort_unstable();
    let (mut gone, mut rest) = (0, &hours[..]);
    while !rest.is_empty() {
        let some = &rest[..together(rest)];
        gone += desk.change(|session| {
            let each = |(hour, spec, _): &Hour| delete_hour(session, kind, *spec, (day, *hour));
            some.iter().map(each).sum::<Result<u64, Error>>()
        })?;
        rest = &rest[some.len()..];
    }
    Ok(gone)
}

/// How many of these hours go in one transaction.
fn together(hours: &[Hour]) -> usize {
    let mut readings = 0;
    let fits = hours.iter().take_while(|(.., count)| {
        readings += count;
        readings <= READINGS
    });
    fits.count().max(1)
}

/// Deletes the roll-ups of the hours of old days.
fn hours(desk: &mut Desk<'_>, kind: &'static Kind, spec: i64, before: i64) -> Result<u64, Error> {
    let mut gone = 0;
    while let Some(first) = oldest(desk, kind, spec, HOUR)?.filter(|first| *first < before) {
        let rows =
            desk.change(|session| delete_hours_of(session, kind, spec, begin(first, DAY)))?;
        if rows == 0 {
            break;
        }
        gone += rows;
    }
    Ok(gone)
}

/// Deletes the roll-ups of old days, a year in one transaction.
fn days(desk: &mut Desk<'_>, kind: &'static Kind, spec: i64, before: i64) -> Result<u64, Error> {
    let mut gone = 0;
    while let Some(first) = oldest(desk, kind, spec, DAY)?.filter(|first| *first < before) {
        let year = first..before.min(first + 366 * DAY);
        gone += desk.change(|session| kind.expire(session, spec, DAY, &year))?;
    }
    Ok(gone)
}

fn oldest(
    desk: &mut Desk<'_>,
    kind: &'static Kind,
    spec: i64,
    period: i64,
) -> Result<Option<i64>, Error> {
    let read = |session: &mut dyn Session| {
        store::one(session, kind.oldest(), &[spec.into(), period.into()], |row| row.optional_int(0))
    };
    Ok(desk.read(read)?.flatten())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Station;

    /// A day long ago, and a time when it is to go.
    const D: i64 = 20_000 * DAY;
    const NOW: i64 = D + 30 * DAY;

    fn station() -> Station {
        let mut station = Station::new();
        station.execute(
            "INSERT INTO TOOLSPECS (srcNodeID, destNodeID, toolName, toolPath, testtype, time2run, runinterval) \
             VALUES ('s', 'd', 'ping', 'ping', 'background', 1, 10)",
            &[],
        );
        station
    }

    /// A ping of three packets, of which one is lost.
    fn ping(station: &mut Station, (id, start): (i64, i64), trip: i32) {
        let packets = format!("[[1,{trip},64],[3,{},64]]", 2 * trip);
        station.execute(
            "INSERT INTO PINGDATA (scheduleID, toolspecsID, srcNodeID, destNodeID, startepoch, start_us, end_us, \
             transmitted, received, lost, lossratio, min, avg, max, duplicates, reordered, packets, clock_synchronised) \
             VALUES (?, 1, 's', 'd', ?, ?, 0, 3, 2, 1, 0.33, ?, ?, ?, 0, 0, ?, 1)",
            &[
                id.into(),
                start.into(),
                Timestamp::from_seconds(start).into(),
                (f64::from(trip) / 1e3).into(),
                (f64::from(trip) * 1.5 / 1e3).into(),
                (f64::from(trip) * 2.0 / 1e3).into(),
                packets.into(),
            ],
        );
    }

    fn go(station: &mut Station, days: [i64; 3]) -> Gone {
        let [readings, hours, days] = days.map(|days| NOW - days * DAY);
        let mut desk = Desk::new(&mut station.store, NOW);
        prune(&mut desk, &[1], Before { readings, hours, days }).expect("pruned")
    }

    fn rows(station: &mut Station) -> Vec<String> {
        let sql = "SELECT period, startepoch, rawgone, runs, transmitted, min, rtt_p50_us, sampled FROM PINGROLLUP \
                   ORDER BY period, startepoch";
        let row = |row: [String; 8]| {
            let start = row[1].parse::<i64>().expect("a time") - D;
            format!("{} {start}: {}", row[0], row[2..].join(" "))
        };
        station.rows::<8>(sql).into_iter().map(row).collect()
    }

    fn runs(station: &mut Station, period: i64) -> String {
        let sql = format!("SELECT SUM(runs) FROM PINGROLLUP WHERE period = {period}");
        station.rows::<1>(&sql)[0][0].clone()
    }

    #[test]
    fn readings_go_when_their_day_is_over_for_long_and_their_figures_stay() {
        let mut station = station();
        for (id, start) in [(1, 10), (2, 20), (3, HOUR + 5), (4, DAY)] {
            ping(&mut station, (i64::from(id), D + start), 100 * id);
        }
        let gone = go(&mut station, [29, 40, 40]);
        assert_eq!(gone, Gone { readings: 3, ..Gone::default() });
        assert_eq!(station.rows("SELECT scheduleID FROM PINGDATA"), [["4"]]);
        let expected = [
            "3600 0: 1 2 6 0.1 200 6",
            "3600 3600: 1 1 3 0.3 600 3",
            // Of nine packets 100 200 200 300 400 600 came back: the fifth is the median.
            "86400 0: 0 3 9 0.1 400 9",
        ];
        assert_eq!(rows(&mut station), expected);
        assert_eq!(
            go(&mut station, [29, 40, 40]),
            Gone::default(),
            "a second time there is nothing to do"
        );
    }

    #[test]
    fn what_comes_after_its_hour_went_is_counted_once_and_goes_too() {
        let mut station = station();
        ping(&mut station, (1, D + 10), 100);
        go(&mut station, [20, 40, 40]);
        ping(&mut station, (2, D + 20), 50);
        ping(&mut station, (3, D + HOUR), 70);
        assert_eq!(go(&mut station, [20, 40, 40]).readings, 2);
        assert_eq!(go(&mut station, [20, 40, 40]).readings, 0);
        let expected = [
            "3600 0: 1 2 6 0.05 200 3",
            "3600 3600: 1 1 3 0.07 140 3",
            "86400 0: 0 3 9 0.05 200 3",
        ];
        assert_eq!(
            rows(&mut station),
            expected,
            "percentiles are of the packets that were there together"
        );
        // Its hours are gone by now, and so it is counted in the day alone.
        assert_eq!(go(&mut station, [20, 20, 40]), Gone { hours: 2, ..Gone::default() });
        ping(&mut station, (4, D + 30), 10);
        assert_eq!(go(&mut station, [20, 20, 40]).readings, 1);
        assert_eq!(rows(&mut station), ["86400 0: 1 4 12 0.01 200 3"]);
        assert_eq!(go(&mut station, [20, 20, 20]), Gone { days: 1, ..Gone::default() });
        assert_eq!(rows(&mut station), [""; 0]);
    }

    #[test]
    fn a_reading_that_is_not_rolled_up_is_not_deleted() {
        let mut station = station();
        ping(&mut station, (1, D + 10), 100);
        ping(&mut station, (2, D + HOUR), 100);
        let kind = Kind::of("ping");
        let mut desk = Desk::new(&mut station.store, NOW);
        let hour = |session: &mut dyn Session| delete_hour(session, kind, 1, (D, D));
        assert_eq!(desk.change(hour).expect_err("nothing is").kind(), Fault::Conflict);
        desk.refresh(kind, 1, D..D + DAY).expect("computed");
        desk.flush().expect("written");
        drop(desk);
        ping(&mut station, (3, D + 20), 100);
        let mut desk = Desk::new(&mut station.store, NOW);
        assert_eq!(desk.change(hour).expect_err("one is not").kind(), Fault::Conflict);
        assert_eq!(station.rows("SELECT COUNT(*) FROM PINGDATA"), [["3"]]);
        assert_eq!(go(&mut station, [20, 40, 40]).readings, 3);
        assert_eq!(
            (runs(&mut station, HOUR), runs(&mut station, DAY)),
            ("3".to_owned(), "3".to_owned())
        );
    }

    #[test]
    fn what_was_computed_before_readings_went_does_not_come_in_place_of_it() {
        let mut station = station();
        ping(&mut station, (1, D + 10), 100);
        let kind = Kind::of("ping");
        let mut desk = Desk::new(&mut station.store, NOW);
        desk.refresh(kind, 1, D..D + DAY).expect("computed, and not written yet");
        let waiting = desk.take_waiting();
        drop(desk);
        ping(&mut station, (2, D + 20), 100);
        go(&mut station, [20, 40, 40]);
        let mut desk = Desk::new(&mut station.store, NOW);
        desk.wait_with(waiting);
        desk.flush().expect("left alone");
        assert_eq!(
            (runs(&mut station, HOUR), runs(&mut station, DAY)),
            ("2".to_owned(), "2".to_owned())
        );
    }

    #[test]
    fn an_hour_goes_in_one_transaction_however_many_readings_it_has() {
        assert_eq!(together(&[(0, 1, 6), (0, 2, 6)]), 2);
        assert_eq!(together(&[(0, 1, 400), (0, 2, 100), (1, 1, 1)]), 2);
        assert_eq!(together(&[(0, 1, 3_600), (1, 1, 3_600)]), 1);
    }
}
