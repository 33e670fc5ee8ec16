//! `owampd`: the server of OWAMP.
//!
//! - `files`: the configuration directory; `settings`, `classes` and `secrets` read its files. Pure.
//! - `judge`, `rate`: what is granted. Pure. `usage`, `share`: how much of it to whom (`who`).
//! - `doors`, `turns`, and the `patience` of the crate: what keeps a crowd from being a burden.
//! - `greet`, `talk`, `run`, `fetch`: a conversation, in a thread of its own.
//! - `hub`, `shelf`: the engine that carries the sessions, and what they left.
//! - `privilege`: root's rights, and how they go.

pub(crate) mod classes;
mod doors;
mod fetch;
mod files;
mod greet;
mod hub;
mod judge;
mod lines;
mod listen;
pub(crate) mod privilege;
mod rate;
mod run;
pub mod secrets;
mod settings;
mod share;
mod shelf;
mod talk;
mod turns;
mod usage;
mod who;

use std::{
    fs::File,
    io::{self, Read},
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
};

use clap::Parser;
use station::{
    app::{Exit, Failure},
    news::News,
    world::signals::Stop,
};
use timed_udp::{ntp::NtpTime, socket::PortRange};

use self::{
    classes::Classes,
    doors::Doors,
    files::Files,
    hub::Hub,
    secrets::Secrets,
    settings::{PORT, Ports, Settings, Source},
    shelf::Shelf,
    turns::Turns,
    usage::Usage,
};
use crate::{
    patience,
    protocol::{BLOCK, Sid},
    session::EngineSettings,
};

/// Answers other hosts' measurements of one-way delay (OWAMP, RFC 4656)
#[derive(Debug, Parser)]
#[command(name = "owampd", version)]
pub struct Args {
    /// The directory of owamp-server.conf, owamp-server.limits and owamp-server.pfs [default: /etc/owamp-server];
    /// what is not there is as built in
    #[arg(short = 'c', long = "config-dir", value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Where to listen: an address, :PORT, or both, with an address of IPv6 in brackets
    /// [default: all addresses, port 861]
    #[arg(short = 'S', long = "listen", value_name = "ADDRESS[:PORT]")]
    source: Option<Source>,
    /// Ports of test packets
    #[arg(short = 'P', long = "test-ports", value_name = "FIRST-LAST")]
    ports: Option<Ports>,
    /// Where records lie until they are fetched
    #[arg(short = 'd', long = "data-dir", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Taken for the reference's sake: there are no files of that kind
    #[arg(short = 'R', long = "var-dir", value_name = "DIR")]
    var: Option<PathBuf>,
    /// Who to be when the port is bound, if we were started by root [default: nobody]
    #[arg(short = 'U', long, value_name = "USER")]
    user: Option<String>,
    /// The group to be of [default: that user's]
    #[arg(short = 'G', long, value_name = "GROUP")]
    group: Option<String>,
    /// To stay root is all right
    #[arg(short = 'f', long)]
    root_folly: bool,
    /// Stay in the foreground, which this server always does
    #[arg(short = 'Z', long)]
    foreground: bool,
    /// Say more; twice: still more
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// What all conversations share.
#[derive(Debug)]
struct Server {
    settings: Settings,
    classes: Arc<Classes>,
    secrets: Secrets,
    usage: Arc<Usage>,
    ports: Option<PortRange>,
    hub: Hub,
    shelf: Shelf,
    news: News,
    turns: Turns,
    doors: Arc<Doors>,
    random: File,
    since: NtpTime,
}

impl Server {
    fn start(files: Files) -> Result<Self, Failure> {
        let Files { settings, classes, secrets } = files;
        let mut engine = EngineSettings::default();
        if let Some(data) = &settings.data {
            engine.folder.clone_from(data);
        }
        let failed = |doing: &str| Failure::new(Exit::NeedsPerson, doing.to_owned());
        let hub = Hub::start(&engine)
            .map_err(|error| failed("starting the thread of test packets").because(error))?;
        let random = File::open("/dev/urandom")
            .map_err(|error| failed("opening /dev/urandom").because(error))?;
        let classes = Arc::new(classes);
        let ports = settings.ports.and_then(|it| PortRange::new(it.first, it.last));
        Ok(Self {
            usage: Usage::new(Arc::clone(&classes), ports.as_ref().map(|it| it.count().into())),
            ports,
            doors: Doors::new(settings.connections, settings.per_address),
            shelf: Shelf::new(shelf::MOST),
            news: News::default(),
            turns: Turns::default(),
            since: timed_udp::clock::wall(),
            settings,
            classes,
            secrets,
            hub,
            random,
        })
    }

    fn random(&self) -> io::Result<[u8; BLOCK]> {
        let mut octets = [0; BLOCK];
        (&self.random).read_exact(&mut octets)?;
        Ok(octets)
    }

    /// A new session: our address, the time, and what nobody can guess (RFC 4656 section 3.5).
    fn sid(&self, ours: IpAddr) -> io::Result<Sid> {
        Ok(Sid::new(ours, timed_udp::clock::wall(), self.random()?))
    }
}

/// The program.
///
/// # Errors
/// The configuration is wrong, the port cannot be bound, or root's rights cannot be dropped.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    station::app::say_more(args.verbose);
    let folder = args.folder.clone().unwrap_or_else(|| files::USUAL.into());
    let mut files = files::load(&folder)?;
    args.override_settings(&mut files.settings);
    let identity = identity(&files.settings)?;
    let listeners = listen::bind(&files.settings.source)?;
    drop_rights(identity)?;
    let stop = Stop::on_signals()
        .map_err(|error| Failure::new(Exit::NeedsPerson, "listening to signals").because(error))?;
    Ok(listen::serve(&Arc::new(Server::start(files)?), &listeners, &stop))
}

impl Args {
    fn override_settings(&self, settings: &mut Settings) {
        if let Some(source) = self.source {
            settings.source.address = source.address.or(settings.source.address);
            settings.source.port = source.port.or(settings.source.port);
        }
        settings.ports = self.ports.or(settings.ports);
        settings.root_is_right |= self.root_folly;
        let either = |ours: &Option<String>, theirs: &mut Option<String>| {
            if ours.is_some() {
                theirs.clone_from(ours);
            }
        };
        either(&self.user, &mut settings.user);
        either(&self.group, &mut settings.group);
        if self.data.is_some() {
            settings.data.clone_from(&self.data);
        }
    }
}

/// Who to become; nobody else if we are not root.
fn identity(settings: &Settings) -> Result<Option<(String, privilege::Identity)>, Failure> {
    if !privilege::is_root() {
        return Ok(None);
    }
    if settings.user.is_none() && settings.root_is_right {
        return Ok(None);
    }
    let user = settings.user.as_deref().unwrap_or(privilege::NOBODY);
    let doing = || Failure::new(Exit::Config, format!("becoming the user {user}"));
    let identity =
        privilege::look_up(user, settings.group.as_deref()).map_err(|why| doing().why(why))?;
    if identity.user == 0 && !settings.root_is_right {
        let why = "that is root: name another by -U or the setting \"user\"; if root it must be, say -f or \"rootfolly\"";
        return Err(doing().why(why));
    }
    Ok(Some((user.to_owned(), identity)))
}

fn drop_rights(identity: Option<(String, privilege::Identity)>) -> Result<(), Failure> {
    let Some((user, identity)) = identity else {
        if privilege::is_root() {
            log::warn!("stays root, as it was told to");
        }
        return Ok(());
    };
    privilege::become_one(identity).map_err(|error| {
        Failure::new(Exit::NeedsPerson, format!("becoming the user {user}")).because(error)
    })?;
    log::info!("is user {user} ({}), group {} from now on", identity.user, identity.group);
    Ok(())
}

fn port_of(source: &Source) -> u16 {
    source.port.unwrap_or(PORT)
}

#[cfg(test)]
mod tests;
