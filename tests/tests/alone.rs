//! Runs that must be alone: never two at once, whatever is started twice, killed or left running.

use std::time::Duration;

use rustix::process::Signal;
use stories::{Program, Station, Witness, monotonic, pause, until, until_within};

/// The columns of the specifications in these stories.
const COLUMNS: &str =
    "srcNodeID,testtype,destNodeID,toolName,toolPath,toolOpts1,time2run,runinterval,grace,phase";

/// Runs of the machine's own iperf against a witness.
fn iperf(node: &str, witness: &Witness, options: &str, interval: u32) -> String {
    let port = witness.port();
    format!("station,background-syn,{node},iperf,iperf,-p {port} {options},2,{interval},2,0")
}

#[track_caller]
fn measures(station: &Station, nodes: &[&str], specs: &[String]) {
    let specs: Vec<&str> = specs.iter().map(String::as_str).collect();
    station.measures_with(nodes, COLUMNS, &specs);
}

fn daemon(station: &Station) -> Program {
    station.start("bw-synchd")
}

/// The overlaps of the tries that the station itself has on record.
fn recorded_overlaps(station: &Station) -> i64 {
    station.count("TRIES a JOIN TRIES b ON a.tryID < b.tryID AND a.start_us < b.end_us AND b.start_us < a.end_us")
}

#[test]
fn two_daemons_at_a_barrier_and_two_hundred_kills_never_give_two_runs_the_channel() {
    const ROUNDS: usize = 200;
    let (station, witness) = (Station::new(), Witness::listening());
    let nodes: Vec<String> = (1..=6).map(|node| format!("n{node},127.0.0.{node},4")).collect();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let specs: Vec<String> =
        (1..=6).map(|node| iperf(&format!("n{node}"), &witness, "-t 1", 4)).collect();
    station.configure("[exclusive]\nbusy-wait = '0s'");
    measures(&station, &nodes, &specs);
    let mut scheduler = station.start("load-scheduled");
    let mut random = 5_u64;
    for round in 0..ROUNDS {
        // Every second time two start at once: one of them finds that it is not alone.
        let mut daemons: Vec<Program> = (0..=round % 2).map(|_| daemon(&station)).collect();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        pause(Duration::from_millis((random >> 33) % 500));
        daemons.iter_mut().for_each(Program::kill);
    }
    let before = witness.seen();
    let mut last = daemon(&station);
    until("runs go on after the last kill", || {
        (witness.seen().clients > before.clients + 3).then_some(())
    });
    station.database().execute("UPDATE TOOLSPECS SET toolDo = 0", []).expect("switched off");
    until("every row is in a final state", || {
        (station.count("SCHEDULE WHERE state IN ('pending', 'running')") == 0).then_some(())
    });
    assert_eq!(last.terminate(), Some(0), "{}", last.log());
    assert_eq!(scheduler.terminate(), Some(0));

    let seen = witness.seen();
    assert!(seen.clients > ROUNDS / 10, "too few runs to say anything: {seen:?}");
    assert_eq!((seen.overlaps, seen.there), (0, 0), "{seen:?}");
    assert_eq!(recorded_overlaps(&station), 0);
    assert_eq!(station.count("LEASES"), 0);
    assert_eq!(station.files("data/tmp"), [""; 0]);
    let unexplained =
        "SCHEDULE WHERE state IN ('missed', 'lost', 'failed') AND COALESCE(reason, '') = ''";
    assert_eq!(station.count(unexplained), 0);
    let open = "TRIES t JOIN SCHEDULE s ON s.scheduleID = t.scheduleID WHERE t.end_us IS NULL";
    assert_eq!(station.count(open), 0, "tries without an end");
    println!("{ROUNDS} kills, {seen:?}, {:?}", station.states());
}

#[test]
fn what_hangs_or_lives_on_is_gone_before_the_next_run_starts() {
    let (station, witness) = (Station::new(), Witness::listening());
    station.configure("[exclusive]\nbusy-wait = '0s'");
    // It ignores what it is asked, and its own child, in a session of its own, talks on to the server.
    let script = format!(
        "trap '' TERM INT\nsetsid sh -c 'trap \"\" TERM INT; exec iperf -c 127.0.0.1 -p {} -t 60' &\nsleep 60",
        witness.port()
    );
    station.tool("stubborn", &script);
    let stubborn = "station,background-syn,n1,iperf,stubborn,-x,1,600,1,0".to_owned();
    let other = iperf("n2", &witness, "-t 1", 4);
    measures(&station, &["n1,127.0.0.1,4", "n2,127.0.0.2,4"], &[stubborn, other]);
    station.database().execute("UPDATE TOOLSPECS SET phase = '' ", []).expect("changed");
    let mut run = Program::start(run_by_hand(&station, "n1"), &station.path("log/run.log"));
    until("the stubborn run talks", || (witness.seen().there == 1).then_some(()));
    let _daemons = station.start_all(&["load-scheduled", "bw-synchd"]);
    until("others run afterwards", || (witness.seen().clients >= 3).then_some(()));
    assert_eq!(witness.seen().overlaps, 0, "{}", station.logs());
    let ended = until("the run by hand is over", || run.ended());
    assert_ne!(ended, None, "{}", run.log());
    let sql = "SELECT end_us - start_us FROM TRIES ORDER BY start_us LIMIT 1";
    let took: i64 = station.ask(sql).expect("the stubborn one");
    assert!((2_000_000..15_000_000).contains(&took), "{took} us");
}

fn run_by_hand(station: &Station, node: &str) -> std::process::Command {
    let mut command = station.command("iepm");
    command.args(["run", node, "iperf"]);
    command
}

#[test]
fn a_run_by_hand_that_is_killed_is_ended_before_anybody_has_the_channel() {
    let (station, witness) = (Station::new(), Witness::listening());
    station.configure("[exclusive]\nbusy-wait = '0s'");
    let long = "station,background-syn,n1,iperf,iperf,-p PORT -t 50,55,600,2,0"
        .replace("PORT", &witness.port().to_string());
    measures(
        &station,
        &["n1,127.0.0.1,4", "n2,127.0.0.2,4"],
        &[long, iperf("n2", &witness, "-t 1", 4)],
    );
    let mut run = Program::start(run_by_hand(&station, "n1"), &station.path("log/run.log"));
    until("it runs", || (witness.seen().there == 1).then_some(()));
    run.kill();
    assert_eq!(witness.seen().there, 1, "its iperf lives on");
    let _daemons = station.start_all(&["load-scheduled", "bw-synchd"]);
    until("others run", || (witness.seen().clients >= 3).then_some(()));
    assert_eq!(witness.seen().overlaps, 0, "{}", station.logs());
}

#[test]
fn who_waits_in_vain_is_told_who_had_the_channel() {
    let (station, witness) = (Station::new(), Witness::listening());
    station.configure("[exclusive]\nbusy-wait = '0s'");
    let long = "station,background-syn,n1,iperf,iperf,-p PORT -t 30,35,600,2,0"
        .replace("PORT", &witness.port().to_string());
    measures(
        &station,
        &["n1,127.0.0.1,4", "n2,127.0.0.2,4"],
        &[long, iperf("n2", &witness, "-t 1", 4)],
    );
    let _scheduler = station.start("load-scheduled");
    let mut run = Program::start(run_by_hand(&station, "n1"), &station.path("log/run.log"));
    until("the long one has the channel", || (witness.seen().there == 1).then_some(()));
    let _daemon = daemon(&station);
    let why = station.until_reason("missed", "iepm has had the channel since");
    assert!(why.contains("to n1"), "{why}");
    run.kill();
}

#[test]
fn a_station_that_is_asked_to_end_gives_back_what_it_could_not_finish() {
    let (station, witness) = (Station::new(), Witness::listening());
    station.configure("[exclusive]\nbusy-wait = '0s'\n[probes]\ndrain = '1s'");
    let long = "station,background-syn,n1,iperf,iperf,-p PORT -t 30,35,40,2,0"
        .replace("PORT", &witness.port().to_string());
    measures(&station, &["n1,127.0.0.1,4"], &[long]);
    let mut scheduler = station.start("load-scheduled");
    let mut daemon = daemon(&station);
    until("it runs", || (witness.seen().there == 1).then_some(()));
    scheduler.kill();
    assert_eq!(daemon.terminate(), Some(0), "{}", daemon.log());
    until("its process is gone", || (witness.seen().there == 0).then_some(()));
    assert_eq!(station.count("SCHEDULE WHERE state = 'pending' AND start_us IS NULL"), 1);
    let outcome: String = station.ask("SELECT outcome FROM TRIES").expect("a try");
    assert_eq!(outcome, "ended with bw-synchd");
    assert_eq!(station.count("LEASES"), 0);
}

#[test]
fn a_busy_machine_flags_a_run_or_misses_it_with_the_figure() {
    let (station, witness) = (Station::new(), Witness::listening());
    let busy = "[exclusive]\nmin-free-memory = '900T'\nbusy-wait = '1s'\n";
    station.configure(busy);
    measures(&station, &["n1,127.0.0.1,4"], &[iperf("n1", &witness, "-t 1", 4)]);
    let _scheduler = station.start("load-scheduled");
    let mut first = daemon(&station);
    let unclean: String = until("a run is flagged", || {
        station.ask("SELECT unclean FROM TRIES WHERE unclean IS NOT NULL LIMIT 1")
    });
    assert!(unclean.ends_with("bytes of free memory under 900000000000000"), "{unclean}");
    first.terminate();
    station.configure(&format!("{busy}busy = 'skip'\n"));
    let _second = daemon(&station);
    let why = station.until_reason("missed", "the machine was busy: ");
    assert!(why.contains("bytes of free memory under"), "{why}");
}

#[test]
fn a_run_that_is_missed_before_a_busy_machine_gives_the_channel_back() {
    let (station, witness) = (Station::new(), Witness::listening());
    station.configure("[exclusive]\nmin-free-memory = '900T'\nbusy-wait = '40s'");
    let columns = format!("{COLUMNS},latestart");
    let row = format!("{},2", iperf("n1", &witness, "-t 1", 10));
    station.measures_with(&["n1,127.0.0.1,4"], &columns, &[&row]);
    let mut scheduler = station.start("load-scheduled");
    let _daemon = daemon(&station);
    station.until_reason("missed", "the machine was busy: ");
    scheduler.terminate();
    station.database().execute("UPDATE TOOLSPECS SET toolDo = 0", []).expect("switched off");
    let mut run = Program::start(run_by_hand(&station, "n1"), &station.path("log/run.log"));
    until("a run by hand has the channel", || (witness.seen().clients > 0).then_some(()));
    until("it is over", || run.ended());
}

#[test]
fn what_may_not_run_now_waits_and_says_why() {
    let (station, witness) = (Station::new(), Witness::listening());
    station.configure(
        "[exclusive]\nbusy-wait = '0s'\n[groups.far]\nnodes = ['n3']\ndaily-time = '1s'",
    );
    let columns = format!("{COLUMNS},dailybytes,dailyseconds,hours");
    let hour =
        station.ask::<i64>("SELECT CAST(strftime('%H', 'now') AS INTEGER)").expect("an hour");
    let others = format!("{}-{}", (hour + 2) % 24, (hour + 3) % 24);
    let row = |node: &str, more: &str| format!("{},{more}", iperf(node, &witness, "-t 1", 4));
    let specs =
        [row("n1", &format!(",,{others}")), row("n2", ",1,"), row("n3", ",,"), row("n4", ",,")];
    let nodes = ["n1,127.0.0.1,4", "n2,127.0.0.2,4", "n3,127.0.0.3,4", "n4,127.0.0.4,4"];
    station.measures_with(&nodes, &columns, &specs.each_ref().map(String::as_str));
    let _daemons = station.start_all(&["load-scheduled", "bw-synchd"]);
    let why = station.until_reason("missed", "only in the hours");
    assert_eq!(why, format!("it may run only in the hours {others} (UTC)"));
    station.until_reason("missed", "it may have the channel for 1s a day (UTC)");
    station.until_reason("missed", "group far: it may have the channel for 1s a day");
    until("one without limits runs", || {
        (station.count("TRIES WHERE destNodeID = 'n4'") > 1).then_some(())
    });
    assert_eq!(station.count("TRIES WHERE destNodeID = 'n1'"), 0);
    assert!(station.count("TRIES WHERE destNodeID = 'n3'") <= 1);
}

/// Two stations with one database, on one machine, each with a channel of its own.
fn two_stations() -> (Station, Station) {
    let (one, two) = (Station::new(), Station::new());
    let database = one.path("db/iepm.db").display().to_string();
    one.configure("[exclusive]\nbusy-wait = '0s'");
    two.configure(&format!(
        "node = 'other'\ndatabase = 'sqlite://{database}'\n[exclusive]\nbusy-wait = '0s'"
    ));
    (one, two)
}

#[test]
fn stations_with_one_database_keep_away_from_each_others_targets() {
    let ((one, two), witness) = (two_stations(), Witness::listening());
    let row = iperf("n1", &witness, "-t 1", 4);
    let other = row.replacen("station", "other", 1);
    // Each station carries out its own row.
    for station in [&one, &two] {
        station.measures_with(&["other,localhost", "n1,127.0.0.1,4"], COLUMNS, &[&row, &other]);
    }
    let mut daemons = one.start_all(&["load-scheduled", "bw-synchd"]);
    daemons.extend(two.start_all(&["load-scheduled", "bw-synchd"]));
    let began = monotonic();
    until_within(Duration::from_secs(120), "both have measured several times", || {
        let tries =
            |station| one.count(&format!("TRIES WHERE srcNodeID = '{station}' AND end_us > 0"));
        (tries("station") >= 5 && tries("other") >= 5).then_some(())
    });
    println!("{:?} after {:?}", witness.seen(), monotonic().saturating_sub(began));
    for daemon in &daemons {
        daemon.signal(Signal::TERM);
    }
    assert_eq!(witness.seen().overlaps, 0, "{}{}", one.logs(), two.logs());
}

#[test]
fn a_witness_sees_two_clients_at_once() {
    let witness = Witness::listening();
    let client = || std::net::TcpStream::connect(("127.0.0.1", witness.port())).expect("a client");
    let first = client();
    until("the first is seen", || (witness.seen().there == 1).then_some(()));
    drop(first);
    let second = client();
    let third = client();
    until("all are seen", || (witness.seen().clients == 3).then_some(()));
    assert_eq!(witness.seen().overlaps, 1);
    drop((second, third));
}

#[test]
fn a_tool_that_is_not_there_fails_each_run_and_holds_up_nobody() {
    let (station, witness) = (Station::new(), Witness::listening());
    station.configure("[exclusive]\nbusy-wait = '0s'");
    let missing =
        |node: u8| format!("station,background-syn,n{node},iperf,no-such-tool,-x,2,4,2,0");
    let specs = [missing(1), missing(2), missing(3), iperf("n4", &witness, "-t 1", 4)];
    let nodes = ["n1,127.0.0.1,4", "n2,127.0.0.2,4", "n3,127.0.0.3,4", "n4,127.0.0.4,4"];
    measures(&station, &nodes, &specs);
    let _daemons = station.start_all(&["load-scheduled", "bw-synchd"]);
    until("runs of all come to their ends several times", || {
        let failed = |node| {
            station.count(&format!("SCHEDULE WHERE state = 'failed' AND destNodeID = 'n{node}'"))
        };
        ((1..=3).all(|node| failed(node) >= 3) && witness.seen().clients >= 3).then_some(())
    });
    let reason = station.until_reason("failed", "no-such-tool");
    assert_eq!(reason, "cannot start no-such-tool: no-such-tool is not installed");
    // A run that nobody carries out would stay so for ever.
    assert!(station.count("SCHEDULE WHERE state = 'running'") <= 2, "{:?}", station.states());
    assert_eq!(station.count("TRIES t JOIN SCHEDULE s USING (scheduleID) WHERE s.state = 'failed' AND t.end_us IS NULL"), 0);
}
