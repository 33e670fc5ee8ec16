//! `iepm.toml`: what makes one station differ from another.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::text::{Mistake, NodeId, ProgramName, Span, ToolName, parse_duration};

pub use super::database::Database;

use super::{
    allowance::{Allowance, Hours, Volume},
    database::absolute,
    servers::{self, Demand},
    settings::{Settings, list, text, whole},
};

/// The configuration of a station, complete: what the file leaves out has its default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// This station's own name in NODES.
    pub node: NodeId,
    /// Where the database is.
    pub database: Database,
    /// Where files are.
    pub paths: Paths,
    /// How far ahead of their time `load-scheduled` writes rows.
    pub look_ahead: Duration,
    /// How many runs one daemon keeps going side by side.
    pub side_by_side: usize,
    /// How long a daemon that is asked to end waits for running probes.
    pub drain: Duration,
    /// Bytes of output after which a run is ended.
    pub most_output: u64,
    /// The probe types that `load-datad` loads, in turn.
    pub probetypes: Vec<ToolName>,
    /// Programs that `load-datad` runs after those.
    pub loaders: Vec<ProgramName>,
    /// How long `load-datad` rests between rounds.
    pub load_pause: Duration,
    /// How many old logs of each kind are kept.
    pub keep_logs: usize,
    /// What `keep-em-alive` looks after.
    pub watch: Watch,
    /// After how long without a report the station is silent to others of its database.
    pub silent_after: Duration,
    /// What `iepm prune` keeps.
    pub retention: Retention,
    /// What `keep-servers-alive` demands of servers.
    pub servers: Vec<Demand>,
    /// How runs that must be alone are carried out.
    pub exclusive: Exclusive,
    /// Nodes whose tests together are limited.
    pub groups: Vec<Group>,
    /// The command by which `iepm doctor --alert` tells what is wrong, word by word; nothing: `mail` to
    /// the station's user; no words: nobody is told.
    pub alert: Option<Vec<String>>,
}

/// What `keep-em-alive` looks after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// The daemons; nothing: those of the suite that are installed.
    pub daemons: Option<Vec<ProgramName>>,
    /// A daemon that has not come round for so long hangs.
    pub stale_after: Duration,
}

/// How runs that must be alone are carried out, beside the limits of their own specifications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exclusive {
    /// The directory of the channel's lock; several stations of one machine may share it.
    pub channel: PathBuf,
    /// The load average of the last minute, in per cent of the number of processors, over which the
    /// machine is busy.
    pub max_load: u64,
    /// Bytes that programs must be able to have.
    pub min_free_memory: Volume,
    /// Bits per second through the interface that the target is reached by; nothing: not looked at.
    pub max_traffic: Option<Volume>,
    /// How long a run waits for a busy machine.
    pub busy_wait: Duration,
    /// What it does then.
    pub busy: Busy,
}

/// What a run does that has waited for a busy machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// It starts, and its reading says how busy the machine was.
    Flag,
    /// It is missed.
    Skip,
}

/// Nodes whose tests together are limited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: NodeId,
    /// The targets.
    pub nodes: Vec<NodeId>,
    /// What tests to them may use up in a day together, and when they may start.
    pub allowance: Allowance,
}

/// Where files are; absolute, below the station's home unless the file says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The configuration file; empty when there is none.
    pub file: PathBuf,
    /// The station's home.
    pub home: PathBuf,
    /// The suite, and tools that are found before those of the machine.
    pub bin: PathBuf,
    /// `nodes.csv`, `toolspecs.csv`, `servers.alive`, `cleanup-list`.
    pub config: PathBuf,
    /// Keep-alive files and locks.
    pub keepalives: PathBuf,
    /// Results that wait for the loader; below it `tmp`, `loaded`, `rejected`.
    pub data: PathBuf,
    /// Logs.
    pub log: PathBuf,
}

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Rows of the data tables.
    pub readings: Duration,
    /// Roll-ups of hours; no shorter than the readings that they are of.
    pub hours: Duration,
    /// Roll-ups of days; no shorter than the hours.
    pub days: Duration,
    /// Rows of SCHEDULE that are final.
    pub schedule: Duration,
    /// Result files that were loaded.
    pub loaded: Duration,
    /// Result files that were rejected.
    pub rejected: Duration,
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// Reads `iepm.toml`; `home` is the station's home if the file does not name one.
#[must_use]
pub fn parse(content: &str, home: &Path) -> (Config, Vec<Mistake>) {
    let mut settings = Settings::of(content);
    let home = settings.get("", "home", home.to_path_buf(), text(absolute));
    let paths = paths(&mut settings, home);
    let sqlite = Database::Sqlite(paths.home.join("db/iepm.db"));
    let config = Config {
        node: settings.get("", "node", default_node(), text(str::parse)),
        database: settings.get("", "database", sqlite, text(Database::parse)),
        look_ahead: length(
            &mut settings,
            ("schedule", "look-ahead"),
            30 * SECOND,
            (5 * SECOND, DAY / 24),
        ),
        side_by_side: count(&mut settings, ("probes", "side-by-side"), 64, 1..10_001),
        drain: length(&mut settings, ("probes", "drain"), 20 * SECOND, (SECOND, DAY / 24)),
        most_output: settings.get("probes", "most-output", 16 << 20, whole(1_024..(1 << 30) + 1)),
        probetypes: settings.get("load", "probetypes", default_probetypes(), list(str::parse)),
        loaders: settings.get("load", "loaders", Vec::new(), list(str::parse)),
        load_pause: length(&mut settings, ("load", "pause"), 5 * SECOND, (SECOND, DAY / 24)),
        keep_logs: count(&mut settings, ("log", "keep"), 14, 0..1_000),
        watch: watch(&mut settings),
        silent_after: length(
            &mut settings,
            ("network", "silent-after"),
            300 * SECOND,
            (4 * SECOND, DAY),
        ),
        retention: retention(&mut settings),
        servers: demands(&mut settings),
        exclusive: exclusive(&mut settings, &paths),
        groups: groups(&mut settings),
        alert: settings.get("alert", "command", None, text(words)),
        paths,
    };
    (config, settings.finish())
}

fn default_node() -> NodeId {
    "station".parse().unwrap_or_else(|fault| unreachable!("{fault}"))
}

/// The probe types that this version has a reader for.
fn default_probetypes() -> Vec<ToolName> {
    readings::TOOLS.iter().filter_map(|name| name.parse().ok()).collect()
}

fn paths(settings: &mut Settings<'_>, home: PathBuf) -> Paths {
    let mut path = |key| settings.get("paths", key, home.join(key), text(absolute));
    Paths {
        file: PathBuf::new(),
        bin: path("bin"),
        config: path("config"),
        keepalives: path("keepalives"),
        data: path("data"),
        log: path("log"),
        home,
    }
}

fn watch(settings: &mut Settings<'_>) -> Watch {
    Watch {
        daemons: settings.get("watch", "daemons", None, |value| list(str::parse)(value).map(Some)),
        // Daemons come round every 10 seconds; one whose ledger hangs stops doing so after 120.
        stale_after: length(settings, ("watch", "stale-after"), 120 * SECOND, (15 * SECOND, DAY)),
    }
}

fn retention(settings: &mut Settings<'_>) -> Retention {
    let mut kept =
        |key, days: u32| length(settings, ("retention", key), days * DAY, (DAY, 36_600 * DAY));
    Retention {
        readings: kept("readings", 3_660),
        hours: kept("hours", 3_660),
        days: kept("days", 36_600),
        schedule: kept("schedule", 90),
        loaded: kept("loaded", 7),
        rejected: kept("rejected", 90),
    }
}

fn exclusive(settings: &mut Settings<'_>, paths: &Paths) -> Exclusive {
    const TABLE: &str = "exclusive";
    let busy = |text: &str| match text {
        "flag" => Ok(Busy::Flag),
        "skip" => Ok(Busy::Skip),
        _ => Err(format!("expected flag or skip, found \"{text}\"")),
    };
    let some = |text: &str| (!text.is_empty()).then(|| text.parse::<Volume>()).transpose();
    let wait = (Duration::ZERO, DAY / 24);
    Exclusive {
        channel: settings.get(TABLE, "channel", paths.keepalives.clone(), text(absolute)),
        max_load: settings.get(TABLE, "max-load", 200, whole(1..100_001)),
        min_free_memory: settings.get(
            TABLE,
            "min-free-memory",
            Volume(100_000_000),
            text(str::parse),
        ),
        max_traffic: settings.get(TABLE, "max-traffic", None, text(some)),
        busy_wait: length(settings, (TABLE, "busy-wait"), 10 * SECOND, wait),
        busy: settings.get(TABLE, "busy", Busy::Flag, text(busy)),
    }
}

/// The tables `[groups.NAME]`.
fn groups(settings: &mut Settings<'_>) -> Vec<Group> {
    settings.knows_in("groups", &["nodes", "daily-bytes", "daily-time", "hours"]);
    let names = settings.names("groups", str::parse::<NodeId>);
    let group = |(table, name, _): (String, NodeId, Span)| {
        let table = ("groups", table.as_str());
        let volume = |text: &str| text.parse().map(Some);
        let time = |text: &str| text.parse().map(Some);
        Group {
            name,
            nodes: settings.get_in(table, "nodes", Vec::new(), list(str::parse)),
            allowance: Allowance {
                bytes: settings.get_in(table, "daily-bytes", None, text(volume)),
                time: settings.get_in(table, "daily-time", None, text(time)),
                hours: settings.get_in(table, "hours", Hours::default(), text(str::parse)),
            },
        }
    };
    names.into_iter().map(group).collect()
}

/// The tables `[servers.NAME]`.
fn demands(settings: &mut Settings<'_>) -> Vec<Demand> {
    settings.knows_in("servers", &["listens", "test", "test-limit"]);
    let names = settings.names("servers", str::parse::<ProgramName>);
    let demand = |(table, name, span): (String, ProgramName, Span)| {
        let table = ("servers", table.as_str());
        let limit = text(|text| bounded(text, (SECOND, DAY / 288)));
        Demand {
            name,
            listens: settings.get_in(table, "listens", Vec::new(), list(str::parse)),
            test: settings.get_in(table, "test", Vec::new(), text(servers::test)),
            test_limit: settings.get_in(table, "test-limit", 10 * SECOND, limit),
            span,
        }
    };
    names.into_iter().map(demand).collect()
}

fn length(
    settings: &mut Settings<'_>,
    (table, key): (&'static str, &'static str),
    default: Duration,
    bounds: (Duration, Duration),
) -> Duration {
    settings.get(table, key, default, text(|text| bounded(text, bounds)))
}

fn bounded(text: &str, (least, most): (Duration, Duration)) -> Result<Duration, String> {
    let length = parse_duration(text)?;
    let fits = (least..=most).contains(&length);
    let bounds =
        || format!("expected {} to {} seconds, found \"{text}\"", least.as_secs(), most.as_secs());
    fits.then_some(length).ok_or_else(bounds)
}

fn count(
    settings: &mut Settings<'_>,
    (table, key): (&'static str, &'static str),
    default: u64,
    range: std::ops::Range<u64>,
) -> usize {
    usize::try_from(settings.get(table, key, default, whole(range))).unwrap_or(usize::MAX)
}

/// Words separated by blanks; no shell is there to take quotes off.
fn words(command: &str) -> Result<Option<Vec<String>>, String> {
    match command.chars().find(|c| "'\"`$|&;<>".contains(*c) || c.is_control()) {
        Some(c) => Err(format!("there is no shell to read {c:?}; a script of yours may have one")),
        None => Ok(Some(command.split_ascii_whitespace().map(str::to_owned).collect())),
    }
}

impl Config {
    /// The configuration of a station at `home` whose file is empty.
    #[must_use]
    pub fn default_at(home: &Path) -> Self {
        parse("", home).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(content: &str) -> Vec<String> {
        let (_, mistakes) = parse(content, Path::new("/home/iepm"));
        mistakes.iter().map(|mistake| mistake.cite("iepm.toml", content)).collect()
    }

    #[test]
    fn an_empty_file_is_a_whole_configuration() {
        let (config, mistakes) = parse("", Path::new("/srv/x"));
        assert_eq!(mistakes, []);
        assert_eq!(config.paths.data, Path::new("/srv/x/data"));
        assert_eq!(config.database, Database::Sqlite("/srv/x/db/iepm.db".into()));
    }

    #[test]
    fn an_alert_is_words_and_no_shells_business() {
        let alert = |line: &str| parse(&format!("[alert]\n{line}\n"), Path::new("/x")).0.alert;
        assert_eq!(alert(""), None);
        assert_eq!(alert("command = ''"), Some(vec![]));
        let words = ["mail", "-s", "%subject", "ann@a.example"].map(str::to_owned).to_vec();
        assert_eq!(alert("command = 'mail -s %subject  ann@a.example'"), Some(words));
        let told = mistakes("[alert]\ncommand = 'mail ann | cat'\n");
        assert!(told[0].contains("command: there is no shell to read '|'"), "{}", told[0]);
    }

    #[test]
    fn the_originals_places_can_be_kept() {
        let content = "home = '/home/iepm'\n[paths]\ndata = '/home/iepm/mysql/data'\n\
                       keepalives = '/home/iepm/mysql/keepalives'\n";
        let (config, mistakes) = parse(content, Path::new("/x"));
        assert_eq!(mistakes, []);
        assert_eq!(config.paths.keepalives, Path::new("/home/iepm/mysql/keepalives"));
        assert_eq!(config.paths.log, Path::new("/home/iepm/log"));
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let content = "node = \"-x\"\nspeed = 1\n[probes]\nside-by-side = 0\ndrain = 5\n[schedule]\nlook-ahead = \"1s\"\n";
        let told = mistakes(content);
        assert_eq!(told.len(), 5, "{told:#?}");
        assert!(
            told[0].starts_with("iepm.toml:1:8: node: the name of a node begins"),
            "{}",
            told[0]
        );
        assert!(told[1].starts_with("iepm.toml:2:1: there is no setting \"speed\""), "{}", told[1]);
        assert!(told[2].ends_with("side-by-side = 0\n                 ^"), "{}", told[2]);
    }

    #[test]
    fn servers_may_be_asked_for_more_than_to_run() {
        let content = "[servers.owampd]\nlistens = ['tcp:861', 'udp:8365']\ntest = \"owping 'a b'\"\n\
                       [servers.\"bw-iperf-server\"]\ntest-limit = '3s'\n";
        let (config, mistakes) = parse(content, Path::new("/x"));
        assert_eq!(mistakes, []);
        let [iperf, owampd] = &config.servers[..] else { panic!("{:?}", config.servers) };
        assert_eq!((owampd.name.as_str(), owampd.test.len()), ("owampd", 2));
        assert_eq!(
            owampd.listens.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["tcp:861", "udp:8365"]
        );
        assert_eq!((owampd.span.line, owampd.span.column), (1, 10));
        assert_eq!((iperf.name.as_str(), iperf.test_limit), ("bw-iperf-server", 3 * SECOND));
    }

    #[test]
    fn mistakes_in_demands_have_places() {
        let content = "[servers.a]\nlisten = 1\nlistens = ['tcp:0']\ntest = \"x | y\"\ntest-limit = '1h'\n\
                       [servers.\"-b\"]\n[servers]\nc = 1\n";
        let told = mistakes(content);
        assert_eq!(told.len(), 6, "{told:#?}");
        assert!(
            told[0].contains(":2:1: there is no setting \"listen\" here; there are listens, test")
        );
        assert!(told[1].contains(":3:11: listens: expected tcp:PORT or udp:PORT"), "{}", told[1]);
        assert!(told[2].contains(":4:8: test: no shell reads this"), "{}", told[2]);
        assert!(told[3].contains(":5:14: test-limit: expected 1 to 300 seconds"), "{}", told[3]);
        assert!(
            told[4].contains(":6:10: [servers.-b]: the name of a program begins"),
            "{}",
            told[4]
        );
        assert!(told[5].contains(":8:1: expected a table [servers.c]"), "{}", told[5]);
    }

    #[test]
    fn nodes_may_be_limited_together() {
        let content = "[exclusive]\nbusy = 'skip'\nmax-traffic = '10M'\n[groups.far]\nnodes = ['a', 'b']\n\
                       daily-bytes = '2G'\ndaily-time = '1h'\nhours = '22-6'\n";
        let (config, mistakes) = parse(content, Path::new("/x"));
        assert_eq!(mistakes, []);
        assert_eq!(config.exclusive.busy, Busy::Skip);
        assert_eq!(config.exclusive.channel, Path::new("/x/keepalives"));
        assert_eq!((config.groups.len(), config.groups[0].nodes.len()), (1, 2));
        assert_eq!(config.groups[0].allowance.bytes, Some(Volume(2_000_000_000)));
        let told =
            self::mistakes("[groups.far]\nnode = 'a'\nhours = '30'\n[exclusive]\nbusy = 'x'\n");
        assert_eq!(told.len(), 3, "{told:#?}");
    }

    #[test]
    fn what_is_no_toml_is_told_too() {
        assert_eq!(mistakes("node = \n[probes\n").len(), 2);
        assert_eq!(mistakes("probes = 3\n").len(), 1);
    }
}
