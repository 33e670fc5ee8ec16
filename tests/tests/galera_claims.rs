//! Claims on a cluster: many want the same runs on two nodes of it, and one of the nodes is killed meanwhile.

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
    world::store::{self, Claimant, Kind, Session, Store},
};
use stories::{Cluster, Station, pause, until};

const RUNS: usize = 400;
/// So many claim on each of two nodes.
const EACH: usize = 4;
/// So many a claimer takes at a time.
const BITE: usize = 2;
const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);
/// As daemons have it.
const PATIENCE: Duration = Duration::from_secs(6);

/// What all claimers see of each other, for the blow to fall in the middle.
#[derive(Default)]
struct Ring {
    claimed: AtomicUsize,
    is_struck: AtomicBool,
}

/// What a claimer came to.
#[derive(Default)]
struct Claims {
    claimed: Vec<i64>,
    /// Claims of which it was not told whether they were made; and those of them that had been.
    open: usize,
    made: usize,
}

fn runs(cluster: &Cluster) {
    let due = NOW.0;
    cluster.look("iepm").execute(&format!(
        "INSERT INTO SCHEDULE (toolspecsID, opentoolspecsID, srcNodeID, destNodeID, toolName, testtype, target, \
         command, dueepoch, due_us, latest_us, limit_s, state) \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {RUNS}) \
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
        // Some are left for after the blow, however long it takes to fall.
        while ring.claimed.load(Ordering::SeqCst) > RUNS * 3 / 4
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
        pause(Duration::from_millis(10));
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

#[test]
fn eight_that_claim_on_two_nodes_have_each_run_once_though_one_node_is_killed() {
    let mut cluster = Cluster::up(3);
    let _station = Station::of_cluster(&cluster, 0);
    runs(&cluster);
    let ring = Ring::default();
    let databases =
        [0, 1].map(|node| Database::parse(&cluster.url(node, "iepm")).expect("a database"));
    let names: Vec<String> = (0..2 * EACH).map(|number| format!("claimer-{number}")).collect();
    let (all, at_the_blow) = thread::scope(|scope| {
        let (databases, ring) = (&databases, &ring);
        let numbered = names.iter().enumerate();
        let claimers: Vec<_> = numbered
            .map(|(number, name)| {
                scope.spawn(move || claimer(&databases[number / EACH], name, ring))
            })
            .collect();
        until("a quarter is claimed", || {
            (ring.claimed.load(Ordering::SeqCst) >= RUNS / 4).then_some(())
        });
        cluster.kill(0);
        let at_the_blow = ring.claimed.load(Ordering::SeqCst);
        ring.is_struck.store(true, Ordering::SeqCst);
        let all = claimers.into_iter().map(|it| it.join().expect("no panic"));
        (all.collect::<Vec<Claims>>(), at_the_blow)
    });
    assert!(at_the_blow < RUNS, "{at_the_blow}");
    let claimed = |(name, claims): (&String, &Claims)| {
        claims.claimed.iter().map(|id| (*id, name.clone())).collect::<Vec<_>>()
    };
    let told: Vec<(i64, String)> = names.iter().zip(&all).flat_map(claimed).collect();
    let (open, made) = (all.iter().map(|it| it.open).sum::<usize>(), all.iter().map(|it| it.made));
    let each: Vec<usize> = all.iter().map(|it| it.claimed.len()).collect();
    println!(
        "{at_the_blow} when the node was killed; {open} claims were open then, {} of them made; {each:?}",
        made.sum::<usize>()
    );
    let holders_told: BTreeMap<i64, String> = told.iter().cloned().collect();
    assert_eq!((told.len(), holders_told.len()), (RUNS, RUNS), "none twice, none left out");
    cluster.start(0);
    for node in 0..cluster.size() {
        assert_eq!(holders(&cluster, node), holders_told, "as node {node} has it");
    }
}
