//! What a server says when transactions are in each other's way, provoked for real: each time the whole
//! transaction is done again, and its changes are there once.

use std::{thread, time::Duration};

use mysql::{Conn, prelude::Queryable};
use station::{
    text::Timestamp,
    words::database::Database,
    world::store::{self, Error, Session, Store, Value},
};
use stories::{Cluster, Look, Server, until};

/// A third of it is waited for a row: one second.
const PATIENCE: Duration = Duration::from_secs(3);

/// A store with two notes, both 0.
fn store(url: &str) -> Store {
    let mut store = Store::of(&Database::parse(url).expect("a database"), PATIENCE);
    store.create().expect("made");
    let fill = |session: &mut dyn Session| {
        store::migrate(session, Timestamp(0))?;
        ["a", "b"].into_iter().try_for_each(|note| store::put_note(session, note, "0"))
    };
    store.unchecked(fill).expect("filled");
    store
}

fn add(session: &mut dyn Session, note: &str) -> Result<(), Error> {
    let sql = "UPDATE NOTES SET value = value + 1 WHERE name = ?";
    session.execute(sql, &[Value::from(note)]).map(|_| ())
}

/// Both notes, as another connection sees them.
fn notes(look: &mut Look) -> [i64; 2] {
    ["a", "b"].map(|note| {
        let sql = format!("SELECT CAST(value AS INTEGER) FROM NOTES WHERE name = '{note}'");
        look.ask(&sql).expect("a note")
    })
}

/// Adds one to `a` and then to `b`, with something done between the two, the first time only; says what stood in
/// the way of each try.
fn add_to_both(store: &mut Store, between: &mut dyn FnMut(usize)) -> Vec<String> {
    let (mut told, mut tries) = (Vec::new(), 0);
    let done = store.transaction(|session| {
        tries += 1;
        add(session, "a")?;
        between(tries);
        add(session, "b").inspect_err(|error| told.push(error.to_string()))
    });
    done.expect("in the end");
    assert_eq!(tries, told.len() + 1, "the whole again after each");
    told
}

#[test]
fn a_row_that_another_transaction_holds_for_too_long_is_waited_for_again() {
    let server = Server::up();
    let mut store = store(&server.url("iepm"));
    let mut other = server.look("iepm");
    other.execute("BEGIN");
    other.execute("UPDATE NOTES SET value = value + 1 WHERE name = 'b'");
    let told = add_to_both(&mut store, &mut |tries| {
        if tries == 2 {
            other.execute("COMMIT");
        }
    });
    assert!(told.len() == 1 && told[0].contains("1205"), "{told:?}");
    assert_eq!(notes(&mut other), [1, 2]);
}

#[test]
fn a_transaction_that_a_deadlock_undid_is_done_again() {
    let server = Server::up();
    let mut store = store(&server.url("iepm"));
    let mut other = Conn::new(server.opts("iepm")).expect("it answers");
    // Of two the server undoes the one that has changed less.
    let much = "INSERT INTO NOTES (name, value) \
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) SELECT i, 'x' FROM n";
    other.query_drop("BEGIN").expect("begun");
    other.query_drop(much).expect("written");
    other.query_drop("UPDATE NOTES SET value = value + 1 WHERE name = 'b'").expect("changed");
    let (mut look, mut other) = (server.look("iepm"), Some(other));
    let mut ended = None;
    let told = add_to_both(&mut store, &mut |_| {
        let Some(mut other) = other.take() else { return };
        ended = Some(thread::spawn(move || {
            other.query_drop("UPDATE NOTES SET value = value + 1 WHERE name = 'a'")?;
            other.query_drop("COMMIT")
        }));
        // Whichever of the two comes to wait first: the same one is undone.
        let asks = "information_schema.processlist WHERE info LIKE 'UPDATE NOTES%name = ''a'''";
        until("the other asks for it", || (look.count(asks) == 1).then_some(()));
    });
    ended.map(thread::JoinHandle::join).expect("begun").expect("no panic").expect("committed");
    assert!(!told.is_empty() && told[0].contains("1213"), "{told:?}");
    assert_eq!(notes(&mut look), [2, 2]);
}

/// Sessions of the programs read what is committed, statement by statement: they have no snapshot that a row
/// could be newer than. So 1020 comes to them from servers that take another view of it, and is provoked here
/// by a session that keeps its snapshot.
#[test]
fn a_row_that_was_changed_since_the_snapshot_is_read_anew() {
    let server = Server::up();
    let mut other = server.look("");
    other.execute("SET GLOBAL innodb_snapshot_isolation = ON");
    let mut store = store(&server.url("iepm"));
    let mut other = server.look("iepm");
    let change = "UPDATE NOTES SET value = value + 1 WHERE name = 'b'";
    let told = add_to_both(&mut store, &mut |_| other.execute(change));
    assert!(told.is_empty(), "{told:?}");
    let keep = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ";
    store.transaction(|session| session.execute(keep, &[])).expect("set");
    let (mut told, mut tries) = (Vec::new(), 0);
    let done = store.transaction(|session| {
        tries += 1;
        add(session, "a")?;
        store::get_note(session, "b")?;
        if tries == 1 {
            other.execute(change);
        }
        add(session, "b").inspect_err(|error| told.push(error.to_string()))
    });
    done.expect("in the end");
    assert!(told.len() == 1 && told[0].contains("1020"), "{told:?}");
    assert_eq!((notes(&mut other), tries), ([2, 4], 2));
}

/// Only who reads has a snapshot, and only a table that was not touched yet can be changed under it.
#[test]
fn a_table_that_was_changed_since_the_snapshot_is_read_anew() {
    let server = Server::up();
    let mut store = store(&server.url("iepm"));
    let mut other = server.look("iepm");
    let (mut told, mut tries) = (Vec::new(), 0);
    let note = store.read(|session| {
        tries += 1;
        if tries == 1 {
            other.execute("ALTER TABLE NOTES FORCE");
            other.execute("UPDATE NOTES SET value = '7' WHERE name = 'a'");
        }
        store::get_note(session, "a").inspect_err(|error| told.push(error.to_string()))
    });
    assert_eq!(note.expect("in the end").as_deref(), Some("7"));
    assert!(told.len() == 1 && told[0].contains("1412"), "{told:?}");
}

#[test]
fn a_transaction_that_another_node_was_quicker_with_is_done_again() {
    let cluster = Cluster::up(2);
    let mut store = store(&cluster.url(0, "iepm"));
    let mut other = cluster.node(1).look("iepm");
    until("the other node has the notes", || {
        (other.count("NOTES WHERE name IN ('a', 'b')") == 2).then_some(())
    });
    let change = "UPDATE NOTES SET value = value + 1 WHERE name = 'a'";
    let mut tries = 0;
    let done = store.transaction(|session| {
        tries += 1;
        add(session, "a")?;
        if tries == 1 {
            other.execute(change);
        }
        add(session, "b")
    });
    done.expect("in the end");
    let mut look = cluster.node(0).look("iepm");
    let conflicts = ["wsrep_local_cert_failures", "wsrep_local_bf_aborts"].map(|name| {
        cluster.status(0, name).and_then(|count| count.parse::<u32>().ok()).unwrap_or(0)
    });
    assert_eq!((notes(&mut look), tries), ([2, 1], 2));
    assert_eq!(conflicts.iter().sum::<u32>(), 1, "{conflicts:?}");
}
