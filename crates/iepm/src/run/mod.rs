//! `iepm run`: one run now, in the foreground, on the same path as all others: a row of SCHEDULE, a
//! process of a group of its own, a result file, and `load-test-data`.

mod alone;

use std::io::{Read, Seek};

use station::{
    app::{self, Common, Exit, Failure},
    name,
    text::{NodeId, Timestamp},
    words::{
        command,
        config::Config,
        node::Node,
        run::{self, RunId, State},
        toolspec::{TestType, ToolSpec},
    },
    world::{
        clock::{Clock, SystemClock},
        probe::{Ending, Order, Running},
        process,
        signals::{self, Stop},
        spool::Spool,
        store::{self, NewRun, Session, Store, StoredSpec},
        strays,
    },
};

use crate::which::Which;

/// The name by which its rows are known.
const PROGRAM: &str = "iepm";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
}

pub(crate) fn run(args: &Args, common: &Common) -> Result<Exit, Failure> {
    let config = common.load()?;
    let stop = Stop::on_signals()
        .map_err(|error| Failure::new(Exit::TryLater, "preparing for signals").because(error))?;
    let spool = Spool::open(&config.paths.data).map_err(|error| {
        let data = config.paths.data.display();
        Failure::new(Exit::TryLater, format!("preparing the data directory {data}")).because(error)
    })?;
    let mut store = crate::store(&config);
    if let Err(error) = strays::adopt() {
        log::warn!("what the run leaves outside of its group cannot be ended: {error}");
    }
    let failure = |why| {
        Failure::new(
            Exit::NeedsPerson,
            format!("running {} to {}", args.which.tool, args.which.node),
        )
        .why(why)
    };
    let wanted = store
        .read(|session| look(session, &config, args))
        .map_err(|error| Failure::store("preparing the run", error))?
        .map_err(failure)?;
    if let Some(rival) = name::rival(&mut store, &config)
        .map_err(|error| Failure::store("asking who goes by the station's name", error))?
    {
        let doing = format!("running {} to {}", args.which.tool, args.which.node);
        return Err(Failure::new(Exit::TryLater, doing).why(name::whose(&rival)));
    }
    let ended = match wanted.spec.testtype {
        TestType::Background => side_by_side(&mut store, &config, &wanted, &stop)?,
        TestType::BackgroundSyn => alone::carry_out(&mut store, &config, &wanted, &stop)?,
    };
    match ended {
        Ok(ending) => hand_over(&config, &mut store, &spool, ending),
        Err((run, reason)) => fail(&mut store, run, &reason),
    }
}

/// What is to be run.
struct Wanted {
    id: i64,
    spec: ToolSpec,
    node: Node,
    words: Vec<String>,
}

/// The result of a run, or why there is none.
type Ended = Result<Ending, (RunId, String)>;

/// Finds the specification and its target; or says what is wrong with the request.
fn look(
    session: &mut dyn Session,
    config: &Config,
    args: &Args,
) -> Result<Result<Wanted, String>, store::Error> {
    let nodes = store::nodes(session)?;
    let (id, spec) = match find(store::specs(session, config.node.as_str())?, args) {
        Ok(found) => found,
        Err(why) => return Ok(Err(why)),
    };
    let node = nodes.into_iter().filter_map(Result::ok).find(|node| node.id == spec.key.dest);
    let Some(node) = node else {
        return Ok(Err(format!("there is no usable node {} in NODES", spec.key.dest)));
    };
    let words = command::words(&spec, &node);
    Ok(Ok(Wanted { id, spec, node, words }))
}

impl Wanted {
    /// Writes the row of the run.
    fn insert(&self, session: &mut dyn Session, now: Timestamp) -> Result<Order, store::Error> {
        let new = NewRun {
            spec_id: self.id,
            key: &self.spec.key,
            testtype: self.spec.testtype.as_str(),
            target: self.node.host.as_str(),
            words: self.words.clone(),
            due: now,
            latest: now,
            limit: self.spec.limit(),
        };
        let run = store::insert_running(session, &new, PROGRAM)?;
        Ok(Order {
            run,
            spec_id: self.id,
            tool: self.spec.key.tool.to_string(),
            node: self.spec.key.dest.to_string(),
            argv: self.words.clone(),
            due: now,
            latest: now,
            limit: self.spec.limit(),
        })
    }
}

fn side_by_side(
    store: &mut Store,
    config: &Config,
    wanted: &Wanted,
    stop: &Stop,
) -> Result<Ended, Failure> {
    let now = SystemClock.now();
    let order = store
        .transaction(|session| wanted.insert(session, now))
        .map_err(|error| Failure::store("preparing the run", error))?;
    let started = order.start(PROGRAM, config, &SystemClock.moment());
    let ended = started.and_then(|running| watch(running, config, stop));
    // What is killed here is the machine's to reap.
    let _ = strays::end(|_| false, |_| false, || false);
    Ok(ended.map_err(|why| (order.run, why)))
}

fn find(specs: Vec<StoredSpec>, args: &Args) -> Result<(i64, ToolSpec), String> {
    args.which.node.parse::<NodeId>()?;
    let ours = specs.into_iter().filter(|stored| !stored.retired);
    let mut ours = ours.filter_map(|stored| Some((stored.id, stored.spec.ok()?)));
    ours.find(|(_, spec)| args.which.is(&spec.key)).ok_or_else(|| {
        "TOOLSPECS has no such specification of this station; `fetch-toolspecs` lists all"
            .to_owned()
    })
}

/// Waits until the process has ended, and ends it when it hangs or when the operator wants it.
fn watch(mut running: Running, config: &Config, stop: &Stop) -> Result<Ending, String> {
    loop {
        let now = SystemClock.moment().monotonic;
        let wait = now.until(running.deadline()).min(std::time::Duration::from_secs(1));
        signals::wait_for(&[running.fd(), stop.fd()], wait);
        if stop.asked() {
            running.kill();
            return Err("interrupted by the operator".to_owned());
        }
        let moment = SystemClock.moment();
        running.check_output(config.most_output, moment.monotonic);
        running.insist(moment.monotonic);
        match running.end(&moment) {
            Ok(ending) => return Ok(ending),
            Err(going_on) => running = *going_on,
        }
    }
}

fn fail(store: &mut Store, run: RunId, reason: &str) -> Result<Exit, Failure> {
    store
        .transaction(|session| store::fail(session, run, reason))
        .map_err(|error| Failure::store(format!("marking run {run}"), error))?;
    Err(Failure::new(Exit::NeedsPerson, format!("run {run}")).why(reason))
}

/// Makes the result a file, marks the row, has it loaded, and shows it.
fn hand_over(
    config: &Config,
    store: &mut Store,
    spool: &Spool,
    ending: Ending,
) -> Result<Exit, Failure> {
    let mut endings = [ending];
    spool.publish(&mut endings, config.most_output).map_err(|error| {
        let data = spool.data().display();
        Failure::new(Exit::TryLater, format!("writing the result to {data}")).because(error)
    })?;
    let [mut ending] = endings;
    let (order, times) = (&ending.order, (ending.started, ending.ended_at));
    let remark = ending.ended.remark();
    store
        .transaction(|session| store::finish(session, order, times, remark.as_deref()))
        .map_err(|error| Failure::store(format!("marking run {}", order.run), error))?;
    app::print(&output(&mut ending))?;
    load(config, spool, &ending.order)?;
    tell(store, &ending.order)
}

fn output(ending: &mut Ending) -> String {
    let mut output = Vec::new();
    for file in [&mut ending.stdout, &mut ending.stderr] {
        // The result is safe already; what cannot be shown is not shown.
        let _ = file.rewind().and_then(|()| file.read_to_end(&mut output));
    }
    String::from_utf8_lossy(&output).into_owned()
}

/// Calls `load-test-data` for the file of the run.
fn load(config: &Config, spool: &Spool, order: &Order) -> Result<(), Failure> {
    let loading =
        || Failure::new(Exit::NeedsPerson, format!("loading the result of run {}", order.run));
    let loader = process::find("load-test-data", &config.paths.bin)
        .ok_or_else(|| loading().why("load-test-data is not installed"))?;
    let file = spool.data().join(run::file_name(order.run, &order.tool));
    let station = [("--config", &config.paths.file), ("--home", &config.paths.home)];
    let mut command = process::command(&loader, [&file]);
    for (option, path) in station {
        command.arg(option).arg(path);
    }
    command.status().map(|_| ()).map_err(|error| loading().because(error))
}

/// Says what became of the run.
fn tell(store: &mut Store, order: &Order) -> Result<Exit, Failure> {
    let sql = "SELECT state, reason FROM SCHEDULE WHERE scheduleID = ?";
    let id = order.run.schedule_id;
    let row = store
        .read(|session| {
            store::one(session, sql, &[id.into()], |row| Ok((row.text(0), row.text(1))))
        })
        .map_err(|error| Failure::store(format!("looking at run {}", order.run), error))?;
    let (state, reason) = row.unwrap_or_default();
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    app::print(&format!("run {}: {state}{why}\n", order.run))?;
    Ok(if state == State::Loaded.as_str() { Exit::Well } else { Exit::NeedsPerson })
}
