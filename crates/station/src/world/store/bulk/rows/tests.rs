use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::{
    text::Timestamp,
    world::store::{Store, all, bulk::of_station, migrate, of_test},
};

fn made() -> (TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Store::of(&of_test(folder.path()), Duration::from_secs(5));
    store.create().expect("made");
    store.unchecked(|session| migrate(session, Timestamp(0))).expect("migrated");
    (folder, store)
}

fn table(store: &mut Store, name: &str) -> Table {
    let tables = store.read(|session| of_station(session)).expect("read");
    tables.into_iter().find(|table| table.name() == name).expect("there")
}

const ALL: Limit = Limit { rows: 1_000, bytes: 1_000_000 };

fn agenda(node: &str, due: i64, spec: i64) -> Cells {
    vec![Value::from(node.to_owned()), due.into(), spec.into(), 7_i64.into()]
}

#[test]
fn every_table_and_column_of_the_schema_is_told_by_the_database_itself() {
    let (_folder, mut store) = made();
    let tables = store.read(|session| of_station(session)).expect("read");
    let names: Vec<_> = tables.iter().map(Table::name).collect();
    for name in ["AGENDA", "BWDATA", "NODES", "NOTES", "PINGDATA", "SCHEDULE", "TOOLSPECS", "TRIES"]
    {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(!names.contains(&"SCHEMAVERSION"), "{names:?}");
    let specs = table(&mut store, "TOOLSPECS");
    // Made by the first step, and added by the second.
    for column in ["toolspecsID", "lastrunepoch", "pingbeside"] {
        assert!(specs.columns().any(|it| it == column), "{column}");
    }
    assert!(specs.counts());
    let agenda = table(&mut store, "AGENDA");
    let key: Vec<_> = agenda.key_columns().collect();
    assert_eq!((key, agenda.counts()), (vec!["srcNodeID", "nextdue_us", "toolspecsID"], false));
}

#[test]
fn a_table_of_a_later_schema_is_there_without_a_change_of_this() {
    let (_folder, mut store) = made();
    let sql = "CREATE TABLE LATER (
        node VARCHAR(64) NOT NULL,
        hour_us BIGINT NOT NULL,
        mean DOUBLE,
        remark TEXT,
        PRIMARY KEY (node, hour_us)) WITHOUT ROWID";
    store.unchecked(|session| session.define(sql)).expect("made");
    let later = table(&mut store, "LATER");
    let row = vec![Value::from("a"), 5_i64.into(), 0.1.into(), Value::Null];
    let read = store.transaction(|session| {
        insert(session, &later, std::slice::from_ref(&row))?;
        rows_after(session, &later, None, ALL)
    });
    assert_eq!(read.expect("written").rows, [row]);
}

#[test]
fn rows_come_in_the_order_of_a_key_of_several_columns_from_any_place_on() {
    let (_folder, mut store) = made();
    let table = table(&mut store, "AGENDA");
    let mut rows: Vec<Cells> = Vec::new();
    for node in ["A", "a", "b", "\u{e4}", "\u{ffff}", "\u{1f600}"] {
        for due in [-5, 0, 7] {
            rows.extend([1, 2, 10].map(|spec| agenda(node, due, spec)));
        }
    }
    let backwards: Vec<Cells> = rows.iter().rev().cloned().collect();
    store.transaction(|session| insert(session, &table, &backwards)).expect("written");
    for limit in [1, 4, 7, 100] {
        let (mut read, mut after) = (Vec::new(), None::<Cells>);
        loop {
            let limit = Limit { rows: limit, ..ALL };
            let batch = store.read(|session| rows_after(session, &table, after.as_deref(), limit));
            let mut batch = batch.expect("read");
            read.append(&mut batch.rows);
            match batch.until {
                Some(until) => after = Some(until),
                None => break,
            }
        }
        assert_eq!(read, rows, "{limit} at once");
    }
    let last = store.read(|session| last_key(session, &table)).expect("read");
    assert_eq!(last.expect("one")[1..], [7_i64.into(), 10_i64.into()]);
}

#[test]
fn a_batch_ends_where_its_bytes_do_and_has_one_row_at_least() {
    let (_folder, mut store) = made();
    let table = table(&mut store, "NOTES");
    let row = |name: &str, length| vec![Value::from(name.to_owned()), "x".repeat(length).into()];
    let rows = [row("a", 900), row("b", 5_000), row("c", 10)];
    store.transaction(|session| insert(session, &table, &rows)).expect("written");
    let mut read = |after: Option<&str>| {
        let after = after.map(|key| vec![Value::from(key.to_owned())]);
        let limit = Limit { rows: 10, bytes: 1_000 };
        let batch = store.read(|session| rows_after(session, &table, after.as_deref(), limit));
        batch.expect("read").rows
    };
    assert_eq!(read(None), rows[..2]);
    assert_eq!(read(Some("a")), rows[1..2]);
    assert_eq!(read(Some("b")), rows[2..]);
}

#[test]
fn every_value_comes_back_as_it_was_written_bit_by_bit() {
    let (_folder, mut store) = made();
    let table = table(&mut store, "BWDATA");
    let columns: Vec<String> = table.columns().map(str::to_owned).collect();
    let row = |id: i64, int: i64, real: Option<f64>, text: Option<&str>| -> Cells {
        let value = |column: &String| match column.as_str() {
            "bwdataID" | "scheduleID" => id.into(),
            "direction" => "to".into(),
            "srcNodeID" | "destNodeID" | "toolName" => "n".into(),
            "thruavg" => real.map_or(Value::Null, Value::Real),
            "problem" => text.map(str::to_owned).into(),
            "bytes" => int.into(),
            "toolspecsID" | "startepoch" | "start_us" | "end_us" | "clock_synchronised" => {
                1_i64.into()
            }
            _ => Value::Null,
        };
        columns.iter().map(value).collect()
    };
    let rows = [
        row(1, i64::MAX, Some(1.0 / 3.0), Some("")),
        row(2, i64::MIN, Some(f64::MAX), None),
        row(3, 0, Some(5e-324), Some("\u{1f600} \u{e4}\\'\"%")),
        row(4, -1, Some(f64::from_bits(0x3ff0_0000_0000_0001)), Some("a\0b\n ")),
        row(5, 1, None, Some("NULL")),
    ];
    let mut more: Vec<Cells> = rows.to_vec();
    more.extend((6..900).map(|id| row(id, id, Some(0.1), Some("more than one statement takes"))));
    store.transaction(|session| insert(session, &table, &more)).expect("written");
    assert_eq!(store.read(|session| count(session, &table)).expect("counted"), 899);
    let read = store.read(|session| rows_after(session, &table, None, ALL)).expect("read");
    assert_eq!(read.rows, more);
}

#[test]
fn notes_of_a_mark_are_not_the_stations() {
    let (_folder, mut store) = made();
    let table = table(&mut store, "NOTES");
    let rows = ["copied", "copy/from", "zero"].map(|name| vec![Value::from(name), "x".into()]);
    store.transaction(|session| insert(session, &table, &rows)).expect("written");
    let read = store.read(|session| rows_after(session, &table, None, ALL)).expect("read");
    assert_eq!(read.rows, [rows[0].clone(), rows[2].clone()]);
}

#[test]
fn a_number_is_never_given_twice_also_when_its_row_is_gone() {
    let (_folder, mut store) = made();
    let table = table(&mut store, "ROUTENO");
    let insert = "INSERT INTO ROUTENO (srcNodeID, destNodeID, routeno, route, firstepoch, lastepoch) \
                  VALUES ('s', 'd', ?, 'r', 0, 0)";
    let next = |store: &mut Store| store.read(|session| session.next_key(&table)).expect("read");
    assert_eq!(next(&mut store), 1);
    for number in [1_i64, 2] {
        store.transaction(|session| session.insert(insert, &[number.into()])).expect("written");
    }
    let emptied = |session: &mut dyn Session| session.execute("DELETE FROM ROUTENO", &[]);
    store.transaction(emptied).expect("deleted");
    assert_eq!(next(&mut store), 3);
    store.unchecked(|session| session.raise_next_key(&table, 51)).expect("raised");
    assert_eq!(next(&mut store), 51);
    let given = store.transaction(|session| session.insert(insert, &[3_i64.into()]));
    assert_eq!(given.expect("written"), 51);
    // Also of a table that never had a row.
    let tries = super::super::of_station;
    let tables = store.read(|session| tries(session)).expect("read");
    let tries = tables.iter().find(|table| table.name() == "TRIES").expect("there");
    store.unchecked(|session| session.raise_next_key(tries, 9)).expect("raised");
    assert_eq!(store.read(|session| session.next_key(tries)).expect("read"), 9);
}

#[test]
fn a_key_of_several_columns_is_read_by_its_index_and_sorts_nothing() {
    let (_folder, mut store) = made();
    if store.unchecked(|session| Ok(session.keeps_definitions())).expect("asked") {
        return;
    }
    let table = table(&mut store, "AGENDA");
    let reading = Reading { table: &table, limit: ALL, batch: Batch::default(), full: false };
    for depth in 0..3 {
        let (sql, values) = reading.asked(&agenda("a", 1, 1)[..3], depth);
        let plan = format!("EXPLAIN QUERY PLAN {sql}");
        let plan = store.read(|session| all(session, &plan, &values, |row| Ok(row.text(3))));
        let plan = plan.expect("a plan");
        assert_eq!(plan.len(), 1, "{plan:?}");
        assert!(plan[0].starts_with("SEARCH AGENDA USING PRIMARY KEY"), "{plan:?}");
    }
}
