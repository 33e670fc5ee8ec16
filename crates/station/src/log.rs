//! One log format for the whole suite, behind the `log` facade, on the standard error.
//!
//! A command says `name: message`. A daemon, whose standard error is its log file, says when, who and
//! how grave: `2026-11-24T02:00:00.123Z pingd[314] warning: message`.

use std::{
    io::{self, Write},
    sync::OnceLock,
};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::world::clock::{Clock, SystemClock};

/// Who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// A person at a terminal, or cron's mail: quiet unless something is wrong.
    Command,
    /// A log file.
    Daemon,
}

#[derive(Debug)]
struct Logger {
    name: String,
    style: Style,
}

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Begins logging. A second call changes nothing.
pub(crate) fn init(name: &str, style: Style) {
    let logger = LOGGER.get_or_init(|| Logger { name: name.to_owned(), style });
    if log::set_logger(logger).is_ok() {
        log::set_max_level(match style {
            Style::Command => LevelFilter::Warn,
            Style::Daemon => LevelFilter::Info,
        });
    }
}

/// Says more: one level for each `-v`.
pub(crate) fn more(verbose: u8) {
    let levels = [LevelFilter::Warn, LevelFilter::Info, LevelFilter::Debug, LevelFilter::Trace];
    let current = levels.iter().position(|level| *level == log::max_level()).unwrap_or(0);
    let wanted = (current + usize::from(verbose)).min(levels.len() - 1);
    log::set_max_level(levels[wanted]);
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = self.line(record);
        // There is nobody to tell that the log cannot be written.
        let _ = io::stderr().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

impl Logger {
    fn line(&self, record: &Record<'_>) -> String {
        let grave = match record.level() {
            Level::Error => "error: ",
            Level::Warn => "warning: ",
            Level::Info | Level::Debug | Level::Trace => "",
        };
        match self.style {
            Style::Command => format!("{}: {grave}{}\n", self.name, record.args()),
            Style::Daemon => {
                let (now, pid) = (SystemClock.now().with_millis(), std::process::id());
                format!("{now} {}[{pid}] {grave}{}\n", self.name, record.args())
            }
        }
    }
}
