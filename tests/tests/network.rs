//! Two stations with one database, three targets, throughput tests and pings, for five minutes under faults.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::fd::AsFd,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::{
    process::Signal,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use stories::{Host, Lab, Program, Station, monotonic, pause, program::succeed, until_within};

/// How long it goes on; the rate of the way to each target, bit/s; how long faults are apart.
const LENGTH: Duration = Duration::from_secs(300);
const RATE: f64 = 20e6;
const FAULTS_APART: Duration = Duration::from_secs(12);
const TARGETS: [&str; 3] = ["192.0.2.2", "192.0.2.3", "192.0.2.4"];
const DAEMONS: [&str; 4] = ["load-scheduled", "bw-synchd", "pingd", "load-datad"];
const COLUMNS: &str = "srcNodeID,testtype,destNodeID,toolName,toolPath,toolOpts1,time2run,runinterval,grace,pingbeside";

/// What the kernel of the stations' host had to one target: the most connections of each tool at once, and
/// whether both tools were there at once. A test of iperf has one, one of iperf3 has two. (A server may
/// hold a connection for longer whose end was lost on a dark way.)
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    iperf: usize,
    iperf3: usize,
    both: bool,
}

/// Looks at the connections of the stations' host, many times a second.
struct Watcher {
    seen: Arc<Mutex<BTreeMap<u32, Seen>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    fn on(host: &Host) -> Self {
        let namespace = fs::File::open(host.file()).expect("a namespace");
        let (seen, stop) =
            (Arc::new(Mutex::new(BTreeMap::new())), Arc::new(AtomicBool::new(false)));
        let (there, stopped) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("root");
            while !stopped.load(Ordering::Relaxed) {
                look(&there);
                pause(Duration::from_millis(10));
            }
        });
        Self { seen, stop, thread: Some(thread) }
    }

    fn seen(&self) -> BTreeMap<u32, Seen> {
        self.seen.lock().expect("whole").clone()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// One look at the established connections (state 01 of `/proc/net/tcp`), by their remote address.
fn look(seen: &Mutex<BTreeMap<u32, Seen>>) {
    let table = fs::read_to_string("/proc/thread-self/net/tcp").expect("a table");
    // The table is read in pieces: a connection may stand in it twice.
    let connections = table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (local, remote) = (fields.next()?, fields.next()?);
        (fields.next() == Some("01")).then_some((remote.split_once(':')?, local))
    });
    let connections: BTreeSet<_> = connections.collect();
    let mut now: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
    for ((address, port), _) in connections {
        let entry = now.entry(u32::from_str_radix(address, 16).expect("an address")).or_default();
        entry.0 += usize::from(port == "1389");
        entry.1 += usize::from(port == "1451");
    }
    let mut seen = seen.lock().expect("whole");
    for (address, (iperf, iperf3)) in now {
        let most = seen.entry(address).or_default();
        most.iperf = most.iperf.max(iperf);
        most.iperf3 = most.iperf3.max(iperf3);
        most.both |= iperf > 0 && iperf3 > 0;
    }
}

/// The way from the router to each target has a rate of its own.
fn limit_rates(lab: &Lab) {
    let tc = |words: &str| {
        let mut tc = lab.host("router").command(Path::new("tc"));
        succeed(tc.args(words.split(' ')));
    };
    tc("qdisc add dev s0 root handle 1: htb default 9");
    tc("class add dev s0 parent 1: classid 1:9 htb rate 1gbit");
    for (number, target) in (1..).zip(TARGETS) {
        tc(&format!("class add dev s0 parent 1: classid 1:{number} htb rate 20mbit burst 16k"));
        tc(&format!("qdisc add dev s0 parent 1:{number} pfifo limit 50"));
        tc(&format!(
            "filter add dev s0 parent 1: protocol ip prio 1 u32 match ip dst {target}/32 flowid 1:{number}"
        ));
    }
}

fn server(lab: &Lab, station: &Station, target: &str, tool: &str) -> Program {
    let mut command = lab.host("server").command(Path::new(tool));
    command.args(["-s", "-B", target, "-p", if tool == "iperf" { "5001" } else { "5201" }]);
    Program::start(command, &station.path(&format!("log/{tool}-{target}.log")))
}

fn specifications(station: &str) -> Vec<String> {
    let rows = |node: usize| {
        [
            format!("{station},background-syn,t{node},iperf,iperf,-t 3 -i 1 -f m,5,30,3,"),
            format!("{station},background-syn,t{node},iperf3,iperf3,-t 3 -J,5,30,3,-i 0.2"),
            format!("{station},background,t{node},ping,ping,-n -c 5 -i 0.2 -w 3,4,6,3,"),
        ]
    };
    (0..TARGETS.len()).flat_map(rows).collect()
}

fn stations(lab: &Lab) -> [Station; 2] {
    let stations = [Station::on(Some(lab.host("client"))), Station::on(Some(lab.host("client")))];
    let settings = "[exclusive]\nbusy-wait = '0s'\n[load]\npause = '1s'";
    let database = stations[0].path("db/iepm.db").display().to_string();
    stations[0].configure(settings);
    stations[1].configure(&format!("node = 'other'\ndatabase = 'sqlite://{database}'\n{settings}"));
    let mut nodes = vec!["other,localhost".to_owned()];
    nodes.extend(TARGETS.iter().enumerate().map(|(node, target)| format!("t{node},{target},4")));
    let specs = [specifications("station"), specifications("other")].concat();
    let of =
        |texts: &[String]| texts.iter().map(|text| text.clone().leak() as &str).collect::<Vec<_>>();
    // One pair of files for both: each station carries out its own rows.
    for station in &stations {
        station.measures_with(&of(&nodes), COLUMNS, &of(&specs));
    }
    stations
}

/// The programs of a story, and what goes wrong with them.
struct Faults<'a> {
    lab: &'a Lab,
    stations: &'a [Station; 2],
    daemons: Vec<(usize, &'static str, Program)>,
    servers: Vec<(&'static str, &'static str, Program)>,
}

impl<'a> Faults<'a> {
    fn start(lab: &'a Lab, stations: &'a [Station; 2]) -> Self {
        let daemon = |station: usize, name| (station, name, stations[station].start(name));
        let daemons =
            (0..2).flat_map(|station| DAEMONS.map(|name| daemon(station, name))).collect();
        let serve = |target, tool| (target, tool, server(lab, &stations[0], target, tool));
        let servers = TARGETS
            .iter()
            .flat_map(|target| ["iperf", "iperf3"].map(|tool| serve(*target, tool)))
            .collect();
        Self { lab, stations, daemons, servers }
    }

    /// The fault number `turn`; each kind comes round again and again.
    fn strike(&mut self, turn: usize) {
        match turn % 5 {
            0 | 2 => self.kill_daemon("bw-synchd", turn / 2 % 2),
            1 => self.kill_server(turn / 5 % self.servers.len()),
            3 => self.darken(TARGETS[turn / 5 % TARGETS.len()]),
            _ => {
                self.kill_daemon("load-datad", turn % 2);
                self.kill_daemon("load-scheduled", turn / 2 % 2);
                self.stop_for_a_while();
            }
        }
    }

    fn kill_daemon(&mut self, name: &'static str, station: usize) {
        let found =
            self.daemons.iter_mut().find(|(of, daemon, _)| (*of, *daemon) == (station, name));
        let (_, _, program) = found.expect("a daemon of the story");
        program.kill();
        *program = self.stations[station].start(name);
    }

    fn kill_server(&mut self, index: usize) {
        let (target, tool, program) = &mut self.servers[index];
        program.kill();
        *program = server(self.lab, &self.stations[0], target, tool);
    }

    /// The way to a target is dark for some seconds.
    fn darken(&self, target: &str) {
        let filter = |what: &str| {
            let mut iptables = self.lab.host("router").command(Path::new("iptables"));
            succeed(iptables.args([what, "FORWARD", "-d", target, "-j", "DROP"]));
        };
        filter("-A");
        pause(Duration::from_secs(4));
        filter("-D");
    }

    fn stop_for_a_while(&self) {
        let (_, _, program) = &self.daemons[1];
        program.signal(Signal::STOP);
        pause(Duration::from_secs(3));
        program.signal(Signal::CONT);
    }
}

#[test]
#[ignore = "needs root for network namespaces"]
fn two_stations_measure_three_targets_for_five_minutes_under_faults() {
    let lab = Lab::up();
    for target in &TARGETS[1..] {
        let mut address = lab.host("server").command(Path::new("ip"));
        succeed(address.args(["addr", "add", &format!("{target}/24"), "dev", "eth0"]));
    }
    limit_rates(&lab);
    let stations = stations(&lab);
    let station = &stations[0];
    let watcher = Watcher::on(&lab.host("client"));
    let mut faults = Faults::start(&lab, &stations);

    let began = monotonic();
    let mut turn = 0;
    while monotonic() < began + LENGTH {
        pause(FAULTS_APART);
        faults.strike(turn);
        turn += 1;
    }
    station.database().execute("UPDATE TOOLSPECS SET toolDo = 0", []).expect("switched off");
    until_within(Duration::from_secs(120), "every row is in a final state", || {
        (station.count("SCHEDULE WHERE state IN ('pending', 'running', 'finished')") == 0)
            .then_some(())
    });
    let seen = watcher.seen();
    println!("{turn} faults; {:?}; {seen:?}", station.states());
    for (_, name, daemon) in &mut faults.daemons {
        assert_eq!(daemon.terminate(), Some(0), "{name}: {}", daemon.log());
    }

    nothing_overlapped(station, &seen);
    every_row_is_accounted_for(&stations);
    the_rates_are_right(station);
}

#[track_caller]
fn nothing_overlapped(station: &Station, seen: &BTreeMap<u32, Seen>) {
    assert_eq!(seen.len(), TARGETS.len(), "{seen:?}");
    for (target, seen) in seen {
        assert_eq!((seen.iperf, seen.iperf3, seen.both), (1, 2, false), "{target:08x}");
    }
    let pairs = "TRIES a JOIN TRIES b ON a.tryID < b.tryID AND a.start_us < b.end_us AND b.start_us < a.end_us \
                 WHERE a.srcNodeID = b.srcNodeID OR a.destNodeID = b.destNodeID";
    assert_eq!(station.count(pairs), 0, "tries that overlapped");
    // time2run + grace, the ping's lead, and the stages of ending.
    let longest: i64 = station.ask("SELECT MAX(end_us - start_us) FROM TRIES").expect("tries");
    assert!(longest < 20_000_000, "{longest} us");
}

#[track_caller]
fn every_row_is_accounted_for(stations: &[Station; 2]) {
    let station = &stations[0];
    station.accounts_are_right();
    for reasonless in ["missed", "lost", "failed", "rejected"] {
        let rows = format!("SCHEDULE WHERE state = '{reasonless}' AND COALESCE(reason, '') = ''");
        assert_eq!(station.count(&rows), 0, "{reasonless} without a reason");
    }
    assert_eq!(station.count("SCHEDULE WHERE state = 'rejected'"), 0);
    assert_eq!(station.count("TRIES WHERE end_us IS NULL"), 0, "tries without an end");
    assert_eq!(station.count("LEASES"), 0);
    for each in stations {
        assert_eq!((each.files("data"), each.files("data/tmp")), (vec![], vec![]));
    }
    let overlapped = station.count("PINGDATA WHERE overlapped IS NOT NULL");
    let clean = station.count("PINGDATA WHERE overlapped IS NULL");
    assert!(overlapped > 20 && clean > 0, "{overlapped} pings beside tests, {clean} without");
}

#[track_caller]
fn the_rates_are_right(station: &Station) {
    let sql = "SELECT thruavg FROM BWDATA WHERE direction = 'to' AND problem IS NULL AND thruavg IS NOT NULL \
               ORDER BY thruavg";
    let database = station.database();
    let mut statement = database.prepare(sql).expect("a query");
    let rates: Vec<f64> = statement
        .query_map([], |row| row.get(0))
        .expect("rows")
        .collect::<Result<_, _>>()
        .expect("rates");
    let right = rates.iter().filter(|rate| (*rate * 1e6 / RATE - 1.0).abs() <= 0.1).count();
    println!("{right} of {} rates within 10 % of the limit: {rates:?}", rates.len());
    assert!(rates.len() >= 20 && right * 10 >= rates.len() * 8, "{rates:?}");
    let delay = "BWDATA WHERE toolName = 'iperf3' AND idle_rtt_p50_us < loaded_rtt_p50_us";
    assert!(station.count(delay) > 0, "the ping beside iperf3 sees the queue");
}
