//! Limits, and a client's share of them: so many percent of what others leave. One alone has nearly all, and whoever
//! comes next finds something, however many came before. Pure.

use super::who::Who;
use crate::protocol::Accept;

/// Why there is not so much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TooMuch {
    /// What a client is answered: whether it may try again.
    pub(super) accept: Accept,
    /// For the log.
    pub(super) why: String,
}

/// So much of something.
pub(super) struct Limit<'a> {
    pub(super) of: &'a str,
    pub(super) what: &'static str,
    pub(super) most: u64,
    /// Percent.
    pub(super) share: u8,
}

impl Limit<'_> {
    /// Whether it is kept by all together.
    pub(super) fn all(&self, used: u64, more: u64) -> Result<(), TooMuch> {
        if used.checked_add(more).is_some_and(|sum| sum <= self.most) {
            return Ok(());
        }
        let Self { of, what, most, .. } = self;
        let why = format!("{of} has {most} ({what}), {used} in use, {more} asked for");
        Err(self.too_much(more, why))
    }

    /// Whether a client that has `mine` of what all use keeps to its share.
    pub(super) fn share(
        &self,
        who: Who,
        (used, mine): (u64, u64),
        more: u64,
    ) -> Result<(), TooMuch> {
        let left = self.most.saturating_sub(used - mine);
        if more == 0 || mine.checked_add(more).is_some_and(|sum| sum <= self.part(left)) {
            return Ok(());
        }
        let Self { of, what, share, .. } = self;
        let why = format!(
            "{of}: others leave {left} ({what}), of which one client may have {share} %; {who} has {mine} and asks \
             for {more}"
        );
        Err(self.too_much(more, why))
    }

    /// A client's part, rounded up.
    fn part(&self, of: u64) -> u64 {
        let part = (u128::from(of) * u128::from(self.share)).div_ceil(100);
        u64::try_from(part).unwrap_or(u64::MAX)
    }

    fn too_much(&self, more: u64, why: String) -> TooMuch {
        let ever = more <= self.part(self.most);
        let accept = if ever { Accept::TemporaryLimit } else { Accept::PermanentLimit };
        TooMuch { accept, why }
    }
}
