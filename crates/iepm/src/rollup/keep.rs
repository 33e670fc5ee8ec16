//! Roll-ups in the database: what there is, what it comes to, and how it is written.
//!
//! Figures are computed in a transaction that only reads, and written in a short one. A roll-up whose
//! readings are gone is not overwritten, whatever somebody computed before they went.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use station::world::store::{self, Error, Row, Session, Value};

pub(crate) use super::work::Seen;

use super::{
    figures::Figures,
    kinds::Kind,
    sample::Sample,
    work::{DAY, HOUR, Job, Rolled, Whole, begin},
};

/// Which row of a table: its period, when that began, and its group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// [`HOUR`] or [`DAY`].
    pub(crate) period: i64,
    pub(crate) start: i64,
    /// `to` or `from`; empty where both are in one row.
    pub(crate) direction: String,
    /// Of readings that may have measured the station itself.
    pub(crate) flagged: bool,
}

/// Rows of roll-ups.
pub(crate) type Rows = BTreeMap<Place, Figures>;

/// What there is of a specification in `days`, seconds since the epoch.
pub(crate) fn seen(
    session: &mut dyn Session,
    kind: &Kind,
    spec: i64,
    days: &Range<i64>,
) -> Result<Seen, Error> {
    let values = [spec.into(), days.start.into(), days.end.into()];
    let counts =
        store::all(session, &kind.sql.counts, &values, |row| Ok((row.int(0)?, row.int(1)?)))?;
    let hours = rolled(session, kind, spec, HOUR, days)?;
    let days = rolled(session, kind, spec, DAY, days)?;
    Ok(Seen { readings: counts.into_iter().collect(), hours, days })
}

/// Of how many runs the roll-ups of a stretch are.
pub(crate) fn rolled(
    session: &mut dyn Session,
    kind: &Kind,
    spec: i64,
    period: i64,
    stretch: &Range<i64>,
) -> Result<BTreeMap<i64, Rolled>, Error> {
    let values = [spec.into(), period.into(), stretch.start.into(), stretch.end.into()];
    let row =
        |row: &Row<'_>| Ok((row.int(0)?, Rolled { runs: row.int(1)?, gone: row.int(2)? != 0 }));
    Ok(store::all(session, &kind.sql.rolled, &values, row)?.into_iter().collect())
}

/// What a job comes to.
pub(crate) fn compute(
    session: &mut dyn Session,
    kind: &'static Kind,
    spec: i64,
    job: &Job,
) -> Result<Rows, Error> {
    let stale: BTreeSet<i64> = job.hours.iter().copied().collect();
    let stretch = match (job.whole, stale.first(), stale.last()) {
        (Whole::Readings, ..) => job.day..job.day + DAY,
        (_, Some(first), Some(last)) => *first..last + HOUR,
        _ => job.day..job.day,
    };
    let of_readings = job.whole == Whole::Readings;
    let wanted = |place: &Place| match place.period {
        HOUR => stale.contains(&place.start),
        _ => of_readings,
    };
    let mut rows = of_readings_between(session, kind, spec, &stretch, &wanted)?;
    if job.whole == Whole::Hours {
        let day = of_hours(session, kind, spec, job, &rows)?;
        rows.extend(day);
    }
    Ok(rows)
}

/// What the readings of a stretch come to, as far as it is wanted.
pub(crate) fn of_readings_between(
    session: &mut dyn Session,
    kind: &'static Kind,
    spec: i64,
    stretch: &Range<i64>,
    wanted: &dyn Fn(&Place) -> bool,
) -> Result<Rows, Error> {
    let mut sums: BTreeMap<Place, (Figures, Sample)> = BTreeMap::new();
    let values = [spec.into(), stretch.start.into(), stretch.end.into()];
    session.query(&kind.sql.readings, &values, &mut |row| {
        let (time, figures) = (row.int(0)?, figures(kind, row)?);
        let first = 3 + kind.columns.len();
        let sample: Vec<String> =
            (first..first + kind.samples()).map(|column| row.text(column)).collect();
        for period in [HOUR, DAY] {
            let place = place(row, period, begin(time, period))?;
            if wanted(&place) {
                let new = || (Figures::of(kind.columns), kind.sample());
                let (sum, samples) = sums.entry(place).or_insert_with(new);
                sum.add(&figures);
                samples.add(&sample);
            }
        }
        Ok(())
    })?;
    let finished = sums.into_iter().map(|(place, (mut figures, sample))| {
        figures.set_exact(&sample.said());
        (place, figures)
    });
    Ok(finished.collect())
}

fn place(row: &Row<'_>, period: i64, start: i64) -> Result<Place, Error> {
    Ok(Place { period, start, direction: row.text(2), flagged: row.int(1)? != 0 })
}

fn figures(kind: &Kind, row: &Row<'_>) -> Result<Vec<Option<f64>>, Error> {
    (0..kind.columns.len()).map(|column| row.optional_real(column + 3)).collect()
}

/// The roll-ups of a stretch that are there.
pub(crate) fn stored(
    session: &mut dyn Session,
    kind: &'static Kind,
    spec: i64,
    period: i64,
    stretch: &Range<i64>,
) -> Result<Rows, Error> {
    let values = [spec.into(), period.into(), stretch.start.into(), stretch.end.into()];
    let rows = store::all(session, &kind.sql.stored, &values, |row| {
        let mut sum = Figures::of(kind.columns);
        sum.add(&figures(kind, row)?);
        Ok((place(row, period, row.int(0)?)?, sum))
    })?;
    Ok(rows.into_iter().collect())
}

/// A day as the sum of its hours, those in `anew` in place of the ones that are there. What samples say of
/// it is what they said while all readings were there.
fn of_hours(
    session: &mut dyn Session,
    kind: &'static Kind,
    spec: i64,
    job: &Job,
    anew: &Rows,
) -> Result<Rows, Error> {
    let day = job.day..job.day + DAY;
    let mut hours = stored(session, kind, spec, HOUR, &day)?;
    hours.retain(|place, _| !job.hours.contains(&place.start));
    hours.extend(anew.iter().map(|(place, figures)| (place.clone(), figures.clone())));
    let known = stored(session, kind, spec, DAY, &day)?;
    let mut sums = Rows::new();
    for (hour, figures) in hours {
        let place = Place { period: DAY, start: job.day, ..hour };
        let sum = sums.entry(place).or_insert_with(|| Figures::of(kind.columns));
        sum.add(&figures.without_samples().values());
    }
    for (place, sum) in &mut sums {
        if let Some(before) = known.get(place) {
            sum.take_samples_of(before);
        }
    }
    Ok(sums)
}

/// Writes roll-ups in place of those that are there.
pub(crate) fn write(
    session: &mut dyn Session,
    kind: &'static Kind,
    spec: i64,
    rows: &Rows,
) -> Result<(), Error> {
    let places: BTreeSet<_> = rows.keys().map(|place| (place.period, place.start)).collect();
    let places = places.into_iter();
    let places = places.map(|(period, start)| vec![spec.into(), period.into(), start.into()]);
    session.execute_many(&kind.sql.clear, &places.collect::<Vec<_>>())?;
    let rows: Vec<_> = rows.iter().map(|row| values(spec, row, false)).collect();
    session.execute_many(&kind.sql.insert, &rows).map(|_| ())
}

/// Writes one row. Where one is whose readings are gone, that is a conflict.
pub(super) fn insert(
    session: &mut dyn Session,
    kind: &'static Kind,
    spec: i64,
    row: (&Place, &Figures),
    gone: bool,
) -> Result<(), Error> {
    session.execute(&kind.sql.insert, &values(spec, row, gone)).map(|_| ())
}

/// The values of a row, as the INSERT takes them.
fn values<'a>(spec: i64, (place, figures): (&'a Place, &'a Figures), gone: bool) -> Vec<Value<'a>> {
    let mut values: Vec<Value<'a>> = Vec::new();
    values.extend((!place.direction.is_empty()).then(|| Value::from(place.direction.as_str())));
    values.extend([spec.into(), place.period.into(), place.start.into()]);
    values.extend([gone.into(), place.flagged.into()]);
    values.extend(figures.values().into_iter().map(Value::from));
    values
}
