//! The summary for machines (`-M`): a key, a tab and a value in each line, delays in seconds.

use crate::{
    Unreadable,
    oneway::Session,
    text::{self, Figure, Line, integer, quote},
};

use super::{Draft, direction::Ends};

/// TTL with which owping sends.
pub(super) const TTL_SENT: u8 = 255;

/// What is to be remembered of a session's lines until others come.
#[derive(Default)]
pub(super) struct State {
    finished: bool,
    min_ttl: Option<u8>,
    in_reordering: bool,
}

/// Takes a line of the summary.
pub(super) fn take(drafts: &mut Vec<Draft>, line: &Line<'_>) -> Result<(), Unreadable> {
    // A tab in front belongs to a table, of which the lines are told apart by nothing else.
    let said = line.text.trim_end();
    let (key, value) = said.split_once('\t').unwrap_or((said, ""));
    if key == "SUMMARY" {
        drafts.push(Draft::of(Ends::default()));
        return Ok(());
    }
    let Some(draft) = drafts.last_mut() else { return Ok(()) };
    understand(draft, key, value).ok_or_else(|| line.wrong("a value for its key", said))
}

/// Nothing if the value is none.
fn understand(draft: &mut Draft, key: &str, value: &str) -> Option<()> {
    match key {
        "FROM_HOST" => draft.ends.from.host = Some(quote(value)),
        "FROM_ADDR" => draft.ends.from.address = text::address(value),
        "TO_HOST" => draft.ends.to.host = Some(quote(value)),
        "TO_ADDR" => draft.ends.to.address = text::address(value),
        "SESSION_FINISHED" => draft.machine.finished = value == "1",
        "<NREORDERING>" => draft.machine.in_reordering = true,
        "</NREORDERING>" => draft.ended = draft.machine.finished,
        "" if draft.machine.in_reordering && value == "1\t0" => {
            draft.session.reordered = Some(0);
            draft.session.one_reordered_ratio = Some(0.0);
        }
        "MINTTL" => draft.machine.min_ttl = Some(integer(value)?),
        "MAXTTL" => draft.session.hops = hops(draft.machine.min_ttl, integer(value)?),
        _ => figure(&mut draft.session, key, value)?,
    }
    Some(())
}

fn figure(session: &mut Session, key: &str, value: &str) -> Option<()> {
    let milliseconds = || Figure::of(value).map(|seconds| seconds.scaled(|it| it * 1e3));
    match key {
        "SENT" => session.sent = Some(integer(value)?),
        "LOST" => session.lost = Some(integer(value)?),
        "DUPS" => session.duplicates = Some(integer(value)?),
        "SYNC" => session.synchronised = Some(integer::<u32>(value)? != 0),
        "MAXERR" => session.error_ms = milliseconds()?,
        "MIN" => session.min_ms = milliseconds()?,
        "MEDIAN" => session.median_ms = milliseconds()?,
        "MAX" => session.max_ms = milliseconds()?,
        "PDV" => session.p95_less_p50_ms = milliseconds()?,
        _ => {}
    }
    Some(())
}

/// The fewest and most hops; none if no packet came, which is told as 255 to 0.
fn hops(min_ttl: Option<u8>, max_ttl: u8) -> Option<(u8, u8)> {
    let min_ttl = min_ttl.filter(|min_ttl| *min_ttl <= max_ttl)?;
    Some((TTL_SENT - max_ttl, TTL_SENT - min_ttl))
}
