//! `map-updated` keeps a station's web page up to date: a map of its nodes and tools, made from what `iepm status`
//! tells, for any web server to serve, or a browser to open from the disk.
//!
//! - [`picture`]: what `iepm status --json` tells.
//! - [`page`]: the page. Pure.

mod page;
mod picture;

use std::{io, path::PathBuf, time::Duration};

use clap::Parser;
use station::{
    app::{Common, Exit, Failure},
    text::Timestamp,
    words::config::Config,
    world::{
        clock::{Clock, SystemClock},
        errand::{self, Errand},
        files::{self, Durable},
        lock,
        signals::Stop,
    },
};

use crate::{
    page::{Content, render},
    picture::Picture,
};

const NAME: &str = "map-updated";
/// The directory below the station's home, unless told otherwise.
const FOLDER: &str = "www";
const PAGE: &str = "index.html";
/// How long `iepm status` may take: far more than a large station's does.
const PATIENCE: Duration = Duration::from_secs(60);

/// Keeps the station's web page up to date
#[derive(Debug, Parser)]
#[command(name = NAME, version)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// How often the page is made anew
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    every: u32,
    /// Where the page is kept [default: HOME/www]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Make it once and end
    #[arg(long)]
    once: bool,
}

/// The program.
///
/// # Errors
/// The configuration is wrong, the station is another user's, or the page cannot be written.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let config = args.common.load()?;
    Common::is_ours(&config)?;
    let stop = Stop::on_signals().map_err(|error| failed("listening to signals").because(error))?;
    let folder = args.to.clone().unwrap_or_else(|| config.paths.home.join(FOLDER));
    let locks = &config.paths.keepalives;
    let lock = lock::try_lock(locks, NAME)
        .map_err(|error| failed(&format!("locking in {}", locks.display())).because(error))?;
    if lock.is_none() {
        log::error!("one keeps this station's page up to date already");
        return Ok(Exit::TryLater);
    }
    let every = Duration::from_secs(args.every.into());
    Mapper { args, config: &config, folder, every, last: None, trouble: None }.keep(&stop)
}

fn failed(doing: &str) -> Failure {
    Failure::new(Exit::NeedsPerson, doing)
}

/// What is known between one page and the next.
struct Mapper<'a> {
    args: &'a Args,
    config: &'a Config,
    folder: PathBuf,
    every: Duration,
    last: Option<Picture>,
    trouble: Option<(Timestamp, String)>,
}

impl Mapper<'_> {
    fn keep(&mut self, stop: &Stop) -> Result<Exit, Failure> {
        files::make_directory(&self.folder).map_err(|error| self.not_written(&error))?;
        log::info!("keeps {}", self.folder.join(PAGE).display());
        while !stop.asked() {
            self.look();
            match self.write() {
                Err(error) if self.args.once => return Err(self.not_written(&error)),
                // A disk that is full now will not always be; the page that is there tells its own age.
                Err(error) => log::error!("{}", self.not_written(&error)),
                Ok(()) if self.args.once => return Ok(self.end()),
                Ok(()) => {}
            }
            stop.wait(self.every);
        }
        Ok(Exit::Well)
    }

    fn not_written(&self, error: &io::Error) -> Failure {
        let doing = format!("writing the page in {}", self.folder.display());
        failed(&doing).why(format!("{error}; make room there, or give another directory with --to"))
    }

    fn end(&self) -> Exit {
        if self.trouble.is_some() { Exit::NeedsPerson } else { Exit::Well }
    }

    /// Asks for the status; one line of the log for each trouble, and one for its end.
    fn look(&mut self) {
        match status(&self.args.common, self.config) {
            Ok(picture) => {
                if let Some((since, _)) = self.trouble.take() {
                    log::info!("there is a status again, for the first time since {since}");
                }
                self.last = Some(picture);
            }
            Err(why) => {
                let is_news = self.trouble.as_ref().is_none_or(|(_, before)| *before != why);
                if is_news {
                    log::error!("{why}");
                }
                let now = SystemClock.moment().wall;
                let since = self.trouble.take().map_or(now, |(since, _)| since);
                self.trouble = Some((since, why));
            }
        }
    }

    fn write(&self) -> io::Result<()> {
        let trouble = self.trouble.as_ref().map(|(since, why)| (*since, why.as_str()));
        let page = render(&Content { picture: self.last.as_ref(), trouble, every: self.every });
        files::replace(&self.folder.join(PAGE), page.as_bytes(), Durable::WithinThisBoot)
    }
}

/// What `iepm status --json` tells, or why it does not.
fn status(common: &Common, config: &Config) -> Result<Picture, String> {
    let program = config.paths.bin.join("iepm");
    let home = config.paths.home.to_string_lossy();
    let given = common.config.as_ref().map(|path| path.to_string_lossy());
    let mut arguments = vec!["status", "--json", "--home", &home];
    arguments.extend(given.as_deref().into_iter().flat_map(|path| ["--config", path]));
    let errand = Errand {
        program: &program,
        arguments: &arguments,
        variables: &[],
        input: b"",
        limit: PATIENCE,
    };
    let shown = format!("{} status --json", program.display());
    let done = errand::run(&errand).map_err(|error| format!("{shown}: {error}"))?;
    match done.status {
        Some(0) => Picture::read(&done.output)
            .map_err(|error| format!("{shown} printed no status: {error}")),
        _ if done.complaint.is_empty() => Err(format!("{shown} failed without a word")),
        _ => Err(format!("{shown}: {}", done.complaint)),
    }
}
