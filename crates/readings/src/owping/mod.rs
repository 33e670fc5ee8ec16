//! Reads the output of owping (RFC 4656): its summary for people, its summary for machines (`-M`) and its
//! raw records (`-R`), of the reference tool and of our own; and our own's JSON (`--json`), which has more.
//!
//! # What was learned from real output
//!
//! - Nothing in the output says which host is ours. See the module `direction` for how it is found out.
//! - A session whose other end died, or that was interrupted, is missing without a word on standard output;
//!   standard error tells that its data could not be fetched. The exit status is 0.
//! - A run that is interrupted prints `0 sent` and delays of `nan`. Where nothing was sent, nothing is known
//!   of the clocks either.
//! - The median comes from a histogram and is rounded away from zero to the edge of a bucket, so that one
//!   outside of the smallest and largest delay can be printed. Such a median is told as that nearest end.
//! - Complaints about an undisciplined clock come with every run, and are warnings.
//! - `-R` prints both sessions without anything between them: see the module `raw`.
//!
//! An output's sessions of one direction are kept apart: with `-N` a session comes in several parts.

mod direction;
mod human;
mod json;
mod machine;
mod raw;

use crate::{
    Direction, Output, Unreadable, document,
    oneway::{OneWay, Session},
    problem,
    text::{self, Line, bare},
};

use direction::Ends;

/// Sessions or parts of sessions that a reading may have.
const MOST_SESSIONS: usize = 1000;

/// Reads the output of an owping.
///
/// # Errors
///
/// If this is no output of an owping, or contradicts itself: a field that is no number, more packets lost
/// than sent, a smallest delay above the largest. Also if nothing was printed and nothing ended the tool.
pub fn read(output: &Output<'_>) -> Result<OneWay, Unreadable> {
    if document::is_it(output.stdout) {
        return json::read(output);
    }
    let mut said = Transcript::default();
    for line in text::lines(output.stdout) {
        said.take(&line)?;
    }
    if !said.known {
        let problem = problem::instead_of_output(output, said.stranger)?;
        let warnings = problem::warnings(output.stderr);
        return Ok(OneWay { problem: Some(problem), warnings, ..OneWay::default() });
    }
    let mut drafts = said.drafts;
    drafts.extend(said.raw.drafts(output.end));
    let ended = !drafts.is_empty() && drafts.iter().all(|draft| draft.ended);
    let complete = ended && !problem::complained(output.stderr);
    let mut warnings = problem::warnings(output.stderr);
    said.warnings.iter().for_each(|warning| problem::warn(&mut warnings, warning));
    Ok(OneWay {
        sessions: direction::settle(drafts, output)?,
        warnings,
        problem: problem::of(output, complete),
        complete,
    })
}

/// A session as it is read.
struct Draft {
    session: Session,
    ends: Ends,
    /// Whether it is known to follow the session towards the target.
    second: bool,
    /// Whether its counts were read yet.
    counted: bool,
    machine: machine::State,
    /// Whether it was printed to its end.
    ended: bool,
}

impl Draft {
    fn of(ends: Ends) -> Self {
        let session = Session::new(Direction::To);
        Self {
            session,
            ends,
            second: false,
            counted: false,
            machine: machine::State::default(),
            ended: false,
        }
    }
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Form {
    #[default]
    Unknown,
    Human,
    Machine,
    Raw,
}

#[derive(Default)]
struct Transcript {
    form: Form,
    drafts: Vec<Draft>,
    raw: raw::Records,
    warnings: Vec<String>,
    /// Whether any line is owping's.
    known: bool,
    /// The first line before that.
    stranger: Option<Unreadable>,
}

impl Transcript {
    /// Takes a line. One that breaks off may break off within a number, and is not believed.
    fn take(&mut self, line: &Line<'_>) -> Result<(), Unreadable> {
        let said = bare(&line.text);
        if said.is_empty() {
            return Ok(());
        }
        if self.form == Form::Unknown {
            self.form = form(said);
        }
        let begun = self.form != Form::Unknown || said.starts_with("Approximately ");
        self.known |= begun;
        if !self.known {
            self.stranger.get_or_insert_with(|| line.wrong("a line of owping", said));
        } else if said.starts_with("Directional delays may be inaccurate") {
            problem::warn(&mut self.warnings, said);
        } else if line.finished {
            self.go_on(line, said)?;
        } else {
            self.raw.break_off();
        }
        Ok(())
    }

    fn go_on(&mut self, line: &Line<'_>, said: &str) -> Result<(), Unreadable> {
        match self.form {
            Form::Unknown => {}
            Form::Human => human::take(&mut self.drafts, line, said)?,
            Form::Machine => machine::take(&mut self.drafts, line)?,
            Form::Raw => self.raw.take(line, said)?,
        }
        if self.drafts.len() > MOST_SESSIONS {
            return Err(line.wrong("at most 1000 sessions", said));
        }
        Ok(())
    }
}

/// The form of the output, from the first line that tells.
fn form(said: &str) -> Form {
    if said.starts_with(human::HEADER) {
        Form::Human
    } else if said.starts_with("SUMMARY\t") {
        Form::Machine
    } else if raw::is_record(said) {
        Form::Raw
    } else {
        Form::Unknown
    }
}
