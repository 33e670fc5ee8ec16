//! `iepm migrate`: brings the database's schema to this version.

use station::{
    app::{self, Common, Exit, Failure},
    text::Timestamp,
    world::{
        clock::{Clock, SystemClock},
        store::{self, Error, LATEST, Store},
    },
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Say what would be changed, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &Args, common: &Common) -> Result<Exit, Failure> {
    let config = common.load()?;
    let mut store = crate::store(&config);
    let found =
        if args.dry_run { found(&mut store) } else { forward(&mut store, SystemClock.now()) };
    let found = found.map_err(|error| Failure::store("migrating the database", error))?;
    if found > LATEST {
        return Err(Failure::new(Exit::Config, "migrating the database").why(format!(
            "its schema is version {found}, this program knows {LATEST} at most; install the newer suite"
        )));
    }
    app::print(&said(&config.database.to_string(), found, args.dry_run))?;
    Ok(Exit::Well)
}

/// Brings the schema forward; says from which version it came.
pub(crate) fn forward(store: &mut Store, now: Timestamp) -> Result<i64, Error> {
    store.unchecked(|session| store::migrate(session, now)).map_err(told_who)
}

/// Of two that migrate on two nodes of a cluster, the quicker one undoes a statement of the other, to which its
/// node says no more than that there was a conflict.
fn told_who(error: Error) -> Error {
    let told = error.to_string();
    // A conflict: what was not there when it was looked for, and is there by now.
    let is_others = matches!(error.kind(), store::Kind::Busy | store::Kind::Conflict);
    if !is_others || told.contains("`iepm migrate`") {
        return error;
    }
    let what = format!(
        "another program is at the tables, an `iepm migrate` on another server perhaps; call it again when that has \
         ended: {told}"
    );
    Error::new(store::Kind::Busy, what)
}

/// The version that is there: 0 where there is none yet. Nothing is changed.
fn found(store: &mut Store) -> Result<i64, Error> {
    store.unchecked(|session| match store::version(session) {
        Err(error) if error.kind() == store::Kind::Other => Ok(0),
        found => found,
    })
}

fn said(database: &str, found: i64, dry_run: bool) -> String {
    let would = if dry_run { "would go" } else { "went" };
    if found == LATEST {
        format!("the schema of {database} is version {found} already: nothing to change\n")
    } else {
        format!("the schema of {database} {would} from version {found} to {LATEST}\n")
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Station;

    use super::*;

    #[test]
    fn an_empty_database_is_brought_to_the_latest_version_and_then_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = store::of_test(folder.path());
        let mut store = Store::of(&database, crate::PATIENCE);
        store.create().expect("made");
        assert_eq!(found(&mut store).expect("read"), 0);
        assert_eq!(forward(&mut store, Timestamp(0)).expect("migrated"), 0);
        assert_eq!(found(&mut store).expect("read"), LATEST);
        assert_eq!(forward(&mut store, Timestamp(0)).expect("migrated"), LATEST);
    }

    #[test]
    fn a_newer_schema_is_refused_and_left() {
        let mut station = Station::new();
        station.execute("INSERT INTO SCHEMAVERSION (version, appliedepoch) VALUES (99, 0)", &[]);
        let error = forward(&mut station.store, Timestamp(0)).expect_err("newer");
        assert_eq!(error.kind(), store::Kind::Newer);
    }

    #[test]
    fn who_was_slower_is_told_of_the_other_once() {
        let of = |kind, what: &str| told_who(Error::new(kind, what)).to_string();
        let told = of(store::Kind::Busy, "a deadlock");
        assert!(told.contains("`iepm migrate`") && told.ends_with(": a deadlock"), "{told}");
        assert_eq!(of(store::Kind::Busy, &told), told);
        assert!(of(store::Kind::Conflict, "a column twice").contains("call it again"));
        assert_eq!(of(store::Kind::Away, "gone"), "gone");
    }

    #[test]
    fn it_says_from_which_version_to_which() {
        assert_eq!(
            said("/db", 0, false),
            format!("the schema of /db went from version 0 to {LATEST}\n")
        );
        assert!(said("/db", 0, true).contains("would go from version 0"));
        assert!(said("/db", LATEST, false).ends_with("already: nothing to change\n"));
    }
}
