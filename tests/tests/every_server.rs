//! All servers of the document's `servers.alive` and all seven daemons, each with the suite's own tools: two stations with
//! a router and a narrow link between them, for five minutes, in which each server is killed once.

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use rustix::process::{Signal, kill_process};
use stories::{
    DAEMONS, Host, Lab, Station, Watched,
    bottleneck::Bottleneck,
    monotonic, pause,
    program::{binaries, command, said, succeed},
    until_within,
};

/// How long it goes on, and how often cron looks.
const LENGTH: Duration = Duration::from_secs(300);
const LOOKS: Duration = Duration::from_secs(20);
/// How long servers and readings may take on a machine that is busy.
const BOUND: Duration = Duration::from_secs(240);
/// The document's lines, and the programs behind them.
const SERVERS: [&str; 6] =
    ["bw-iperf-server", "thrulayd", "pathload_snd", "map-updated", "pathchirp_snd", "owampd"];
const COLUMNS: &str = "srcNodeID,testtype,destNodeID,toolName,toolOpts1,time2run,runinterval,grace";
const SPECS: [&str; 7] = [
    "station,background,far,ping,-n -c 5 -i 0.2 -w 10,10,15,5",
    "station,background,far,traceroute,-n -q 1 -w 2 -m 8,15,20,5",
    "station,background,far,owping,-c 50 -i 0.05 -L 2 --json,15,30,15",
    "station,background,far,pathchirp,-t 10 -J 6 -a 2 -l 1 -u 200,30,60,20",
    "station,background-syn,far,iperf,-p 5000 -t 3 -i 1 -f m,10,60,20",
    "station,background-syn,far,tlaytcp,-t 3,10,60,20",
    "station,background-syn,far,pathload,-t 60,70,110,20",
];

fn link(station: &Station, names: &[(&str, &Path)]) {
    for (name, program) in names {
        let path = station.path("bin").join(name);
        let _ = fs::remove_file(&path);
        symlink(program, path).expect("a link");
    }
}

/// The station that answers, whose servers end with the story.
struct Answering {
    station: Station,
    host: Host,
}

impl Answering {
    fn on(lab: &Lab) -> Self {
        let (host, built) = (lab.host("server"), binaries());
        let station = Station::on(Some(host.clone()));
        let iperf = succeed(command("sh").args(["-c", "command -v iperf"]));
        let own = SERVERS.map(|name| (name, built.join(name)));
        for (name, program) in &own {
            let program =
                if *name == "bw-iperf-server" { Path::new(iperf.trim()) } else { program };
            link(&station, &[(name, program)]);
        }
        let shipped =
            fs::read_to_string(station.path("config/servers.alive")).expect("init made it");
        let is_ours =
            |line: &&str| SERVERS.iter().any(|name| line.starts_with(&format!("{name},")));
        let lines: Vec<_> = shipped.lines().filter(is_ours).collect();
        assert_eq!(lines.len(), SERVERS.len(), "{shipped}");
        fs::write(station.path("config/servers.alive"), lines.join("\n") + "\n").expect("written");
        Self { station, host }
    }

    fn look(&self) {
        let output = self.station.run("keep-servers-alive", &["-v"]);
        println!("{}", said(&output));
    }

    fn missing(&self) -> Vec<&'static str> {
        SERVERS.into_iter().filter(|name| self.host.running_as(name).is_empty()).collect()
    }

    fn all_run(&self) {
        until_within(BOUND, "all servers run", || {
            self.look();
            self.missing().is_empty().then_some(())
        });
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        for pid in self.host.running() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// How many readings there are of each kind, and of how many of them the figures are known.
const KINDS: [(&str, &str); 7] = [
    ("ping", "PINGDATA WHERE received > 0"),
    ("traceroute", "ROUTEDATA WHERE reached = 1"),
    ("owping", "OWAMPDATA WHERE tmed IS NOT NULL AND fmed IS NOT NULL"),
    ("iperf", "BWDATA WHERE toolName = 'iperf' AND thruavg > 0"),
    ("tlaytcp", "BWDATA WHERE toolName = 'tlaytcp' AND thruavg > 0 AND rttavg > 0"),
    ("pathchirp", "BWDATA WHERE toolName = 'pathchirp' AND direction = 'from' AND thruavg > 0"),
    (
        "pathload",
        "BWDATA WHERE toolName = 'pathload' AND direction = 'from' AND COALESCE(thrumin, thrumax) > 0",
    ),
];

#[test]
#[ignore = "needs root for network namespaces"]
fn every_server_and_every_daemon_do_their_work_for_five_minutes_with_readings_of_every_kind() {
    let lab = Lab::up();
    lab.narrows(Bottleneck { bits: 50_000_000, queue: Duration::from_millis(50) });
    let answering = Answering::on(&lab);
    answering.all_run();

    let built = binaries();
    let watched = Watched::of(Station::on(Some(lab.host("client"))), "[load]\npause = '1s'");
    let iperf = succeed(command("sh").args(["-c", "command -v iperf"]));
    let names = ["owping", "pathchirp_rcv", "pathload_rcv"].map(|name| (name, built.join(name)));
    for (name, program) in &names {
        link(&watched.0, &[(name, program)]);
    }
    link(&watched.0, &[("tlaytcp", &built.join("thrulay")), ("iperf", Path::new(iperf.trim()))]);
    watched.0.measures_with(&["far,server.example,4"], COLUMNS, &SPECS);

    let begun = monotonic();
    let mut victims = SERVERS.iter();
    while monotonic() < begun + LENGTH {
        println!("{}", said(&watched.look()));
        answering.look();
        let victim = victims.next().and_then(|name| answering.host.running_as(name).pop());
        if let Some(pid) = victim {
            kill_process(pid, Signal::KILL).expect("ours");
        }
        pause(LOOKS);
    }
    assert_eq!(watched.daemons().len(), DAEMONS.len(), "{}", watched.0.logs());
    answering.all_run();
    until_within(BOUND, "readings of every kind", || {
        let counts = KINDS.map(|(kind, wanted)| (kind, watched.0.count(wanted)));
        println!("{counts:?}");
        counts.iter().all(|(_, count)| *count > 0).then_some(())
    });
    watched.0.accounts_are_right();
    let page = fs::read_to_string(answering.station.path("www/index.html")).expect("a page");
    assert!(page.contains("<h2>Daemons</h2>"), "{page}");
}
