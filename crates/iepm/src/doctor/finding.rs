//! What is wrong, how grave it is, and what to do about it.

use serde::{Deserialize, Serialize};

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Good to know; the station is well all the same.
    Note,
    /// A person should look at it in the next days.
    Warning,
    /// The station does not measure, or will soon lose what it measures.
    Critical,
}

impl Severity {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Something that is wrong with a station.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    /// What it is about. It stays the same from run to run, while figures in `what` change.
    pub(crate) key: String,
    pub(crate) what: String,
    pub(crate) todo: String,
}

impl Finding {
    pub(super) fn new(
        severity: Severity,
        key: impl Into<String>,
        what: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        let (what, todo) = (one_line(&what.into()), one_line(&todo.into()));
        Self { severity, key: key.into(), what, todo }
    }

    pub(crate) fn critical(
        key: impl Into<String>,
        what: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Critical, key, what, todo)
    }

    pub(crate) fn warning(
        key: impl Into<String>,
        what: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Warning, key, what, todo)
    }

    pub(crate) fn note(
        key: impl Into<String>,
        what: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Note, key, what, todo)
    }

    /// Both lines, for people.
    pub(crate) fn text(&self) -> String {
        let Self { severity, what, todo, .. } = self;
        format!("{:<10}{what}\n          {todo}\n", severity.as_str())
    }
}

/// Words come from logs, from tools and from the database: none of them makes a line of its own.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// Puts the worst first; what is equally grave stays in its order.
pub(crate) fn sort(findings: &mut [Finding]) {
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
}

/// Whether nothing is worse than good to know.
pub(crate) fn is_well<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> bool {
    findings.into_iter().all(|finding| finding.severity == Severity::Note)
}

/// All findings, for people: `well` on a line of its own when there is nothing to put right.
pub(super) fn text(findings: &[Finding]) -> String {
    let well = if is_well(findings) { "well\n" } else { "" };
    findings.iter().fold(well.to_owned(), |text, finding| text + &finding.text())
}

/// `1 daemon`, `2 daemons`.
pub(crate) fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_stands_first_and_notes_leave_a_station_well() {
        let mut findings = vec![
            Finding::note("n", "a note", "nothing"),
            Finding::warning("w", "a warning\nof two lines", "look"),
            Finding::critical("c", "a fault", "act"),
        ];
        sort(&mut findings);
        let told = "critical  a fault\n          act\nwarning   a warning of two lines\n          look\n\
                    note      a note\n          nothing\n";
        assert_eq!(text(&findings), told);
        assert_eq!(text(&findings[2..]), "well\nnote      a note\n          nothing\n");
        assert_eq!(text(&[]), "well\n");
        assert!(!is_well(&findings) && is_well(&findings[2..]));
    }
}
