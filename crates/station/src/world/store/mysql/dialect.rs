//! How the tables are stated for MySQL and MariaDB. The schema is written once, as the embedded engine
//! takes it; statements on rows are the same for both.

use std::borrow::Cow;

/// Sessions read SQL as the embedded engine does: `||` joins texts, a backslash is one, a value that does
/// not fit is an error.
pub(super) const SQL_MODE: &str =
    "STRICT_ALL_TABLES,PIPES_AS_CONCAT,ANSI_QUOTES,NO_BACKSLASH_ESCAPES,NO_ENGINE_SUBSTITUTION";

/// What tables are made with: transactions, and keys that tell upper from lower case.
const TABLE: &str = " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";

/// What a database is made with.
pub(super) const DATABASE: &str = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";

const WORDS: [(&str, &str); 4] = [
    ("INTEGER PRIMARY KEY AUTOINCREMENT", "BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY"),
    // Integers of the embedded engine have 64 bits, whatever they are called, and its texts no limit.
    (" INTEGER", " BIGINT"),
    (" TEXT", " MEDIUMTEXT"),
    (" WITHOUT ROWID", ""),
];

/// The statement that makes or changes a table.
pub(super) fn define(sql: &str) -> Cow<'_, str> {
    let mut said = Cow::Borrowed(sql);
    for (ours, theirs) in WORDS {
        if said.contains(ours) {
            said = Cow::Owned(said.replace(ours, theirs));
        }
    }
    if said.starts_with("CREATE TABLE") { Cow::Owned(said.into_owned() + TABLE) } else { said }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_stated_for_the_server() {
        let ours = "CREATE TABLE X (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        n INTEGER NOT NULL,
        t TEXT, m MEDIUMTEXT, PRIMARY KEY (n)) WITHOUT ROWID";
        let theirs = "CREATE TABLE X (
        id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
        n BIGINT NOT NULL,
        t MEDIUMTEXT, m MEDIUMTEXT, PRIMARY KEY (n)) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";
        assert_eq!(define(ours), theirs);
        assert_eq!(define("CREATE INDEX i ON X (n)"), "CREATE INDEX i ON X (n)");
    }
}
