//! Two `iepm migrate` at once, on two nodes of a cluster.

use std::{
    process::{Child, Output, Stdio},
    time::Duration,
};

use station::{
    words::database::Database,
    world::store::{LATEST, Store, first_of_test},
};
use stories::{Cluster, Look, Station, program::said};

/// So often they meet.
const ROUNDS: usize = 4;

/// Makes a database of the first version, with a reading.
fn first_version(cluster: &Cluster) {
    let mut look = cluster.node(2).look("");
    look.execute("DROP DATABASE IF EXISTS iepm");
    let database = Database::parse(&cluster.url(2, "iepm")).expect("a database");
    let mut store = Store::of(&database, Duration::from_secs(15));
    store.create().expect("made");
    store.unchecked(|session| first_of_test(session)).expect("version 1");
    cluster.node(2).look("iepm").execute(
        "INSERT INTO PINGDATA (scheduleID, toolspecsID, srcNodeID, destNodeID, startepoch, start_us, end_us, received, \
         duplicates, reordered, clock_synchronised, avg) VALUES (1, 1, 's', 'd', 7, 7000000, 0, 9, 0, 0, 1, 2.5)",
    );
}

fn migrate(station: &Station) -> Child {
    let mut command = station.command("iepm");
    let command = command.arg("migrate").stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it starts")
}

/// The columns and the indexes of all tables.
fn schema(look: &mut Look, database: &str) -> Vec<(String, i64)> {
    look.pairs(&format!(
        "SELECT CONCAT_WS(' ', table_name, column_name, column_type, is_nullable, column_default, extra), \
         ordinal_position FROM information_schema.columns WHERE table_schema = '{database}' \
         UNION ALL SELECT CONCAT_WS(' ', table_name, index_name, column_name, non_unique), seq_in_index \
         FROM information_schema.statistics WHERE table_schema = '{database}' ORDER BY 1, 2"
    ))
}

fn said_so(output: &Output) -> bool {
    output.status.code() == Some(75) && said(output).contains("`iepm migrate`")
}

#[test]
fn of_two_that_migrate_on_two_nodes_one_does_and_the_schema_is_whole_on_all() {
    let cluster = Cluster::up(3);
    let stations = [0, 1].map(|node| {
        let station = Station::of_cluster(&cluster, node);
        station.configure("");
        station
    });
    let fresh = schema(&mut cluster.node(0).look(""), "iepm");
    for _ in 0..ROUNDS {
        first_version(&cluster);
        let both = [0, 1].map(|one| migrate(&stations[one]));
        let both = both.map(|it| it.wait_with_output().expect("it ends"));
        let told = both.each_ref().map(said);
        println!("{told:?}");
        let went = format!("went from version 1 to {LATEST}");
        let did = told.iter().filter(|told| told.contains(&went)).count();
        assert_eq!(did, 1, "{told:?}");
        let found = format!("version {LATEST} already");
        for (output, told) in both.iter().zip(&told) {
            assert!(
                said_so(output)
                    || output.status.success() && (told.contains(&went) || told.contains(&found)),
                "{told}"
            );
        }
        for node in 0..cluster.size() {
            let mut look = cluster.node(node).look("iepm");
            look.execute("SET SESSION wsrep_sync_wait = 1");
            let versions = "SELECT GROUP_CONCAT(version ORDER BY version) FROM SCHEMAVERSION";
            assert_eq!(look.ask::<String>(versions), Some(every_version()), "{told:?}");
            assert_eq!(look.count("SCHEMASTEP"), 0);
            assert_eq!(look.count("PINGDATA WHERE received = 9"), 1);
            assert_eq!(schema(&mut look, "iepm"), fresh, "on node {node}: {told:?}");
        }
    }
}

/// The versions that a database goes through, as they stand in it.
fn every_version() -> String {
    let all: Vec<_> = (1..=LATEST).map(|version| version.to_string()).collect();
    all.join(",")
}
