//! ROUTEDATA, and ROUTENO, which numbers the routes.

use std::sync::LazyLock;

use readings::traceroute::Traceroute;
use serde_json::json;
use station::world::store::{self, Error, Session, Value};

use super::{COMMON, Run, Sheets, statement, told};
use crate::routes;

const COLUMNS: [&str; 7] =
    ["address", "numhops", "reached", "routeno", "rtt_us", "hops", "problem"];

static INSERT: LazyLock<String> = LazyLock::new(|| statement("ROUTEDATA", &COLUMNS));

pub(super) fn add<'a>(
    session: &mut dyn Session,
    sheets: &mut Sheets<'a>,
    run: &Run<'a>,
    traceroute: &Traceroute,
) -> Result<(), Error> {
    let route = routes::text(&traceroute.route());
    let number = if route.is_empty() { None } else { Some(route_number(session, run, &route)?) };
    let mut values = Vec::with_capacity(COMMON.len() + COLUMNS.len());
    values.extend(run.common());
    values.extend([
        traceroute.address.map(|address| address.to_string()).into(),
        traceroute.numhops.into(),
        traceroute.reached.into(),
        number.into(),
        round_trip(traceroute).into(),
        (!traceroute.hops.is_empty()).then(|| json!(traceroute.hops).to_string()).into(),
        traceroute.problem.as_ref().map(told).into(),
    ]);
    sheets.add(&INSERT, values);
    Ok(())
}

/// The shortest round trip to the target itself, where it answered.
fn round_trip(traceroute: &Traceroute) -> Option<u64> {
    let last = traceroute
        .hops
        .iter()
        .rev()
        .find(|hop| hop.answers.iter().any(|answer| !answer.is_silent()))?;
    let own = last.answers.iter().filter(|answer| answer.address == traceroute.address);
    own.filter_map(|answer| answer.rtt_us).min().filter(|_| traceroute.reached)
}

fn route_number(session: &mut dyn Session, run: &Run<'_>, route: &str) -> Result<i64, Error> {
    let epoch = run.header.start_us.seconds();
    let pair = [Value::from(run.row.src.as_str()), run.row.dest.as_str().into()];
    let sql = "SELECT routeno, route FROM ROUTENO WHERE srcNodeID = ? AND destNodeID = ? ORDER BY lastepoch DESC, routeno";
    let known = store::all(session, sql, &pair, |row| Ok((row.int(0)?, row.text(1))))?;
    let found = routes::number(route, &known);
    let number =
        found.unwrap_or_else(|| known.iter().map(|(number, _)| number + 1).max().unwrap_or(1));
    let [src, dest] = pair;
    if found.is_some() {
        let sql = "UPDATE ROUTENO SET lastepoch = ? WHERE srcNodeID = ? AND destNodeID = ? AND routeno = ? \
             AND lastepoch < ?";
        session.execute(sql, &[epoch.into(), src, dest, number.into(), epoch.into()])?;
    } else {
        let sql = "INSERT INTO ROUTENO (srcNodeID, destNodeID, routeno, route, firstepoch, lastepoch) \
             VALUES (?, ?, ?, ?, ?, ?)";
        session
            .insert(sql, &[src, dest, number.into(), route.into(), epoch.into(), epoch.into()])?;
    }
    Ok(number)
}
