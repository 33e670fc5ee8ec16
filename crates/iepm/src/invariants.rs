//! What must hold between the files of a station, and between them and the machine.
//!
//! Each function notes what does not hold at its place in `toolspecs.csv`, where it is put right.

use std::{
    collections::BTreeSet,
    ops::Range,
    path::{Path, PathBuf},
};

use station::{
    text::{NodeId, Span, ToolName, human_duration},
    words::{
        cleanup::Entry,
        config::Group,
        node,
        servers::{self, Demand, Server},
        suite,
        table::{self, Row},
        toolspec::{Placed, TestType, ToolSpec},
    },
};

use crate::{capacity::WHOLE, load::Load, source::Source};

/// More of the exclusive channel than this leaves little room for runs that take longer.
const FULL: f64 = 0.7;

/// Both nodes of every specification are in NODES.
pub(crate) fn nodes_are_there(nodes_file: &Source, specs_file: &mut Source, specs: &[Placed]) {
    let Some(known) = known_nodes(nodes_file) else { return };
    for placed in specs {
        let key = &placed.spec.key;
        for (column, node) in [("srcNodeID", &key.src), ("destNodeID", &key.dest)] {
            if !known.contains(node.as_str()) {
                let message = format!("{column}: there is no node {node} in nodes.csv");
                specs_file.mistake(placed.span(column), message);
            }
        }
    }
}

/// The names in `nodes.csv`; none if it is no such table at all.
///
/// A node whose row has a mistake counts as there: that mistake is told, and is the only one.
fn known_nodes(nodes_file: &Source) -> Option<BTreeSet<String>> {
    let (table, mistakes) = table::parse(&node::SHAPE, nodes_file.text());
    let is_table = mistakes.is_empty() || !table.rows.is_empty();
    is_table.then(|| table.rows.iter().map(node_id).collect())
}

fn node_id(row: &Row<'_>) -> String {
    row.text("nodeID").to_owned()
}

/// Every node of a group is in NODES, and every group has one: what is misspelt or left out has no limit.
///
/// Comes before what else is noted of the configuration, beside the mistakes of its text.
pub(crate) fn nodes_of_groups_are_there(
    configuration: &mut Source,
    groups: &[Group],
    nodes_file: &Source,
) {
    // A list that was not understood is empty too: that mistake is told, and is the only one.
    let is_understood = configuration.mistakes() == 0;
    let known = known_nodes(nodes_file);
    let is_strange =
        |node: &&NodeId| known.as_ref().is_some_and(|known| !known.contains(node.as_str()));
    for Group { name, nodes, .. } in groups {
        if nodes.is_empty() && is_understood {
            let message =
                format!("[groups.{name}]: nodes is empty: it limits nothing; name its targets");
            mistake_in_group(configuration, (name, None), message);
        }
        for node in nodes.iter().filter(is_strange) {
            let message = format!("[groups.{name}]: there is no node {node} in nodes.csv");
            mistake_in_group(configuration, (name, Some(node)), message);
        }
    }
}

/// Notes a mistake where a group names a node, or else where it begins, as far as that is known.
fn mistake_in_group(
    configuration: &mut Source,
    (group, node): (&NodeId, Option<&NodeId>),
    message: String,
) {
    match place_in_group(configuration.text(), group, node) {
        Some(span) => configuration.mistake(span, message),
        None => configuration.fault(message),
    }
}

fn place_in_group(text: &str, group: &NodeId, node: Option<&NodeId>) -> Option<Span> {
    let table = table_of_group(text, group)?;
    let named = node.and_then(|node| place_of_node(text, &table, node));
    let place = named.unwrap_or(table);
    Some(Span::of_bytes(text, place.start, place.end))
}

/// The table of a group, if it has a header of its own, as in the sample file.
fn table_of_group(text: &str, group: &NodeId) -> Option<Range<usize>> {
    let headers = ["", "'", "\""].map(|quote| format!("[groups.{quote}{group}{quote}]"));
    let is_first = |at: &usize| before_in_line(text, *at).trim().is_empty();
    let mut tables = text.match_indices('[').map(|(at, _)| at).filter(is_first);
    let is_its = |at: &usize| headers.iter().any(|header| text[*at..].starts_with(header.as_str()));
    let start = tables.find(is_its)?;
    Some(start..tables.next().unwrap_or(text.len()))
}

/// Where a node stands in quotes within a table, and in no comment.
fn place_of_node(text: &str, table: &Range<usize>, node: &NodeId) -> Option<Range<usize>> {
    ["'", "\""].into_iter().find_map(|quote| {
        let word = format!("{quote}{node}{quote}");
        let places = text[table.clone()].match_indices(word.as_str());
        let mut starts = places.map(|(at, _)| table.start + at);
        let start = starts.find(|at| !before_in_line(text, *at).contains('#'))?;
        Some(start..start + word.len())
    })
}

/// What stands before a place in its line.
fn before_in_line(text: &str, at: usize) -> &str {
    text[..at].rsplit('\n').next().unwrap_or_default()
}

/// Every probe type that is loaded has a reader.
pub(crate) fn results_are_read(configuration: &mut Source, probetypes: &[ToolName]) {
    for tool in probetypes.iter().filter(|tool| !readings::TOOLS.contains(&tool.as_str())) {
        let word = format!("\"{tool}\"");
        let text = configuration.text();
        let start = text.find(&word).or_else(|| text.find(tool.as_str())).unwrap_or(0);
        let span = Span::of_bytes(text, start, start + word.len());
        let known = readings::TOOLS.join(", ");
        configuration.mistake(
            span,
            format!("probetypes: there is no reader for {tool}; there are readers for {known}"),
        );
    }
}

/// Every specification that is on has a daemon that carries its runs out.
pub(crate) fn somebody_runs_it(specs_file: &mut Source, specs: &[Placed]) {
    for placed in specs.iter().filter(|placed| placed.spec.on) {
        let (tool, span) = (&placed.spec.key.tool, placed.span("testtype"));
        if suite::daemon_of(tool.as_str(), placed.spec.testtype).is_none() {
            let message =
                format!("no daemon runs {tool} side by side; testtype {} runs it alone", alone());
            specs_file.mistake(span, message);
        }
    }
}

fn alone() -> &'static str {
    TestType::BackgroundSyn.as_str()
}

/// Where the program of a tool is, if it is installed.
pub(crate) type Find<'a> = &'a dyn Fn(&str) -> Option<PathBuf>;

/// Every run is over before bw-cleanup takes it for a process that hangs.
pub(crate) fn runs_end_before_cleanup(
    specs_file: &mut Source,
    specs: &[&Placed],
    list: &[Entry],
    find: Find<'_>,
) {
    for placed in specs {
        let spec = &placed.spec;
        let path = program(spec, find).to_string_lossy().into_owned();
        let entry = list.iter().filter(|entry| entry.names(&path)).min_by_key(|entry| entry.age);
        let Some(entry) = entry.filter(|entry| spec.limit() >= entry.age) else { continue };
        let message = format!(
            "time2run {} + grace {} must be less than the {} after which bw-cleanup ends \"{}\"",
            spec.time2run,
            spec.grace,
            human_duration(entry.age),
            entry.name
        );
        specs_file.mistake(placed.span("time2run"), message);
    }
}

/// A program that is not installed is judged as if it were in the usual place.
fn program(spec: &ToolSpec, find: Find<'_>) -> PathBuf {
    let path = spec.path.as_str();
    find(path).unwrap_or_else(|| PathBuf::from("/usr/bin").join(path))
}

/// Every tool is installed.
pub(crate) fn tools_are_installed(specs_file: &mut Source, specs: &[&Placed], find: Find<'_>) {
    let mut told = BTreeSet::new();
    for placed in specs {
        let path = placed.spec.path.as_str();
        let installed = find(path).is_some_and(|path| path.is_file());
        if !installed && told.insert(path) {
            let message = format!("{path} is not installed: no run can be started");
            specs_file.warning(placed.span("toolPath"), message);
        }
    }
}

/// Every server of which something is demanded is in the list; a line with a mistake may be the one.
pub(crate) fn demands_have_servers(
    configuration: &mut Source,
    demands: &[Demand],
    servers_file: &Source,
    servers: &[Server],
) {
    let is_missing = |demand: &&Demand| servers.iter().all(|server| server.name != demand.name);
    for demand in demands.iter().filter(is_missing).filter(|_| servers_file.mistakes() == 0) {
        let message = format!("there is no server {} in servers.alive", demand.name);
        configuration.mistake(demand.span, message);
    }
}

/// The program of every server is on this machine, and what that calls.
pub(crate) fn servers_are_installed(
    servers_file: &mut Source,
    servers: &[Server],
    home: &Path,
    find: Find<'_>,
) {
    for server in servers {
        if let Some((missing, place)) = missing(server, home, find) {
            let (name, remedy) = (&server.name, servers::remedy(&missing));
            let message = format!("{name} is not installed: {place}; {remedy}");
            servers_file.warning(server.span, message);
        }
    }
}

/// What of a server is missing, and where it was looked for.
fn missing(server: &Server, home: &Path, find: Find<'_>) -> Option<(String, String)> {
    let is_there = |name: &str| find(name).is_some_and(|path| path.is_file());
    let name = server.name.as_str();
    let path = home.join(&server.directory).join(name).display().to_string();
    if server.directory.as_os_str().is_empty() && !is_there(name) {
        return Some((name.to_owned(), "it is neither in bin nor in PATH".to_owned()));
    }
    if !server.directory.as_os_str().is_empty() && !is_there(&path) {
        return Some((name.to_owned(), format!("{path} is no program")));
    }
    let needed = servers::needs(name).filter(|needed| !is_there(needed))?;
    Some((needed.to_owned(), format!("it runs {needed}, which is nowhere")))
}

/// What is to run for ever is not ended for its age.
pub(crate) fn servers_are_spared(servers_file: &mut Source, servers: &[Server], entries: &[Entry]) {
    for server in servers {
        let path = server.directory.join(server.name.as_str()).display().to_string();
        if let Some(entry) = entries.iter().find(|entry| entry.names(&path)) {
            let message = format!(
                "bw-cleanup would end it after {}: \"{}\" is in cleanup-list",
                human_duration(entry.age),
                entry.name
            );
            servers_file.mistake(server.span, message);
        }
    }
}

/// The specifications of this station fit into its time.
pub(crate) fn the_station_is_not_full(specs_file: &mut Source, load: &Load, side_by_side: usize) {
    let percent = load.exclusive_share * 100.0;
    let share = format!("{} runs need {percent:.0} % of the time in which one may run", alone());
    let more = "`iepm schedule --capacity` says what to change";
    if load.exclusive_share > WHOLE {
        specs_file.fault(format!("{share}: some would always be missed; {more}"));
    } else if load.windows_not_kept > 0 {
        let missed = load.windows_not_kept;
        let plural = if missed == 1 { "" } else { "s" };
        specs_file.doubt(format!(
            "runs of {missed} {} specification{plural} are missed when all are due at once: they wait longer \
             than they may; {more}",
            alone()
        ));
    } else if load.exclusive_share > FULL {
        specs_file.doubt(format!("{share}: a long one puts the others off"));
    }
    for (tool, running) in &load.side_by_side {
        let message = format!("on average {running:.0} runs of {tool} go side by side");
        #[expect(clippy::cast_precision_loss, reason = "at most 10,000")]
        if *running > side_by_side as f64 {
            specs_file.fault(format!("{message}, side-by-side allows {side_by_side}"));
        }
    }
}

/// There is something for this station to do.
pub(crate) fn there_is_something_to_do(specs_file: &mut Source, specs: &[&Placed], station: &str) {
    // Where there are mistakes, the specification that is missed may be one of them.
    if specs.is_empty() && specs_file.mistakes() == 0 {
        let message = format!(
            "no specification that is on has this station, {station}, as its srcNodeID: nothing will run"
        );
        specs_file.doubt(message);
    }
}
