//! `iepm apply`: makes NODES and TOOLSPECS say what `nodes.csv` and `toolspecs.csv` say.
//!
//! [`plan`] compares, [`show`] tells, [`carry_out`] acts. All of it, or nothing, is done: one
//! transaction reads the tables, plans and writes. No row is ever deleted: what is no longer in a
//! file is retired, its readings stay, and it is taken up again when it returns.

mod carry_out;
mod listing;
mod plan;
mod show;

use station::{
    app::{self, Common, Exit, Failure},
    text::Timestamp,
    world::{
        clock::{Clock, SystemClock},
        store::{Error, Kind, Session, Store},
    },
};

use crate::tables::Tables;

pub(crate) use listing::{Conflict, differing};
pub(crate) use plan::Plan;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show what would be changed, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Say where nodes are also against the nodes.csv of other stations that share the database
    #[arg(long)]
    redefine: bool,
}

pub(crate) fn run(args: &Args, common: &Common) -> Result<Exit, Failure> {
    let config = common.load()?;
    let tables = Tables::read(&config.paths.config);
    refuse_mistakes(&tables)?;
    let mut store = crate::store(&config);
    let station = config.node.as_str();
    let (plan, done) = if args.dry_run {
        (store.read(|session| planned(session, &tables, station)), "nothing was changed")
    } else {
        (carried_out(&mut store, &tables, station, args.redefine), "done")
    };
    let folder = config.paths.config.display();
    let plan = plan.map_err(|error| Failure::store(format!("applying {folder}"), error))?;
    let refused = !plan.conflicts.is_empty() && !args.redefine;
    app::print(&show::text(&plan, if refused { "nothing was changed" } else { done }))?;
    if refused { Err(refusal(&plan.conflicts)) } else { Ok(Exit::Well) }
}

/// Stations that are given the same new node at once are in each other's way once.
const TRIES: usize = 3;

fn carried_out(
    store: &mut Store,
    tables: &Tables,
    station: &str,
    redefine: bool,
) -> Result<Plan, Error> {
    let now = SystemClock.now();
    let mut tries = 1;
    loop {
        match store.transaction(|session| apply(session, tables, station, redefine, now)) {
            Err(error) if error.kind() == Kind::Conflict && tries < TRIES => tries += 1,
            result => return result,
        }
    }
}

fn refusal(conflicts: &[Conflict]) -> Failure {
    let told: Vec<String> = conflicts.iter().map(Conflict::text).collect();
    let todo = "put the file right that is wrong, give one of the nodes another name, or call \
                `iepm apply --redefine` where a node has moved";
    Failure::new(Exit::Config, "changing nodes that other stations of the database measure to")
        .why(format!("nothing was changed; {todo}\n{}", told.join("\n")))
}

fn refuse_mistakes(tables: &Tables) -> Result<(), Failure> {
    let cited = tables.nodes_file.cited() + &tables.specs_file.cited();
    match tables.mistakes() {
        0 if cited.is_empty() => Ok(()),
        0 => {
            log::warn!("the files may not say what is meant\n{}", cited.trim_end());
            Ok(())
        }
        count => {
            let what = if count == 1 { "mistake" } else { "mistakes" };
            let told = format!("the files have {count} {what}; nothing was changed");
            Err(Failure::new(Exit::Config, format!("{told}\n{}", cited.trim_end())))
        }
    }
}

/// What the files would change in the tables.
pub(crate) fn planned(
    session: &mut dyn Session,
    tables: &Tables,
    station: &str,
) -> Result<Plan, Error> {
    let nodes = plan::nodes_of(&tables.nodes);
    let specs = plan::specs_of(&tables.specs, station);
    let listing = listing::listing(session, station, &nodes)?;
    let elsewhere = tables.specs.len() - specs.len();
    let changes = plan::compare(nodes, carry_out::nodes(session)?);
    let (nodes, conflicts) = listing::among_others(session, station, changes)?;
    let specs = plan::compare(specs, carry_out::specs(session, station)?);
    Ok(Plan { nodes, specs, conflicts, listing, elsewhere })
}

/// Plans, and does it, unless other stations' files say otherwise and that is not asked for.
fn apply(
    session: &mut dyn Session,
    tables: &Tables,
    station: &str,
    redefine: bool,
    now: Timestamp,
) -> Result<Plan, Error> {
    let plan = planned(session, tables, station)?;
    if plan.conflicts.is_empty() || redefine {
        carry_out::plan(session, &plan, now)?;
        listing::note(session, station, &plan.listing)?;
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use station::{text::Timestamp, words::config::Database};

    use crate::testing::{self, Station};

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    fn apply_to(station: &mut Station, nodes: &[&str], rows: &str) -> String {
        let tables = testing::tables(nodes, rows);
        assert_eq!(tables.mistakes(), 0, "{}", tables.specs_file.cited());
        let name = station.config.node.to_string();
        let plan = station.store.transaction(|session| apply(session, &tables, &name, false, NOW));
        show::text(&plan.expect("applied"), "done")
    }

    fn apply_as(
        station: &mut Station,
        name: &str,
        nodes: &[&str],
        rows: &str,
        redefine: bool,
    ) -> Plan {
        let tables = testing::tables(nodes, rows);
        let plan =
            station.store.transaction(|session| apply(session, &tables, name, redefine, NOW));
        plan.expect("applied")
    }

    #[test]
    fn a_station_leaves_the_nodes_and_specifications_of_another_alone() {
        let mut station = Station::new();
        let (ours, theirs) =
            ("s,gw,ping,background,15,600,,\n", "o,far,ping,background,15,600,,\n");
        // The spare node is in the other one's file only, and nobody measures to it.
        let (our_nodes, their_nodes) = (&["s", "gw"][..], &["o", "far", "gw", "spare"][..]);
        apply_as(&mut station, "o", their_nodes, theirs, false);
        apply_to(&mut station, our_nodes, ours);
        assert_eq!(apply_to(&mut station, our_nodes, ours), "nothing to change\n");
        let again = apply_as(&mut station, "o", their_nodes, theirs, false);
        assert_eq!(again.len(), 0, "{again:?}");
        let sql = "SELECT nodeID FROM NODES WHERE retiredepoch IS NULL ORDER BY nodeID";
        assert_eq!(station.rows(sql), [["far"], ["gw"], ["o"], ["s"], ["spare"]]);
        let sql = "SELECT srcNodeID FROM TOOLSPECS WHERE retiredepoch IS NULL ORDER BY srcNodeID";
        assert_eq!(station.rows(sql), [["o"], ["s"]]);
        // One file for all stations: each carries out its own rows.
        let both = format!("{ours}{theirs}");
        let told = apply_to(&mut station, &["s", "gw", "o", "far"], &both);
        let left =
            "1 specification is another station's, which applies it itself\nnothing to change\n";
        assert_eq!(told, left);
    }

    #[test]
    fn a_node_goes_when_the_last_station_that_lists_it_takes_it_out() {
        let mut station = Station::new();
        apply_as(&mut station, "o", &["o", "gw"], "", false);
        apply_to(&mut station, &["s", "gw"], "");
        let told = apply_to(&mut station, &["s"], "");
        let stays = "- node gw  (other stations have it still: it stays)\n1 change, done\n";
        assert_eq!(told, stays);
        assert_eq!(apply_to(&mut station, &["s"], ""), "nothing to change\n");
        let last = apply_as(&mut station, "o", &["o"], "", false);
        assert_eq!(show::text(&last, "done"), "- node gw\n1 change, done\n");
    }

    #[test]
    fn a_node_that_another_station_measures_to_stays_though_nobody_lists_it() {
        let mut station = Station::new();
        // As a database of version 2 has them: nobody's list is noted.
        testing::two_stations(&mut station);
        for node in ["d", "e", "o", "s"] {
            station.execute(
                "INSERT INTO NODES (nodeID, hostName) VALUES (?, 'h.example')",
                &[node.into()],
            );
        }
        let plan = apply_as(&mut station, "s", &["s"], "", false);
        let gone: Vec<String> = plan.nodes.iter().map(|(key, _)| key.concat()).collect();
        assert_eq!(gone, ["d", "s"], "s has another host name now, and d is nobody's");
    }

    #[test]
    fn files_that_say_of_a_node_that_it_is_elsewhere_do_not_undo_each_other() {
        let mut station = Station::new();
        apply_as(&mut station, "o", &["o", "gw"], "", false);
        station.execute("UPDATE NODELISTS SET hostName = 'x.example' WHERE nodeID = 'gw'", &[]);
        station.execute("UPDATE NODES SET hostName = 'x.example' WHERE nodeID = 'gw'", &[]);
        let refused = apply_as(&mut station, "s", &["s", "gw"], "", false);
        let told: Vec<String> = refused.conflicts.iter().map(Conflict::text).collect();
        let expected = "node gw: nodes.csv says gw.example (any), that of o says x.example (any)";
        assert_eq!(told, [expected]);
        let place = "SELECT hostName FROM NODES WHERE nodeID IN ('gw', 's')";
        assert_eq!(station.rows(place), [["x.example"]], "nothing was changed");
        apply_as(&mut station, "s", &["s", "gw"], "", true);
        assert_eq!(station.rows(place), [["gw.example"], ["s.example"]]);
        let differing = station.store.read(differing).expect("asked");
        let says = "nodes.csv of o says x.example (any)".to_owned();
        assert_eq!(differing, [("gw".to_owned(), says)]);
    }

    #[test]
    fn a_second_time_changes_nothing() {
        let mut station = Station::new();
        let rows = "s,gw,ping,background,15,600,-s 1000 -c 10,\n";
        let told = apply_to(&mut station, &["s", "gw"], rows);
        assert_eq!(told, "+ node gw\n+ node s\n+ ping s -> gw\n3 changes, done\n");
        assert_eq!(apply_to(&mut station, &["s", "gw"], rows), "nothing to change\n");
    }

    #[test]
    fn a_changed_specification_stays_the_same_row_and_keeps_its_last_run() {
        let mut station = Station::new();
        apply_to(&mut station, &["s", "gw"], "s,gw,ping,background,15,600,-c 10,\n");
        station.execute("UPDATE TOOLSPECS SET lastrunepoch = 77, agenda_us = 88", &[]);
        let told = apply_to(&mut station, &["s", "gw"], "s,gw,ping,background,15,600,-c 5,\n");
        assert_eq!(told, "~ ping s -> gw: toolOpts1 \"-c 10\" -> \"-c 5\"\n1 change, done\n");
        let sql = "SELECT toolspecsID, lastrunepoch, agenda_us, toolOpts1 FROM TOOLSPECS";
        assert_eq!(station.rows(sql), [["1", "77", "88", "-c 5"]]);
    }

    #[test]
    fn another_interval_begins_the_grid_anew_and_calls_off_what_is_pending() {
        let mut station = Station::new();
        apply_to(&mut station, &["s", "gw"], "s,gw,ping,background,15,600,,\n");
        station.execute("UPDATE TOOLSPECS SET lastrunepoch = 77, agenda_us = 88", &[]);
        station.execute(
            "INSERT INTO SCHEDULE (toolspecsID, opentoolspecsID, srcNodeID, destNodeID, toolName, \
             testtype, dueepoch, due_us, latest_us, state) \
             VALUES (1, 1, 's', 'gw', 'ping', 'background', 0, 0, 0, 'pending')",
            &[],
        );
        let told = apply_to(&mut station, &["s", "gw"], "s,gw,ping,background,15,300,,7\n");
        assert_eq!(
            told,
            "~ ping s -> gw: runinterval 600 -> 300, phase \"\" -> 7\n1 change, done\n"
        );
        let sql = "SELECT lastrunepoch, agenda_us, runinterval FROM TOOLSPECS";
        assert_eq!(station.rows(sql), [["77", "0", "300"]]);
        let sql = "SELECT state, opentoolspecsID, reason FROM SCHEDULE";
        assert_eq!(station.rows(sql), [["cancelled", "", "its specification was changed"]]);
    }

    #[test]
    fn what_leaves_the_file_is_retired_and_taken_up_when_it_returns() {
        let mut station = Station::new();
        let row = "s,gw,ping,background,15,600,,\n";
        apply_to(&mut station, &["s", "gw"], row);
        station.execute("UPDATE TOOLSPECS SET lastrunepoch = 77, agenda_us = 88", &[]);
        let told = apply_to(&mut station, &["s"], "");
        assert_eq!(told, "- node gw\n- ping s -> gw  (its readings stay)\n2 changes, done\n");
        let sql =
            "SELECT toolspecsID, toolDo, retiredepoch, lastrunepoch, agenda_us FROM TOOLSPECS";
        assert_eq!(station.rows(sql), [["1", "0", "1000000", "77", "88"]]);
        assert_eq!(apply_to(&mut station, &["s"], ""), "nothing to change\n");

        let told = apply_to(&mut station, &["s", "gw"], row);
        assert_eq!(
            told,
            "+ node gw  (it was here before)\n+ ping s -> gw  (it was here before; its readings go on)\n\
             2 changes, done\n"
        );
        assert_eq!(station.rows(sql), [["1", "1", "", "77", "0"]]);
        assert_eq!(station.rows("SELECT COUNT(*) FROM NODES WHERE retiredepoch IS NULL"), [["2"]]);
    }

    #[test]
    fn a_specification_that_is_switched_on_does_not_make_up_for_what_it_missed() {
        let mut station = Station::new();
        apply_to(&mut station, &["s", "gw"], "s,gw,ping,background,15,600,,\n");
        station.execute("UPDATE TOOLSPECS SET toolDo = 0, agenda_us = 88", &[]);
        let told = apply_to(&mut station, &["s", "gw"], "s,gw,ping,background,15,600,,\n");
        assert_eq!(told, "~ ping s -> gw: toolDo 0 -> 1\n1 change, done\n");
        assert_eq!(station.rows("SELECT agenda_us FROM TOOLSPECS"), [["0"]]);
    }

    #[test]
    fn a_row_that_somebody_broke_is_put_right() {
        let mut station = Station::new();
        let row = "s,gw,ping,background,15,600,,\n";
        apply_to(&mut station, &["s", "gw"], row);
        station.execute("UPDATE TOOLSPECS SET runinterval = -4, testtype = 'x'", &[]);
        let told = apply_to(&mut station, &["s", "gw"], row);
        assert_eq!(
            told,
            "~ ping s -> gw: testtype x -> background, runinterval -4 -> 600\n1 change, done\n"
        );
        assert_eq!(apply_to(&mut station, &["s", "gw"], row), "nothing to change\n");
    }

    #[test]
    fn what_fails_halfway_changes_nothing() {
        let mut station = Station::new();
        let trigger = match station.config.database {
            Database::Sqlite(_) => {
                "CREATE TRIGGER t BEFORE INSERT ON TOOLSPECS BEGIN SELECT RAISE(ABORT, 'no'); END"
            }
            Database::Mysql(_) => {
                "CREATE TRIGGER t BEFORE INSERT ON TOOLSPECS FOR EACH ROW SIGNAL SQLSTATE '45000'"
            }
        };
        station.execute(trigger, &[]);
        let tables = testing::tables(&["s", "gw"], "s,gw,ping,background,15,600,,\n");
        let name = station.config.node.to_string();
        let plan = station.store.transaction(|session| apply(session, &tables, &name, false, NOW));
        assert!(plan.is_err());
        assert_eq!(station.rows("SELECT COUNT(*) FROM NODES"), [["0"]]);
    }

    #[test]
    fn ten_thousand_specifications_are_applied_and_compared() {
        let row = |n| format!("s,gw,ping{n},background-syn,15,600,,\n");
        let rows: String = (0..10_000).map(row).collect();
        let mut station = Station::new();
        let told = apply_to(&mut station, &["s", "gw"], &rows);
        assert!(told.ends_with("10002 changes, done\n"));
        assert_eq!(apply_to(&mut station, &["s", "gw"], &rows), "nothing to change\n");
    }
}
