//! A connection to the server that breaks at each packet of a claim, of a load and of a scheduler's cycle:
//! what was asked for happens, if not now then when it is asked for again, and happens once.

use std::process::Output;

use stories::{Cut, Cutter, Server, Station, program::said, until};

const CUTS: [Cut; 3] = [Cut::Lost, Cut::Unanswered, Cut::HalfAnswered];

/// A station that knows its server through a cutter.
fn behind(cutter: &Cutter, server: &Server) -> Station {
    let mut station = Station::of_server(server);
    let mut look = server.look("");
    look.execute("CREATE USER me@'127.0.0.1'");
    look.execute("GRANT ALL ON iepm.* TO me@'127.0.0.1'");
    station.is_at(&format!("mysql://me@127.0.0.1:{}/iepm", cutter.port()));
    station.measures(&["here,127.0.0.1,4"], &["here,ping,,-n -c 1 -w 1,1,3600,1"]);
    station
}

/// Writes a row that pingd may claim at once; the specification has no other open one.
fn due(station: &Station) {
    let words = r#"["ping","-n","-c","1","-w","1","127.0.0.1"]"#;
    station.look().execute(&format!(
        "INSERT INTO SCHEDULE (toolspecsID, opentoolspecsID, srcNodeID, destNodeID, toolName, testtype, target, command, \
         dueepoch, due_us, latest_us, limit_s, state) SELECT toolspecsID, toolspecsID, 'station', 'here', 'ping', \
         'background', '127.0.0.1', '{words}', UNIX_TIMESTAMP(), UNIX_TIMESTAMP() * 1000000, \
         (UNIX_TIMESTAMP() + 600) * 1000000, 5, 'pending' FROM TOOLSPECS"
    ));
}

/// Has a program run with its connection cut at each of its packets, in each way: it says that the database
/// is away, or does its work all the same. `prepare` comes before each run, and `complete` after it, with
/// the connection whole. Gives at how many packets it was cut, in each way.
fn at_each_packet(
    cutter: &Cutter,
    prepare: impl Fn(),
    run: impl Fn() -> Output,
    complete: impl Fn(&str),
) -> [usize; 3] {
    CUTS.map(|cut| {
        for packet in 0.. {
            prepare();
            let before = cutter.cuts();
            cutter.cut_after(packet, cut);
            let output = run();
            cutter.rest();
            let place = format!("{cut:?} at packet {packet}");
            if !output.status.success() {
                assert_eq!(output.status.code(), Some(75), "{place}: {}", said(&output));
                assert!(said(&output).contains("database"), "{place}: {}", said(&output));
            }
            complete(&place);
            if cutter.cuts() == before {
                assert!(packet > 10, "{packet} packets are no work of a program");
                return packet;
            }
        }
        unreachable!("a program sends no end of packets")
    })
}

/// Has a program run until no row of SCHEDULE is in one of these states.
fn until_none(station: &Station, states: &str, place: &str, run: impl Fn() -> Output) {
    let rows = format!("SCHEDULE WHERE state IN ({states})");
    until(&format!("{place}: none is {states}"), || {
        let none = station.count(&rows) == 0;
        if !none {
            run();
        }
        none.then_some(())
    });
}

#[test]
fn a_claim_that_is_cut_at_any_packet_is_made_once() {
    let server = Server::up();
    let cutter = Cutter::before(server.port());
    let station = behind(&cutter, &server);
    let pingd = || station.run("pingd", &["--once"]);
    let cuts = at_each_packet(
        &cutter,
        || due(&station),
        pingd,
        |place| until_none(&station, "'pending', 'running'", place, pingd),
    );
    let loaded = station.run("load-test-data", &["ping"]);
    assert!(loaded.status.success(), "{}", said(&loaded));
    println!("a claim, cut at {cuts:?} packets: {:?}", station.states());
    // One for each run that was cut, and one more each time for that which was not.
    let rounds = i64::try_from(cuts.iter().sum::<usize>() + CUTS.len()).expect("few");
    assert_eq!(station.states(), [("loaded".to_owned(), rounds)].into());
    station.accounts_are_right();
}

#[test]
fn a_load_that_is_cut_at_any_packet_is_made_once() {
    let server = Server::up();
    let cutter = Cutter::before(server.port());
    let station = behind(&cutter, &server);
    let load = || station.run("load-test-data", &["ping"]);
    let measure = || {
        due(&station);
        let output = station.run("pingd", &["--once"]);
        assert!(output.status.success(), "{}", said(&output));
    };
    let cuts = at_each_packet(&cutter, measure, load, |place| {
        until_none(&station, "'finished'", place, load);
        // A file whose row says that it was loaded is moved away only.
        assert!(load().status.success(), "{place}");
        assert_eq!(station.files("data"), [""; 0], "{place}");
    });
    println!("a load, cut at {cuts:?} packets: {:?}", station.states());
    let rounds = i64::try_from(cuts.iter().sum::<usize>() + CUTS.len()).expect("few");
    assert_eq!(station.states(), [("loaded".to_owned(), rounds)].into());
    assert_eq!(station.count("PINGDATA"), rounds);
    station.accounts_are_right();
}

#[test]
fn a_cycle_of_the_scheduler_that_is_cut_at_any_packet_plans_each_slot_once() {
    let server = Server::up();
    let cutter = Cutter::before(server.port());
    let station = behind(&cutter, &server);
    station.measures(&["here,127.0.0.1,4"], &["here,ping,,-n -c 1 -w 1,1,2,1,0"]);
    let schedule = || station.run("load-scheduled", &["--once"]);
    // Each cycle finds the specification as the first one did.
    let anew = || {
        let mut look = station.look();
        for table in ["SCHEDULE", "AGENDA"] {
            look.execute(&format!("DELETE FROM {table}"));
        }
        look.execute("UPDATE TOOLSPECS SET agenda_us = 0, lastrunepoch = NULL");
    };
    let cuts = at_each_packet(&cutter, anew, schedule, |place| {
        assert!(schedule().status.success(), "{place}");
        assert_eq!(station.states(), [("pending".to_owned(), 1)].into(), "{place}");
    });
    println!("a cycle, cut at {cuts:?} packets");
}
