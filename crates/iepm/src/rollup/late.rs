//! How readings are deleted that are in the roll-ups, and how those are counted that come later still.

use std::ops::Range;

use station::world::store::{Error, Kind as Fault, Session};

use super::{
    columns::RUNS,
    keep::{self, Place, Rows},
    kinds::Kind,
    work::{DAY, HOUR, Rolled},
};

/// Deletes the readings of one hour of a specification, `day` being the day of it; says how many went. All of
/// that is one transaction with the check that they are in the roll-ups.
///
/// # Errors
/// [`Fault::Conflict`] if some of them are not, or what the engine says.
pub(crate) fn delete_hour(
    session: &mut dyn Session,
    kind: &'static Kind,
    spec: i64,
    (day, hour): (i64, i64),
) -> Result<u64, Error> {
    let of_day = day..day + DAY;
    let hours = keep::rolled(session, kind, spec, HOUR, &of_day)?;
    let day_row = keep::rolled(session, kind, spec, DAY, &of_day)?.get(&day).copied();
    let counted: i64 = hours.values().map(|hour| hour.runs).sum();
    let stretch = hour..hour + HOUR;
    match (hours.get(&hour), day_row) {
        (_, Some(row)) if row.gone => merge(session, kind, spec, &stretch, &[(DAY, day, true)]),
        (Some(Rolled { gone: true, .. }), Some(_)) => {
            merge(session, kind, spec, &stretch, &[(HOUR, hour, true), (DAY, day, false)])
        }
        (Some(row), Some(of_day)) if of_day.runs >= counted => {
            let gone = delete(session, kind, spec, &stretch)?;
            if i64::try_from(gone).is_ok_and(|gone| gone > row.runs) {
                return Err(came_meanwhile());
            }
            session.execute(&kind.sql.gone, &[spec.into(), HOUR.into(), hour.into()])?;
            Ok(gone)
        }
        _ => Err(came_meanwhile()),
    }
}

fn came_meanwhile() -> Error {
    Error::new(Fault::Conflict, "a reading came that is not rolled up yet")
}

fn delete(
    session: &mut dyn Session,
    kind: &'static Kind,
    spec: i64,
    stretch: &Range<i64>,
) -> Result<u64, Error> {
    session.execute(&kind.sql.delete, &[spec.into(), stretch.start.into(), stretch.end.into()])
}

/// Adds readings to roll-ups whose own readings are gone, and deletes them: each of `periods` with its beginning
/// and whether what it was made of is gone.
fn merge(
    session: &mut dyn Session,
    kind: &'static Kind,
    spec: i64,
    stretch: &Range<i64>,
    periods: &[(i64, i64, bool)],
) -> Result<u64, Error> {
    let late = keep::of_readings_between(session, kind, spec, stretch, &|_| true)?;
    let of_hours = late.iter().filter(|(place, _)| place.period == HOUR);
    let runs: f64 = of_hours.filter_map(|(_, figures)| figures.value(RUNS)).sum();
    for (period, start, gone) in periods {
        let end = start + period;
        let mut rows = keep::stored(session, kind, spec, *period, &(*start..end))?;
        add(&mut rows, &late, *period);
        session.execute(&kind.sql.forget, &[spec.into(), (*period).into(), (*start).into()])?;
        for row in &rows {
            keep::insert(session, kind, spec, row, *gone)?;
        }
    }
    let deleted = delete(session, kind, spec, stretch)?;
    #[expect(clippy::cast_precision_loss, reason = "runs of an hour")]
    let is_same = (deleted as f64 - runs).abs() < 0.5;
    if is_same { Ok(deleted) } else { Err(came_meanwhile()) }
}

/// Adds the rows of one period to those that are there.
pub(crate) fn add(rows: &mut Rows, late: &Rows, period: i64) {
    for (place, figures) in late.iter().filter(|(place, _)| place.period == period) {
        let place: &Place = place;
        match rows.get_mut(place) {
            Some(known) => known.add(&figures.clone().without_samples().values()),
            None => drop(rows.insert(place.clone(), figures.clone())),
        }
    }
}

/// Deletes the hours of a day, which stays; says how many rows went, and none if some of their readings are
/// there yet.
///
/// # Errors
/// What the engine says.
pub(crate) fn delete_hours_of(
    session: &mut dyn Session,
    kind: &'static Kind,
    spec: i64,
    day: i64,
) -> Result<u64, Error> {
    let of_day = day..day + DAY;
    let hours = keep::rolled(session, kind, spec, HOUR, &of_day)?;
    let day_row = keep::rolled(session, kind, spec, DAY, &of_day)?.get(&day).copied();
    let counted: i64 = hours.values().map(|hour| hour.runs).sum();
    let is_whole = day_row.is_some_and(|row| row.runs >= counted);
    if !is_whole || hours.values().any(|hour| !hour.gone) {
        return Ok(0);
    }
    session.execute(&kind.sql.gone, &[spec.into(), DAY.into(), day.into()])?;
    let values = [spec.into(), HOUR.into(), of_day.start.into(), of_day.end.into()];
    session.execute(&kind.sql.expire, &values)
}
