//! `iepm init`: makes a station in a directory.
//!
//! What is there already is left as it is, so it can be called again after a change of the paths, or
//! where a first call was cut short.

use std::path::{Path, PathBuf};

use station::{
    app::{self, Common, Exit, Failure},
    text::NodeId,
    words::config::{Config, Database},
    world::{
        clock::{Clock, SystemClock},
        files::{self, Durable},
        store::{LATEST, Store},
    },
};

use crate::{grants, migrate, second_names};

/// The sample files, which are also those of the project.
const CONFIGURATION: &str = include_str!("../../../config/iepm.toml");
const SAMPLES: [(&str, &str); 4] = [
    ("nodes.csv", include_str!("../../../config/nodes.csv")),
    ("toolspecs.csv", include_str!("../../../config/toolspecs.csv")),
    ("cleanup-list", include_str!("../../../config/cleanup-list")),
    ("servers.alive", include_str!("../../../config/servers.alive")),
];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the station is to live [default: --home, else the current directory]
    #[arg(value_name = "DIR", conflicts_with = "config")]
    dir: Option<PathBuf>,
    /// The station's own name in NODES
    #[arg(long, value_name = "NAME")]
    node: Option<NodeId>,
    /// Where the database is to be: `sqlite:///PATH` or `mysql://[USER@]HOST[:PORT]/NAME`
    #[arg(long, value_name = "URL", value_parser = database_url)]
    database: Option<String>,
}

fn database_url(url: &str) -> Result<String, String> {
    Database::parse(url).map(|_| url.to_owned())
}

/// What was made, and what was there, line by line.
type Told = Vec<String>;

pub(crate) fn run(args: &Args, common: &Common) -> Result<Exit, Failure> {
    let mut told = Told::new();
    let (path, home) = place(args, common)?;
    directory(&home, &mut told)?;
    let config = configuration(&path, &home, common, args, &mut told)?;
    for folder in directories(&config) {
        directory(&folder, &mut told)?;
    }
    samples(&config, &mut told)?;
    servers(&config, &mut told)?;
    database(&config, &mut told)?;
    told.extend(grants::told(&config.database));
    app::print(&told.concat())?;
    Ok(Exit::Well)
}

/// The configuration file and the home, absolute.
fn place(args: &Args, common: &Common) -> Result<(PathBuf, PathBuf), Failure> {
    let absolute = |path: &Path| {
        std::path::absolute(path).map_err(|error| failed("finding", path).because(error))
    };
    let home = args.dir.clone().or_else(|| common.home.clone());
    if let Some(path) = &common.config {
        let path = absolute(path)?;
        let beside = path.parent().map(Path::to_path_buf).unwrap_or_default();
        let home = home.map_or(Ok(beside), |home| absolute(&home))?;
        return Ok((path, home));
    }
    let home = absolute(&home.unwrap_or_else(|| PathBuf::from(".")))?;
    Ok((home.join("iepm.toml"), home))
}

fn failed(doing: &str, path: &Path) -> Failure {
    Failure::new(Exit::NeedsPerson, format!("{doing} {}", path.display()))
}

fn directory(path: &Path, told: &mut Told) -> Result<(), Failure> {
    if path.is_dir() {
        told.push(format!("  {}/\n", path.display()));
        return Ok(());
    }
    files::make_directory(path).map_err(|error| failed("making", path).because(error))?;
    told.push(format!("+ {}/\n", path.display()));
    Ok(())
}

fn file(path: &Path, content: &str, told: &mut Told) -> Result<(), Failure> {
    if path.exists() {
        told.push(format!("  {}\n", path.display()));
        return Ok(());
    }
    write(path, content)?;
    told.push(format!("+ {}\n", path.display()));
    Ok(())
}

fn write(path: &Path, content: &str) -> Result<(), Failure> {
    files::replace(path, content.as_bytes(), Durable::AgainstPowerLoss)
        .map_err(|error| failed("writing", path).because(error))
}

/// Writes the configuration if there is none, with the node's name and the database if they are given; reads it.
fn configuration(
    path: &Path,
    home: &Path,
    common: &Common,
    args: &Args,
    told: &mut Told,
) -> Result<Config, Failure> {
    let mut text = CONFIGURATION.to_owned();
    for (key, value) in
        [("node", args.node.as_ref().map(NodeId::as_str)), ("database", args.database.as_deref())]
    {
        text = value.map_or(text.clone(), |value| with(&text, key, value));
    }
    file(path, &text, told)?;
    let (config, home) = (Some(path.to_path_buf()), Some(home.to_path_buf()));
    let common = Common { config, home, verbose: common.verbose };
    let config = common.load()?;
    if args
        .database
        .as_ref()
        .is_some_and(|url| Database::parse(url).as_ref() != Ok(&config.database))
    {
        let why = format!("it names the database {}; change it there", config.database);
        return Err(failed("naming the database in", path).why(why));
    }
    match &args.node {
        Some(node) if *node != config.node => {
            let why = format!(
                "it says node = \"{}\"; to rename a station, change it there and in nodes.csv",
                config.node
            );
            Err(failed("naming the station in", path).why(why))
        }
        _ => Ok(config),
    }
}

/// A configuration in which `key`, above all tables, is `value`, and that is otherwise as it was.
fn with(text: &str, key: &str, value: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let tables = lines.iter().position(|line| line.trim_start().starts_with('['));
    let top = &lines[..tables.unwrap_or(lines.len())];
    let set = top.iter().position(|line| sets(line, key));
    let commented =
        || top.iter().position(|line| line.strip_prefix('#').is_some_and(|it| sets(it, key)));
    let setting = format!("{key} = \"{value}\"");
    match set.or_else(commented) {
        Some(place) => lines[place] = setting,
        None => lines.insert(0, setting),
    }
    lines.join("\n") + "\n"
}

fn sets(line: &str, key: &str) -> bool {
    let rest = line.trim_start().strip_prefix(key);
    rest.is_some_and(|rest| rest.trim_start().starts_with('='))
}

/// The directories of a station.
fn directories(config: &Config) -> Vec<PathBuf> {
    let paths = &config.paths;
    let data = ["tmp", "loaded", "rejected"].map(|name| paths.data.join(name));
    let mut all =
        vec![paths.bin.clone(), paths.config.clone(), paths.keepalives.clone(), paths.data.clone()];
    all.extend(data);
    all.extend(config.database.file().and_then(Path::parent).map(Path::to_path_buf));
    all.extend([paths.log.clone(), paths.home.join("www")]);
    all
}

fn samples(config: &Config, told: &mut Told) -> Result<(), Failure> {
    for (name, sample) in SAMPLES {
        file(&config.paths.config.join(name), &of_station(sample, &config.node), told)?;
    }
    Ok(())
}

/// A sample whose rows name the station `node`.
fn of_station(sample: &str, node: &NodeId) -> String {
    let line = |line: &str| {
        let row = line.trim_start_matches("##");
        let off = &line[..line.len() - row.len()];
        match row.strip_prefix("station,") {
            Some(rest) => format!("{off}{node},{rest}\n"),
            None => format!("{line}\n"),
        }
    };
    sample.lines().map(line).collect()
}

/// What the samples name and no package brings.
fn servers(config: &Config, told: &mut Told) -> Result<(), Failure> {
    let named = second_names::make(&config.paths.bin);
    told.extend(named.map_err(|(link, error)| failed("making", &link).because(error))?);
    Ok(())
}

fn database(config: &Config, told: &mut Told) -> Result<(), Failure> {
    let new_file = config.database.file().filter(|path| !path.exists());
    if let Some(path) = new_file {
        // An empty file is an empty database; made here, others cannot read it.
        files::create(path).map_err(|error| failed("making", path).because(error))?;
    }
    let mut store: Store = crate::store(config);
    // What is there needs no right to make it: a further station of a database comes with its own account.
    let found = match store.read(|_| Ok(LATEST)) {
        Ok(found) => found,
        Err(_) => store
            .create()
            .and_then(|()| migrate::forward(&mut store, SystemClock.now()))
            .map_err(|error| Failure::store("making the database", error))?,
    };
    let sign = if new_file.is_some() || found < LATEST { '+' } else { ' ' };
    told.push(format!("{sign} {} (schema version {LATEST})\n", config.database));
    Ok(())
}

#[cfg(test)]
mod tests {
    use station::words::{cleanup, config, node, servers, toolspec};

    use super::*;

    fn uncommented() -> String {
        let line = |line: &str| {
            let setting = line.strip_prefix('#').filter(|rest| !rest.starts_with(' '));
            format!("{}\n", setting.unwrap_or(line))
        };
        CONFIGURATION.lines().map(line).collect()
    }

    #[test]
    fn the_sample_configuration_shows_every_setting_with_its_default() {
        let home = Path::new("/home/iepm");
        for text in [CONFIGURATION, &uncommented()] {
            let (mut config, mistakes) = config::parse(text, home);
            assert_eq!(mistakes, []);
            // These two depend on what is installed: the sample shows them as they mostly are.
            (config.watch.daemons, config.alert) = (None, None);
            assert_eq!(config, Config::default_at(home));
        }
        // A setting that the sample left out would be told here.
        let (_, mistakes) = config::parse("nonsense = 1\n", home);
        let known = mistakes[0].message.split_once("there are ").expect("a list").1;
        for name in known.split(", ") {
            let (key, table) = (format!("{name} = "), format!("[{name}]"));
            assert!(uncommented().contains(&key) || CONFIGURATION.contains(&table), "{name}");
        }
    }

    #[test]
    fn the_sample_files_have_no_mistakes_even_with_every_row_switched_on() {
        let [nodes, specs, list, servers] = SAMPLES.map(|(_, text)| text);
        let on = |text: &str, names: &[&str]| {
            let switched = |text: String, name: &&str| {
                text.replace(&format!("##{name},"), &format!("{name},"))
            };
            names.iter().fold(text.to_owned(), switched)
        };
        let (nodes, mistakes) = node::parse(&on(nodes, &["gateway", "far"]));
        assert_eq!((nodes.len(), mistakes), (5, vec![]));
        let (specs, mistakes) = toolspec::parse(&on(specs, &["station"]));
        assert_eq!((specs.len(), mistakes), (17, vec![]));
        let (list, mistakes) = cleanup::parse(list);
        assert_eq!((list.len(), mistakes), (13, vec![]));
        let (servers, mistakes) = servers::parse(servers);
        assert_eq!((servers.len(), mistakes), (7, vec![]));
    }

    #[test]
    fn the_samples_carry_the_originals_ping() {
        let (specs, _) = toolspec::parse(SAMPLES[1].1);
        let pings = specs.iter().filter(|placed| placed.spec.key.tool.as_str() == "ping");
        let shown: Vec<_> = pings
            .map(|placed| {
                let spec = &placed.spec;
                (spec.opts[0].as_str(), spec.time2run.seconds(), spec.runinterval.seconds())
            })
            .collect();
        assert_eq!(shown, [("-s 1000 -c 10 -w 20", 15, 600); 2]);
    }

    #[test]
    fn the_nodes_name_is_set_where_it_stands_and_nothing_else_is_touched() {
        let node: NodeId = "slac".parse().expect("a node");
        let named = with("# hi\nnode = \"x\"\n[load]\nnode = 1\n", "node", "slac");
        assert_eq!(named, "# hi\nnode = \"slac\"\n[load]\nnode = 1\n");
        assert_eq!(with("#node = \"x\"\n", "node", "slac"), "node = \"slac\"\n");
        assert_eq!(
            with("[load]\nnode = 1\n", "node", "slac"),
            "node = \"slac\"\n[load]\nnode = 1\n"
        );
        let (config, mistakes) =
            config::parse(&with(CONFIGURATION, "node", "slac"), Path::new("/h"));
        assert_eq!((config.node, mistakes), (node, vec![]));
    }

    #[test]
    fn the_rows_of_the_samples_name_the_station() {
        let node: NodeId = "slac".parse().expect("a node");
        let named = of_station("#a,station\nstation,x\n##station,y\nstationary,z\n", &node);
        assert_eq!(named, "#a,station\nslac,x\n##slac,y\nstationary,z\n");
    }
}
