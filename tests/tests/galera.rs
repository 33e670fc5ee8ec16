//! Stations on a Galera cluster, whose nodes die, are parted from the others, and come back.

use rustix::process::Signal;
use stories::{Cluster, monotonic, until};

#[test]
fn nodes_of_a_cluster_die_are_parted_and_come_back_with_what_they_missed() {
    let began = monotonic();
    let mut cluster = Cluster::up(3);
    println!("up after {:?}", monotonic().saturating_sub(began));
    let write = |cluster: &Cluster, node: usize, value: i64| {
        cluster.node(node).look("").execute(&format!("INSERT INTO story.t VALUES ({value})"));
    };
    let sees = |cluster: &Cluster, node: usize, rows: i64| {
        until("the node has the row", || {
            (cluster.node(node).look("").count("story.t") == rows).then_some(())
        });
    };
    let mut look = cluster.node(0).look("");
    look.execute("CREATE DATABASE story");
    look.execute("CREATE TABLE story.t (a BIGINT PRIMARY KEY) ENGINE=InnoDB");
    write(&cluster, 1, 1);
    sees(&cluster, 2, 1);
    cluster.kill(2);
    write(&cluster, 1, 2);
    let down = monotonic();
    cluster.start(2);
    println!("back after {:?}", monotonic().saturating_sub(down));
    sees(&cluster, 2, 2);
    cluster.partition(1);
    write(&cluster, 0, 3);
    cluster.heal(1);
    sees(&cluster, 1, 3);
    cluster.signal(0, Signal::STOP);
    until("the others go on without it", || {
        (cluster.status(1, "wsrep_cluster_size").as_deref() == Some("2")).then_some(())
    });
    write(&cluster, 2, 4);
    cluster.signal(0, Signal::CONT);
    cluster.until_synced(0);
    sees(&cluster, 0, 4);
    // All at once: the first that starts has what was committed.
    (0..3).for_each(|node| cluster.kill(node));
    cluster.start_first(1);
    cluster.start(0);
    sees(&cluster, 0, 4);
}
