//! `show-probe-commands` reads TOOLSPECS and shows the commands that the station's probes execute,
//! built exactly as `load-scheduled` builds them.

use std::{collections::BTreeMap, time::Duration};

use clap::Parser;
use serde::Serialize;
use station::{
    app::{self, Common, Exit, Failure},
    filter::Filter,
    text::{Align, Columns, NodeId},
    words::{command, node::Node, toolspec::ToolSpec},
    world::store::{self, Error, Session, Store, StoredSpec},
};

/// How long it waits for the database.
const PATIENCE: Duration = Duration::from_secs(15);

const EXITS: &str = "Exit statuses:
   0  all is well
   1  a specification is wrong: it is said on the standard error
   2  the command line made no sense
  75  not now: the database is locked or away
  78  the configuration, or the database's schema, is not right";

/// Shows the commands that the station's probes execute
#[derive(Debug, Parser)]
#[command(name = "show-probe-commands", version, after_help = EXITS)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    filter: Filter,
    /// Print JSON: each command as a list of words
    #[arg(long)]
    json: bool,
}

/// What one specification executes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// The node that is measured to.
    pub node: String,
    /// By which tool.
    pub tool: String,
    /// `background` or `background-syn`.
    pub testtype: &'static str,
    /// Seconds between runs.
    pub runinterval: u32,
    /// The command, word by word.
    pub command: Vec<String>,
}

/// The program.
///
/// # Errors
/// As the configuration and the database say.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let config = args.common.load()?;
    let mut store = Store::of(&config.database, PATIENCE);
    let seen = store.read(|session| probes(session, &config.node));
    let (mut probes, faults) = seen.map_err(|error| Failure::store("reading TOOLSPECS", error))?;
    probes.retain(|probe| args.filter.takes(&probe.node, &probe.tool));
    app::print(&if args.json { json(&probes) } else { text(&probes) })?;
    for fault in &faults {
        log::error!("{fault}");
    }
    Ok(if faults.is_empty() { Exit::Well } else { Exit::NeedsPerson })
}

/// What the specifications of `station` execute, and what is wrong with those that cannot.
///
/// # Errors
/// What the database says.
pub fn probes(
    session: &mut dyn Session,
    station: &NodeId,
) -> Result<(Vec<Probe>, Vec<String>), Error> {
    let (mut probes, mut faults) = (Vec::new(), Vec::new());
    let mut nodes = BTreeMap::new();
    for node in store::nodes(session)? {
        match node {
            Ok(node) => _ = nodes.insert(node.id.clone(), node),
            Err(fault) => faults.push(format!("a row of NODES is wrong: {fault}")),
        }
    }
    let all = store::specs(session, station.as_str())?;
    for stored in all.into_iter().filter(|stored| !stored.retired) {
        match probe(&stored, station, &nodes) {
            Ok(probe) => probes.extend(probe),
            Err(fault) => faults.push(format!("toolspecsID {} is wrong: {fault}", stored.id)),
        }
    }
    Ok((probes, faults))
}

/// What a specification executes; nothing if it is off or another station's.
fn probe(
    stored: &StoredSpec,
    station: &NodeId,
    nodes: &BTreeMap<NodeId, Node>,
) -> Result<Option<Probe>, String> {
    let spec = stored.spec.as_ref().map_err(Clone::clone)?;
    if !spec.on || spec.key.src != *station {
        return Ok(None);
    }
    let dest = &spec.key.dest;
    let node = nodes.get(dest).ok_or_else(|| format!("there is no node {dest} in NODES"))?;
    Ok(Some(executed(spec, node)?))
}

fn executed(spec: &ToolSpec, node: &Node) -> Result<Probe, String> {
    let words = command::words(spec, node);
    // The daemons read them from SCHEDULE and check them again: so does this.
    let command = command::from_column(&command::to_column(&words), node.host.as_str())?;
    Ok(Probe {
        node: spec.key.dest.to_string(),
        tool: spec.key.tool.to_string(),
        testtype: spec.testtype.as_str(),
        runinterval: spec.runinterval.seconds(),
        command,
    })
}

fn json(probes: &[Probe]) -> String {
    // Texts and numbers have nothing that JSON cannot hold.
    serde_json::to_string_pretty(probes).unwrap_or_default() + "\n"
}

/// The probes in columns, the command last.
#[must_use]
pub fn text(probes: &[Probe]) -> String {
    let mut columns = Columns::new(&[
        ("NODE", Align::Left),
        ("TOOL", Align::Left),
        ("TESTTYPE", Align::Left),
        ("EVERY s", Align::Right),
        ("COMMAND", Align::Left),
    ]);
    for probe in probes {
        let Probe { node, tool, testtype, runinterval, command } = probe;
        columns.push([
            node.clone(),
            tool.clone(),
            (*testtype).to_owned(),
            runinterval.to_string(),
            command.join(" "),
        ]);
    }
    columns.plain()
}

#[cfg(test)]
mod tests {
    use station::text::Timestamp;

    use super::*;

    fn read(statements: &[&'static str]) -> (Vec<Probe>, Vec<String>) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = Store::of(&store::of_test(folder.path()), PATIENCE);
        store.create().expect("made");
        store.unchecked(|session| store::migrate(session, Timestamp(0))).expect("migrated");
        for statement in statements {
            store.transaction(|session| session.execute(statement, &[])).expect("executed");
        }
        let station = "s".parse().expect("a node");
        store.read(|session| probes(session, &station)).expect("read")
    }

    const NODES: &str =
        "INSERT INTO NODES (nodeID, hostName, ipVersion) VALUES ('d', '192.0.2.1', '4')";
    const SPECS: &str = "INSERT INTO TOOLSPECS (srcNodeID, destNodeID, toolName, toolPath, toolDo, testtype, toolOpts1, \
         time2run, runinterval, retiredepoch) VALUES \
         ('s', 'd', 'ping', '/bin/ping', 1, 'background', '-s 1000 -c 10', 15, 600, NULL), \
         ('s', 'd', 'iperf', 'bw-iperf-client', 1, 'background-syn', '-p 5000', 30, 1800, NULL), \
         ('s', 'd', 'off', 'off', 0, 'background', '', 15, 600, NULL), \
         ('s', 'd', 'gone', 'gone', 1, 'background', '', 15, 600, 5), \
         ('x', 'd', 'ping', 'ping', 1, 'background', '', 15, 600, NULL)";

    #[test]
    fn the_commands_of_this_stations_specifications_are_shown() {
        let (probes, faults) = read(&[NODES, SPECS]);
        assert_eq!(faults, [""; 0]);
        assert_eq!(
            text(&probes),
            "NODE  TOOL   TESTTYPE        EVERY s  COMMAND\n\
             d     iperf  background-syn     1800  bw-iperf-client -c 192.0.2.1 -p 5000\n\
             d     ping   background          600  /bin/ping -4 -s 1000 -c 10 192.0.2.1\n"
        );
    }

    #[test]
    fn what_is_wrong_is_told_and_hides_nothing() {
        let (probes, faults) = read(&[
            NODES,
            SPECS,
            "UPDATE TOOLSPECS SET toolOpts1 = '-c 1; reboot' WHERE toolName = 'ping' AND srcNodeID = 's'",
            "UPDATE TOOLSPECS SET destNodeID = 'nobody' WHERE toolName = 'off'",
            "UPDATE TOOLSPECS SET toolDo = 1 WHERE toolName = 'off'",
        ]);
        assert_eq!(probes.len(), 1);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(
            faults[0].starts_with("toolspecsID 1 is wrong: toolOpts1: no shell reads this"),
            "{faults:?}"
        );
        assert_eq!(faults[1], "toolspecsID 3 is wrong: there is no node nobody in NODES");
    }
}
