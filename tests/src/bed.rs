//! A bed for throughput tests: a station on the client of a [`Lab`], real servers on its server, and what
//! the station's tables have of the tests between them.

use std::{
    ffi::OsStr,
    fs,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use rusqlite::types::FromSql;

use crate::{Lab, Program, Station, until};

/// The address of the lab's server.
const SERVER: &str = "192.0.2.2";
/// What a specification of a bed says; the rest is the same for all.
const COLUMNS: &str = "srcNodeID,testtype,runinterval,phase,destNodeID,toolName,toolPath,toolOpts1,time2run,grace,\
                       latestart,pingbeside";
/// Seconds between two runs of a specification.
const INTERVAL: i64 = 20;
/// The first is due so many seconds after the specifications are written: the daemons have come up by then.
const AHEAD: i64 = 3;
const DAEMONS: [&str; 3] = ["load-scheduled", "bw-synchd", "load-datad"];

/// A station, its network and its daemons; all ends when this is dropped.
#[derive(Debug)]
pub struct Bed {
    daemons: Vec<Program>,
    /// The station.
    pub station: Station,
    /// Its network.
    pub lab: Lab,
    servers: AtomicU32,
}

/// What came of the first run to a node that is in BWDATA.
#[derive(Debug)]
pub struct Reading {
    /// Its scheduleID.
    pub run: i64,
    /// BWDATA's `thruavg`, Mbit/s.
    pub thruavg: Option<f64>,
    /// BWDATA's `problem`; empty if there is none.
    pub problem: String,
    /// The state of its row of SCHEDULE, and that row's reason.
    pub state: (String, String),
    /// How long it had the channel in its last try, seconds.
    pub took: f64,
    /// What came of each try.
    pub tries: Vec<String>,
}

impl Bed {
    /// A station that measures nothing yet.
    #[track_caller]
    pub fn up() -> Self {
        let lab = Lab::up();
        let station = Station::on(Some(lab.host("client")));
        station.configure("[exclusive]\nbusy-wait = '0s'\n[load]\npause = '1s'");
        Self { daemons: Vec::new(), station, lab, servers: AtomicU32::new(0) }
    }

    /// Limits the router's rate both ways, with a queue of `latency`. On a busy machine the queue is served late;
    /// the burst is what it may be late by without losing of its rate.
    #[must_use]
    pub fn limited(self, rate: &str, latency: &str) -> Self {
        for device in ["s0", "c0"] {
            let tbf = format!("{device} root tbf rate {rate} burst 64kb latency {latency}");
            self.lab.router_shapes(&tbf);
        }
        self
    }

    /// Starts `iperf -s` or `iperf3 -s` on the lab's server, and waits until it listens.
    #[track_caller]
    pub fn serves(&self, tool: &str, port: u16, options: &[&str]) -> Program {
        let number = self.servers.fetch_add(1, Ordering::Relaxed);
        let host = self.lab.host("server");
        let mut command = host.command(Path::new(tool));
        command.args(["-s", "-p", &port.to_string()]).args(options);
        let log = self.station.path(&format!("log/{tool}-{port}-{number}.server"));
        let server = Program::start(command, &log);
        let what = format!("{tool} listens on {port}");
        until(&what, || listens(server.pid(), port).then_some(()));
        server
    }

    /// Has these measured every twenty seconds, beginning shortly:
    /// `destNodeID,toolName,toolPath,toolOpts1,time2run,grace[,latestart[,pingbeside]]`. Every node is the lab's
    /// server.
    #[track_caller]
    pub fn measures(&mut self, specs: &[&str]) {
        self.measures_all(specs, &[], &DAEMONS);
    }

    /// As [`Self::measures`], and beside it pings every two seconds: `destNodeID,toolName,,toolOpts1,time2run,grace`.
    #[track_caller]
    pub fn measures_beside(&mut self, specs: &[&str], pings: &[&str]) {
        self.measures_all(specs, pings, &[&DAEMONS[..], &["pingd"]].concat());
    }

    fn measures_all(&mut self, specs: &[&str], background: &[&str], daemons: &[&str]) {
        let now: i64 =
            self.station.ask("SELECT CAST(strftime('%s', 'now') AS INTEGER)").expect("a time");
        let phase = (now + AHEAD) % INTERVAL;
        let row = |times: &str, spec: &str| {
            let fill = ",".repeat(7 - spec.matches(',').count());
            format!("station,{times},{spec}{fill}")
        };
        let times = format!("background-syn,{INTERVAL},{phase}");
        let alone = specs.iter().map(|spec| row(&times, spec));
        let beside = background.iter().map(|spec| row("background,2,0", spec));
        let rows: Vec<String> = alone.chain(beside).collect();
        let mut nodes: Vec<String> =
            specs.iter().chain(background).map(|spec| node(spec)).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let (nodes, rows) = (texts(&nodes), texts(&rows));
        self.station.measures_with(&nodes, COLUMNS, &rows);
        self.daemons = self.station.start_all(daemons);
    }

    /// Waits for the first run to `node` that is in BWDATA.
    #[track_caller]
    pub fn reading(&self, node: &str) -> Reading {
        let sql = format!("SELECT MIN(scheduleID) FROM BWDATA WHERE destNodeID = '{node}'");
        let run = until(&format!("a test to {node} is in BWDATA"), || {
            self.station.ask::<Option<i64>>(&sql).flatten()
        });
        let of = |column: &str| format!("SELECT {column} FROM BWDATA WHERE scheduleID = {run}");
        let row = |column: &str| -> String {
            let sql =
                format!("SELECT COALESCE({column}, '') FROM SCHEDULE WHERE scheduleID = {run}");
            self.station.ask(&sql).expect("its row")
        };
        let took = format!(
            "SELECT (end_us - start_us) / 1e6 FROM TRIES WHERE scheduleID = {run} ORDER BY attempt DESC"
        );
        Reading {
            run,
            thruavg: self.station.ask(&of("thruavg")).flatten(),
            problem: self.station.ask(&of("COALESCE(problem, '')")).expect("its row"),
            state: (row("state"), row("reason")),
            took: self.station.ask(&took).expect("a try"),
            tries: self.tries(run),
        }
    }

    fn tries(&self, run: i64) -> Vec<String> {
        let database = self.station.database();
        let sql = "SELECT COALESCE(outcome, '') FROM TRIES WHERE scheduleID = ? ORDER BY attempt";
        let mut statement = database.prepare(sql).expect("a query");
        let outcomes = statement.query_map([run], |row| row.get(0)).expect("rows");
        outcomes.collect::<Result<_, _>>().expect("rows")
    }

    /// A column of a run in BWDATA.
    #[track_caller]
    pub fn figure<T: FromSql>(&self, reading: &Reading, column: &str) -> T {
        let run = reading.run;
        let sql = format!("SELECT {column} FROM BWDATA WHERE scheduleID = {run}");
        let value = self.station.ask::<Option<T>>(&sql).flatten();
        value.unwrap_or_else(|| panic!("{column} of {reading:?} is not known"))
    }

    /// Does something in the middle of the first test to each of these nodes, whichever comes first.
    #[track_caller]
    pub fn in_the_middle(&self, nodes: &[&str], mut act: impl FnMut(&str)) {
        let mut left = nodes.to_vec();
        while !left.is_empty() {
            let goes_on = |node: &&&str| {
                let sql = format!("TRIES WHERE destNodeID = '{node}' AND end_us IS NULL");
                self.station.count(&sql) > 0
            };
            let node = until("one of them runs", || left.iter().find(goes_on).copied());
            self.until_data_flow();
            act(node);
            left.retain(|other| *other != node);
        }
    }

    /// Waits until data flow: the lab's server receives half a megabyte from now on.
    #[track_caller]
    pub fn until_data_flow(&self) {
        let server = self.lab.host("server");
        let before = server.received();
        until("data flow", || (server.received() > before + 500_000).then_some(()));
    }

    /// Waits until the test to a node runs a program of this name; gives its pid.
    #[track_caller]
    pub fn until_it_runs(&self, node: &str, program: &str) -> i32 {
        let home = self.station.home().display();
        let sql =
            format!("SELECT scheduleID FROM TRIES WHERE destNodeID = '{node}' AND end_us IS NULL");
        until(&format!("{program} to {node} runs"), || {
            let run: i64 = self.station.ask(&sql)?;
            processes_tagged(&format!("IEPM_RUN={home}:bw-synchd:{run}\0"), program).pop()
        })
    }

    /// Waits until somebody has the channel after this run: it was given back.
    #[track_caller]
    pub fn goes_on_after(&self, reading: &Reading) {
        let run = reading.run;
        let end = format!("(SELECT MAX(end_us) FROM TRIES WHERE scheduleID = {run})");
        let later = format!("TRIES WHERE scheduleID <> {run} AND start_us >= {end}");
        let what = format!("another run has the channel after {run}");
        until(&what, || (self.station.count(&later) > 0).then_some(()));
    }

    /// No two runs had the channel at once.
    #[track_caller]
    pub fn nobody_overlapped(&self) {
        let both = "TRIES a JOIN TRIES b ON a.tryID < b.tryID AND a.start_us < b.end_us \
                    AND b.start_us < a.end_us";
        assert_eq!(self.station.count(both), 0, "{}", self.station.logs());
    }
}

fn texts(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

fn node(spec: &str) -> String {
    let name = spec.split(',').next().unwrap_or_default();
    format!("{name},{SERVER},4")
}

/// Whether a port is listened on, over TCP or UDP, in the network of a process.
fn listens(pid: u32, port: u16) -> bool {
    let end = format!(":{port:04X}");
    ["tcp", "tcp6", "udp", "udp6"].iter().any(|protocol| {
        let table = fs::read_to_string(format!("/proc/{pid}/net/{protocol}")).unwrap_or_default();
        table.lines().any(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // 0A: a TCP socket that listens; 07: a UDP socket.
            fields.len() > 3 && fields[1].ends_with(&end) && matches!(fields[3], "0A" | "07")
        })
    })
}

/// Processes of this name with these words in their environment.
fn processes_tagged(tag: &str, name: &str) -> Vec<i32> {
    let all = fs::read_dir("/proc").expect("a proc").filter_map(Result::ok);
    let is = |path: &Path| {
        let environment = fs::read(path.join("environ")).unwrap_or_default();
        let called = fs::read_to_string(path.join("comm")).unwrap_or_default();
        called.trim() == name && String::from_utf8_lossy(&environment).contains(tag)
    };
    let ours = all.filter(|entry| is(&entry.path()));
    ours.filter_map(|entry| OsStr::to_str(&entry.file_name())?.parse().ok()).collect()
}
