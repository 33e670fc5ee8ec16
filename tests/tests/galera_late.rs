//! A commit that comes to a node of a cluster when its client has given it up and works on another node.

use stories::{Cluster, Cut, Cutter, Station, until};

/// A run that pingd may claim at once, and for six seconds only: less than it takes to give a node up.
const DUE: &str = "INSERT INTO SCHEDULE (toolspecsID, opentoolspecsID, srcNodeID, destNodeID, toolName, testtype, target, \
     command, dueepoch, due_us, latest_us, limit_s, state) \
     SELECT toolspecsID, toolspecsID, 'station', 'a', 'ping', 'background', '127.0.0.1', \
     '[\"ping\",\"-n\",\"-c\",\"1\",\"127.0.0.1\"]', UNIX_TIMESTAMP(), UNIX_TIMESTAMP() * 1000000, \
     (UNIX_TIMESTAMP() + 6) * 1000000, 5, 'pending' FROM TOOLSPECS";

#[test]
fn a_claim_that_is_made_after_its_daemon_gave_it_up_is_put_back_and_told_as_missed() {
    let cluster = Cluster::up(2);
    let mut station = Station::of_cluster(&cluster, 1);
    let mut look = cluster.look("");
    look.execute("CREATE USER 'iepm'@'127.0.0.1'");
    look.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON iepm.* TO 'iepm'@'127.0.0.1'");
    let cutter = Cutter::before(cluster.node(0).port());
    let (first, second) = (cutter.port(), cluster.node(1).port());
    station.is_at(&format!("mysql://iepm@127.0.0.1:{first},127.0.0.1:{second}/iepm"));
    station.measures(&["a,127.0.0.1"], &["a,ping,,-n -c 1 -w 1,1,3600,1"]);
    cutter.cut_commit_after("SET state = 'running'", Cut::Late);
    let mut pingd = station.start("pingd");
    until("pingd lives", || station.holder_of("pingd"));
    look.execute(&DUE.replace("SCHEDULE", "iepm.SCHEDULE").replace("TOOLSPECS", "iepm.TOOLSPECS"));
    until("its claim is on its way", || (cutter.cuts() == 1).then_some(()));
    until("it goes on at the other node, where there is nothing to put back", || {
        pingd.log().contains("goes on after").then_some(())
    });
    assert_eq!(station.states(), [("pending".to_owned(), 1)].into());
    cutter.deliver();
    until("the claim is made", || (station.count("SCHEDULE WHERE attempt = 1") == 1).then_some(()));
    until("it is put back", || station.states().contains_key("pending").then_some(()));
    let scheduled = station.run("load-scheduled", &["--once"]);
    assert!(scheduled.status.success(), "{scheduled:?}");
    assert_eq!(station.states().get("missed"), Some(&1), "{:?}", station.states());
    assert_eq!(pingd.terminate(), Some(0), "{}", pingd.log());
    station.accounts_are_right();
}
