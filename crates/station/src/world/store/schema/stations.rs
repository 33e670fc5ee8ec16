//! Version 3: many stations on one database.

pub(super) const STEP: &[&str] = &[
    // One row for each station, which only the station itself writes: who it is, that it lives, how it does.
    // `seen_us` is by the database's clock and `clock_us` by the station's, at the same moment.
    "CREATE TABLE MONHOSTS (
        monhostID INTEGER PRIMARY KEY AUTOINCREMENT,
        nodeID VARCHAR(64) NOT NULL UNIQUE,
        hostName VARCHAR(253) NOT NULL,
        home VARCHAR(4096) NOT NULL,
        version VARCHAR(64) NOT NULL,
        homeID VARCHAR(64) NOT NULL,
        machineID VARCHAR(64) NOT NULL,
        bootID VARCHAR(64) NOT NULL,
        claimed_us BIGINT NOT NULL,
        firstseen_us BIGINT NOT NULL,
        since_us BIGINT NOT NULL,
        seen_us BIGINT NOT NULL,
        clock_us BIGINT NOT NULL,
        within_s BIGINT NOT NULL,
        state VARCHAR(16) NOT NULL,
        reason TEXT,
        clock_synchronised INTEGER NOT NULL,
        daemons TEXT NOT NULL,
        findings MEDIUMTEXT,
        specifications TEXT,
        findings_us BIGINT,
        rival TEXT,
        rivalseen_us BIGINT,
        retiredepoch BIGINT)",
    // Which station's nodes.csv has which node, and how: a row of NODES is everybody's.
    "CREATE TABLE NODELISTS (
        srcNodeID VARCHAR(64) NOT NULL,
        nodeID VARCHAR(64) NOT NULL,
        hostName VARCHAR(253) NOT NULL,
        ipVersion VARCHAR(3) NOT NULL,
        PRIMARY KEY (srcNodeID, nodeID)) WITHOUT ROWID",
    "CREATE INDEX nodelists_node ON NODELISTS (nodeID)",
    // Notes have the station in their names from now on: this one was nobody's in particular.
    "DELETE FROM NOTES WHERE name = 'load-scheduled.last-cycle'",
];
