//! A Galera cluster of a story's own: several MariaDB servers of this machine, each with the whole database.

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
};

use mysql::prelude::Queryable;
use rustix::process::Signal;

use crate::{Look, PATIENCE, Server, program::said, server::free_port, until};

/// The cluster. Its nodes are counted from 0; each is ended, by its pid, when this is dropped.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Server>,
}

/// Where Debian puts the provider.
const PROVIDER: &str = "/usr/lib/galera/libgalera_smm.so";

/// Ports of a node beside that of its clients.
#[derive(Debug, Clone, Copy)]
struct Ports {
    group: u16,
    ist: u16,
    sst: u16,
}

impl Cluster {
    /// A new cluster of so many nodes, each of them in sync.
    ///
    /// They begin with the same files, as a cluster does that was shut down whole: each finds the others
    /// and nothing has to be sent.
    #[track_caller]
    pub fn up(size: usize) -> Self {
        let ports: Vec<Ports> = (0..size)
            .map(|_| Ports { group: free_port(), ist: free_port(), sst: free_port() })
            .collect();
        let mut first = Server::made().with_options(options(0, &ports));
        // It gives the cluster its name and a first state.
        first.start_with(&["--wsrep-new-cluster"]);
        until("the first node is in sync", || is_synced(&first).then_some(()));
        first.stop();
        let copies = (1..size).map(|i| Server::copy_of(&first).with_options(options(i, &ports)));
        let mut nodes: Vec<Server> = copies.collect();
        nodes.insert(0, first);
        let mut cluster = Self { nodes };
        for node in 0..size {
            cluster.note_of_all(node);
            cluster.nodes[node].begin(&[]);
        }
        (0..size).for_each(|node| cluster.until_synced(node));
        cluster
    }

    /// Leaves a node the note that it was one of a whole cluster.
    fn note_of_all(&self, node: usize) {
        let uuid = |node: usize| format!("00000000-0000-4000-8000-{:012x}", node + 1);
        let members: Vec<String> =
            (0..self.size()).map(|node| format!("member: {} 0", uuid(node))).collect();
        let saved = format!(
            "my_uuid: {}\n#vwbeg\nview_id: 3 {} 3\nbootstrap: 0\n{}\n#vwend\n",
            uuid(node),
            uuid(0),
            members.join("\n")
        );
        let path = self.nodes[node].path("data/gvwstate.dat");
        fs::write(&path, saved).expect("written");
        let data = fs::metadata(self.nodes[node].path("data")).expect("a folder");
        chown(path, Some(data.uid()), None).expect("given to the server");
    }

    /// A node, as a server.
    pub fn node(&self, node: usize) -> &Server {
        &self.nodes[node]
    }

    /// How many nodes it has, whether they run or not.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// `host:port` of the nodes, joined by commas, beginning with `first`; then in a ring.
    pub fn hosts(&self, first: usize) -> String {
        let ring = self.nodes.iter().cycle().skip(first).take(self.nodes.len());
        let hosts: Vec<String> = ring.map(|it| format!("127.0.0.1:{}", it.port())).collect();
        hosts.join(",")
    }

    /// The URL of a database for a client that prefers the node `first`, for its account root.
    pub fn url(&self, first: usize, database: &str) -> String {
        format!("mysql://root@{}/{database}", self.hosts(first))
    }

    /// A connection to the first node that is in sync, to look with.
    #[track_caller]
    pub fn look(&self, database: &str) -> Look {
        let first = || self.nodes.iter().find(|node| is_synced(node));
        until("a node is in sync", first).look(database)
    }

    /// Kills a node, as a power failure would.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
    }

    /// Asks a node to leave, and waits until it has.
    #[track_caller]
    pub fn stop(&mut self, node: usize) {
        self.nodes[node].stop();
    }

    /// Starts a node that is down, and waits until it has what the others have. It asks for what it lacks;
    /// if they no longer have that, for everything.
    #[track_caller]
    pub fn start(&mut self, node: usize) {
        self.start_with(node, &[]);
    }

    /// Starts a node as the first of a cluster that is down.
    #[track_caller]
    pub fn start_first(&mut self, node: usize) {
        let state = self.nodes[node].path("data/grastate.dat");
        let text = fs::read_to_string(&state).expect("the state of a node");
        let safe = text.replace("safe_to_bootstrap: 0", "safe_to_bootstrap: 1");
        fs::write(state, safe).expect("written");
        self.start_with(node, &["--wsrep-new-cluster"]);
    }

    #[track_caller]
    fn start_with(&mut self, node: usize, options: &[&str]) {
        let position = self.position(node).map(|it| format!("--wsrep-start-position={it}"));
        let options: Vec<&str> = options.iter().copied().chain(position.as_deref()).collect();
        self.nodes[node].begin(&options);
        self.until_synced(node);
    }

    /// How far a node that was killed had come, as `galera_recovery` asks for it before each start of the
    /// service.
    fn position(&self, node: usize) -> Option<String> {
        let output = self.nodes[node].mariadbd().arg("--wsrep-recover").output();
        let told = said(&output.expect("the server starts"));
        let (_, position) = told.split_once("Recovered position: ")?;
        position.split_whitespace().next().map(str::to_owned)
    }

    /// Waits until a node is in sync.
    #[track_caller]
    pub fn until_synced(&self, node: usize) {
        until(&format!("node {node} is in sync"), || self.is_synced(node).then_some(()));
    }

    /// Whether a node is in sync with a group that no other node knows a later state of: one that was
    /// stopped does not know at once that the others went on without it.
    fn is_synced(&self, node: usize) -> bool {
        let group = |node| self.status(node, "wsrep_cluster_conf_id")?.parse::<u64>().ok();
        let Some(own) = group(node).filter(|_| is_synced(&self.nodes[node])) else { return false };
        // The greatest number is that of a node without a group.
        let later = (0..self.size()).filter_map(group).any(|of| of > own && of < u64::MAX);
        !later
    }

    /// Sends a node a signal: stopped, it says nothing to anybody and keeps its connections.
    pub fn signal(&self, node: usize, signal: Signal) {
        self.nodes[node].signal(signal);
    }

    /// Parts a node from the others; its clients still reach it.
    #[track_caller]
    pub fn partition(&self, node: usize) {
        self.isolate(node, 1);
        until("the node knows that it is alone", || {
            (self.status(node, "wsrep_cluster_status").as_deref() != Some("Primary")).then_some(())
        });
    }

    /// Ends a partition, and waits until the node is in sync.
    #[track_caller]
    pub fn heal(&self, node: usize) {
        self.isolate(node, 0);
        self.until_synced(node);
    }

    #[track_caller]
    fn isolate(&self, node: usize, whether: u8) {
        let sql = format!("SET GLOBAL wsrep_provider_options = 'gmcast.isolate={whether}'");
        self.nodes[node].look("").execute(&sql);
    }

    /// One of a node's status variables; nothing where it does not answer.
    pub fn status(&self, node: usize, variable: &str) -> Option<String> {
        status(&self.nodes[node], variable)
    }
}

fn is_synced(node: &Server) -> bool {
    status(node, "wsrep_local_state_comment").as_deref() == Some("Synced")
}

fn status(node: &Server, variable: &str) -> Option<String> {
    let sql = format!("SHOW STATUS LIKE '{variable}'");
    // It may have been stopped.
    let opts = mysql::OptsBuilder::from_opts(node.opts("")).read_timeout(Some(PATIENCE / 60));
    let row: Option<(String, String)> = mysql::Conn::new(opts).ok()?.query_first(sql).ok()?;
    row.map(|(_, value)| value)
}

/// What makes a server one of several nodes on this machine.
fn options(node: usize, ports: &[Ports]) -> Vec<String> {
    let Ports { group, ist, sst } = ports[node];
    let all: Vec<String> = ports.iter().map(|it| format!("127.0.0.1:{}", it.group)).collect();
    let provider = format!(
        "base_port={group};gmcast.listen_addr=tcp://127.0.0.1:{group};ist.recv_addr=127.0.0.1:{ist};gcache.size=16M"
    );
    [
        "--wsrep-on=ON",
        "--binlog-format=ROW",
        "--innodb-autoinc-lock-mode=2",
        "--innodb-flush-log-at-trx-commit=2",
        "--wsrep-cluster-name=stories",
        "--wsrep-node-address=127.0.0.1",
        "--wsrep-sst-method=rsync",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([
        format!("--wsrep-provider={PROVIDER}"),
        format!("--wsrep-node-name=node-{node}"),
        format!("--wsrep-sst-receive-address=127.0.0.1:{sst}"),
        format!("--wsrep-provider-options={provider}"),
        format!("--wsrep-cluster-address=gcomm://{}", all.join(",")),
    ])
    .collect()
}
