//! Whether a server that lets us in is good for work. A node of a cluster may be left behind by the others,
//! or be busy with giving its files to one of them.

use ::mysql::{Conn, Error as Failure, prelude::Queryable};

/// What a server is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// For everything.
    Well,
    /// For less than another one may be: it is read-only, or behind the others; the text says which.
    Poor(String),
    /// For nothing now; the text says why.
    Bad(String),
}

/// What a server tells of itself.
type Told = Vec<(String, String)>;

/// Variables and states that decide. SHOW is answered by a node without its cluster too.
const VARIABLES: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('wsrep_on', 'read_only')";
const STATES: &str = "SHOW GLOBAL STATUS WHERE Variable_name IN \
     ('wsrep_ready', 'wsrep_cluster_status', 'wsrep_local_state_comment')";

/// Asks a server; says too whether it is a node of a cluster.
///
/// # Errors
/// It does not answer.
pub(super) fn ask(connection: &mut Conn) -> Result<(Standing, bool), Failure> {
    let variables: Told = connection.query(VARIABLES)?;
    let is_node = is(&variables, "wsrep_on", "ON");
    let states = if is_node { connection.query(STATES)? } else { Told::new() };
    Ok((judge(&variables, &states), is_node))
}

/// Whether a node of a cluster has the others that it needs.
pub(super) fn is_ready(connection: &mut Conn) -> bool {
    let states: Result<Told, Failure> = connection.query(STATES);
    states.is_ok_and(|states| is(&states, "wsrep_ready", "ON"))
}

fn is(told: &Told, name: &str, value: &str) -> bool {
    told.iter().any(|(it, its)| it == name && its.eq_ignore_ascii_case(value))
}

fn judge(variables: &Told, states: &Told) -> Standing {
    let state = |name: &str| states.iter().find(|(it, _)| it == name).map(|(_, value)| value);
    match state("wsrep_local_state_comment") {
        Some(_) if !is(states, "wsrep_ready", "ON") => {
            let what = state("wsrep_cluster_status").map_or("not ready", String::as_str);
            Standing::Bad(format!("its cluster goes on without it ({what})"))
        }
        // While it gives its files away, nothing is written to them.
        Some(comment) if comment != "Synced" => Standing::Poor(format!("it is {comment}")),
        _ if is(variables, "read_only", "ON") => Standing::Poor("it is read-only".to_owned()),
        _ => Standing::Well,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pairs: &[(&str, &str)]) -> Told {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_server_alone_is_well_unless_it_is_read_only() {
        let alone = told(&[("read_only", "OFF"), ("wsrep_on", "OFF")]);
        assert_eq!(judge(&alone, &Told::new()), Standing::Well);
        assert_eq!(judge(&Told::new(), &Told::new()), Standing::Well);
        let read_only = told(&[("read_only", "ON")]);
        assert_eq!(judge(&read_only, &Told::new()), Standing::Poor("it is read-only".to_owned()));
    }

    #[test]
    fn a_node_is_well_when_it_is_in_sync_with_a_cluster_that_has_a_majority() {
        let node = |ready: &str, status: &str, state: &str| {
            let states = [
                ("wsrep_ready", ready),
                ("wsrep_cluster_status", status),
                ("wsrep_local_state_comment", state),
            ];
            judge(&told(&[("wsrep_on", "ON"), ("read_only", "OFF")]), &told(&states))
        };
        assert_eq!(node("ON", "Primary", "Synced"), Standing::Well);
        let donor = node("ON", "Primary", "Donor/Desynced");
        assert_eq!(donor, Standing::Poor("it is Donor/Desynced".to_owned()));
        let alone = node("OFF", "non-Primary", "Initialized");
        assert!(matches!(&alone, Standing::Bad(why) if why.contains("non-Primary")), "{alone:?}");
    }
}
