//! Runs that a measurement begins with, and what became of them.

use std::time::Duration;

use anyhow::{Result, ensure};
use station::{
    text::Timestamp,
    words::toolspec::{SpecKey, TestType},
    world::{
        clock::{Clock, SystemClock},
        store::{NewRows, NewRun, Store},
    },
};

use crate::{bed::Station, driver::Driver};

/// How long filling a database may wait for others.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where all runs measure to.
pub const TARGET: &str = "127.0.0.1";

/// Runs to be put into SCHEDULE, each of a specification of its own.
#[derive(Debug)]
pub struct Runs<'a> {
    /// How many.
    pub count: u32,
    /// What each runs.
    pub words: &'a [&'a str],
    /// Whether they may go side by side.
    pub testtype: TestType,
    /// When the first is due.
    pub first: Timestamp,
    /// How much later each is due than the one before it.
    pub step: Duration,
    /// How late each may start.
    pub window: Duration,
    /// After how long each is ended.
    pub limit: Duration,
}

const SPEC: &str = "INSERT INTO TOOLSPECS (toolspecsID, srcNodeID, destNodeID, toolName, variant, toolPath, testtype, \
     time2run, runinterval) VALUES (?, 'station', 'target', 'ping', ?, 'ping', 'background', 10, 3600)";

impl<'w> Runs<'w> {
    /// Background runs that are all due now, and may start within the hour.
    #[must_use]
    pub fn due_now(count: u32, words: &'w [&'w str]) -> Self {
        Self {
            count,
            words,
            testtype: TestType::Background,
            first: SystemClock.now(),
            step: Duration::ZERO,
            window: Duration::from_secs(3_600),
            limit: Duration::from_secs(60),
        }
    }

    /// Writes them, pending.
    ///
    /// # Errors
    /// What the engine says.
    pub fn put_into(&self, station: &Station) -> Result<()> {
        let key = key("target")?;
        let words: Vec<String> = self.words.iter().map(|word| (*word).to_owned()).collect();
        let mut store = Store::of(&station.config.database, PATIENCE);
        store.transaction(|session| {
            let (mut due, mut rows) = (self.first, NewRows::default());
            let specs: Vec<_> = (1..=self.count)
                .map(|number| vec![number.into(), format!("v{number}").into()])
                .collect();
            session.execute_many(SPEC, &specs)?;
            for spec_id in 1..=i64::from(self.count) {
                rows.pending(&self.run(spec_id, &key, &words, due));
                due = due + self.step;
            }
            rows.write(session)
        })?;
        Ok(())
    }

    fn run<'a>(
        &'a self,
        spec_id: i64,
        key: &'a SpecKey,
        words: &[String],
        due: Timestamp,
    ) -> NewRun<'a> {
        NewRun {
            spec_id,
            key,
            testtype: self.testtype.as_str(),
            target: TARGET,
            words: words.to_vec(),
            due,
            latest: due + self.window,
            limit: self.limit,
        }
    }
}

fn key(dest: &str) -> Result<SpecKey> {
    let name = |text: &str| text.parse().map_err(|fault: String| anyhow::anyhow!(fault));
    let tool = "ping".parse().map_err(|fault: String| anyhow::anyhow!(fault))?;
    Ok(SpecKey { src: name("station")?, dest: name(dest)?, tool, variant: String::new() })
}

/// Whether no run waits or goes on; a look that costs next to nothing.
///
/// # Errors
/// What the engine says.
pub fn all_over(driver: &mut Driver) -> Result<bool> {
    let sql = "SELECT NOT EXISTS (SELECT 1 FROM SCHEDULE WHERE state IN ('pending', 'running'))";
    Ok(driver.number(sql)? == 1)
}

/// Makes sure that every run came to its end, for what is not done is done quickly.
///
/// # Errors
/// Some are missing.
pub fn all_finished(driver: &mut Driver, count: u32) -> Result<()> {
    is_count(driver, "SELECT COUNT(*) FROM SCHEDULE WHERE state = 'finished'", count)
}

/// Makes sure that a query counts as many rows.
///
/// # Errors
/// It counts others.
pub fn is_count(driver: &mut Driver, sql: &str, count: u32) -> Result<()> {
    let found = driver.number(sql)?;
    ensure!(found == i64::from(count), "{found} of {count} rows: {sql}");
    Ok(())
}
