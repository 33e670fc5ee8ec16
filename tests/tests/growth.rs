//! Tables that grow: no program scans one, roll-ups outlive the readings that they are of, and whoever is
//! killed while they are made or readings go loses nothing and counts nothing twice.

use std::{collections::BTreeSet, fs, time::Duration};

use stories::{Look, Program, Server, Station, pause, program::said, until};

/// Runs that are over when a story begins, of each specification, ten minutes apart.
const ROUNDS: i64 = 150;
/// Specifications: of each tool a quarter, so that one has a hundredth of the rows of a table.
const SPECS: i64 = 400;
/// 2026-01-01.
const BEGIN: i64 = 1_767_225_600;

/// Specifications of all kinds, and as many rows of the past that nobody takes a growing table for a small one.
fn grow_old(station: &Station, rounds: i64) {
    let nodes: Vec<String> = (1..=SPECS).map(|node| format!("n{node},127.0.0.1,4")).collect();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let spec = |node: i64| match node % 4 {
        1 => format!("station,background,n{node},ping,,-c 1,2,600"),
        2 => format!("station,background,n{node},traceroute,,-q 1 -w 1 -m 4,6,600"),
        3 => format!("station,background,n{node},owping,,,2,600"),
        _ => format!("station,background-syn,n{node},iperf,tester,,2,600"),
    };
    let specs: Vec<String> = (1..=SPECS).map(spec).collect();
    let specs: Vec<&str> = specs.iter().map(String::as_str).collect();
    station.tool("tester", "sleep 0.2; echo nothing that is known");
    station.tool("owping", "echo nothing that is known");
    let columns = "srcNodeID,testtype,destNodeID,toolName,toolPath,toolOpts1,time2run,runinterval";
    station.measures_with(&nodes, columns, &specs);
    let mut look = station.look();
    fill(&mut look, rounds);
}

/// Fills the tables that grow, all with the same runs.
fn fill(look: &mut Look, rounds: i64) {
    let n = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)";
    let from =
        format!("FROM n CROSS JOIN TOOLSPECS t WHERE n.i < {rounds} ORDER BY n.i, t.toolspecsID");
    let key = format!(
        "n.i * 1000 + t.toolspecsID, t.toolspecsID, t.srcNodeID, t.destNodeID, {BEGIN} + n.i * 600"
    );
    let us = format!("({BEGIN} + n.i * 600) * 1000000");
    let columns = "scheduleID, toolspecsID, srcNodeID, destNodeID, startepoch, start_us, end_us, clock_synchronised";
    let only = |tool: &str| from.replace("WHERE", &format!("WHERE t.toolName = '{tool}' AND"));
    for sql in [
        format!(
            "INSERT INTO PINGDATA ({columns}, transmitted, received, lost, lossratio, min, avg, max, packets, duplicates, \
             reordered) {n} SELECT {key}, {us}, {us} + 9000000, 1, 3, 2, 1, 0.33, 1.5, 2, 2.5, \
             '[[1,' || (1500 + n.i) || ',64],[3,2500,64]]', 0, 0 {}",
            only("ping")
        ),
        format!(
            "INSERT INTO ROUTEDATA ({columns}, numhops, reached, routeno, rtt_us) {n} \
             SELECT {key}, {us}, {us} + 9000000, 1, 7, 1, 1 + n.i % 2, 1500 {}",
            only("traceroute")
        ),
        // Most of them were seen last long ago.
        format!(
            "INSERT INTO ROUTENO (srcNodeID, destNodeID, routeno, route, firstepoch, lastepoch) {n} \
             SELECT t.srcNodeID, t.destNodeID, n.i + 1, '192.0.2.' || n.i, {BEGIN}, {BEGIN} + n.i * 600 {}",
            only("traceroute")
        ),
        format!(
            "INSERT INTO OWAMPDATA ({columns}, tmin) {n} SELECT {key}, {us}, {us} + 9000000, 1, 1.5 {}",
            only("owping")
        ),
        format!(
            "INSERT INTO BWDATA ({columns}, direction, toolName, thruavg) {n} \
             SELECT {key}, {us}, {us} + 9000000, 1, 'to', 'iperf', 94.5 {}",
            only("iperf")
        ),
        format!(
            "INSERT INTO SCHEDULE (scheduleID, toolspecsID, srcNodeID, destNodeID, dueepoch, due_us, toolName, testtype, \
             latest_us, state, attempt, start_us, end_us) {n} SELECT {key}, {us}, t.toolName, t.testtype, {us}, 'loaded', \
             1, {us}, {us} + 9000000 {from}"
        ),
        format!(
            "INSERT INTO TRIES (scheduleID, attempt, toolspecsID, srcNodeID, destNodeID, start_us, end_us, bytes, outcome) \
             {n} SELECT n.i * 1000 + t.toolspecsID, 1, t.toolspecsID, t.srcNodeID, t.destNodeID, {us}, {us} + 9000000, 9, '' {}",
            only("iperf")
        ),
    ] {
        look.execute(&sql);
    }
}

/// Has every program do what it does with a database, while daemons measure.
fn everything_runs(station: &Station) {
    station.configure(
        "[load]\npause = '1s'\n[exclusive]\nbusy-wait = '0s'\n[retention]\nreadings = '30d'\nschedule = '30d'",
    );
    let run = |program: &str, arguments: &[&str]| {
        let output = station.run(program, arguments);
        assert!(
            matches!(output.status.code(), Some(0 | 1)),
            "{program} {arguments:?}: {}",
            said(&output)
        );
    };
    run("iepm", &["roll-up"]);
    let before: i64 = station.ask("SELECT MAX(pingdataID) FROM PINGDATA").expect("readings");
    let daemons = station.start_all(&[
        "load-scheduled",
        "pingd",
        "traced",
        "owpingd",
        "pathchirpd",
        "bw-synchd",
        "load-datad",
    ]);
    for (node, tool) in [("n1", "ping"), ("n2", "traceroute")] {
        run("iepm", &["run", node, tool]);
    }
    // One is that of `iepm run`.
    let loaded = format!("PINGDATA WHERE pingdataID > {}", before + 1);
    until("readings are loaded", || (station.count(&loaded) > 0).then_some(()));
    for arguments in [
        &["status"][..],
        &["schedule"],
        &["schedule", "--past"],
        &["schedule", "--past", "--node", "n5"],
        &["schedule", "--past", "--node", "n5", "--tool", "ping"],
        &["schedule", "--capacity"],
        &["doctor"],
        &["apply"],
        &["check"],
        &["history", "n1", "ping"],
        &["history", "n1", "ping", "--days", "30"],
        &["history", "n4", "iperf", "--days", "300"],
        &["history", "n2", "traceroute", "--days", "300"],
        &["history", "n3", "owping", "--days", "300"],
        &["roll-up", "--all"],
        &["prune", "--dry-run"],
        &["prune"],
        &["run", "n4", "iperf"],
    ] {
        run("iepm", arguments);
    }
    run("show-probe-commands", &[]);
    run("fetch-toolspecs", &[]);
    drop(daemons);
    // Those that recover what daemons left.
    for daemon in ["pingd", "bw-synchd", "load-scheduled", "load-datad"] {
        run(daemon, &["--once"]);
    }
}

/// The tables that have a row for each run, or for each hour.
const GROWING: [&str; 11] = [
    "SCHEDULE",
    "PINGDATA",
    "ROUTEDATA",
    "BWDATA",
    "OWAMPDATA",
    "TRIES",
    "PINGROLLUP",
    "ROUTEROLLUP",
    "BWROLLUP",
    "OWAMPROLLUP",
    "ROUTENO",
];

/// The growing tables that a statement is about.
fn about(sql: &str) -> BTreeSet<&str> {
    let words = sql.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter_map(|word| GROWING.into_iter().find(|table| *table == word)).collect()
}

#[test]
fn no_program_scans_a_table_that_grows_on_the_embedded_engine() {
    let station = Station::new();
    grow_old(&station, ROUNDS);
    let scans = station.path("scans");
    // Programs of this story inherit it, and those that they start.
    let station = station.with_variable("IEPM_TEST_SCANS", &scans);
    everything_runs(&station);
    let noted = fs::read_to_string(&scans).expect("small tables are scanned, and that is noted");
    assert!(noted.contains("FROM TOOLSPECS"), "{noted}");
    let steps = |line: &str| line.split_once('\t').and_then(|(steps, _)| steps.parse::<i64>().ok());
    let far: BTreeSet<&str> =
        noted.lines().filter(|line| steps(line).unwrap_or(i64::MAX) > 6 * SPECS).collect();
    assert!(far.is_empty(), "statements that scan what grows: {far:#?}");
}

/// The statements of a slow log, each with how many rows it looked at.
fn logged(log: &str) -> Vec<(i64, String)> {
    let mut found: Vec<(i64, String)> = Vec::new();
    let mut rows = 0;
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("Rows_examined: ") {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            rows = digits.parse().expect("a number");
        } else if line.starts_with("SET timestamp") {
            found.push((rows, String::new()));
        } else if let Some((_, sql)) = found.last_mut().filter(|_| !line.starts_with('#')) {
            sql.push_str(line);
        }
    }
    found
}

#[test]
fn no_program_scans_a_table_that_grows_on_a_server() {
    let mut server = Server::up();
    let station = Station::of_server(&server);
    grow_old(&station, ROUNDS);
    // As a server does by itself before long: what it knows of a table decides how it looks for rows.
    for table in GROWING {
        station.look().execute(&format!("ANALYZE TABLE {table}"));
    }
    server.kill();
    let log = server.folder().join("slow");
    let file = format!("--slow-query-log-file={}", log.display());
    server.start_with(&[
        "--slow-query-log=1",
        "--long-query-time=1000",
        "--log-queries-not-using-indexes=1",
        &file,
    ]);
    everything_runs(&station);
    let noted =
        logged(&fs::read_to_string(&log).expect("small tables are scanned, and that is noted"));
    assert!(noted.iter().any(|(_, sql)| sql.contains("FROM TOOLSPECS")), "{noted:?}");
    let far = noted.iter().filter(|(rows, sql)| *rows > 6 * SPECS && !about(sql).is_empty());
    let far: BTreeSet<&str> = far.map(|(_, sql)| sql.as_str()).collect();
    assert!(far.is_empty(), "statements that scan what grows: {far:#?}");
}

/// Specifications of the stories in which readings go, and their readings of each.
const FEW: i64 = 12;
const KILLS: u32 = 50;

/// Readings of three weeks, that are all too old.
fn old_pings(station: &Station) {
    let nodes: Vec<String> = (1..=FEW).map(|node| format!("n{node},127.0.0.1,4")).collect();
    let specs: Vec<String> = (1..=FEW).map(|node| format!("n{node},ping,,-c 1,2,86400")).collect();
    let (nodes, specs): (Vec<&str>, Vec<&str>) =
        (nodes.iter().map(String::as_str).collect(), specs.iter().map(String::as_str).collect());
    station.measures(&nodes, &specs);
    station.configure("[retention]\nreadings = '1d'\n");
    let n = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 499)";
    let sql = format!(
        "{} {n} SELECT {} FROM n CROSS JOIN TOOLSPECS t",
        ping_columns(),
        ping("n.i", "t.toolspecsID")
    );
    station.look().execute(&sql);
}

fn ping_columns() -> &'static str {
    "INSERT INTO PINGDATA (scheduleID, toolspecsID, srcNodeID, destNodeID, startepoch, start_us, end_us, transmitted, \
     received, lost, min, avg, max, packets, duplicates, reordered, clock_synchronised)"
}

/// The values of the reading of a run, an hour after the one before it.
fn ping(run: &str, spec: &str) -> String {
    let start = format!("{BEGIN} + {run} * 3600 + {run} % 7");
    format!(
        "{run} * 1000 + {spec}, {spec}, 'station', 'n' || {spec}, {start}, ({start}) * 1000000, ({start}) * 1000000, 3, 2, 1, \
         1.5, 2, 2.5, '[[1,1500,64],[3,2500,64]]', 0, 0, 1"
    )
}

/// Kills whoever rolls up and prunes, again and again, while readings come that are weeks late; and then has
/// it done.
fn readings_go_while_everything_is_killed(station: &Station) {
    old_pings(station);
    let mut all = 500 * FEW;
    for round in 0..KILLS {
        let argument = if round % 5 == 0 { "roll-up" } else { "prune" };
        let mut command = station.command("iepm");
        command.arg(argument);
        let mut program = Program::start(command, &station.path("log/iepm.log"));
        // Each time it comes a little further, if it lives so long.
        pause(Duration::from_millis(u64::from(round % 25) * 4));
        program.kill();
        // Of an hour of the first days, which may be whole, half gone, or gone.
        let late = format!("{} SELECT {}", ping_columns(), ping(&format!("({})", round % 30), "1"));
        let late =
            late.replacen("* 1000 + 1,", &format!("* 1000 + 1 + 900000 + {round} * 1000000,"), 1);
        station.look().execute(&late);
        all += 1;
    }
    let rolled = |period: i64| {
        let sql = |sum: &str| {
            format!("SELECT CAST({sum} AS CHAR(20)) FROM PINGROLLUP WHERE period = {period}")
        };
        let sums = ["SUM(runs)", "SUM(transmitted)", "SUM(lost)", "MIN(sampled)"];
        sums.map(|sum| station.ask::<String>(&sql(sum)).unwrap_or_default())
    };
    let done = station.run("iepm", &["prune"]);
    assert_eq!(said(&done), "exit status: 0\n");
    let (runs, sent) = (all.to_string(), (3 * all).to_string());
    for period in [3_600, 86_400] {
        let [found, transmitted, lost, sampled] = rolled(period);
        assert_eq!((&found, &transmitted, &lost), (&runs, &sent, &runs), "of {period} seconds");
        assert!(!sampled.is_empty(), "every period has percentiles");
    }
    assert_eq!(station.count("PINGDATA"), 0);
    assert_eq!(station.count("PINGROLLUP WHERE period = 3600 AND rawgone = 0"), 0);
}

#[test]
fn nothing_is_lost_or_counted_twice_when_pruning_is_killed_fifty_times() {
    readings_go_while_everything_is_killed(&Station::new());
}

#[test]
fn nothing_is_lost_or_counted_twice_when_pruning_of_a_server_is_killed_fifty_times() {
    let server = Server::up();
    readings_go_while_everything_is_killed(&Station::of_server(&server));
}
