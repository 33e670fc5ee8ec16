//! Nodes of a cluster that are there and not good for work: a program that has a list of them passes such a one
//! over, and goes back to it when it is good again.

use mysql::{Conn, prelude::Queryable};
use stories::{Cluster, Look, Program, Station, until};

/// A station that pings itself each second, as an account that may do no more than its rows need.
fn station(cluster: &Cluster) -> Station {
    let mut station = Station::of_cluster(cluster, 0);
    let mut look = cluster.look("");
    look.execute("CREATE USER 'iepm'@'127.0.0.1'");
    look.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON iepm.* TO 'iepm'@'127.0.0.1'");
    station.is_at(&format!("mysql://iepm@{}/iepm", cluster.hosts(0)));
    station.configure("[load]\npause = '1s'");
    station.measures(&["a,127.0.0.1"], &["a,ping,,-n -c 1 -w 1,1,1,1,0"]);
    station
}

/// The connections of the station's account to a server.
fn connections(look: &mut Look) -> Vec<i64> {
    let sql = "SELECT user, id FROM information_schema.processlist WHERE user = 'iepm'";
    look.pairs(sql).into_iter().map(|(_, id)| id).collect()
}

/// Ends the connections of the station's account, as a server does with those that were idle for long.
fn end_connections(look: &mut Look) {
    for id in connections(look) {
        if let Look::Mysql(connection) = look {
            // It may have ended by itself.
            let _ = connection.query_drop(format!("KILL CONNECTION {id}"));
        }
    }
}

/// Waits until a program has said something so many times.
#[track_caller]
fn until_told(program: &Program, what: &str, times: usize) {
    until(&format!("it says {times} times {what}: {}", program.log()), || {
        (program.log().matches(what).count() >= times).then_some(())
    });
}

/// What is done to the first node, how that shows, and how it is undone.
struct Trouble {
    what: &'static str,
    begin: &'static [&'static str],
    end: &'static [&'static str],
    /// Whether connections that there are have to be made anew for it to be seen.
    is_seen_by_new_ones: bool,
}

const TROUBLES: [Trouble; 3] = [
    Trouble {
        what: "it is Donor/Desynced",
        begin: &["SET GLOBAL wsrep_desync = ON"],
        end: &["SET GLOBAL wsrep_desync = OFF"],
        is_seen_by_new_ones: true,
    },
    Trouble {
        what: "read-only",
        begin: &["SET GLOBAL read_only = ON"],
        end: &["SET GLOBAL read_only = OFF"],
        is_seen_by_new_ones: false,
    },
    Trouble {
        what: "Too many connections",
        begin: &["SET GLOBAL max_connections = 10"],
        end: &["SET GLOBAL max_connections = 151"],
        is_seen_by_new_ones: true,
    },
];

#[test]
fn a_node_that_is_desynced_read_only_or_full_is_passed_over_until_it_is_good_again() {
    let cluster = Cluster::up(3);
    let station = station(&cluster);
    let mut look = cluster.node(0).look("");
    let mut daemons = station.start_all(&["load-scheduled", "pingd", "load-datad"]);
    let goes_on = || {
        let loaded = |cluster: &Cluster| cluster.node(1).look("iepm").count("PINGDATA");
        let before = loaded(&cluster);
        until("readings come in", || (loaded(&cluster) > before + 2).then_some(()));
    };
    goes_on();
    let [first, second] = [0, 1].map(|node| format!("127.0.0.1:{}", cluster.node(node).port()));
    for (times, trouble) in (1..).zip(&TROUBLES) {
        // More than the full one is to take.
        let crowd: Vec<Conn> =
            (0..12).map(|_| Conn::new(cluster.node(0).opts("")).expect("room")).collect();
        trouble.begin.iter().for_each(|sql| look.execute(sql));
        if trouble.is_seen_by_new_ones {
            end_connections(&mut look);
        }
        let scheduler = &daemons[0];
        until_told(scheduler, &format!("now on {second}"), times);
        let log = scheduler.log();
        let told = log.lines().rfind(|line| line.contains("now on")).unwrap_or_default();
        println!("{told}");
        assert!(told.contains(trouble.what) && told.contains(&first), "{told}");
        goes_on();
        trouble.end.iter().for_each(|sql| look.execute(sql));
        drop(crowd);
        until_told(scheduler, &format!("on {first} again"), times);
        until("it is used again", || (!connections(&mut look).is_empty()).then_some(()));
        goes_on();
    }
    for daemon in &mut daemons {
        assert_eq!(daemon.terminate(), Some(0), "{}", daemon.log());
    }
    station.accounts_are_right();
}
