//! What a server or the way to it says, sorted by what can be done about it.

use std::io::{
    self,
    ErrorKind::{TimedOut, WouldBlock},
};

use ::mysql::{DriverError, Error as Failure, MySqlError};

use mysql_common::proto::codec::error::PacketCodecError;

use super::super::error::{Error, Kind};

/// Whether a failure is that of a server that says nothing, so that asking again would cost as long again.
pub(super) fn is_silence(failure: &Failure) -> bool {
    let silent = |error: &io::Error| matches!(error.kind(), WouldBlock | TimedOut);
    match failure {
        Failure::IoError(error) | Failure::CodecError(PacketCodecError::Io(error)) => silent(error),
        Failure::DriverError(error) => matches!(error, DriverError::ConnectTimeout),
        _ => false,
    }
}

/// Why another server of the same database may do what this one would not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// It is gone, or says that it is not to be used now.
    Gone,
    /// It says nothing, and that has taken all the time that there was.
    Silent,
}

/// Whether a failure is the server's own, so that another one may do better.
pub(super) fn left(failure: &Failure) -> Option<Left> {
    let is_its_own = match failure {
        _ if is_silence(failure) => return Some(Left::Silent),
        // Its cluster went on without it; it is read-only; its disk is full.
        Failure::MySqlError(said) => {
            matches!(said.code, 1290 | 1836) || matches!(kind(said), Kind::Away | Kind::Full)
        }
        _ => explain(failure, "").kind() == Kind::Away,
    };
    is_its_own.then_some(Left::Gone)
}

/// Sorts a failure; `shown` is the database, for people.
pub(super) fn explain(failure: &Failure, shown: &str) -> Error {
    match failure {
        Failure::MySqlError(said) => of_server(said, shown),
        _ if is_silence(failure) => away(format!("the database {shown} does not answer")),
        Failure::IoError(error) | Failure::CodecError(PacketCodecError::Io(error)) => {
            away(format!("cannot use the database {shown}: {error}"))
        }
        Failure::CodecError(PacketCodecError::PacketTooLarge) => {
            let what = format!("the database {shown}: a value is larger than max_allowed_packet");
            Error::new(Kind::Other, what)
        }
        Failure::CodecError(error) => away(format!("cannot use the database {shown}: {error}")),
        Failure::DriverError(error) => of_driver(error, shown),
        Failure::TlsError(error) => away(format!("no safe connection to {shown}: {error}")),
        _ => Error::new(Kind::Other, format!("the database {shown}: a value of another type")),
    }
}

fn away(what: String) -> Error {
    Error::new(Kind::Away, what)
}

fn of_driver(error: &DriverError, shown: &str) -> Error {
    away(match error {
        DriverError::BulkExecute(_) => {
            let what = format!("the database {shown}: values for many rows: {error}");
            return Error::new(Kind::Other, what);
        }
        DriverError::CouldNotConnect(Some((_, why, _))) => {
            format!("cannot use the database {shown}: {why}")
        }
        DriverError::TlsNotSupported => {
            format!("no safe connection to {shown}: its server speaks no TLS")
        }
        _ => format!("cannot use the database {shown}: {error}"),
    })
}

/// Whether a server says of a COMMIT that a conflict, or what was to be written, has undone it. Not so what it
/// says of itself: a node that is parted from its cluster says 1180, and in about one case of three the others
/// have the transaction all the same.
pub(super) fn says_undone(failure: &Failure) -> bool {
    matches!(failure, Failure::MySqlError(said) if kind(said) != Kind::Away)
}

/// What a failure of COMMIT means: it is undone, or that is not known.
pub(super) fn of_commit(failure: &Failure, shown: &str, is_undone: bool) -> Error {
    if is_undone {
        return explain(failure, shown);
    }
    let why = explain(failure, shown);
    let what = format!("{why}; whether the last change was made is not known");
    Error::new(Kind::Away, what)
}

fn of_server(said: &MySqlError, shown: &str) -> Error {
    let told = |what: &str| format!("{what} the database {shown}: {said}");
    let (kind, what) = match (said.code, kind(said)) {
        (1049, _) => (Kind::Away, format!("there is no database {shown}; `iepm init` makes one")),
        (1045 | 1698, _) => (Kind::Away, told("the account or its password is wrong for")),
        (1047, _) => (Kind::Away, told("its cluster goes on without this server of")),
        (_, Kind::Busy) => (Kind::Busy, told("other transactions are in the way in")),
        (_, Kind::Full) => (Kind::Full, told("no room for")),
        (_, Kind::ReadOnly) => (Kind::ReadOnly, told("may not write to")),
        (_, Kind::Away) => (Kind::Away, told("cannot use")),
        (_, kind) => (kind, format!("the database {shown}: {said}")),
    };
    Error::new(kind, what)
}

/// What a server says is mostly about itself, and passes; only what is said of the statement or its
/// values is the program's.
fn kind(said: &MySqlError) -> Kind {
    match said.code {
        // Deadlock or lost certification, lock wait, changed since it was read, a table that was changed.
        1213 | 1205 | 1020 | 1412 => Kind::Busy,
        // Out of space: for the table, the disk, temporary files.
        1114 | 1021 | 28 | 3 | 1026 => Kind::Full,
        // Started read-only; or the account has no right to it.
        1290 | 1836 | 1792 | 1142 | 1143 | 1044 | 1227 | 1370 => Kind::ReadOnly,
        // A key, or while tables are made: a table, a column, an index.
        1062 | 1586 | 1050 | 1060 | 1061 => Kind::Conflict,
        1194 | 1195 | 1712 | 1034 | 1035 => Kind::Corrupt,
        // Values that do not fit their columns, where the state does not say so.
        1364 | 1366 | 1265 | 1267 | 1270 | 1153 => Kind::Other,
        // The last: a node of a cluster without the others, whatever it is asked for.
        1049 | 1047 => Kind::Away,
        _ if ["21", "22", "23", "42"].iter().any(|class| said.state.starts_with(class)) => {
            Kind::Other
        }
        _ => Kind::Away,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: u16, state: &str) -> Error {
        let (state, message) = (state.to_owned(), "said".to_owned());
        explain(&Failure::MySqlError(MySqlError { state, message, code }), "mysql://h/x")
    }

    #[test]
    fn what_a_server_says_is_sorted_by_what_can_be_done() {
        for (code, state, kind) in [
            (1213, "40001", Kind::Busy),
            (1205, "HY000", Kind::Busy),
            (1020, "HY000", Kind::Busy),
            (1047, "08S01", Kind::Away),
            (1040, "08004", Kind::Away),
            (1045, "28000", Kind::Away),
            (1049, "42000", Kind::Away),
            (1053, "08S01", Kind::Away),
            (1317, "70100", Kind::Away),
            (1114, "HY000", Kind::Full),
            (1021, "HY000", Kind::Full),
            (1290, "HY000", Kind::ReadOnly),
            (1836, "HY000", Kind::ReadOnly),
            (1142, "42000", Kind::ReadOnly),
            (1062, "23000", Kind::Conflict),
            (1146, "42S02", Kind::Other),
            (1064, "42000", Kind::Other),
            (1406, "22001", Kind::Other),
        ] {
            assert_eq!(of(code, state).kind(), kind, "{code}");
        }
        let missing = of(1049, "42000").to_string();
        assert_eq!(missing, "there is no database mysql://h/x; `iepm init` makes one");
    }

    #[test]
    fn a_connection_that_is_lost_while_it_commits_leaves_the_outcome_open() {
        let lost = || Failure::IoError(io::ErrorKind::BrokenPipe.into());
        assert_eq!(of_commit(&lost(), "x", false).kind(), Kind::Away);
        assert!(of_commit(&lost(), "x", false).to_string().contains("not known"));
        let conflict = MySqlError { state: "40001".into(), message: String::new(), code: 1213 };
        let conflict = Failure::MySqlError(conflict);
        assert_eq!(of_commit(&conflict, "x", true).kind(), Kind::Busy);
        let parted = MySqlError { state: "HY000".into(), message: String::new(), code: 1180 };
        assert!(says_undone(&conflict) && !says_undone(&Failure::MySqlError(parted)));
        // Of a node that has lost its cluster.
        assert_eq!(of_commit(&conflict, "x", false).kind(), Kind::Away);
    }

    #[test]
    fn what_another_server_may_do_better_is_told_apart() {
        let said = |code, state: &str| {
            let (state, message) = (state.to_owned(), String::new());
            left(&Failure::MySqlError(MySqlError { state, message, code }))
        };
        for (code, state) in [(1047, "08S01"), (1290, "HY000"), (1114, "HY000"), (1040, "08004")] {
            assert_eq!(said(code, state), Some(Left::Gone), "{code}");
        }
        for (code, state) in [(1213, "40001"), (1062, "23000"), (1142, "42000"), (1406, "22001")] {
            assert_eq!(said(code, state), None, "{code}");
        }
        let io = |kind: io::ErrorKind| left(&Failure::IoError(kind.into()));
        assert_eq!(io(io::ErrorKind::BrokenPipe), Some(Left::Gone));
        assert_eq!(io(io::ErrorKind::WouldBlock), Some(Left::Silent));
    }
}
