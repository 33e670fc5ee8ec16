//! The files of the station: results that wait or were rejected, logs, and to whom files belong.

use std::{
    fs::{self, Metadata},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use station::{
    text::{Timestamp, human_duration},
    words::{
        config::{Config, Paths},
        run,
    },
};

use super::finding::{Finding, count};

/// A result that waits longer is not on its way any more.
const LONG: Duration = Duration::from_secs(600);
const DAY: Duration = Duration::from_secs(86_400);
/// A larger log says the same thing again and again.
const LARGE: u64 = 1 << 30;
/// So many names are told.
const MOST: usize = 3;
/// So many are put into a command.
const MOST_ARGUMENTS: usize = 10;

/// What was seen of the files.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Files {
    /// Result files that have waited for long, and the age of the oldest.
    waiting: (usize, Duration),
    /// Result files that were rejected within a day, and before.
    rejected: (usize, usize),
    /// Logs that are too large, with their bytes.
    logs: Vec<(PathBuf, u64)>,
    /// What everybody may write.
    open: Vec<PathBuf>,
    /// What belongs to another user than the station.
    foreign: Vec<PathBuf>,
}

/// Looks at the files; the station belongs to `owner`.
pub(super) fn look(config: &Config, owner: u32, now: Timestamp) -> Files {
    let mut files = Files::default();
    files.look_at_results(&config.paths.data, now);
    let is_large = |(_, file): &(PathBuf, Metadata)| file.is_file() && file.len() > LARGE;
    let large = entries(&config.paths.log).filter(is_large);
    files.logs = large.map(|(path, file)| (path, file.len())).collect();
    files.look_at_rights(config, owner);
    files
}

/// What is in a folder, links followed; nothing of what cannot be read.
fn entries(folder: &Path) -> impl Iterator<Item = (PathBuf, Metadata)> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| {
        let path = entry.path();
        let file = fs::metadata(&path).ok()?;
        Some((path, file))
    })
}

fn age(file: &Metadata, now: Timestamp) -> Duration {
    file.modified().map_or(Duration::ZERO, |modified| Timestamp::of(modified).until(now))
}

impl Files {
    fn look_at_results(&mut self, data: &Path, now: Timestamp) {
        for (path, file) in entries(data) {
            let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            let age = age(&file, now);
            if run::parse_file_name(&name).is_some() && age > LONG {
                self.waiting = (self.waiting.0 + 1, self.waiting.1.max(age));
            }
        }
        for (_, file) in entries(&data.join("rejected")) {
            let (today, before) = &mut self.rejected;
            *(if age(&file, now) <= DAY { today } else { before }) += 1;
        }
    }

    /// The directories of the station and what is in them; of the home and of the results only themselves.
    fn look_at_rights(&mut self, config: &Config, owner: u32) {
        let paths = &config.paths;
        let database = config.database.file().and_then(Path::parent);
        let whole = [&paths.config, &paths.keepalives, &paths.log].map(PathBuf::as_path);
        for folder in [paths.home.as_path(), &paths.data]
            .into_iter()
            .chain(whole)
            .chain(database)
            .chain([paths.bin.as_path()])
        {
            if let Ok(file) = folder.metadata() {
                self.note_rights(folder.to_path_buf(), &file, owner);
            }
        }
        for (path, file) in whole.into_iter().chain(database).flat_map(entries) {
            self.note_rights(path, &file, owner);
        }
        // Programs may well be installed by root.
        for (path, file) in entries(&paths.bin) {
            self.note_rights(path, &file, file.uid());
        }
    }

    fn note_rights(&mut self, path: PathBuf, file: &Metadata, owner: u32) {
        if file.permissions().mode() & 0o002 != 0 {
            self.open.push(path);
        } else if file.uid() != owner {
            self.foreign.push(path);
        }
    }

    /// Whether results have waited for long.
    pub(super) fn wait(&self) -> bool {
        self.waiting.0 > 0
    }

    /// What is wrong with them.
    pub(super) fn judge(&self, paths: &Paths) -> Vec<Finding> {
        let mut findings = Vec::new();
        findings.extend(self.waiting());
        findings.extend(self.rejected(&paths.data.join("rejected")));
        for (path, bytes) in &self.logs {
            let (shown, size) = (path.display(), bytes >> 20);
            let todo = "see what it says again and again; `restart-all-servers` begins new logs";
            findings.push(Finding::warning(
                format!("log {shown}"),
                format!("{shown} has {size} MiB"),
                todo,
            ));
        }
        if !self.open.is_empty() {
            let (names, all) = (names(&self.open), arguments(&self.open));
            let what = format!("everybody may write to {names}");
            findings.push(Finding::warning("open", what, format!("`chmod o-w {all}`")));
        }
        if !self.foreign.is_empty() {
            let (names, all) = (names(&self.foreign), arguments(&self.foreign));
            let what = format!("another user than the station's owns {names}");
            let todo = format!("as root: `chown --reference={} {all}`", paths.home.display());
            findings.push(Finding::warning("foreign", what, todo));
        }
        findings
    }

    fn waiting(&self) -> Option<Finding> {
        let (number, oldest) = self.waiting;
        let what = format!(
            "{} waiting for the loader for more than {}, the oldest for {}",
            count(number, "result file"),
            human_duration(LONG),
            human_duration(oldest)
        );
        let todo = "see load-datad and its log; no result is lost meanwhile";
        (number > 0).then(|| Finding::warning("waiting", what, todo))
    }

    fn rejected(&self, folder: &Path) -> Option<Finding> {
        let todo = format!(
            "they are in {}; `iepm schedule` says why; `load-test-data --print` tries them",
            folder.display()
        );
        match self.rejected {
            (0, 0) => None,
            (0, before) => {
                let what = format!(
                    "{} not understood, longer than a day ago",
                    count(before, "result file")
                );
                Some(Finding::note("rejected", what, todo))
            }
            (today, _) => {
                let what =
                    format!("{} not understood in the last 24 hours", count(today, "result file"));
                Some(Finding::warning("rejected", what, todo))
            }
        }
    }
}

fn names(paths: &[PathBuf]) -> String {
    let shown: Vec<String> =
        paths.iter().take(MOST).map(|path| path.display().to_string()).collect();
    let more = match paths.len().saturating_sub(MOST) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    shown.join(", ") + &more
}

fn arguments(paths: &[PathBuf]) -> String {
    let shown = paths.iter().take(MOST_ARGUMENTS).map(|path| path.display().to_string());
    let more = (paths.len() > MOST_ARGUMENTS).then(|| "...".to_owned());
    shown.chain(more).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity::{Note, Warning};
    use super::*;

    fn told(files: &Files) -> Vec<(super::super::finding::Severity, String)> {
        let findings = files.judge(&Config::default_at(Path::new("/h")).paths);
        findings.into_iter().map(|finding| (finding.severity, finding.what)).collect()
    }

    #[test]
    fn each_fault_of_the_files_has_its_finding() {
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        let none = Files::default;
        let two_hours = Duration::from_secs(7_200);
        for (files, severity, what) in [
            (
                Files { waiting: (2, two_hours), ..none() },
                Warning,
                "2 result files waiting for the loader for more than 10m, the oldest for 2h",
            ),
            (
                Files { rejected: (1, 4), ..none() },
                Warning,
                "1 result file not understood in the last 24 hours",
            ),
            (
                Files { rejected: (0, 4), ..none() },
                Note,
                "4 result files not understood, longer than a day ago",
            ),
            (Files { logs: vec![("/l".into(), 3 << 30)], ..none() }, Warning, "/l has 3072 MiB"),
            (
                Files { open: paths(&["/a", "/b", "/c", "/d", "/e"]), ..none() },
                Warning,
                "everybody may write to /a, /b, /c and 2 more",
            ),
            (
                Files { foreign: paths(&["/a"]), ..none() },
                Warning,
                "another user than the station's owns /a",
            ),
        ] {
            assert_eq!(told(&files), [(severity, what.to_owned())]);
        }
        assert_eq!(told(&none()), []);
    }

    #[test]
    fn files_are_seen_by_their_age_and_their_rights() {
        let home = tempfile::tempdir().expect("a folder");
        let config = Config::default_at(home.path());
        for folder in ["data/rejected", "log", "keepalives", "bin"] {
            fs::create_dir_all(home.path().join(folder)).expect("made");
        }
        for name in ["data/7.ping", "data/README", "data/rejected/8.ping", "keepalives/pingd.lock"]
        {
            fs::write(home.path().join(name), "x").expect("room");
        }
        let owner = fs::metadata(home.path()).expect("there").uid();
        let written =
            fs::metadata(home.path().join("data/7.ping")).and_then(|file| file.modified());
        let now = Timestamp::of(written.expect("a time")) + Duration::from_secs(5);
        let seen = look(&config, owner, now);
        assert_eq!(seen, Files { rejected: (1, 0), ..Files::default() });
        let seen = look(&config, owner, now + 2 * DAY);
        assert_eq!((seen.waiting.0, seen.rejected), (1, (0, 1)));
        assert!(seen.wait() && seen.waiting.1 > DAY);

        let lock = home.path().join("keepalives/pingd.lock");
        fs::set_permissions(&lock, fs::Permissions::from_mode(0o646)).expect("mine");
        assert_eq!(look(&config, owner, now).open, [lock]);
        let foreign = look(&config, owner + 1, now).foreign;
        assert!(foreign.contains(&home.path().to_path_buf()), "{foreign:?}");
    }
}
