//! Fetch-Session: the records of a session that is over, for whose it is.

use station::news::Cause;

use super::{greet::Ended, patience::now, shelf::Kept, talk::Talk};
use crate::{
    protocol::{Accept, FetchAck, FetchSession, Fetched, Record},
    session::apply_skips,
};

/// Records between two sendings.
const AT_A_TIME: usize = 1_024;

impl Talk<'_> {
    pub(super) fn fetch(&mut self, fetch: &FetchSession) -> Result<(), Ended> {
        let Some(kept) = self.server.shelf.get(&fetch.sid, &self.client.owner, now()) else {
            FetchAck::refused(Accept::Failure).put(&mut self.client.to);
            return self.say();
        };
        let ack = FetchAck {
            accept: Accept::Yes,
            finished: kept.finished,
            next_seq: kept.next_seq,
            skips: u32::try_from(kept.skips.len()).unwrap_or(u32::MAX),
            records: u32::try_from(wanted(&kept, fetch).count()).unwrap_or(u32::MAX),
        };
        ack.put(&mut self.client.to);
        let (session, skips) = (kept.session.clone(), kept.skips.clone());
        Fetched { session, skips }.put(&mut self.client.to);
        self.give(&kept, fetch, ack.records as usize)?;
        let class = self.server.classes.class(self.client.class);
        let is_whole = (fetch.first, fetch.last) == (0, u32::MAX);
        if is_whole && class.is_some_and(|class| class.delete_on_fetch) {
            self.server.shelf.forget(&fetch.sid);
        }
        Ok(())
    }

    fn give(&mut self, kept: &Kept, fetch: &FetchSession, promised: usize) -> Result<(), Ended> {
        let mut given = 0;
        for record in wanted(kept, fetch).take(promised) {
            Fetched::put_record(&record.to_bytes(), &mut self.client.to);
            given += 1;
            if given % AT_A_TIME == 0 {
                self.say()?;
            }
        }
        if given != promised {
            let why = format!("the records of session {} can be read no more", fetch.sid);
            return Err(Ended::new(Cause::Ours, why));
        }
        Fetched::put_end(&mut self.client.to);
        self.say()
    }
}

fn wanted<'a>(kept: &'a Kept, fetch: &FetchSession) -> impl Iterator<Item = Record> + use<'a> {
    let (first, last) = (fetch.first, fetch.last);
    let records = kept.records.iter().map_while(Result::ok);
    let sent = apply_skips(records, &kept.skips, kept.next_seq);
    sent.filter(move |record| (first..=last).contains(&record.seq))
}
