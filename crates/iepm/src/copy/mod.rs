//! `iepm copy`: a station's tables, all of them, in another database of whatever engine.
//!
//! As often as it is called, the target becomes what the source was at one moment, verified row by row. Until
//! the last call (`--final`), the target is marked and no program of the suite uses it; from then on the source
//! is. So there is never a moment at which two databases are written to, nor one at which a copy that lacks
//! something is taken for a whole one.

mod carry_out;
mod checksum;
mod compare;
mod ends;
mod patience;
mod progress;
mod settle;
mod show;
#[cfg(test)]
mod tests;

use std::time::Duration;

use station::{
    app::{self, Common, Exit, Failure},
    text::Timestamp,
    words::{
        config::{Config, Database},
        suite,
    },
    world::{
        clock::{Clock, SystemClock, pause},
        lock,
        store::{
            Error, Kind, Session,
            bulk::{self, Table},
        },
    },
};

use self::{
    carry_out::{Copied, Copy},
    ends::{Claim, End, Source, Target},
    patience::Patience,
    show::{Line, Report},
};
use crate::grants;

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct Args {
    /// What is copied [default: the station's own database]
    #[arg(long, value_name = "URL", value_parser = Database::parse)]
    from: Option<Database>,
    /// Where it is copied to: `sqlite:///PATH` or `mysql://[USER@]HOST[:PORT]/NAME`; made if it is not there
    #[arg(long, value_name = "URL", value_parser = Database::parse, required_unless_present = "reopen")]
    to: Option<Database>,
    /// The last copy: nothing can write to the source any more, and the target may be used
    #[arg(long = "final", conflicts_with = "dry_run")]
    last: bool,
    /// Give the source back to its programs, after a `--final` that is not to count
    #[arg(long, conflicts_with_all = ["to", "last", "dry_run"])]
    reopen: bool,
    /// Say what would be copied, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, common: &Common) -> Result<Exit, Failure> {
    let config = common.load()?;
    let from = args.from.clone().unwrap_or_else(|| config.database.clone());
    let mut source = End::of(&from);
    let Some(to) = &args.to else { return reopened(&mut source) };
    let mut target = End::of(to);
    if ends::is_same(&from, to) {
        let why = "both are the same database";
        return Err(Failure::new(Exit::Usage, format!("copying {}", source.url())).why(why));
    }
    let closed = ends::source(&mut source, &target.url())?;
    let tables = source.store.read(|session| bulk::of_station(session));
    let tables = tables.map_err(|error| failed(&source, &target, &error))?;
    if args.dry_run {
        return dry_run(&mut source, &mut target, &tables);
    }
    if args.last {
        daemons_are_down(&config, &from)?;
        if let Some(exit) = moved_already(&mut source, &mut target, &tables, closed)? {
            return Ok(exit);
        }
    }
    let report = copy(&mut source, &mut target, &tables, args.last.then_some(LAST_WRITERS))?;
    tell(&report, to, args.json)?;
    Ok(Exit::Well)
}

fn tell(report: &Report, to: &Database, json: bool) -> Result<(), Failure> {
    if json {
        let text = serde_json::to_string_pretty(report);
        let text =
            text.map_err(|error| Failure::new(Exit::NeedsPerson, "telling").because(error))?;
        return app::print(&format!("{text}\n"));
    }
    let grants = if report.moved { grants::told(to).concat() } else { String::new() };
    app::print(&format!("{}{}{grants}", report.text(), report.next()))
}

fn failed(from: &End, to: &End, error: &Error) -> Failure {
    let goes_on = matches!(error.kind(), Kind::Busy | Kind::Away | Kind::Full | Kind::ReadOnly);
    let doing = format!("copying {} to {}", from.url(), to.url());
    let failure = Failure::store(doing.clone(), error.clone());
    if goes_on {
        let why = format!("{error}; what was copied stays: the same command goes on where it was");
        return Failure::new(failure.exit(), doing).why(why);
    }
    failure
}

/// Refuses the last copy while a daemon of the station runs, if it is this station's own database.
fn daemons_are_down(config: &Config, from: &Database) -> Result<(), Failure> {
    if *from != config.database {
        return Ok(());
    }
    let folder = &config.paths.keepalives;
    let mut running = Vec::new();
    for name in suite::DAEMONS {
        let held = lock::is_held(folder, name).map_err(|error| {
            let doing = format!("looking at {}/{name}.lock", folder.display());
            Failure::new(Exit::TryLater, doing).because(error)
        })?;
        running.extend(held.then_some(name));
    }
    if running.is_empty() {
        return Ok(());
    }
    let why = format!(
        "{} still {}: `kill-all-servers` stops all daemons and keeps them down for an hour; then call this again",
        running.join(", "),
        if running.len() == 1 { "runs" } else { "run" }
    );
    Err(Failure::new(Exit::NeedsPerson, "moving the station").why(why))
}

/// The source was moved to this target before, and that is in use now.
fn moved_already(
    source: &mut End,
    target: &mut End,
    tables: &[Table],
    closed: Source,
) -> Result<Option<Exit>, Failure> {
    if closed == Source::Open
        || !matches!(ends::look(target, &source.url(), tables)?, Target::Full(..))
    {
        return Ok(None);
    }
    app::print(&format!(
        "{} was moved to {} already, which is open and may have been written to since: nothing was changed\n",
        source.url(),
        target.url()
    ))?;
    Ok(Some(Exit::Well))
}

/// On a server, a transaction that began before the source was closed may still write for so long.
const LAST_WRITERS: Duration = Duration::from_secs(15);

/// Copies; with `last` for good, after so long a wait for those that still write to a server.
fn copy(
    from: &mut End,
    to: &mut End,
    tables: &[Table],
    last: Option<Duration>,
) -> Result<Report, Failure> {
    let begun = SystemClock.moment();
    let claim = ends::claim(to, &from.url(), tables, begun.wall)?;
    let mut copied: Vec<Copied> = tables.iter().map(Copied::of).collect();
    let as_of = carried_out(from, to, &claim, &mut copied, last)?;
    let wrong: Vec<_> =
        copied.iter().filter(|it| !it.is_right()).map(|it| it.table.name()).collect();
    if !wrong.is_empty() {
        let error =
            Error::new(Kind::Other, format!("the checksums of {} differ", wrong.join(", ")));
        return Err(failed(from, to, &error));
    }
    if last.is_some() {
        let mut patience = Patience::default();
        let opened = patience.keep_trying(|_| {
            ends::is_closed(from, &to.url())?;
            ends::open(to, &claim)
        });
        opened.map_err(|error| failed(from, to, &error))?;
    }
    Ok(Report {
        from: from.url(),
        to: to.url(),
        as_of_us: as_of,
        moved: last.is_some(),
        tables: copied.iter().map(Line::of).collect(),
        took: begun.monotonic.until(SystemClock.moment().monotonic),
    })
}

/// Fills in, closes the source if it is the last copy, and puts right what is left; says as of when.
fn carried_out(
    from: &mut End,
    to: &mut End,
    claim: &Claim,
    copied: &mut [Copied],
    last: Option<Duration>,
) -> Result<Timestamp, Failure> {
    let mut copy = Copy::new(from, to, claim);
    let filled = copy.fill(copied);
    filled.map_err(|error| copy.failed(&error))?;
    if let Some(wait) = last {
        copy.close_source(wait)?;
    }
    let as_of = SystemClock.now();
    let settled = copy.settle(copied).and_then(|()| copy.count_on(copied));
    copy.progress.end();
    settled.map_err(|error| copy.failed(&error))?;
    Ok(as_of)
}

impl Copy<'_> {
    fn failed(&self, error: &Error) -> Failure {
        self.progress.end();
        failed(self.from, self.to, error)
    }

    /// Has nothing write to the source any more, and waits until nothing does.
    fn close_source(&mut self, wait: Duration) -> Result<(), Failure> {
        ends::close(self.from, &self.to.url(), SystemClock.now())?;
        if self.from.database.file().is_none() {
            pause(wait);
        }
        Ok(())
    }
}

fn reopened(source: &mut End) -> Result<Exit, Failure> {
    let told = match ends::reopen(source)? {
        None => format!("{} was not closed: nothing to change\n", source.url()),
        Some(other) => format!(
            "{} is open again. What was written to {other} since is not in it; no station may use both\n",
            source.url()
        ),
    };
    app::print(&told)?;
    Ok(Exit::Well)
}

/// Tells how many rows each table has, and how the target stands.
fn dry_run(source: &mut End, target: &mut End, tables: &[Table]) -> Result<Exit, Failure> {
    let (from, to) = (source.url(), target.url());
    let state = match ends::look(target, &from, tables)? {
        Target::Missing => format!("{to} would be made"),
        Target::Empty => format!("{to} is empty"),
        Target::Begun => format!("{to} has what was copied before; what differs would be written"),
        Target::Full(table, rows) => format!(
            "{to} would be refused: its table {table} has {rows} rows that are not of this copy"
        ),
    };
    let count = |session: &mut dyn Session| -> Result<Vec<u64>, Error> {
        tables.iter().map(|table| bulk::count(session, table)).collect()
    };
    let rows = source.store.read(count).map_err(|error| failed(source, target, &error))?;
    let lines =
        tables.iter().zip(&rows).map(|(table, rows)| format!("{rows:>12}  {}\n", table.name()));
    app::print(&format!(
        "would copy {from}:\n{}{:>12}  in all\n{state}\n",
        lines.collect::<String>(),
        rows.iter().sum::<u64>()
    ))?;
    Ok(Exit::Well)
}
