//! What keeps a client from its server: what the tools say of that, and where they say it.

use crate::{
    Kind, Output, Problem, Unreadable,
    problem::{self, cut_short, from_outside, is_warning, meaning, silence},
    text::{self, bare},
};

/// What kept a test of a client and a server from its figures. A server that could not be reached
/// explains also why a client had to be ended; `silent` is what is known if nobody says anything.
pub(crate) fn of_test(output: &Output<'_>, silent: Option<Problem>) -> Problem {
    let told = told_of_test(output.stderr);
    let (broken, unreachable) = match told {
        Some(problem) if problem.kind == Kind::Broken => (Some(problem), None),
        told => (None, told),
    };
    unreachable
        .or_else(|| from_outside(output.end))
        .or(broken)
        .or(silent)
        .or_else(|| problem::told(output.stderr))
        .unwrap_or_else(|| cut_short(output.end))
}

/// The problem of a client that printed nothing of a test. Some leave with 0 after any failure, so
/// that whatever they complain of is the problem.
pub(crate) fn instead_of_test(
    output: &Output<'_>,
    stranger: Option<Unreadable>,
) -> Result<Problem, Unreadable> {
    if let Some(problem) = told_of_test(output.stderr) {
        return Ok(problem);
    }
    if stranger.is_some() {
        return problem::instead_of_output(output, stranger);
    }
    let problem = from_outside(output.end).or_else(|| problem::told(output.stderr));
    problem.ok_or_else(|| silence(output.end))
}

/// The first complaint that is about reaching the server: what comes before it, such as an option that
/// is not known, did not keep the tool from trying.
pub(crate) fn told_of_test(stderr: &[u8]) -> Option<Problem> {
    for line in text::lines(stderr) {
        let said = bare(&line.text);
        let kind = meaning(said);
        if said.starts_with("Usage:") {
            // The rest is a list of options, which has words of all kinds.
            return None;
        }
        if kind.is_of_reaching() && !is_warning(said) {
            return Some(Problem::of(kind, said));
        }
    }
    None
}

/// What standard error warns of, and what it says that nobody understands.
pub(crate) fn remarks(stderr: &[u8], mut note: impl FnMut(&str)) {
    for line in text::lines(stderr) {
        let said = bare(&line.text);
        if !said.is_empty() && (is_warning(said) || meaning(said) == Kind::Other) {
            note(said);
        }
    }
}

/// What a tool told of its failure in its own place for it.
pub(crate) fn said(text: &str) -> Problem {
    Problem::of(meaning(text), bare(text))
}

impl Kind {
    /// Whether it is about reaching the server and staying connected.
    const fn is_of_reaching(self) -> bool {
        matches!(
            self,
            Self::UnknownHost
                | Self::ResolverFailure
                | Self::NoAddress
                | Self::NetworkUnreachable
                | Self::Refused
                | Self::Busy
                | Self::NoAnswer
                | Self::Broken
        )
    }
}
