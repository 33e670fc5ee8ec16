//! `load-test-data` loads result files into the data tables.
//!
//! - [`file`](mod@file) reads a file and has it understood: no database yet.
//! - [`beside`] tells the delay on the idle and on the loaded path from the ping beside a test.
//! - [`load`] decides with the database what becomes of it, in one transaction for many files, whose rows
//!   [`waiting`] looks up.
//! - [`overlap`] knows which runs had the channel to themselves, and which others went on meanwhile.
//! - [`tables`] and [`routes`] make rows of readings.

pub mod beside;
pub mod file;
pub mod load;
pub mod overlap;
pub mod routes;
pub mod tables;
pub mod waiting;

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, SyncSender},
    thread,
    time::Duration,
};

use clap::Parser;
use readings::{End, Output};
use station::{
    app::{self, Common, Exit, Failure},
    words::{config::Config, run},
    world::{
        clock::{Clock, SystemClock},
        inbox::Inbox,
        spool::Spool,
        store::{self, Kind, Store},
    },
};

use crate::{
    file::Prepared,
    load::{Fate, Tally},
};

/// Loads result files into the tables, each exactly once
#[derive(Debug, Parser)]
#[command(name = "load-test-data", version, after_help = EXITS)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Probe types whose waiting files are loaded (ping, traceroute), or result files; all probe types if none is named
    #[arg(value_name = "PROBETYPE|FILE")]
    what: Vec<String>,
    /// Print the reading of a tool's raw output, or of a result file, as JSON; no station is needed
    #[arg(long, num_args = 2, value_names = ["TOOL", "FILE|-"], conflicts_with = "what")]
    print: Option<Vec<String>>,
    /// With --print: the tool's standard error
    #[arg(long, value_name = "FILE", requires = "print")]
    stderr: Option<PathBuf>,
    /// With --print: the tool's exit status
    #[arg(long, value_name = "N", requires = "print", default_value_t = 0)]
    status: i32,
}

const EXITS: &str = "Exit status: 0 all loaded; 1 some files were rejected or could not be moved; 2 usage; \
                     75 the database cannot be used, files wait; 78 wrong configuration or schema";

/// So many files are loaded in one transaction.
const BATCH: usize = 500;
/// So many names are looked up at once, and loaded in the order of their runs.
const NAMES: usize = 32 * BATCH;
/// So many batches may wait for being moved: memory does not depend on how many files there are.
const AHEAD: usize = 1;
/// So many files, or bytes of them, are read before they are loaded, by specification: a batch then has several
/// readings of each, which stand beside each other in the index, where one of each has a page for itself.
const TOGETHER: usize = 8 * BATCH;
const TOGETHER_BYTES: usize = 16 << 20;
/// How long a transaction waits for other programs.
const PATIENCE: Duration = Duration::from_secs(15);

/// The program.
///
/// # Errors
/// The configuration is wrong, or the database or the data directory is away.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    if let Some([tool, file]) = args.print.as_deref() {
        return print(tool, file, args);
    }
    let config = args.common.load()?;
    let (types, files) = sort(&args.what, &config);
    readable(&types)?;
    waiting_here(&files, &config.paths.data)?;
    let data = &config.paths.data;
    let reading =
        || Failure::new(Exit::TryLater, format!("reading the data directory {}", data.display()));
    let spool = Spool::open(data).map_err(|error| reading().because(error))?;
    let mut store = Store::of(&config.database, PATIENCE);
    // Also when nothing waits: whoever calls it wants to know that it could load.
    store.read(|_| Ok(())).map_err(away)?;
    let node = config.node.as_str();
    let mut tally = load_files(&mut store, node, &spool, std::iter::once(Ok(names(&files))))?;
    for tool in types {
        let mut waiting = spool.waiting(Some(&tool)).map_err(|error| reading().because(error))?;
        let some = std::iter::from_fn(|| waiting.take_sorted(NAMES).map(not_empty).transpose());
        tally.add(load_files(&mut store, node, &spool, some)?);
    }
    log::info!("{} loaded, {} rejected, {} kept", tally.loaded, tally.rejected, tally.kept);
    Ok(if tally.rejected + tally.kept > 0 { Exit::NeedsPerson } else { Exit::Well })
}

/// Tells probe types from files: a result file's name has a dot, or a path before it.
fn sort(what: &[String], config: &Config) -> (Vec<String>, Vec<PathBuf>) {
    if what.is_empty() {
        return (config.probetypes.iter().map(ToString::to_string).collect(), Vec::new());
    }
    let (files, types): (Vec<&String>, Vec<&String>) =
        what.iter().partition(|word| word.contains(['.', '/']));
    (types.into_iter().cloned().collect(), files.into_iter().map(PathBuf::from).collect())
}

/// A database that cannot be used, for whatever reason, is told apart from files that were rejected.
fn away(error: store::Error) -> Failure {
    match error.kind() {
        Kind::Newer | Kind::Older | Kind::Closed => Failure::store("loading results", error),
        _ => Failure::new(Exit::TryLater, "loading results").because(error),
    }
}

/// Only what waits in the station's own data directory is ever loaded, and moved: a file from anywhere
/// else is somebody's.
fn waiting_here(files: &[PathBuf], data: &Path) -> Result<(), Failure> {
    let data = data.canonicalize().unwrap_or_else(|_| data.to_path_buf());
    let wrong: Vec<String> = files.iter().filter_map(|file| stranger(file, &data)).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let hint = "`--print TOOL FILE` reads a tool's raw output";
    let doing = format!("loading result files of {}", data.display());
    Err(Failure::new(Exit::NeedsPerson, doing)
        .why(format!("{}; {hint}; nothing was loaded", wrong.join("; "))))
}

/// Why a file is not one that waits in `data`, if it is not.
fn stranger(file: &Path, data: &Path) -> Option<String> {
    let shown = file.display();
    let metadata = match fs::symlink_metadata(file) {
        Ok(metadata) => metadata,
        Err(error) => return Some(format!("{shown}: {error}")),
    };
    let name = file.file_name().and_then(|name| name.to_str());
    let named = name.is_some_and(|name| run::parse_file_name(name).is_some());
    let parent = std::path::absolute(file).ok().and_then(|path| path.parent()?.canonicalize().ok());
    let here = metadata.is_file() && named && parent.as_deref() == Some(data);
    (!here).then(|| format!("{shown} is no result file that waits there"))
}

/// Files of a probe type that has no reader are no rubbish: they wait for the version that has one.
fn readable(types: &[String]) -> Result<(), Failure> {
    let Some(unknown) = types.iter().find(|tool| !readings::TOOLS.contains(&tool.as_str())) else {
        return Ok(());
    };
    let why =
        format!("there is no reader for it; there are readers for {}", readings::TOOLS.join(", "));
    Err(Failure::new(Exit::Config, format!("loading results of {unknown}")).why(why))
}

fn names(files: &[PathBuf]) -> Vec<String> {
    let name = |file: &PathBuf| Some(file.file_name()?.to_str()?.to_owned());
    files.iter().filter_map(name).collect()
}

fn not_empty(names: Vec<String>) -> Option<Vec<String>> {
    if names.is_empty() { None } else { Some(names) }
}

/// Loads the files of an inbox by their names: while a batch of them is being loaded, the next is read
/// and the one before is moved, each on a thread of its own.
fn load_files(
    store: &mut Store,
    station: &str,
    spool: &Spool,
    names: impl Iterator<Item = io::Result<Vec<String>>> + Send,
) -> Result<Tally, Failure> {
    let failure = |error: io::Error| {
        let data = spool.data().display();
        Failure::new(Exit::TryLater, format!("reading the data directory {data}")).because(error)
    };
    let inbox = Inbox::open(spool).map_err(failure)?;
    let mover = Inbox::open(spool).map_err(failure)?;
    thread::scope(|scope| {
        let (read, to_load) = mpsc::sync_channel(0);
        let (loaded, to_move) = mpsc::sync_channel(AHEAD);
        let reader = scope.spawn(move || read_all(&inbox, names, &read));
        let mover = scope.spawn(move || move_all(mover, &to_move));
        let batches = to_load.into_iter().flat_map(by_specification);
        let result = batches.into_iter().try_for_each(|batch: Vec<Prepared>| {
            let fates = load::load(store, station, &batch).map_err(away)?;
            let done = batch.into_iter().map(|file| file.name).zip(fates).collect();
            // The mover takes until this end is closed.
            let _ = loaded.send(done);
            Ok(())
        });
        drop(loaded);
        let tally = mover.join().unwrap_or_default();
        result?;
        reader.join().unwrap_or(Ok(())).map_err(failure)?;
        Ok(tally)
    })
}

/// Batches of files, those of a specification in the order of their runs.
fn by_specification(mut files: Vec<Prepared>) -> Vec<Vec<Prepared>> {
    files.sort_by_key(Prepared::spec_id);
    let mut batches = Vec::with_capacity(files.len() / BATCH + 1);
    let mut files = files.into_iter().peekable();
    while files.peek().is_some() {
        batches.push(files.by_ref().take(BATCH).collect());
    }
    batches
}

/// Reads files, the first of them a batch and then more and more together, as long as somebody takes them.
fn read_all(
    inbox: &Inbox,
    names: impl Iterator<Item = io::Result<Vec<String>>>,
    to_load: &SyncSender<Vec<Prepared>>,
) -> io::Result<()> {
    let (mut bytes, mut most) = (Vec::new(), BATCH);
    for names in names {
        let mut names = names?.into_iter().peekable();
        while names.peek().is_some() {
            let (mut some, mut size) = (Vec::new(), 0);
            while some.len() < most && size < TOGETHER_BYTES {
                let Some(name) = names.next() else { break };
                some.push(file::prepare(inbox, name, &mut bytes));
                size += bytes.len();
            }
            if to_load.send(some).is_err() {
                return Ok(());
            }
            most = TOGETHER.min(4 * most);
        }
    }
    Ok(())
}

fn move_all(mut inbox: Inbox, batches: &Receiver<Vec<(String, Fate)>>) -> Tally {
    let mut tally = Tally::default();
    for batch in batches {
        tally.add(load::carry_out(&mut inbox, SystemClock.now(), &batch));
    }
    tally
}

fn print(tool: &str, file: &str, args: &Args) -> Result<Exit, Failure> {
    let stdout = content(file)?;
    let stderr = args.stderr.as_deref().map_or(Ok(Vec::new()), read)?;
    let whole = run::take_apart(&stdout);
    let output = match &whole {
        Ok(parts) => file::output(parts),
        Err(_) => Output { stdout: &stdout, stderr: &stderr, end: End::Exited(args.status) },
    };
    let reading = readings::read(tool, &output).map_err(|error| {
        Failure::new(Exit::NeedsPerson, format!("reading {file} as output of {tool}"))
            .because(error)
    })?;
    let json = serde_json::to_string_pretty(&reading)
        .map_err(|error| Failure::new(Exit::NeedsPerson, "writing the reading").because(error))?;
    app::print(&format!("{json}\n"))?;
    Ok(Exit::Well)
}

fn content(file: &str) -> Result<Vec<u8>, Failure> {
    if file != "-" {
        return read(Path::new(file));
    }
    let mut content = Vec::new();
    io::stdin().read_to_end(&mut content).map_err(|error| {
        Failure::new(Exit::NeedsPerson, "reading the standard input").because(error)
    })?;
    Ok(content)
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(file).map_err(|error| {
        Failure::new(Exit::NeedsPerson, format!("reading {}", file.display())).because(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::Content;

    #[test]
    fn no_batch_is_larger_than_others_can_wait_for_and_no_file_is_left_out() {
        let file = |number: usize| Prepared {
            name: format!("{number}.ping"),
            schedule_id: 0,
            tool: "ping".to_owned(),
            content: Content::Rejected(None, String::new()),
        };
        let batches = by_specification((0..=2 * BATCH).map(file).collect());
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [BATCH, BATCH, 1]);
        let names = batches.iter().flatten().map(|file| file.name.as_str());
        assert!(names.eq((0..=2 * BATCH).map(|number| format!("{number}.ping"))), "in their order");
        assert_eq!(by_specification(Vec::new()).len(), 0);
    }
}
