//! What the tests of several modules need.

use station::{
    text::Timestamp,
    words::{
        config::Config,
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
