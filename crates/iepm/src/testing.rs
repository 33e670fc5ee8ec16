//! What the tests of several modules need.

use std::time::Duration;

use station::{
    text::Timestamp,
    words::{
        config::Config,
        monhost::{Identity, Monhost, State},
        toolspec::{self, Placed},
    },
    world::store::{self, Store},
};

use crate::{source::Source, tables::Tables};

/// The columns of the rows that tests write.
pub(crate) const HEADER: &str = "TABLENAME=TOOLSPECS\n\
     #srcNodeID,destNodeID,toolName,testtype,time2run,runinterval,toolOpts1,phase\n";

/// Specifications, each a line below [`HEADER`].
pub(crate) fn specs(rows: &str) -> Vec<Placed> {
    let (specs, mistakes) = toolspec::parse(&format!("{HEADER}{rows}"));
    assert_eq!(mistakes, []);
    specs
}

/// Both files: nodes by their ids, specifications by their rows.
pub(crate) fn tables(nodes: &[&str], rows: &str) -> Tables {
    let nodes: Vec<String> = nodes.iter().map(|node| format!("{node},{node}.example\n")).collect();
    let nodes = format!("TABLENAME=NODES\n#nodeID,hostName\n{}", nodes.concat());
    let specs = format!("{HEADER}{rows}");
    Tables::of(Source::of("nodes.csv", &nodes), Source::of("toolspecs.csv", &specs))
}

/// An empty station in a folder that lives as long as this.
pub(crate) struct Station {
    pub(crate) config: Config,
    pub(crate) store: Store,
    _folder: tempfile::TempDir,
}

impl Station {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config {
            database: store::of_test(folder.path()),
            node: "s".parse().expect("a node"),
            ..Config::default_at(folder.path())
        };
        let mut store = crate::store(&config);
        store.create().expect("made");
        store.unchecked(|session| store::migrate(session, Timestamp(0))).expect("migrated");
        Self { config, store, _folder: folder }
    }

    /// Carries out one statement.
    pub(crate) fn execute(&mut self, sql: &'static str, values: &[store::Value<'_>]) -> u64 {
        self.store.transaction(|session| session.execute(sql, values)).expect("executed")
    }

    /// All rows of a query, their columns as text.
    pub(crate) fn rows<const N: usize>(&mut self, sql: &str) -> Vec<[String; N]> {
        let row = |row: &store::Row<'_>| Ok(std::array::from_fn(|column| row.text(column)));
        self.store.read(|session| store::all(session, sql, &[], row)).expect("read")
    }
}

/// Rows of two stations of one database, `s` and `o`: of each a specification, to the nodes d and `e`, a run that
/// is pending, one that is finished and one that is loaded, its reading, and a route.
pub(crate) fn two_stations(station: &mut Station) {
    for (spec, name, dest) in [(1_i64, "s", "d"), (2, "o", "e")] {
        station.execute(
            "INSERT INTO TOOLSPECS (toolspecsID, srcNodeID, destNodeID, toolName, toolPath, testtype, time2run, \
             runinterval) VALUES (?, ?, ?, 'ping', 'ping', 'background', 15, 600)",
            &[spec.into(), name.into(), dest.into()],
        );
        for (number, state) in (0..).zip(["pending", "finished", "loaded"]) {
            let id = 10 * spec + number;
            let open = (state == "pending").then_some(spec);
            station.execute(
                "INSERT INTO SCHEDULE (scheduleID, toolspecsID, opentoolspecsID, srcNodeID, destNodeID, toolName, \
                 testtype, dueepoch, due_us, latest_us, state) \
                 VALUES (?, ?, ?, ?, ?, 'ping', 'background', 0, 0, 0, ?)",
                &[id.into(), spec.into(), open.into(), name.into(), dest.into(), state.into()],
            );
        }
        station.execute(
            "INSERT INTO PINGDATA (scheduleID, toolspecsID, srcNodeID, destNodeID, startepoch, start_us, end_us, \
             received, duplicates, reordered, clock_synchronised) VALUES (?, ?, ?, ?, 5, 5000000, 0, 1, 0, 0, 1)",
            &[(10 * spec + 2).into(), spec.into(), name.into(), dest.into()],
        );
        station.execute(
            "INSERT INTO ROUTENO (srcNodeID, destNodeID, routeno, route, firstepoch, lastepoch) \
             VALUES (?, ?, 1, 'r', 5, 5)",
            &[name.into(), dest.into()],
        );
    }
}

/// Has a station report `age` seconds ago, after it has for a day; its home and its machine are its own.
pub(crate) fn reports(station: &mut Station, name: &str, age: u64) {
    let report = |session: &mut dyn store::Session| {
        let row = monhost(name, session.now()? - Duration::from_secs(age));
        store::put_monhost(session, &row, None)
    };
    station.store.transaction(report).expect("reported");
}

/// A station that reported at `seen`, and had for a day.
pub(crate) fn monhost(name: &str, seen: Timestamp) -> Monhost {
    let since = seen - Duration::from_secs(86_400);
    Monhost {
        node: name.to_owned(),
        host: format!("host-of-{name}"),
        home: "/home/iepm".to_owned(),
        version: "1.2".to_owned(),
        identity: Identity {
            home: name.to_owned(),
            path: "/home/iepm".to_owned(),
            machine: name.to_owned(),
            boot: name.to_owned(),
        },
        claimed: since,
        first_seen: since,
        since,
        seen,
        clock: seen,
        within: Duration::from_secs(300),
        state: State::Running,
        reason: String::new(),
        clock_synchronised: true,
        daemons: Vec::new(),
        findings: String::new(),
        specifications: String::new(),
        findings_at: None,
        rival: None,
        retired: false,
    }
}
