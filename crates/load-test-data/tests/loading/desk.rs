//! A database, a spool, and the loader over them.

use std::{cell::RefCell, fs, time::Duration};

use load_test_data::{
    file::{self, Prepared},
    load::{self, Tally},
};
use station::{
    text::Timestamp,
    words::{
        config::{Config, Database},
        run::{Ended, HEADER_VERSION, Header},
    },
    world::{
        inbox::Inbox,
        spool::Spool,
        store::{self, Error, Row, Store, Value},
    },
};
use tempfile::TempDir;

/// What a ping of two packets says.
pub(crate) const PING: &str = "PING 127.0.0.1 (127.0.0.1) 56(84) bytes of data.\n\
    64 bytes from 127.0.0.1: icmp_seq=1 ttl=64 time=0.020 ms\n\
    64 bytes from 127.0.0.1: icmp_seq=2 ttl=64 time=0.040 ms\n\
    \n--- 127.0.0.1 ping statistics ---\n\
    2 packets transmitted, 2 received, 0% packet loss, time 1001ms\n\
    rtt min/avg/max/mdev = 0.020/0.030/0.040/0.010 ms\n";

/// How long the database may let a test wait.
const PATIENCE: Duration = Duration::from_secs(5);

/// A database and a spool, and the loader over them.
pub(crate) struct Desk {
    pub(crate) store: Store,
    pub(crate) spool: Spool,
    /// Beside the loader.
    look: RefCell<Store>,
    pub(crate) database: Database,
    pub(crate) folder: TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config::default_at(folder.path());
        let database = store::of_test(folder.path());
        let mut store = Store::of(&database, PATIENCE);
        store.create().expect("a database");
        store.unchecked(|session| store::migrate(session, Timestamp(0))).expect("a schema");
        let look = RefCell::new(Store::of(&database, PATIENCE));
        let spool = Spool::open(&config.paths.data).expect("made");
        Self { store, spool, look, database, folder }
    }

    /// A row of SCHEDULE in a state.
    pub(crate) fn row(&self, id: i64, tool: &str, state: &str, attempt: i64) -> &Self {
        let sql = "INSERT INTO SCHEDULE (scheduleID, toolspecsID, srcNodeID, destNodeID, toolName, testtype, dueepoch, \
             due_us, latest_us, state, attempt) VALUES (?, 1, 'station', 'n', ?, 'background', 0, 0, 0, ?, ?)";
        self.change(sql, &[id.into(), tool.into(), state.into(), attempt.into()])
    }

    /// A result file that waits.
    pub(crate) fn file(&self, id: i64, tool: &str, attempt: i64, stdout: &str) -> &Self {
        let header = header(id, tool, attempt);
        let header = Header { stdout_bytes: stdout.len() as u64, ..header };
        self.result(&header, stdout)
    }

    /// A result file of a header and what follows it.
    pub(crate) fn result(&self, header: &Header, body: &str) -> &Self {
        let (id, tool) = (header.schedule_id, &header.probetype);
        let header = serde_json::to_string(header).expect("plain values");
        self.raw(&format!("{id}.{tool}"), &format!("{header}\n{body}"))
    }

    pub(crate) fn raw(&self, name: &str, content: &str) -> &Self {
        fs::write(self.spool.data().join(name), content).expect("room");
        self
    }

    pub(crate) fn prepared(&self) -> Vec<Prepared> {
        let names = self.spool.waiting(None).expect("a folder").take_sorted(1_000).expect("read");
        let inbox = Inbox::open(&self.spool).expect("there");
        names.into_iter().map(|name| file::prepare(&inbox, name, &mut Vec::new())).collect()
    }

    pub(crate) fn load(&mut self) -> Tally {
        let batch = self.prepared();
        let fates = load::load(&mut self.store, "station", &batch).expect("a database");
        let moves: Vec<_> = batch.into_iter().map(|file| file.name).zip(fates).collect();
        load::carry_out(&mut Inbox::open(&self.spool).expect("there"), Timestamp(0), &moves)
    }

    /// The database as another program opens it.
    pub(crate) fn another_store(&self) -> Store {
        Store::of(&self.database, PATIENCE)
    }

    /// What somebody changes beside the loader.
    #[track_caller]
    pub(crate) fn change(&self, sql: &'static str, values: &[Value<'_>]) -> &Self {
        let mut look = self.look.borrow_mut();
        look.transaction(|session| session.execute(sql, values)).expect(sql);
        self
    }

    /// The first column of a query's rows.
    #[track_caller]
    pub(crate) fn column<T: Answer>(&self, sql: &str) -> Vec<T> {
        let read = self.look.borrow_mut().read(|session| store::all(session, sql, &[], T::of));
        read.expect(sql)
    }

    #[track_caller]
    pub(crate) fn ask<T: Answer>(&self, sql: &str) -> T {
        self.column(sql).pop().expect(sql)
    }

    pub(crate) fn state(&self, id: i64) -> String {
        self.ask(&format!("SELECT state FROM SCHEDULE WHERE scheduleID = {id}"))
    }

    pub(crate) fn readings(&self) -> i64 {
        self.ask("SELECT COUNT(*) FROM PINGDATA")
    }
}

/// The header of a run from second 5 to 6.
pub(crate) fn header(id: i64, tool: &str, attempt: i64) -> Header {
    Header {
        version: HEADER_VERSION,
        schedule_id: id,
        attempt,
        probetype: tool.to_owned(),
        spec_id: 1,
        due_us: Timestamp(0),
        argv: vec![tool.to_owned()],
        node: "n".to_owned(),
        start_us: Timestamp(5_000_000),
        end_us: Timestamp(6_000_000),
        ended: Ended::Exited { status: 0 },
        clock_synchronised: true,
        stdout_bytes: 0,
        stderr_bytes: 0,
        cut_bytes: 0,
        alone: None,
    }
}

/// What a query answers in one column.
pub(crate) trait Answer: Sized {
    fn of(row: &Row<'_>) -> Result<Self, Error>;
}

impl Answer for i64 {
    fn of(row: &Row<'_>) -> Result<Self, Error> {
        row.int(0)
    }
}

impl Answer for Option<i64> {
    fn of(row: &Row<'_>) -> Result<Self, Error> {
        row.optional_int(0)
    }
}

impl Answer for Option<f64> {
    fn of(row: &Row<'_>) -> Result<Self, Error> {
        row.optional_real(0)
    }
}

impl Answer for String {
    fn of(row: &Row<'_>) -> Result<Self, Error> {
        Ok(row.text(0))
    }
}
