//! Claims on a cluster: many want the same runs on two nodes of it, while both live, and while one is killed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use mysql::prelude::Queryable;
use station::{
    text::Timestamp,
    words::{database::Database, run::RunId},
    world::store::{self, Claimant, Kind, Session, Store, Value},
};
use stories::{Cluster, Station, pause, until};

/// While a node is killed.
const RUNS: usize = 400;
/// While all live and nobody rests: a node that undid a claim and did not tell has done so several times then.
const MANY_RUNS: usize = 2_000;
/// So many claim on each of two nodes.
const EACH: usize = 4;
/// So many a claimer takes at a time.
const BITE: usize = 2;
const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);
/// As daemons have it.
const PATIENCE: Duration = Duration::from_secs(6);

/// What all claimers see of each other.
#[derive(Default)]
struct Ring {
    claimed: AtomicUsize,
    /// So many are claimed at most before the blow, for it to fall in the middle, however long it takes to.
    before_the_blow: usize,
    is_struck: AtomicBool,
    /// How long a claimer rests after a claim.
    rest: Duration,
}

/// What a claimer came to.
#[derive(Default)]
struct Claims {
    claimed: Vec<i64>,
    /// Claims of which it was not told whether they were made; and those of them that had been.
    open: usize,
    made: usize,
}

fn add_runs(cluster: &Cluster, count: usize) {
    let due = NOW.0;
    cluster.look("iepm").execute(&format!(
        "SET STATEMENT max_recursive_iterations = {count} FOR \
         INSERT INTO SCHEDULE (toolspecsID, opentoolspecsID, srcNodeID, destNodeID, toolName, testtype, target, \
         command, dueepoch, due_us, latest_us, limit_s, state) \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
         SELECT i, i, 'station', 'a', 'ping', 'background', '127.0.0.1', '[\"ping\",\"127.0.0.1\"]', {}, {due}, \
         {due} + 3600000000, 10, 'pending' FROM n",
        NOW.seconds()
    ));
}

/// Claims until nothing is left. What it was not told of it looks for under its name, as a daemon does that was
/// killed, and puts it back before it claims anew.
fn claimer(database: &Database, name: &str, ring: &Ring) -> Claims {
    let mut store = Store::of(database, PATIENCE);
    let who = Claimant { station: "station", program: name, tool: "ping" };
    let (mut claims, mut open) = (Claims::default(), BTreeSet::new());
    loop {
        while ring.claimed.load(Ordering::SeqCst) > ring.before_the_blow
            && !ring.is_struck.load(Ordering::SeqCst)
        {
            pause(Duration::from_millis(5));
        }
        let left = store.read(|session| store::any_claimable(session, &who, NOW, NOW));
        if left.is_ok_and(|left| !left) && open.is_empty() {
            return claims;
        }
        let (mut told, mut made) = (Vec::new(), 0);
        let done = store.transaction(|session| {
            made = put_back(session, &who, &open)?;
            told = store::claim(session, &who, NOW, NOW, BITE)?.into_iter().map(run).collect();
            Ok(())
        });
        match done.as_ref().map_err(store::Error::kind) {
            Ok(()) => {
                claims.made += made;
                open.clear();
                ring.claimed.fetch_add(told.len(), Ordering::SeqCst);
                claims.claimed.extend(told.iter().map(|run: &RunId| run.schedule_id));
            }
            Err(Kind::Away) => {
                claims.open += told.len();
                open.extend(told.iter().map(|run| run.schedule_id));
            }
            Err(Kind::Busy) => {}
            Err(kind) => panic!("{name}: {kind:?}: {:?}", done.err()),
        }
        pause(ring.rest);
    }
}

fn run(claim: store::Claimed) -> RunId {
    claim.map_or_else(|(run, _)| run, |order| order.run)
}

/// Puts back those of the open claims that were made.
fn put_back(
    session: &mut dyn Session,
    who: &Claimant<'_>,
    open: &BTreeSet<i64>,
) -> Result<usize, store::Error> {
    if open.is_empty() {
        return Ok(0);
    }
    let mine = store::running_of(session, who)?.into_iter().map(|(run, _)| run);
    let made: Vec<RunId> = mine.filter(|run| open.contains(&run.schedule_id)).collect();
    for run in &made {
        assert!(store::put_back(session, *run)?, "nobody else may end it");
    }
    Ok(made.len())
}

/// Who has each run, as a node knows it.
fn holders(cluster: &Cluster, node: usize) -> BTreeMap<i64, String> {
    let mut connection = mysql::Conn::new(cluster.node(node).opts("iepm")).expect("it answers");
    let sql = "SELECT scheduleID, claimedby FROM SCHEDULE WHERE state = 'running'";
    let rows: Vec<(i64, String)> = connection.query(sql).expect("rows");
    rows.into_iter().collect()
}

/// Has eight claim, four of them on each of two nodes, until nothing is left, and does something meanwhile.
fn all_claim(cluster: &mut Cluster, ring: &Ring, meanwhile: impl FnOnce(&mut Cluster)) -> Told {
    let databases =
        [0, 1].map(|node| Database::parse(&cluster.url(node, "iepm")).expect("a database"));
    let names: Vec<String> = (0..2 * EACH).map(|number| format!("claimer-{number}")).collect();
    let all: Vec<Claims> = thread::scope(|scope| {
        let databases = &databases;
        let claim = |(number, name): (usize, &'_ String)| {
            let (database, name) = (&databases[number / EACH], name.clone());
            scope.spawn(move || claimer(database, &name, ring))
        };
        let claimers: Vec<_> = names.iter().enumerate().map(claim).collect();
        meanwhile(cluster);
        claimers.into_iter().map(|it| it.join().expect("no panic")).collect()
    });
    let (open, made) = (all.iter().map(|it| it.open).sum::<usize>(), all.iter().map(|it| it.made));
    let each: Vec<usize> = all.iter().map(|it| it.claimed.len()).collect();
    println!("{open} claims were open, {} of them made; {each:?}", made.sum::<usize>());
    let of = |(name, claims): (String, Claims)| {
        claims.claimed.into_iter().map(move |id| (id, name.clone()))
    };
    Told(names.into_iter().zip(all).flat_map(of).collect())
}

/// Which run was told to whom.
struct Told(Vec<(i64, String)>);

impl Told {
    /// Who has each run: of these, each was told to one.
    fn holders(&self) -> BTreeMap<i64, String> {
        let mut holders: BTreeMap<i64, Vec<&str>> = BTreeMap::new();
        for (id, name) in &self.0 {
            holders.entry(*id).or_default().push(name);
        }
        let twice: Vec<_> = holders.iter().filter(|(_, names)| names.len() > 1).collect();
        assert!(twice.is_empty(), "told twice: {twice:?}");
        self.0.iter().cloned().collect()
    }
}

#[test]
fn eight_that_claim_on_two_nodes_have_each_run_once_though_one_node_is_killed() {
    let mut cluster = Cluster::up(3);
    let _station = Station::of_cluster(&cluster, 0);
    add_runs(&cluster, RUNS);
    let rest = Duration::from_millis(10);
    let ring = Ring { before_the_blow: RUNS * 3 / 4, rest, ..Ring::default() };
    let told = all_claim(&mut cluster, &ring, |cluster| {
        until("a quarter is claimed", || {
            (ring.claimed.load(Ordering::SeqCst) >= RUNS / 4).then_some(())
        });
        cluster.kill(0);
        let at_the_blow = ring.claimed.load(Ordering::SeqCst);
        ring.is_struck.store(true, Ordering::SeqCst);
        println!("{at_the_blow} when the node was killed");
        assert!(at_the_blow < RUNS, "{at_the_blow}");
    });
    let told = told.holders();
    assert_eq!(told.len(), RUNS, "none is left out");
    cluster.start(0);
    for node in 0..cluster.size() {
        assert_eq!(holders(&cluster, node), told, "as node {node} has it");
    }
}

#[test]
fn eight_that_claim_on_two_nodes_without_a_rest_have_each_run_once() {
    let mut cluster = Cluster::up(2);
    let _station = Station::of_cluster(&cluster, 0);
    add_runs(&cluster, MANY_RUNS);
    let ring = Ring { before_the_blow: usize::MAX, ..Ring::default() };
    let told = all_claim(&mut cluster, &ring, |_| {}).holders();
    assert_eq!(told.len(), MANY_RUNS, "none is left out");
    for node in 0..cluster.size() {
        assert_eq!(holders(&cluster, node), told, "as node {node} has it");
    }
}

/// A node is given several rows by one INSERT, and what is left of them one by one.
#[test]
fn many_rows_that_are_written_to_a_node_are_all_there_in_the_end() {
    const ROWS: i64 = 1_000;
    let cluster = Cluster::up(2);
    let _station = Station::of_cluster(&cluster, 0);
    let database = Database::parse(&cluster.url(0, "iepm")).expect("a database");
    let name = |number: i64| vec![format!("n{number}").into(), "x".repeat(100).into()];
    let rows: Vec<Vec<Value<'_>>> = (0..ROWS).map(name).collect();
    let sql = "INSERT INTO NOTES (name, value) VALUES (?, ?)";
    let mut store = Store::of(&database, PATIENCE);
    let written = store.transaction(|session| session.execute_many(sql, &rows)).expect("written");
    assert_eq!(written, 1_000);
    let sql = "SELECT COUNT(*) FROM NOTES WHERE name LIKE 'n%' AND value LIKE 'xx%'";
    let count = |session: &mut dyn Session| store::one(session, sql, &[], |row| row.int(0));
    assert_eq!(store.read(count).expect("read"), Some(ROWS));
}
