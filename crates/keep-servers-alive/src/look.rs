//! What is seen of each server on this machine: its program, its processes, whether it answers.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use station::{
    words::{
        config::Config,
        servers::{Demand, Port, Server},
    },
    world::{
        clock::{Clock, Monotonic, SystemClock},
        files::{self, Links},
        process::{self, Launch, Signal, Status},
        processes::{self, Glimpse, Process},
        servers, signals, sockets,
    },
};

/// What is seen of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its program, or why there is none.
    pub(crate) program: Result<PathBuf, String>,
    /// Changes when its line or its program does.
    pub(crate) configuration: String,
    /// Its processes.
    pub(crate) pids: Vec<i32>,
    /// Why it counts as one that does not answer.
    pub(crate) silent: Option<String>,
    /// Why it could not be tested, if its test could not be run at all: no fault of the server.
    pub(crate) untested: Option<String>,
}

/// A killed test is gone by then, or hangs in the kernel.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Looks at all servers.
pub(crate) fn at(servers: &[Server], config: &Config) -> io::Result<Vec<Seen>> {
    let found = processes_of(servers)?;
    let test = |(server, processes): (&Server, &Vec<Process>)| {
        let demand = config.servers.iter().find(|demand| demand.name == server.name)?;
        (!processes.is_empty()).then(|| Answer::ask(demand, processes, config))
    };
    // All tests run side by side; then each is waited for.
    let answers: Vec<_> = servers.iter().zip(&found).map(test).collect();
    let all = servers.iter().zip(&found).zip(answers);
    Ok(all
        .map(|((server, processes), answer)| {
            let (silent, untested) = answer.map_or((None, None), Answer::wait);
            let program = servers::program(server, &config.paths);
            let configuration = configuration(server, program.as_deref().ok());
            let pids = processes.iter().map(|process| process.identity.pid).collect();
            Seen { program, configuration, pids, silent, untested }
        })
        .collect())
}

/// The processes of each server.
fn processes_of(servers: &[Server]) -> io::Result<Vec<Vec<Process>>> {
    let mut of_each: Vec<Vec<Process>> = servers.iter().map(|_| Vec::new()).collect();
    let all = processes::ours(|glimpse| {
        is_other(glimpse.pid) && servers.iter().any(|server| is(server, glimpse))
    })?;
    for process in all {
        let (pid, program) = (process.identity.pid, process.program.as_deref());
        let glimpse = Glimpse { pid, arguments: &process.arguments, program };
        let place = servers.iter().position(|server| is(server, &glimpse));
        if let Some(place) = place.filter(|_| process.shares_our_network()) {
            of_each[place].push(process);
        }
    }
    Ok(of_each)
}

fn is(server: &Server, glimpse: &Glimpse<'_>) -> bool {
    glimpse.is_called(server.name.as_str())
}

/// Whether a process is not this one, whatever name that has.
pub(crate) fn is_other(pid: i32) -> bool {
    i64::from(pid) != i64::from(std::process::id())
}

fn configuration(server: &Server, program: Option<&Path>) -> String {
    let about = program.and_then(|program| fs::metadata(program).ok());
    let version =
        about.map_or((0, 0, 0), |about| (about.mtime(), about.mtime_nsec(), about.size()));
    format!("{} {version:?}", server.line)
}

/// What is asked of a server that runs.
struct Answer {
    silent: Option<String>,
    test: Option<io::Result<Test>>,
}

/// A test that goes on.
struct Test {
    process: process::Process,
    limit: Duration,
    until: Monotonic,
}

impl Answer {
    fn ask(demand: &Demand, processes: &[Process], config: &Config) -> Self {
        let silent = demand.listens.iter().find_map(|port| silent_on(*port, processes));
        let tested = silent.is_none() && !demand.test.is_empty();
        Self { silent, test: tested.then(|| Test::start(demand, config)) }
    }

    /// Why it counts as silent, and why it could not be tested.
    fn wait(self) -> (Option<String>, Option<String>) {
        match self.test.map(|test| test.and_then(Test::end)) {
            None => (self.silent, None),
            Some(Ok(failed)) => (failed, None),
            Some(Err(error)) => (None, Some(format!("cannot be tested: {error}"))),
        }
    }
}

/// Why a port is not the server's.
fn silent_on(port: Port, processes: &[Process]) -> Option<String> {
    let Ok(listeners) = sockets::listeners(port) else { return None };
    if listeners.is_empty() {
        return Some(format!("does not listen on {port}"));
    }
    let mut own = Vec::new();
    for process in processes {
        match sockets::of(process) {
            Ok(sockets) => own.extend(sockets),
            // One that has ended meanwhile has none; one that we may not look into is believed.
            Err(_) if process.state_now().is_ok_and(|state| state.is_none()) => {}
            Err(_) => return None,
        }
    }
    let is_own = |own: &[u64]| listeners.iter().any(|listener| own.contains(listener));
    let is_its = is_own(&own) || is_own(&sockets_of_helpers(processes));
    (!is_its).then(|| format!("does not listen on {port}; another process does"))
}

/// The sockets of what a server has started: a script, for instance, listens through another program.
fn sockets_of_helpers(processes: &[Process]) -> Vec<u64> {
    let all = processes::ours(|glimpse| is_other(glimpse.pid)).unwrap_or_default();
    let helps = |helper: &&Process| processes.iter().any(|process| servers::leads(process, helper));
    all.iter().filter(helps).filter_map(|helper| sockets::of(helper).ok()).flatten().collect()
}

impl Test {
    fn start(demand: &Demand, config: &Config) -> io::Result<Self> {
        let nowhere = || files::append(Path::new("/dev/null"), false, Links::Nowhere);
        let process = process::start(Launch {
            argv: &demand.test,
            bin: &config.paths.bin,
            tag: &format!("{}:keep-servers-alive:", config.paths.home.display()),
            stdout: nowhere()?,
            stderr: nowhere()?,
        })?;
        let (limit, now) = (demand.test_limit, SystemClock.moment().monotonic);
        Ok(Self { process, limit, until: now + limit })
    }

    /// Why it failed, if it did.
    fn end(self) -> io::Result<Option<String>> {
        match self.status_before(self.until)? {
            Some(Status::Exited(0)) => Ok(None),
            Some(status) => Ok(Some(format!("runs, but its test fails: {status}"))),
            None => {
                self.process.signal(Signal::KILL);
                self.status_before(SystemClock.moment().monotonic + LAST_WAIT)?;
                let limit = self.limit.as_secs();
                Ok(Some(format!("runs, but its test took more than {limit} s")))
            }
        }
    }

    fn status_before(&self, until: Monotonic) -> io::Result<Option<Status>> {
        loop {
            let status = self.process.reap()?;
            let left = SystemClock.moment().monotonic.until(until);
            if status.is_some() || left.is_zero() {
                return Ok(status);
            }
            signals::wait_for(&[self.process.fd()], left);
        }
    }
}
