//! The rights that the daemons' account needs on a server: rows, and none to make or change tables.

use station::words::config::Database;

/// A table, and what is done to its rows.
const RIGHTS: [(&str, &str); 19] = [
    ("SCHEMAVERSION", "SELECT"),
    ("NODES", "SELECT, INSERT, UPDATE"),
    ("TOOLSPECS", "SELECT, INSERT, UPDATE"),
    ("AGENDA", "SELECT, INSERT, UPDATE, DELETE"),
    ("SCHEDULE", "SELECT, INSERT, UPDATE, DELETE"),
    ("TRIES", "SELECT, INSERT, UPDATE, DELETE"),
    ("LEASES", "SELECT, INSERT, UPDATE, DELETE"),
    ("NOTES", "SELECT, INSERT, UPDATE"),
    ("MONHOSTS", "SELECT, INSERT, UPDATE"),
    ("NODELISTS", "SELECT, INSERT, UPDATE, DELETE"),
    ("PINGDATA", "SELECT, INSERT, DELETE"),
    ("ROUTEDATA", "SELECT, INSERT, DELETE"),
    ("ROUTENO", "SELECT, INSERT, UPDATE, DELETE"),
    ("OWAMPDATA", "SELECT, INSERT, DELETE"),
    ("BWDATA", "SELECT, INSERT, DELETE"),
    ("PINGROLLUP", "SELECT, INSERT, UPDATE, DELETE"),
    ("ROUTEROLLUP", "SELECT, INSERT, UPDATE, DELETE"),
    ("OWAMPROLLUP", "SELECT, INSERT, UPDATE, DELETE"),
    ("BWROLLUP", "SELECT, INSERT, UPDATE, DELETE"),
];

/// The statements that make such an account, for people to carry out; nothing for the embedded engine.
pub(crate) fn told(database: &Database) -> Vec<String> {
    let Database::Mysql(address) = database else { return Vec::new() };
    let account = "'iepm'@'localhost'";
    let note = "\nAn account for the daemons, which needs no right to make tables; the host is the one that they\n\
         connect from. Put its name and password below [client] into a file of mode 0600, and that file\n\
         into the URL (?option-file=/PATH). Only `iepm init` and `iepm migrate` need more.\n\n";
    let create = format!("CREATE USER {account} IDENTIFIED BY '...';\n");
    let grants = RIGHTS.iter().map(|(table, rights)| {
        format!("GRANT {rights} ON `{}`.`{table}` TO {account};\n", address.name)
    });
    [note.to_owned(), create].into_iter().chain(grants).collect()
}

#[cfg(test)]
mod tests {
    use crate::testing::Station;

    use super::*;

    #[test]
    fn the_embedded_engine_has_no_accounts_and_a_server_one_that_makes_no_tables() {
        assert_eq!(told(&Database::Sqlite("/db".into())), [""; 0]);
        let server = Database::parse("mysql://h/iepm").expect("a database");
        let told = told(&server).concat();
        assert!(told.contains("GRANT SELECT, INSERT, UPDATE ON `iepm`.`NODES` TO"), "{told}");
        assert!(!told.contains("CREATE,") && !told.contains("ALL"), "{told}");
    }

    #[test]
    fn every_table_has_its_rights() {
        let mut station = Station::new();
        let sql = match station.config.database {
            Database::Sqlite(_) => {
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            }
            Database::Mysql(_) => {
                "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() \
                 AND table_name <> 'SCHEMASTEP'"
            }
        };
        let mut tables: Vec<String> = station.rows::<1>(sql).into_iter().flatten().collect();
        let mut granted: Vec<&str> = RIGHTS.iter().map(|(table, _)| *table).collect();
        tables.sort_unstable();
        granted.sort_unstable();
        assert_eq!(granted, tables);
    }
}
