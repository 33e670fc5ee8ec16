//! `keep-em-alive` restarts the daemons of a station that ended or hang; from cron, every minute.
//!
//! - [`look`](mod@look) sees what is to be seen of a daemon.
//! - [`judge`](mod@judge) says what is to be done with it: a value.
//! - [`start`] starts daemons, and [`memory`] keeps what the next run has to know.
//!
//! Cron mails what is printed. So a daemon that is put right is told once, in a line; what a person has
//! to put right is told when it begins and not again.

pub mod judge;
pub mod look;
pub mod memory;
pub mod start;
mod tell;

use std::{fs, os::unix::fs::MetadataExt, path::Path, time::Duration};

use clap::Parser;
use station::{
    app::{Common, Exit, Failure},
    daemon, watchdog,
    words::{config::Config, suite},
    world::{
        clock::{Clock, Moment, SystemClock},
        ending::{Outcome as End, Scope, end_all},
        hold, keepalive, lock,
        processes::Process,
        store::{Kind, Store},
    },
};

use crate::{
    judge::{Circumstances, Memory, Verdict, judge},
    look::{Foreign, Look},
    memory::Memories,
    start::Outcome,
    tell::Teller,
};

const NAME: &str = "keep-em-alive";

const EXITS: &str = "Exit status: 0 all run; 1 some daemon needs a person; 2 usage; 75 it runs already; \
                     78 wrong configuration (the last good one goes on)";

/// Restarts the daemons of a station that ended or hang; for cron
#[derive(Debug, Parser)]
#[command(name = "keep-em-alive", version, after_help = EXITS)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Say how each daemon is and what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: say it as JSON
    #[arg(long, requires = "dry_run")]
    json: bool,
}

/// A daemon that hangs may take so long to end beyond what it may wait for its probes.
const GRACE: Duration = Duration::from_secs(5);

/// How long the look at the schema may wait for other programs.
const PATIENCE: Duration = Duration::from_secs(3);

/// A daemon as it was found and judged.
struct Case {
    name: String,
    found: Result<Look, String>,
    verdict: Verdict,
}

/// The program.
///
/// # Errors
/// It runs already, or there never was a good configuration.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let (config, broken) = args.common.load_or_last_good()?;
    let folder = &config.paths.keepalives;
    let clock = SystemClock;
    if args.dry_run {
        let cases = judge_all(&config, &mut Memories::read(folder), &clock.moment());
        return tell::show(&cases, args.json);
    }
    Common::is_ours(&config)?;
    let looking = || Failure::new(Exit::TryLater, format!("looking after {}", folder.display()));
    let lock = lock::try_lock(folder, NAME).map_err(|error| looking().because(error))?;
    if lock.is_none() {
        log::info!("it runs already");
        return Ok(Exit::TryLater);
    }
    let held = watchdog::held(&config, &clock.moment())?;
    let mut memories = Memories::read(folder);
    if let Some(hold) = held {
        log::info!("the station is held by {} until {}: {}", hold.by, hold.until_us, hold.reason);
        // The time of the file tells `iepm doctor` that cron still calls us.
        memories.write(folder).map_err(|error| looking().because(error))?;
        return Ok(Exit::Well);
    }
    let stopped = hold::take_stopped(folder, NAME).map_err(|error| looking().because(error))?;
    if stopped {
        memories.daemons.values_mut().for_each(Memory::stopped_on_purpose);
    }
    let mut teller = Teller::new(stopped);
    Teller::configuration(broken.as_ref(), &mut memories);
    look_after(&config, &mut memories, &mut teller, clock);
    memories.write(folder).map_err(|error| looking().because(error))?;
    Ok(if broken.is_some() { Exit::Config } else { teller.exit() })
}

fn judge_all(config: &Config, memories: &mut Memories, now: &Moment) -> Vec<Case> {
    let at = Circumstances {
        now: *now,
        boot_id: keepalive::boot_id(),
        stale_after: config.watch.stale_after,
        configuration: if memories.daemons.values().any(|memory| memory.restarts.is_wrong()) {
            configuration(config)
        } else {
            String::new()
        },
    };
    let names = daemon::watched(config);
    memories.daemons.retain(|name, _| names.contains(name));
    let foreign = look::foreign(&names, config).map_err(|error| error.to_string());
    let (mut foreign, unseen) =
        foreign.map_or_else(|why| (Foreign::new(), Some(why)), |f| (f, None));
    let case = |name: String| {
        let memory = memories.daemons.entry(name.clone()).or_default();
        let found = match &unseen {
            Some(why) if !suite::DAEMONS.contains(&name.as_str()) => Err(why.clone()),
            _ => look::look(&name, config, &mut foreign, (now, &at.boot_id))
                .map_err(|error| error.to_string()),
        };
        // Of one that cannot be looked at nothing is concluded.
        let verdict = found.as_ref().map_or(Verdict::Well, |look| judge(&look.seen, memory, &at));
        Case { name, found, verdict }
    };
    names.into_iter().map(case).collect()
}

/// Stands for all that makes a daemon end for a wrong configuration: it changes when `iepm.toml` or the
/// suite itself does, or when the database's schema becomes the right one.
fn configuration(config: &Config) -> String {
    let stamp = |path: &Path| match fs::metadata(path) {
        // The change of the inode: also of who may write to it.
        Ok(file) => format!("{}.{}.{}", file.ctime(), file.ctime_nsec(), file.ino()),
        Err(error) => error.kind().to_string(),
    };
    let schema = match Store::of(&config.database, PATIENCE).read(|_| Ok(())) {
        Err(error) if matches!(error.kind(), Kind::Newer | Kind::Older | Kind::Closed) => "another",
        _ => "right",
    };
    format!("{} {} {schema}", stamp(&config.paths.file), stamp(&config.paths.bin.join("iepm")))
}

/// Puts right what can be put right.
fn look_after(config: &Config, memories: &mut Memories, teller: &mut Teller, clock: SystemClock) {
    let cases = judge_all(config, memories, &clock.moment());
    let stuck = end_hung(&cases, config);
    let starts = |case: &&Case| {
        matches!(case.verdict, Verdict::Start | Verdict::Hangs(_)) && !stuck.contains(&case.name)
    };
    let to_start: Vec<&Case> = cases.iter().filter(starts).collect();
    let names: Vec<&str> = to_start.iter().map(|case| case.name.as_str()).collect();
    // As it is before they read it: what is put right meanwhile is another.
    let before = if names.is_empty() { String::new() } else { configuration(config) };
    let outcomes = start::start_all(&names, config);
    let (boot, boot_id) = (clock.moment().boot, keepalive::boot_id());
    for (case, outcome) in to_start.into_iter().zip(outcomes) {
        let memory = memories.daemons.entry(case.name.clone()).or_default();
        let mut looped = memory.restarts.started(boot, &boot_id);
        match &outcome {
            Outcome::NotNow(_) => {
                memory.restarts.not_now();
                looped = false;
            }
            Outcome::Wrong(_) => {
                let _ = memory.restarts.wrong(&before);
            }
            _ => {}
        }
        teller.started(case, &outcome, looped, memory);
    }
    for case in cases.iter().filter(|case| !names.contains(&case.name.as_str())) {
        let memory = memories.daemons.entry(case.name.clone()).or_default();
        teller.found(case, stuck.contains(&case.name), memory);
    }
}

/// Ends the daemons that hang, all together; gives the names of those that cannot be ended.
fn end_hung(cases: &[Case], config: &Config) -> Vec<String> {
    let hung = cases.iter().filter(|case| matches!(case.verdict, Verdict::Hangs(_)));
    let hung: Vec<(&Case, &Look, &Process)> = hung
        .filter_map(|case| {
            let look = case.found.as_ref().ok()?;
            Some((case, look, look.process.as_ref()?))
        })
        .collect();
    for (case, look, process) in &hung {
        Teller::hangs(case, look, process);
    }
    let processes: Vec<_> = hung.iter().map(|(.., process)| *process).collect();
    let ends = end_all(&processes, config.drain + GRACE, Scope::WithItsGroup);
    let left = |end: &End| matches!(end, End::Stuck(_) | End::Refused(_));
    let stuck = hung.iter().zip(ends).filter(|(_, end)| left(end));
    stuck.map(|((case, ..), _)| case.name.clone()).collect()
}
