//! `iepm apply`: makes NODES and TOOLSPECS say what `nodes.csv` and `toolspecs.csv` say.
//!
//! [`plan`] compares, [`show`] tells, [`carry_out`] acts. All of it, or nothing, is done: one
//! transaction reads the tables, plans and writes. No row is ever deleted: what is no longer in a
//! file is retired, its readings stay, and it is taken up again when it returns.

mod carry_out;
mod plan;
mod show;

use station::{
    app::{self, Common, Exit, Failure},
    text::Timestamp,
    world::{
        clock::{Clock, SystemClock},
        store::{Error, Session},
    },
};

use crate::tables::Tables;

pub(crate) use plan::Plan;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show what would be changed, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &Args, common: &Common) -> Result<Exit, Failure> {
    let config = common.load()?;
    let tables = Tables::read(&config.paths.config);
    refuse_mistakes(&tables)?;
    let mut store = crate::store(&config);
    let (plan, done) = if args.dry_run {
        (store.read(|session| planned(session, &tables)), "nothing was changed")
    } else {
        let now = SystemClock.now();
        (store.transaction(|session| apply(session, &tables, now)), "done")
    };
    let folder = config.paths.config.display();
    let plan = plan.map_err(|error| Failure::store(format!("applying {folder}"), error))?;
    app::print(&show::text(&plan, done))?;
    Ok(Exit::Well)
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
pub(crate) fn planned(session: &mut dyn Session, tables: &Tables) -> Result<Plan, Error> {
    let nodes = plan::nodes_of(&tables.nodes);
    let specs = plan::specs_of(&tables.specs);
    Ok(Plan {
        nodes: plan::compare(nodes, carry_out::nodes(session)?),
        specs: plan::compare(specs, carry_out::specs(session)?),
    })
}

/// Plans, and does it.
fn apply(session: &mut dyn Session, tables: &Tables, now: Timestamp) -> Result<Plan, Error> {
    let plan = planned(session, tables)?;
    carry_out::plan(session, &plan, now)?;
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
        let plan = station.store.transaction(|session| apply(session, &tables, NOW));
        show::text(&plan.expect("applied"), "done")
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
        let plan = station.store.transaction(|session| apply(session, &tables, NOW));
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
