//! A station whose database is a MariaDB server: the spine, what it may and what it tells, and a server that
//! is killed, refuses, is read-only or of another version: time is lost, never data.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use rustix::process::Signal;
use stories::{
    Cutter, Program, Server, Station, pause,
    program::{binaries, command, said, succeed},
    until,
};

const DAEMONS: [&str; 4] = ["load-scheduled", "pingd", "traced", "load-datad"];
const CANARY: &str = "c4nary-Tweet'7";

/// Writes an option file for the daemons' account.
fn option_file(path: &Path) {
    let text = format!("[client]\nuser = iepm\npassword = \"{CANARY}\" # not to be told\n");
    fs::write(path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("private");
}

/// A station that knows the server as the account that `iepm init` tells to make, by its port.
fn least_privileged(server: &Server) -> Station {
    let mut station = Station::of_server(server);
    let again = station.run("iepm", &["init", "--home", &station.home().display().to_string()]);
    let told = String::from_utf8_lossy(&again.stdout).into_owned();
    let mut look = server.look("iepm");
    let password = CANARY.replace('\'', "''");
    for statement in told.lines().filter(|line| line.ends_with(';')) {
        let statement = statement.replace("'...'", &format!("'{password}'"));
        look.execute(&statement.replace("'localhost'", "'127.0.0.1'"));
    }
    let options = station.path("my.cnf");
    option_file(&options);
    let url = format!("mysql://127.0.0.1:{}/iepm?option-file={}", server.port(), options.display());
    station.is_at(&url);
    station
}

fn ping(node: &str) -> String {
    format!("{node},ping,,-n -c 1 -w 1,1,1,1,0")
}

/// Has a station ping itself every second.
fn pinging(station: &Station) -> Vec<Program> {
    station.configure("[load]\npause = '1s'");
    station.measures(&["a,127.0.0.1", "b,127.0.0.2"], &[&ping("a"), &ping("b")]);
    let daemons = station.start_all(&["load-scheduled", "pingd", "load-datad"]);
    goes_on(station);
    daemons
}

#[track_caller]
fn goes_on(station: &Station) {
    let before = station.count("PINGDATA");
    until("readings come in", || (station.count("PINGDATA") >= before + 4).then_some(()));
}

fn until_told(program: &Program, what: &str) {
    until(&format!("it says \"{what}\""), || program.log().contains(what).then_some(()));
}

#[track_caller]
fn all_live(daemons: &mut [Program]) {
    for daemon in daemons {
        assert_eq!(daemon.ended(), None, "{}", daemon.log());
    }
}

/// What was told to nobody: not to logs, not to whoever lists processes.
#[track_caller]
fn keeps_the_password(station: &Station, daemons: &[Program]) {
    let mut told = vec![station.logs()];
    for file in ["cmdline", "environ"] {
        let read = |it: &Program| fs::read(format!("/proc/{}/{file}", it.pid())).expect("a daemon");
        told.extend(daemons.iter().map(|it| String::from_utf8_lossy(&read(it)).into_owned()));
    }
    assert!(told.iter().all(|text| !text.contains(CANARY)), "{told:?}");
}

#[test]
fn an_account_that_makes_no_tables_runs_the_spine_and_its_password_is_told_to_nobody() {
    let server = Server::up();
    let station = least_privileged(&server);
    station.configure("[load]\npause = '1s'\n[exclusive]\nbusy-wait = '0s'");
    station.tool("tester", "sleep 0.2; echo nothing that is known");
    let columns = "srcNodeID,destNodeID,toolName,toolPath,testtype,time2run,runinterval,toolOpts1,grace,phase";
    let rows = [
        "station,a,ping,,background,1,2,-n -c 1 -w 1,1,0",
        "station,a,traceroute,,background,4,6,-q 1 -w 1 -m 4,5,0",
        "station,b,iperf,tester,background-syn,2,3,-t 1,1,0",
    ];
    station.measures_with(&["a,127.0.0.1,4", "b,127.0.0.2,4"], columns, &rows);
    let daemons: Vec<&str> = DAEMONS.into_iter().chain(["bw-synchd"]).collect();
    let daemons = station.start_all(&daemons);
    for rows in [
        "PINGDATA WHERE destNodeID = 'a' AND received = 1 AND min > 0",
        "ROUTEDATA WHERE reached = 1 AND routeno = 1",
        "ROUTENO WHERE routeno = 1",
        "TRIES WHERE end_us > start_us",
        "SCHEDULE WHERE toolName = 'iperf' AND state IN ('loaded', 'rejected', 'failed')",
    ] {
        until(rows, || (station.count(rows) > 0).then_some(()));
    }
    for command in
        [&["status"][..], &["schedule"], &["schedule", "--past"], &["doctor"], &["prune"]]
    {
        let output = station.run("iepm", command);
        assert!([0, 1].contains(&output.status.code().unwrap_or(9)), "{}", said(&output));
        assert!(!said(&output).contains("denied"), "{}", said(&output));
    }
    assert_eq!(said(&station.run("iepm", &["apply"])), "exit status: 0\nnothing to change\n");
    keeps_the_password(&station, &daemons);
    let migrate = station.run("iepm", &["migrate"]);
    assert!(said(&migrate).contains("may not write to"), "{}", said(&migrate));
    station.accounts_are_right();
}

#[test]
fn a_server_that_is_killed_again_and_again_costs_time_and_no_reading() {
    let mut server = Server::up();
    let station = Station::of_server(&server);
    let mut daemons = pinging(&station);
    for round in 0..5 {
        server.kill();
        if round % 2 == 0 {
            // Long enough that runs end meanwhile.
            pause(Duration::from_secs(3));
        }
        server.start();
        goes_on(&station);
    }
    all_live(&mut daemons);
    let told = daemons[0].log();
    assert!(told.contains("cannot use the database") && told.contains("goes on after"), "{told}");
    assert!(told.lines().count() < 40, "{told}");
    daemons[0].terminate();
    let over = "SCHEDULE WHERE state NOT IN ('loaded', 'missed', 'cancelled')";
    until("all is loaded", || (station.count(over) == 0).then_some(()));
    assert_eq!(station.files("data"), [""; 0]);
    station.accounts_are_right();
}

#[test]
fn a_server_that_says_nothing_does_not_stop_the_daemons() {
    let server = Server::up();
    let station = Station::of_server(&server);
    let mut daemons = pinging(&station);
    server.signal(Signal::STOP);
    until_told(&daemons[0], "does not answer");
    all_live(&mut daemons);
    server.signal(Signal::CONT);
    goes_on(&station);
    station.accounts_are_right();
}

#[test]
fn a_server_that_is_read_only_keeps_results_waiting() {
    let server = Server::up();
    let station = least_privileged(&server);
    station.tool("slowping", "sleep 2; exec ping \"$@\"");
    let mut daemons = pinging(&station);
    station.measures(&["slow,127.0.0.1"], &["slow,ping,slowping,-n -c 1 -w 1,4,4,1"]);
    until("a run goes on", || {
        (station.count("SCHEDULE WHERE destNodeID = 'slow' AND state = 'running'") > 0)
            .then_some(())
    });
    server.look("").execute("SET GLOBAL read_only = 1");
    until_told(&daemons[0], "may not write to the database");
    until("results wait as files", || (!station.files("data").is_empty()).then_some(()));
    all_live(&mut daemons);
    server.look("").execute("SET GLOBAL read_only = 0");
    let loaded = "PINGDATA WHERE destNodeID = 'slow'";
    until("they are loaded", || (station.count(loaded) > 0).then_some(()));
    station.accounts_are_right();
}

#[test]
fn another_schema_no_schema_and_no_server_are_told_with_what_to_do() {
    let mut server = Server::up();
    let station = Station::of_server(&server);
    let status = |told: &str, exit: i32| {
        let output = station.run("iepm", &["status"]);
        assert!(said(&output).contains(told), "{told}: {}", said(&output));
        assert_eq!(output.status.code(), Some(exit), "{}", said(&output));
    };
    let mut look = server.look("iepm");
    look.execute("INSERT INTO SCHEMAVERSION (version, appliedepoch) VALUES (99, 0)");
    status("install the newer suite", 78);
    look.execute("DELETE FROM SCHEMAVERSION WHERE version > 1");
    status("run `iepm migrate`", 78);
    look.execute("DROP TABLE SCHEMAVERSION");
    status("no schema yet; `iepm init` makes one", 78);
    look.execute("DROP DATABASE iepm");
    status("`iepm init` makes one", 75);
    succeed(station.command("iepm").arg("init").arg("--home").arg(station.home()));
    status("", 0);
    server.kill();
    status("cannot use the database", 75);
}

#[test]
fn a_schema_whose_making_was_cut_by_the_server_is_completed_by_the_next() {
    let mut server = Server::up();
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("home");
    let url = server.url("iepm");
    let mut cut = 0;
    for length in (0..60).map(|step| Duration::from_millis(step * 7)) {
        let mut init = command(binaries().join("iepm"));
        init.arg("init").arg(&home).args(["--database", &url]);
        let mut child = init.stdout(std::process::Stdio::null()).spawn().expect("started");
        pause(length);
        server.kill();
        let made = child.wait().expect("a child").success();
        server.start();
        cut += u32::from(!made);
        if made {
            break;
        }
    }
    assert!(cut > 0);
    succeed(command(binaries().join("iepm")).arg("init").arg(&home));
    let mut look = server.look("iepm");
    assert_eq!(look.count("SCHEMASTEP"), 0);
    let columns =
        "information_schema.columns WHERE table_schema = 'iepm' AND table_name = 'TOOLSPECS'";
    assert_eq!(look.count(columns), 26);
    let output = command(binaries().join("iepm")).args(["status", "--home"]).arg(&home).output();
    assert!(output.as_ref().expect("started").status.success(), "{output:?}");
}

#[test]
fn an_option_file_that_others_can_read_and_a_wrong_password_are_refused() {
    let server = Server::up();
    let station = least_privileged(&server);
    let options = station.path("my.cnf");
    fs::set_permissions(&options, fs::Permissions::from_mode(0o640)).expect("open");
    let output = station.run("iepm", &["status"]);
    assert!(said(&output).contains("is not private") && said(&output).contains("chmod 600"));
    fs::set_permissions(&options, fs::Permissions::from_mode(0o600)).expect("private");
    fs::write(&options, "[client]\nuser=iepm\npassword=wrong-c4nary\n").expect("written");
    let output = station.run("iepm", &["status"]);
    assert!(said(&output).contains("its password is wrong"), "{}", said(&output));
    assert!(!said(&output).contains("c4nary"), "{}", said(&output));
}

#[test]
fn a_connection_that_is_cut_while_it_commits_loses_no_run_and_doubles_none() {
    let server = Server::up();
    let mut station = Station::of_server(&server);
    let cutter = Cutter::before(server.port());
    server.look("").execute("CREATE USER me@'127.0.0.1'");
    server.look("").execute("GRANT ALL ON iepm.* TO me@'127.0.0.1'");
    station.is_at(&format!("mysql://me@127.0.0.1:{}/iepm", cutter.port()));
    station.configure("[load]\npause = '1s'\n[exclusive]\nbusy-wait = '0s'");
    station.tool("tester", "sleep 0.2; echo nothing that is known");
    let columns = "srcNodeID,destNodeID,toolName,toolPath,testtype,time2run,runinterval,toolOpts1,grace,phase";
    let rows = [
        "station,a,ping,,background,1,1,-n -c 1 -w 1,1,0",
        "station,b,ping,,background,1,1,-n -c 1 -w 1,1,0",
        "station,b,iperf,tester,background-syn,2,3,-t 1,1,0",
    ];
    station.writes_specifications(&["a,127.0.0.1,4", "b,127.0.0.2,4"], &[]);
    let specs = format!("TABLENAME=TOOLSPECS\n#{columns}\n{}\n", rows.join("\n"));
    fs::write(station.path("config/toolspecs.csv"), specs).expect("written");
    succeed(station.command("iepm").arg("apply"));
    let mut daemons = station.start_all(&["load-scheduled", "pingd", "load-datad", "bw-synchd"]);
    goes_on(&station);
    cutter.cut_commits();
    until("many commits are cut", || (cutter.cuts() >= 30).then_some(()));
    goes_on(&station);
    all_live(&mut daemons);
    daemons[0].terminate();
    let open =
        "SCHEDULE WHERE state IN ('running', 'finished') OR (state = 'pending' AND due_us < 0)";
    until("every run comes to its end", || (station.count(open) == 0).then_some(()));
    assert_eq!(station.count("SCHEDULE WHERE state = 'lost'"), 0, "{}", station.logs());
    // The same slot twice would be the same specification at the same time.
    let doubles = "(SELECT 1 FROM SCHEDULE WHERE state <> 'cancelled' GROUP BY toolspecsID, due_us HAVING COUNT(*) > 1) d";
    assert_eq!(station.count(doubles), 0);
    let never_ended = "TRIES t JOIN SCHEDULE s ON s.scheduleID = t.scheduleID AND s.state <> 'running' WHERE t.end_us IS NULL";
    assert_eq!(station.count(never_ended), 0);
    station.accounts_are_right();
    println!("{} commits cut, {:?}", cutter.cuts(), station.states());
}

/// A CA of the story's own and a server certificate of it, for 127.0.0.1, in `folder`.
fn certificates(folder: &Path) {
    let openssl = |arguments: &str| {
        let mut openssl = command("openssl");
        succeed(openssl.args(arguments.split(' ')).current_dir(folder));
    };
    fs::write(folder.join("san"), "subjectAltName=IP:127.0.0.1\n").expect("written");
    for ca in ["ca", "other"] {
        openssl(&format!(
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={ca} -keyout {ca}.key -out {ca}.pem"
        ));
    }
    openssl("req -newkey rsa:2048 -nodes -subj /CN=server -keyout server.key -out server.csr");
    openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out server.pem",
    );
    for file in ["server.key", "server.pem", "ca.pem", "other.pem"] {
        fs::set_permissions(folder.join(file), fs::Permissions::from_mode(0o644)).expect("opened");
    }
}

#[test]
fn with_a_ca_a_connection_is_encrypted_to_the_right_server_or_there_is_none() {
    let mut server = Server::up();
    let mut station = Station::of_server(&server);
    let folder = server.folder().to_path_buf();
    certificates(&folder);
    server.look("").execute("CREATE USER me@'127.0.0.1' REQUIRE SSL");
    server.look("").execute("GRANT ALL ON iepm.* TO me@'127.0.0.1'");
    let mut status = |query: &str, port: u16| {
        station.is_at(&format!("mysql://me@127.0.0.1:{port}/iepm{query}"));
        said(&station.run("iepm", &["status"]))
    };
    let (ca, other) = (folder.join("ca.pem"), folder.join("other.pem"));
    let with = |path: &Path| format!("?ssl-ca={}", path.display());
    let refused = status(&with(&ca), server.port());
    assert!(refused.contains("speaks no TLS"), "{refused}");
    server.kill();
    let tls = |name: &str, file: &str| format!("--ssl-{name}={}", folder.join(file).display());
    let tls = [tls("ca", "ca.pem"), tls("cert", "server.pem"), tls("key", "server.key")];
    server.start_with(&tls.each_ref().map(String::as_str));
    let well = status(&with(&ca), server.port());
    assert!(well.starts_with("exit status: 0"), "{well}");
    let refused = status(&with(&other), server.port());
    assert!(refused.contains("no safe connection") || refused.contains("certificate"), "{refused}");
    let refused = status(&with(&folder.join("none.pem")), server.port());
    assert!(refused.contains("cannot read the CA"), "{refused}");
    let refused = status("?ssl-mode=REQUIRED", server.port());
    assert!(refused.contains("certificate"), "{refused}");
    let refused = status("", server.port());
    assert!(refused.contains("Access denied"), "{refused}");
}
