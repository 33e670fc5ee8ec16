//! A database, a spool, and the loader over them.

use std::{fs, time::Duration};

use load_test_data::{
    file::{self, Prepared},
    load::{self, Tally},
};
use rusqlite::{Connection, types::FromSql};
use station::{
    text::Timestamp,
    words::{
        config::Config,
        run::{Ended, HEADER_VERSION, Header},
    },
    world::{
        files,
        inbox::Inbox,
        spool::Spool,
        store::{self, Store},
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

/// A database and a spool, and the loader over them.
pub(crate) struct Desk {
    pub(crate) store: Store,
    pub(crate) spool: Spool,
    pub(crate) look: Connection,
    pub(crate) folder: TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config::default_at(folder.path());
        files::make_directory(&folder.path().join("db")).expect("made");
        let mut store = Store::of(&config.database, Duration::from_secs(5));
        store.create().expect("a database");
        store.unchecked(|session| store::migrate(session, Timestamp(0))).expect("a schema");
        let look = Connection::open(folder.path().join("db/iepm.db")).expect("a database");
        let spool = Spool::open(&config.paths.data).expect("made");
        Self { store, spool, look, folder }
    }

    /// A row of SCHEDULE in a state.
    pub(crate) fn row(&self, id: i64, tool: &str, state: &str, attempt: i64) -> &Self {
        let sql = "INSERT INTO SCHEDULE (scheduleID, toolspecsID, srcNodeID, destNodeID, toolName, testtype, dueepoch, \
             due_us, latest_us, state, attempt) VALUES (?, 1, 'station', 'n', ?, 'background', 0, 0, 0, ?, ?)";
        self.look.execute(sql, (id, tool, state, attempt)).expect("a row");
        self
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

    #[track_caller]
    pub(crate) fn ask<T: FromSql>(&self, sql: &str) -> T {
        self.look.query_row(sql, [], |row| row.get(0)).expect(sql)
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
