//! `--check`: every mistake of `config/servers.alive`, and which programs are not here.

use station::{
    app::{self, Exit, Failure},
    text::cite_all,
    words::{
        config::Config,
        servers::{self, Server},
    },
    world::servers::program,
};

use crate::list;

pub(crate) fn run(config: &Config) -> Result<Exit, Failure> {
    let path = config.paths.config.join("servers.alive");
    let shown = path.display().to_string();
    let text = list::content(&path).map_err(|fault| Failure::new(Exit::Config, fault))?;
    let (servers, mistakes) = servers::parse(&text);
    let missing = servers.iter().filter_map(|server| {
        let why = program(server, &config.paths).err()?;
        Some(format!("{} {why}", server.name))
    });
    let missing: Vec<String> = missing.chain(strangers(&servers, config)).collect();
    for missing in &missing {
        log::warn!("{missing}");
    }
    if !mistakes.is_empty() {
        let cited = cite_all(&shown, &text, &mistakes);
        return Err(Failure::new(Exit::Config, format!("{shown} is wrong\n{cited}")));
    }
    if missing.is_empty() {
        app::print(&format!("{shown}: {} servers: no mistakes\n", servers.len()))?;
        Ok(Exit::Well)
    } else {
        Ok(Exit::NeedsPerson)
    }
}

/// Servers of which something is demanded, and which are not in the list.
fn strangers(servers: &[Server], config: &Config) -> impl Iterator<Item = String> {
    let named = config.servers.iter().map(|demand| &demand.name);
    let strangers = named.filter(|name| !servers.iter().any(|server| server.name == **name));
    let shown = config.paths.file.display();
    strangers.map(move |name| {
        format!("{shown} has a table [servers.{name}], and servers.alive no such server")
    })
}
