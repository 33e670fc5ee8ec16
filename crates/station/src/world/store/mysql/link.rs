//! The connection to one of the servers that hold a database, and how it is made.

use std::{fmt, sync::Once, time::Duration};

use ::mysql::{Conn, Error as Failure, OptsBuilder, prelude::Queryable};

use crate::{
    words::database::Address,
    world::clock::{Clock, Monotonic, SystemClock},
};

use super::{
    super::error::{Error, Kind},
    access::{self, Limits, Way},
    bulk, dialect, errors,
    nodes::Nodes,
    standing::{self, Standing},
};

/// A connection that is ready for transactions.
pub(super) struct Link {
    pub(super) connection: Conn,
    /// The server, for people.
    pub(super) node: String,
    /// Whether it may be given packets of many rows.
    pub(super) takes_bulk: bool,
    is_node: bool,
}

impl Link {
    /// Whether its server is none of a cluster, or has the others: then what it says of a transaction is true
    /// for all.
    pub(super) fn has_its_cluster(&mut self) -> bool {
        !self.is_node || standing::is_ready(&mut self.connection)
    }
}

/// The servers that hold a database.
pub(super) struct Servers {
    address: Address,
    limits: Limits,
    nodes: Nodes,
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl Servers {
    pub(super) fn of(address: &Address, patience: Duration) -> Self {
        let limits = Limits::within(patience);
        Self { address: address.clone(), limits, nodes: Nodes::default() }
    }

    /// How many there are, as far as is known.
    pub(super) fn count(&self) -> usize {
        self.nodes.count()
    }

    /// Makes the database if it is not there, on the first that answers.
    pub(super) fn create(&mut self) -> Result<(), Error> {
        let mut told = Vec::new();
        for way in access::ways(&self.address, self.limits)? {
            match self.create_by(way.opts) {
                Ok(()) => return Ok(()),
                Err(failure) => told.push(errors::explain(&failure, &way.node)),
            }
        }
        Err(all(&told))
    }

    /// Whether the first server that answers has the database.
    ///
    /// # Errors
    /// What each of them says.
    pub(super) fn exists(&self) -> Result<bool, Error> {
        let mut told = Vec::new();
        for way in access::ways(&self.address, self.limits)? {
            match Conn::new(way.opts) {
                Ok(_) => return Ok(true),
                Err(Failure::MySqlError(said)) if said.code == 1049 => return Ok(false),
                Err(failure) => told.push(errors::explain(&failure, &way.node)),
            }
        }
        Err(all(&told))
    }

    fn create_by(&self, opts: OptsBuilder) -> Result<(), Failure> {
        match Conn::new(opts.clone()) {
            Err(Failure::MySqlError(said)) if said.code == 1049 => {}
            other => return other.map(|_| ()),
        }
        let sql =
            format!("CREATE DATABASE IF NOT EXISTS `{}` {}", self.address.name, dialect::DATABASE);
        Conn::new(opts.db_name(None::<String>))?.query_drop(sql)
    }

    /// Takes note that a server failed while it was used.
    pub(super) fn failed(&mut self, node: &str, error: &Error) {
        self.nodes.failed(node, error.to_string(), now());
    }

    /// Takes note that a server answers, and is good for less than another one may be.
    fn is_worse(&mut self, node: &str, standing: &Standing) {
        if let Standing::Poor(why) | Standing::Bad(why) = standing {
            self.nodes.failed(node, format!("{node}: {why}"), now());
        }
    }

    /// A new connection, to the first server that is good for work; `begin` is the first thing that is done on
    /// it.
    ///
    /// # Errors
    /// What each of them says.
    pub(super) fn connect(
        &mut self,
        begin: &mut dyn FnMut(&mut Conn) -> Result<(), Failure>,
    ) -> Result<Link, Error> {
        let ways = access::ways(&self.address, self.limits)?;
        let written = ways.iter().map(|way| way.node.clone()).collect();
        let (mut second, mut told) = (None, Vec::new());
        for index in self.nodes.order(written, now()) {
            match self.open(&ways[index], begin) {
                Ok((link, Standing::Well)) => return Ok(self.using(link, &ways[index])),
                // The first of these, if there is nothing better.
                Ok((link, standing)) => {
                    self.is_worse(&ways[index].node, &standing);
                    second = second.or(Some((link, index)));
                }
                Err(error) => {
                    self.failed(&ways[index].node, &error);
                    told.push((index, error));
                }
            }
        }
        if let Some((link, index)) = second {
            return Ok(self.using(link, &ways[index]));
        }
        // As they are written, whatever the order was: an outage is told once, while its words stay.
        told.sort_by_key(|(index, _)| *index);
        Err(all(&told.into_iter().map(|(_, error)| error).collect::<Vec<_>>()))
    }

    fn using(&mut self, link: Link, way: &Way) -> Link {
        static TOLD: Once = Once::new();
        if let Some(remark) = &way.remark {
            TOLD.call_once(|| log::warn!("{remark}"));
        }
        if let Some(told) = self.nodes.using(&link.node) {
            log::warn!("{told}");
        }
        link
    }

    /// The connection, or, if a server that is written before its own is good for work again, one to that.
    pub(super) fn better(&mut self, kept: Link) -> Link {
        let better = self.nodes.better(now());
        if better.is_empty() {
            return kept;
        }
        let Ok(ways) = access::ways(&self.address, self.limits) else { return kept };
        for way in better.into_iter().filter_map(|index| ways.get(index)) {
            match self.open(way, &mut |_| Ok(())) {
                Ok((link, Standing::Well)) => return self.using(link, way),
                Ok((_, standing)) => self.is_worse(&way.node, &standing),
                Err(error) => self.failed(&way.node, &error),
            }
        }
        kept
    }

    /// A connection that is ready for transactions, and what its server is good for.
    fn open(
        &self,
        way: &Way,
        begin: &mut dyn FnMut(&mut Conn) -> Result<(), Failure>,
    ) -> Result<(Link, Standing), Error> {
        let explained = |failure: Failure| errors::explain(&failure, &way.node);
        let mut connection = Conn::new(way.opts.clone()).map_err(explained)?;
        let (standing, is_node) = standing::ask(&mut connection).map_err(explained)?;
        if let Standing::Bad(why) = &standing {
            let what = format!("cannot use the database {}: {why}", way.node);
            return Err(Error::new(Kind::Away, what));
        }
        if is_node {
            connection.query_drop(SEE_WHAT_OTHERS_DID).map_err(explained)?;
        }
        access::let_answer(&connection, self.limits)
            .map_err(|error| explained(Failure::IoError(error)))?;
        begin(&mut connection).map_err(explained)?;
        let takes_bulk = !is_node && bulk::is_taken_by(&mut connection).map_err(explained)?;
        Ok((Link { connection, node: way.node.clone(), takes_bulk, is_node }, standing))
    }
}

/// A transaction on a node begins when the node has all that was committed on any before it. (Bit 1, "READ",
/// is asked for at START TRANSACTION too, and within a transaction nothing else is waited for.)
const SEE_WHAT_OTHERS_DID: &str = "SET SESSION wsrep_sync_wait = 1";

fn now() -> Monotonic {
    SystemClock.moment().monotonic
}

/// What several servers said, as one.
fn all(told: &[Error]) -> Error {
    let kind = told.first().map_or(Kind::Away, Error::kind);
    let told: Vec<String> = told.iter().map(ToString::to_string).collect();
    Error::new(kind, told.join("; "))
}

#[cfg(test)]
mod tests {
    use super::{super::super::of_test, *};
    use crate::words::config::Database;

    #[test]
    fn a_server_of_mariadb_takes_packets_of_many_rows_and_one_of_mysql_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let Database::Mysql(address) = of_test(folder.path()) else { return };
        let mut servers = Servers::of(&address, Duration::from_secs(6));
        servers.create().expect("made");
        let mut link = servers.connect(&mut |_| Ok(())).expect("it answers");
        let version: Option<String> = link.connection.query_first("SELECT VERSION()").expect("one");
        let is_mariadb = version.is_some_and(|it| it.contains("MariaDB"));
        assert_eq!((link.takes_bulk, link.is_node), (is_mariadb, false));
    }
}
