//! Claims in a second with eight claimers at once, that all want the runs of one tool on one station: in a
//! file, on a server, and on two nodes of a Galera cluster, four on each. None may be claimed twice.
//!
//! In life one daemon claims the runs of a tool. Here it is made as hard as it can be.

use std::{collections::HashSet, sync::Barrier, thread, time::Duration};

use anyhow::{Result, anyhow, ensure};
use station::{
    text::Timestamp,
    words::database::Database,
    world::{
        clock::{Clock, SystemClock},
        store::{self, Claimant, Error, Kind, Store},
    },
};
use stories::Cluster;

use crate::{
    bed::{Bed, Engine, Station},
    driver::Driver,
    machine::{settle, timed},
    rows::{self, Runs},
    runs::COMMAND,
    table::{Line, Quantity},
};

/// So many claim at once.
const CLAIMERS: usize = 8;
/// So many rows each takes at a time.
const BITE: usize = 64;
/// How long a transaction waits for others.
const PATIENCE: Duration = Duration::from_secs(6);
/// How long the rows need at most to be seen on the other node.
const SEEN: Duration = Duration::from_secs(30);

/// Measures claims.
///
/// # Errors
/// Something does not run, or a run was claimed twice or by nobody.
pub fn measure(bed: &Bed) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (engine, place) in [(Engine::Sqlite, "a file"), (Engine::Mariadb, "MariaDB")] {
        let station = bed.station_on(engine, "")?;
        let database = station.config.database.clone();
        lines.extend(on(bed, &station, place, &[database])?);
    }
    let cluster = Cluster::up(2);
    let [first, second] = [0, 1].map(|node| cluster.node(node).url_by_tcp("claims"));
    let station = bed.station_at(Some(&first), "")?;
    let nodes = [first, second].map(|url| Database::parse(&url).map_err(anyhow::Error::msg));
    let nodes = nodes.into_iter().collect::<Result<Vec<_>>>()?;
    lines.extend(on(bed, &station, "Galera, four on each of two nodes", &nodes)?);
    Ok(lines)
}

/// What a claimer came to.
#[derive(Debug, Default)]
struct Claims {
    claimed: Vec<i64>,
    /// Transactions that claimed something.
    bites: u32,
    /// Transactions in which others were quicker with every row.
    empty: u32,
    /// Transactions that were done again, or given up for a while, since others were in their way.
    again: u32,
}

fn on(bed: &Bed, station: &Station, place: &str, databases: &[Database]) -> Result<Vec<Line>> {
    let count = bed.size(8_000, 2_000);
    let until = SystemClock.now() + Duration::from_secs(3_600);
    put_runs(station, count)?;
    for database in databases {
        let mut look = Driver::of(database)?;
        bed.until("the rows to be on every node", SEEN, || {
            let rows = look.number("SELECT COUNT(*) FROM SCHEDULE WHERE state = 'pending'")?;
            Ok((rows == i64::from(count)).then_some(()))
        })?;
    }
    settle();
    let (took, claims) = timed(|| claim_all(databases, until))?;
    check(station, count, &claims)?;
    let sum = |figure: fn(&Claims) -> u32| claims.iter().map(figure).sum::<u32>();
    let all = sum(|one| one.bites + one.empty + one.again);
    let share = |part: u32| Quantity::new(100.0 * f64::from(part) / f64::from(all), "%");
    let rate = f64::from(count) / took.as_secs_f64();
    let what = format!("claims of {CLAIMERS} at once, {place}");
    Ok(vec![
        Line::told(what.clone(), Quantity::new(rate, "claims/s")),
        Line::told(format!("{what}: transactions done again"), share(sum(|one| one.again))),
        Line::told(format!("{what}: that came to nothing"), share(sum(|one| one.empty))),
    ])
}

fn put_runs(station: &Station, count: u32) -> Result<()> {
    Runs::due_now(count, &COMMAND).put_into(station)
}

/// Has everything claimed; the claimers are shared out over the databases, which are the same one.
fn claim_all(databases: &[Database], until: Timestamp) -> Result<Vec<Claims>> {
    let each = CLAIMERS / databases.len();
    let together = Barrier::new(CLAIMERS);
    thread::scope(|scope| {
        let claimers = databases.iter().flat_map(|database| std::iter::repeat_n(database, each));
        let claimers: Vec<_> =
            claimers.map(|database| scope.spawn(|| claimer(database, until, &together))).collect();
        let ended = claimers.into_iter().map(thread::ScopedJoinHandle::join);
        ended.map(|it| it.map_err(|_| anyhow!("a claimer panicked"))?).collect()
    })
}

/// Claims until nothing is left.
fn claimer(database: &Database, until: Timestamp, together: &Barrier) -> Result<Claims> {
    let mut store = Store::of(database, PATIENCE);
    let connected = store.read(|_| Ok(()));
    together.wait();
    connected?;
    let who = Claimant { station: "station", program: "bench", tool: "ping" };
    let mut claims = Claims::default();
    loop {
        let now = SystemClock.now();
        if !store.read(|session| store::any_claimable(session, &who, now, until))? {
            return Ok(claims);
        }
        let mut tries = 0;
        let bite = store.transaction(|session| {
            tries += 1;
            store::claim(session, &who, now, until, BITE)
        });
        claims.note(tries, bite)?;
    }
}

impl Claims {
    fn note(&mut self, tries: u32, bite: Result<Vec<store::Claimed>, Error>) -> Result<()> {
        let bite = match bite {
            Err(error) if error.kind() == Kind::Busy => {
                self.again += tries;
                return Ok(());
            }
            bite => bite?,
        };
        self.again += tries - 1;
        *(if bite.is_empty() { &mut self.empty } else { &mut self.bites }) += 1;
        let id = |claim: store::Claimed| claim.map_or_else(|(run, _)| run, |order| order.run);
        self.claimed.extend(bite.into_iter().map(|claim| id(claim).schedule_id));
        Ok(())
    }
}

/// Makes sure that every run was claimed by one, once.
fn check(station: &Station, count: u32, claims: &[Claims]) -> Result<()> {
    let claimed: Vec<i64> = claims.iter().flat_map(|one| one.claimed.iter().copied()).collect();
    let different = claimed.iter().collect::<HashSet<_>>().len();
    ensure!(claimed.len() == different, "{} claims of {different} runs", claimed.len());
    ensure!(different == count as usize, "{different} of {count} runs were claimed");
    let sql = "SELECT COUNT(*) FROM SCHEDULE WHERE state = 'running' AND attempt = 1";
    rows::is_count(&mut station.look()?, sql, count)
}
