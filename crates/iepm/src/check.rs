//! `iepm check`: every mistake in the station's files at once, and in what they say together.

use std::path::{Path, PathBuf};

use station::{
    app::{self, Common, Exit, Failure},
    text::Timestamp,
    words::{
        cleanup,
        config::{self, Config},
        servers,
        toolspec::{Placed, ToolSpec},
    },
    world::{
        clock::{Clock, SystemClock},
        process,
    },
};

use crate::{
    apply,
    invariants::{self, Find},
    load::Load,
    source::Source,
    tables::Tables,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Check the files of this directory, and leave the database alone
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
    /// Take warnings, such as tools that are not installed, for mistakes
    #[arg(long)]
    strict: bool,
}

pub(crate) fn run(args: &Args, common: &Common) -> Result<Exit, Failure> {
    let (path, home) = common.place()?;
    let mut configuration = Source::read(&path);
    let config = read_config(&mut configuration, &home)?;
    let folder = args.files.as_ref().unwrap_or(&config.paths.config);
    let checked = read_and_check(&config, configuration, folder);
    let database = match args.files {
        Some(_) => Database::NotAsked,
        None => look_at_database(&config, &checked.files.tables),
    };
    report(&checked, &database, folder, args.strict)
}

/// What is wrong with the station's files, in short.
pub(crate) struct Verdict {
    pub(crate) mistakes: usize,
    pub(crate) warnings: usize,
    /// The first of them.
    pub(crate) first: String,
}

/// Looks for mistakes in the station's files, and in what they say together.
pub(crate) fn look(config: &Config) -> Verdict {
    let configuration = Source::read(&config.paths.file);
    let checked = read_and_check(config, configuration, &config.paths.config);
    let first = checked.cited().lines().next().unwrap_or_default().to_owned();
    Verdict { mistakes: checked.mistakes(), warnings: checked.warnings(), first }
}

fn read_and_check(config: &Config, configuration: Source, folder: &Path) -> Checked {
    let find = |name: &str| process::find(name, &config.paths.bin);
    let files = Files {
        configuration,
        tables: Tables::read(folder),
        list: Source::read(&folder.join("cleanup-list")),
        servers: Source::read(&folder.join("servers.alive")),
    };
    check(config, files, &find, SystemClock.now())
}

fn read_config(source: &mut Source, home: &Path) -> Result<Config, Failure> {
    let home = std::path::absolute(home).map_err(|error| {
        Failure::new(Exit::Config, format!("finding {}", home.display())).because(error)
    })?;
    let mut read = None;
    source.parse(|text| {
        let (config, mistakes) = config::parse(text, &home);
        read = Some(config);
        ((), mistakes)
    });
    Ok(read.unwrap_or_else(|| Config::default_at(&home)))
}

/// All files.
struct Files {
    configuration: Source,
    tables: Tables,
    list: Source,
    servers: Source,
}

/// All files, with all their mistakes.
struct Checked {
    files: Files,
    /// How many specifications the station carries out.
    own: usize,
    entries: usize,
    servers: usize,
}

/// Checks what the files say, each by itself and together. Looks at nothing but through `find`.
fn check(config: &Config, mut files: Files, find: Find<'_>, now: Timestamp) -> Checked {
    let Files { configuration, tables, list, servers: servers_file } = &mut files;
    let entries = list.parse(cleanup::parse);
    let servers = servers_file.parse(servers::parse);
    invariants::nodes_of_groups_are_there(configuration, &config.groups, &tables.nodes_file);
    invariants::results_are_read(configuration, &config.probetypes);
    invariants::demands_have_servers(configuration, &config.servers, servers_file, &servers);
    invariants::servers_are_installed(servers_file, &servers, &config.paths.home, find);
    invariants::servers_are_spared(servers_file, &servers, &entries);
    let station = &config.node;
    let is_own = |placed: &&Placed| placed.spec.on && placed.spec.key.src == *station;
    let own: Vec<&Placed> = tables.specs.iter().filter(is_own).collect();
    let specs: Vec<&ToolSpec> = own.iter().map(|placed| &placed.spec).collect();
    let file = &mut tables.specs_file;
    invariants::there_is_something_to_do(file, &own, station.as_str());
    invariants::runs_end_before_cleanup(file, &own, &entries, find);
    invariants::tools_are_installed(file, &own, find);
    invariants::the_station_is_not_full(file, &Load::of(&specs, now), config.side_by_side);
    let (own, entries, servers) = (own.len(), entries.len(), servers.len());
    Checked { files, own, entries, servers }
}

impl Checked {
    fn files(&self) -> [&Source; 5] {
        let Files { configuration, tables, list, servers } = &self.files;
        [configuration, &tables.nodes_file, &tables.specs_file, list, servers]
    }

    fn mistakes(&self) -> usize {
        self.files().iter().map(|file| file.mistakes()).sum()
    }

    fn warnings(&self) -> usize {
        self.files().iter().map(|file| file.warnings()).sum()
    }

    fn cited(&self) -> String {
        self.files().iter().map(|file| file.cited()).collect()
    }
}

/// What the database is like.
enum Database {
    NotAsked,
    /// Reachable; so many changes of the files are not in its tables.
    There(usize),
    Failed(Failure),
}

fn look_at_database(config: &Config, tables: &Tables) -> Database {
    let planned =
        crate::store(config).read(|session| apply::planned(session, tables, config.node.as_str()));
    match planned {
        Ok(plan) => Database::There(plan.len()),
        Err(error) => Database::Failed(Failure::store("looking at the database", error)),
    }
}

fn report(
    checked: &Checked,
    database: &Database,
    folder: &Path,
    strict: bool,
) -> Result<Exit, Failure> {
    let (mistakes, warnings) = (checked.mistakes(), checked.warnings());
    let cited = checked.cited();
    if mistakes > 0 || (strict && warnings > 0) {
        if let Database::Failed(failure) = database {
            log::error!("{failure}");
        }
        let told = format!("found {}", counted(mistakes, warnings));
        return Err(Failure::new(Exit::Config, format!("{told}\n{}", cited.trim_end())));
    }
    if warnings > 0 {
        log::warn!("{}\n{}", counted(0, warnings), cited.trim_end());
    }
    let not_applied = match database {
        Database::Failed(failure) => {
            return Err(Failure::new(failure.exit(), failure.to_string()));
        }
        Database::There(changes) if *changes > 0 => {
            format!("; not applied yet: {}", count(*changes, "change"))
        }
        _ => String::new(),
    };
    app::print(&(summary(checked, folder) + &not_applied + "\n"))?;
    Ok(Exit::Well)
}

fn summary(checked: &Checked, folder: &Path) -> String {
    let Checked { files: Files { tables, .. }, own, entries, servers } = checked;
    format!(
        "{}: {}, {} ({own} carried out here), {entries} names in cleanup-list, {}: no mistakes",
        folder.display(),
        count(tables.nodes.len(), "node"),
        count(tables.specs.len(), "specification"),
        count(*servers, "server"),
    )
}

fn counted(mistakes: usize, warnings: usize) -> String {
    match (mistakes, warnings) {
        (0, warnings) => count(warnings, "warning"),
        (mistakes, 0) => count(mistakes, "mistake"),
        both => format!("{} and {}", count(both.0, "mistake"), count(both.1, "warning")),
    }
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use crate::testing;

    use super::*;

    const NODES: [&str; 2] = ["s", "d"];
    const SERVERS: &str = "cat,/bin,-u\n";

    fn checked(nodes: &[&str], rows: &str, list: &str, toml: &str) -> Checked {
        let home = Path::new("/nowhere");
        let mut configuration = Source::of("iepm.toml", &format!("node = \"s\"\n{toml}"));
        let config = read_config(&mut configuration, home).expect("a home");
        let tables = testing::tables(nodes, rows);
        let find = |name: &str| {
            // A file that is there on every machine stands for a tool that is installed.
            if name == "absent" { None } else { Some(PathBuf::from("/bin/sh")) }
        };
        let list = Source::of("cleanup-list", list);
        let servers = Source::of("servers.alive", SERVERS);
        let files = Files { configuration, tables, list, servers };
        check(&config, files, &find, Timestamp::from_seconds(600_000))
    }

    fn cited(nodes: &[&str], rows: &str, list: &str, toml: &str) -> String {
        checked(nodes, rows, list, toml).cited()
    }

    #[test]
    fn files_without_mistakes_say_nothing() {
        let rows = "s,d,ping,background,15,600,,\n";
        assert_eq!(cited(&NODES, rows, "/bin/sh,3\n", ""), "");
    }

    #[test]
    fn mistakes_of_all_files_are_told_at_once() {
        let told = cited(&["s", "-d"], "s,d,ping,sideways,15,600,,\n", "x\n", "speed = 1\n");
        let starts: Vec<&str> = told.lines().filter(|line| !line.starts_with(' ')).collect();
        assert_eq!(starts.len(), 5, "{told}");
        assert!(starts[0].starts_with("iepm.toml:2:1: there is no setting \"speed\""), "{told}");
        assert!(starts[1].starts_with("nodes.csv:4:1: nodeID: the name of a node"), "{told}");
        assert!(starts[3].starts_with("toolspecs.csv:3:10: testtype: expected"), "{told}");
        assert!(starts[4].starts_with("cleanup-list:1:1: expected a name"), "{told}");
    }

    #[test]
    fn nodes_that_are_not_there_are_pointed_at() {
        let told =
            cited(&["s"], "s,d,ping,background,15,600,,\nx,s,ping,background,15,600,,\n", "", "");
        assert_eq!(
            told,
            "toolspecs.csv:3:3: destNodeID: there is no node d in nodes.csv\n\
             \x20 s,d,ping,background,15,600,,\n    ^\n\
             toolspecs.csv:4:1: srcNodeID: there is no node x in nodes.csv\n\
             \x20 x,s,ping,background,15,600,,\n  ^\n"
        );
    }

    #[test]
    fn a_wrong_node_is_one_mistake_and_not_two() {
        let tables = testing::tables(&["s", "d"], "s,d,ping,background,15,600,,\n");
        assert_eq!(tables.mistakes(), 0);
        let nodes = "TABLENAME=NODES\n#nodeID,hostName\ns,s\nd,300.1.1.1\n";
        let specs = format!("{}s,d,ping,background,15,600,,\n", testing::HEADER);
        let tables = Tables::of(Source::of("n", nodes), Source::of("t", &specs));
        assert_eq!((tables.nodes_file.mistakes(), tables.specs_file.mistakes()), (1, 0));
    }

    /// What is told of `iepm.toml`; its first line is the station's name.
    fn of_toml(toml: &str) -> String {
        cited(&NODES, "s,d,ping,background,15,600,,\n", "", toml)
    }

    #[test]
    fn a_node_of_a_group_that_is_not_there_is_pointed_at() {
        assert_eq!(of_toml("[groups.far]\nnodes = ['d', \"s\"]\n"), "");
        assert_eq!(
            of_toml("[groups.far]\nnodes = ['d', 'dd']\n"),
            "iepm.toml:3:15: [groups.far]: there is no node dd in nodes.csv\n\
             \x20 nodes = ['d', 'dd']\n                ^^^^\n"
        );
        let told = of_toml("[groups.near]\nnodes = ['x']\n['groups'.far]\nnodes = [\n 'y',\n]\n");
        assert!(told.contains("iepm.toml:3:10: [groups.near]: there is no node x"), "{told}");
        // A header that is written in another way is not looked for.
        assert!(told.starts_with("iepm.toml: [groups.far]: there is no node y"), "{told}");
    }

    #[test]
    fn a_node_of_a_group_is_not_pointed_at_in_a_comment_or_in_another_group() {
        let sample = "# [groups.far]\n# nodes = ['x']\n[groups.near]\nnodes = ['d']\n";
        let told = of_toml(&format!("{sample}[groups.\"far\"]\n# 'x'\nnodes = [\n  'x',\n]\n"));
        assert!(told.starts_with("iepm.toml:9:3: [groups.far]: there is no node x"), "{told}");
    }

    #[test]
    fn a_group_of_no_nodes_is_a_mistake() {
        let empty = "iepm.toml:2:1: [groups.far]: nodes is empty: it limits nothing";
        for toml in ["[groups.far]\nnodes = []\n", "[groups.far]\nhours = '1-2'\n"] {
            let told = of_toml(toml);
            assert!(told.starts_with(empty), "{told}");
        }
        let told = of_toml("[groups.far]\nnodes = [3]\n");
        assert!(told.contains("nodes: expected a text") && !told.contains("is empty"), "{told}");
    }

    #[test]
    fn without_a_table_of_nodes_nothing_is_said_of_those_of_a_group() {
        let mut configuration = Source::of("iepm.toml", "[groups.far]\nnodes = ['x']\n");
        let config = read_config(&mut configuration, Path::new("/nowhere")).expect("a home");
        let nodes = Source::of("nodes.csv", "no table\n");
        invariants::nodes_of_groups_are_there(&mut configuration, &config.groups, &nodes);
        assert_eq!(configuration.cited(), "");
    }

    #[test]
    fn a_background_tool_without_a_daemon_is_a_mistake() {
        let told = cited(&NODES, "s,d,iperf,background,30,1800,,\n", "", "");
        assert!(
            told.starts_with("toolspecs.csv:3:11: no daemon runs iperf side by side"),
            "{told}"
        );
        assert_eq!(cited(&NODES, "s,d,iperf,background-syn,30,1800,,\n", "", ""), "");
    }

    #[test]
    fn a_run_must_be_over_before_cleanup_ends_it() {
        let told = cited(&NODES, "s,d,ping,background,50,600,,\n", "/bin/sh,1 sh,2\n", "");
        assert_eq!(
            told,
            "toolspecs.csv:3:21: time2run 50 + grace 10 must be less than the 1m after which bw-cleanup ends \
             \"/bin/sh\"\n  s,d,ping,background,50,600,,\n                      ^^\n"
        );
        assert_eq!(cited(&NODES, "s,d,ping,background,49,600,,\n", "/bin/sh,1\n", ""), "");
    }

    #[test]
    fn a_tool_that_is_not_installed_is_a_warning_and_told_once() {
        let rows = "s,d,ping,background,15,600,,\n";
        let mut tables = testing::tables(&NODES, rows);
        let own: Vec<&Placed> = tables.specs.iter().chain(&tables.specs).collect();
        invariants::tools_are_installed(&mut tables.specs_file, &own, &|_| None);
        assert_eq!((tables.specs_file.mistakes(), tables.specs_file.warnings()), (0, 1));
        assert!(tables.specs_file.cited().contains("warning: ping is not installed"));
    }

    fn of_servers(servers: &str, list: &str, toml: &str) -> Source {
        let mut configuration = Source::of("iepm.toml", toml);
        let config = read_config(&mut configuration, Path::new("/nowhere")).expect("a home");
        let tables = testing::tables(&NODES, "s,d,ping,background,15,600,,\n");
        let (list, servers) =
            (Source::of("cleanup-list", list), Source::of("servers.alive", servers));
        let files = Files { configuration, tables, list, servers };
        let find = |name: &str| Some(PathBuf::from(if name == "sh" { "/bin/sh" } else { name }));
        let mut checked = check(&config, files, &find, Timestamp(0));
        if checked.files.configuration.mistakes() > 0 {
            return checked.files.configuration;
        }
        std::mem::take(&mut checked.files.servers)
    }

    #[test]
    fn servers_are_checked_with_what_other_files_say_of_them() {
        let (fine, none) = ("sh,/bin,\n", "");
        assert_eq!(of_servers(fine, none, "[servers.sh]\nlistens = ['tcp:1']\n").cited(), none);
        let mut warned = of_servers("thrulayd,bin,\n", none, none);
        assert_eq!((warned.mistakes(), warned.warnings()), (0, 1));
        assert!(
            warned.cited().starts_with("servers.alive:1:1: warning: thrulayd is not installed")
        );
        warned = of_servers("sh,,|\n", none, none);
        assert_eq!(warned.mistakes(), 1, "{}", warned.cited());
        warned = of_servers(fine, "sh,3\n", none);
        let told = "servers.alive:1:1: bw-cleanup would end it after 3m: \"sh\" is in cleanup-list";
        assert!(warned.cited().starts_with(told), "{}", warned.cited());
        warned = of_servers(fine, none, "[servers.s]\n");
        let told = "iepm.toml:1:10: there is no server s in servers.alive";
        assert!(warned.cited().starts_with(told), "{}", warned.cited());
    }

    #[test]
    fn more_than_the_exclusive_channel_holds_is_refused() {
        let rows = |targets| {
            let row = |n| format!("s,d,iperf{n},background-syn,30,600,,\n");
            (0..targets).map(row).collect::<String>()
        };
        let told = |targets| cited(&NODES, &rows(targets), "", "");
        assert!(
            told(21).starts_with("toolspecs.csv: background-syn runs need 105 %"),
            "{}",
            told(21)
        );
        assert!(told(16).starts_with("toolspecs.csv: warning: background-syn runs need 80 %"));
        assert!(!told(13).contains("need"));
    }

    #[test]
    fn a_run_that_waits_longer_than_it_may_is_warned_of() {
        let rows = "s,d,iperf,background-syn,10,60,,\ns,d,pathload,background-syn,100,1000,,\n";
        let checked = checked(&NODES, rows, "", "");
        assert_eq!(checked.mistakes(), 0);
        let told =
            "warning: runs of 1 background-syn specification are missed when all are due at once";
        assert!(checked.cited().contains(told), "{}", checked.cited());
    }

    #[test]
    fn more_side_by_side_than_the_daemon_starts_is_refused() {
        let row = |n| format!("s,d{n},ping,background,60,60,,\n");
        let rows: String = (0..3).map(row).collect();
        let nodes = ["s", "d0", "d1", "d2"];
        let told = cited(&nodes, &rows, "", "[probes]\nside-by-side = 2\n");
        assert!(
            told.starts_with("toolspecs.csv: on average 3 runs of ping go side by side"),
            "{told}"
        );
        assert_eq!(cited(&nodes, &rows, "", "[probes]\nside-by-side = 3\n"), "");
    }

    #[test]
    fn a_station_with_nothing_to_do_is_warned_of() {
        let checked = checked(&NODES, "d,s,ping,background,15,600,,\n", "", "");
        assert_eq!((checked.mistakes(), checked.warnings()), (0, 1));
        assert!(checked.cited().contains("this station, s, as its srcNodeID"));
    }
}
