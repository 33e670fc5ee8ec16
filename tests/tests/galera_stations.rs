//! Three stations on a cluster of three nodes that are killed, parted and stopped: time is lost, and never more
//! of it than a fail-over takes; no run, and no reading.

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use mysql::{Opts, OptsBuilder, prelude::Queryable};
use rustix::process::Signal;
use stories::{Cluster, Program, Station, Witness, monotonic, pause, until, until_within};

const STATIONS: [&str; 3] = ["s1", "s2", "s3"];
const DAEMONS: [&str; 4] = ["load-scheduled", "pingd", "load-datad", "bw-synchd"];
const COLUMNS: &str =
    "srcNodeID,testtype,destNodeID,toolName,toolPath,toolOpts1,time2run,runinterval,grace,phase";
/// What the manual promises of a fail-over, a loader's among it, and what a machine that is busy with other
/// stories may add.
const FAIL_OVER: Duration = Duration::from_secs(35);
const BUSY: Duration = Duration::from_secs(10);

/// Watches from outside how the loaded runs of each station grow.
struct Progress {
    longest: Arc<Mutex<BTreeMap<String, Duration>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    fn of(cluster: &Cluster) -> Self {
        let nodes = (0..cluster.size()).map(|node| {
            let opts = OptsBuilder::from_opts(cluster.node(node).opts("iepm"));
            Opts::from(opts.read_timeout(Some(Duration::from_secs(1))))
        });
        let nodes: Vec<Opts> = nodes.collect();
        let (longest, stop) =
            (Arc::new(Mutex::new(BTreeMap::new())), Arc::new(AtomicBool::new(false)));
        let (kept, stopped) = (Arc::clone(&longest), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            // What each station had, and since when.
            let mut had = STATIONS.map(|name| (name, (0_i64, monotonic())));
            while !stopped.load(Ordering::Relaxed) {
                let Some(loaded) = nodes.iter().find_map(loaded) else { continue };
                for (name, (before, since)) in &mut had {
                    let gap = monotonic().saturating_sub(*since);
                    let mut kept = kept.lock().expect("whole");
                    let longest: &mut Duration = kept.entry((*name).to_owned()).or_default();
                    *longest = gap.max(*longest);
                    if let Some(now) = loaded.get(*name).filter(|now| *now > before) {
                        (*before, *since) = (*now, monotonic());
                    }
                }
                pause(Duration::from_millis(100));
            }
        });
        Self { longest, stop, thread: Some(thread) }
    }

    /// How long each station was without a run that was loaded, at most.
    fn end(mut self) -> BTreeMap<String, Duration> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join).expect("a thread").expect("no panic");
        self.longest.lock().expect("whole").clone()
    }
}

/// How many runs of each station are loaded, as one node knows it, if it knows.
fn loaded(node: &Opts) -> Option<BTreeMap<String, i64>> {
    let mut connection = mysql::Conn::new(node.clone()).ok()?;
    let sql = "SELECT srcNodeID, COUNT(*) FROM SCHEDULE WHERE state = 'loaded' GROUP BY srcNodeID";
    let rows: Vec<(String, i64)> = connection.query(sql).ok()?;
    Some(rows.into_iter().collect())
}

/// A station for each node, which it prefers; of the third each program prefers another.
fn stations(cluster: &Cluster, witness: &Witness) -> Vec<Station> {
    let station = |(index, name): (usize, &&str)| {
        let station = Station::of_cluster(cluster, index);
        let settings =
            format!("node = '{name}'\n[exclusive]\nbusy-wait = '0s'\n[load]\npause = '1s'");
        station.configure(&settings);
        for node in 0..cluster.size() {
            let url = cluster.url(node, "iepm");
            fs::write(other(&station, node), format!("database = '{url}'\n{settings}\n"))
                .expect("written");
        }
        station
    };
    let stations: Vec<Station> = STATIONS.iter().enumerate().map(station).collect();
    let specs: Vec<String> =
        STATIONS.iter().flat_map(|name| specifications(name, witness)).collect();
    let specs: Vec<&str> = specs.iter().map(String::as_str).collect();
    let mut nodes = vec!["s1,localhost", "s2,localhost", "s3,localhost", "shared,127.0.0.9,4"];
    nodes.extend(["p1,127.0.0.1,4", "p2,127.0.0.2,4", "p3,127.0.0.3,4"]);
    // The same files for all: each carries out its own rows.
    for station in &stations {
        station.measures_with(&nodes, COLUMNS, &specs);
    }
    stations
}

/// A configuration of a station that prefers another node.
fn other(station: &Station, node: usize) -> std::path::PathBuf {
    station.path(&format!("node-{node}.toml"))
}

/// A ping each second to each of three targets, and a test of the target that all stations share.
fn specifications(station: &str, witness: &Witness) -> Vec<String> {
    let ping = |target: u8| format!("{station},background,p{target},ping,,-n -c 1 -w 1,1,1,1,0");
    let port = witness.port();
    let test = format!("{station},background-syn,shared,iperf,iperf,-p {port} -t 1,2,5,2,0");
    (1..=3).map(ping).chain([test]).collect()
}

fn start(stations: &[Station]) -> Vec<Program> {
    let daemon = |station: &Station, index: usize, turn: usize, name: &str| {
        let mut command = station.command(name);
        if index == 2 {
            command.env("IEPM_CONFIG", other(station, turn % 3));
        }
        Program::start(command, &station.path("log").join(format!("{name}.log")))
    };
    let of_one = |(index, station): (usize, &Station)| {
        let daemons = DAEMONS.iter().enumerate();
        daemons.map(|(turn, name)| daemon(station, index, turn, name)).collect::<Vec<_>>()
    };
    stations.iter().enumerate().flat_map(of_one).collect()
}

/// Waits until each station has loaded runs that it made after now.
#[track_caller]
fn all_go_on(cluster: &Cluster) {
    let counts = || -> BTreeMap<String, i64> {
        let sql =
            "SELECT srcNodeID, COUNT(*) FROM SCHEDULE WHERE state = 'loaded' GROUP BY srcNodeID";
        cluster.look("iepm").pairs(sql).into_iter().collect()
    };
    let before = counts();
    until("all stations go on", || {
        let now = counts();
        let grown =
            |name: &&str| now.get(*name).unwrap_or(&0) >= &(before.get(*name).unwrap_or(&0) + 4);
        STATIONS.iter().all(grown).then_some(())
    });
}

fn strike(cluster: &mut Cluster, witness: &Witness) {
    for node in 0..cluster.size() {
        cluster.kill(node);
        pause(Duration::from_secs(4));
        all_go_on(cluster);
        cluster.start(node);
        println!("node {node} was killed and is back: {:?}", witness.seen());
    }
    cluster.partition(1);
    all_go_on(cluster);
    cluster.heal(1);
    println!("node 1 was parted and is back");
    cluster.signal(2, Signal::STOP);
    pause(Duration::from_secs(10));
    cluster.signal(2, Signal::CONT);
    cluster.until_synced(2);
    println!("node 2 was stopped and is back");
    all_go_on(cluster);
}

#[test]
fn three_stations_measure_on_while_each_node_of_their_cluster_is_killed_parted_or_stopped() {
    let (mut cluster, witness) = (Cluster::up(3), Witness::listening());
    let stations = stations(&cluster, &witness);
    let mut daemons = start(&stations);
    all_go_on(&cluster);
    let progress = Progress::of(&cluster);
    strike(&mut cluster, &witness);
    let longest = progress.end();
    cluster.look("iepm").execute("UPDATE TOOLSPECS SET toolDo = 0");
    until_within(Duration::from_secs(90), "every row is in a final state", || {
        let open = "SCHEDULE WHERE state IN ('pending', 'running', 'finished')";
        (cluster.look("iepm").count(open) == 0).then_some(())
    });
    for daemon in &mut daemons {
        assert_eq!(daemon.terminate(), Some(0), "{}", daemon.log());
    }
    tell(&cluster, &witness, &longest);
    every_slot_is_accounted_for(&cluster, &stations);
    assert_eq!((witness.seen().overlaps, witness.seen().there), (0, 0), "{:?}", witness.seen());
    assert_eq!(longest.len(), 3);
    for (station, gap) in &longest {
        assert!(*gap < FAIL_OVER + BUSY, "{station} was away for {gap:?}");
    }
    let moves =
        daemons.iter().map(|it| it.log().matches("the database: now on").count()).sum::<usize>();
    let lines = daemons.iter().map(|it| it.log().lines().count()).max();
    println!("{moves} moves to another node; at most {lines:?} lines of a daemon");
    assert!(moves > 3 && lines < Some(150), "{}", stations[0].logs());
}

fn tell(cluster: &Cluster, witness: &Witness, longest: &BTreeMap<String, Duration>) {
    let mut look = cluster.look("iepm");
    let states = "SELECT CONCAT(srcNodeID, ' ', toolName, ' ', state), COUNT(*) FROM SCHEDULE GROUP BY srcNodeID, toolName, state";
    println!("{:?}", look.pairs(states));
    let reasons = "SELECT CONCAT(state, ': ', COALESCE(reason, '')), COUNT(*) FROM SCHEDULE WHERE state <> 'loaded' GROUP BY state, reason";
    for (reason, runs) in look.pairs(reasons) {
        println!("{runs} {reason}");
    }
    for conflicts in ["wsrep_local_cert_failures", "wsrep_local_bf_aborts"] {
        let of = |node| cluster.status(node, conflicts).unwrap_or_default();
        println!("{conflicts}: {:?}", (0..cluster.size()).map(of).collect::<Vec<_>>());
    }
    println!("{:?}; longest without progress: {longest:?}", witness.seen());
}

/// Every slot of every specification is in exactly one row, and that row says how it ended.
#[track_caller]
fn every_slot_is_accounted_for(cluster: &Cluster, stations: &[Station]) {
    stations[0].accounts_are_right();
    let mut look = cluster.look("iepm");
    for none in [
        "SCHEDULE WHERE state IN ('lost', 'rejected')",
        "SCHEDULE WHERE state IN ('missed', 'failed') AND COALESCE(reason, '') = ''",
        "(SELECT 1 FROM SCHEDULE WHERE state <> 'cancelled' GROUP BY toolspecsID, due_us HAVING COUNT(*) > 1) d",
        "(SELECT s.toolspecsID FROM SCHEDULE s JOIN TOOLSPECS t ON t.toolspecsID = s.toolspecsID \
          GROUP BY s.toolspecsID, t.runinterval HAVING SUM(slots) <> 1 + \
          (MAX(COALESCE(lastdue_us, due_us)) - MIN(due_us)) DIV (t.runinterval * 1000000)) d",
        "TRIES WHERE end_us IS NULL",
        "TRIES a JOIN TRIES b ON a.tryID < b.tryID AND a.start_us < b.end_us AND b.start_us < a.end_us",
        "LEASES",
    ] {
        assert_eq!(
            look.count(none),
            0,
            "{none}\n{}",
            stations.iter().map(Station::logs).collect::<String>()
        );
    }
    for station in stations {
        assert_eq!((station.files("data"), station.files("data/tmp")), (vec![], vec![]));
    }
    let loaded = look.count("SCHEDULE WHERE state = 'loaded'");
    assert!(loaded > 100, "{loaded}");
}
