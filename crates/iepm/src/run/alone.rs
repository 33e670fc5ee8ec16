//! A run by hand that must be alone: it waits for the channel as any other.

use std::time::Duration;

use readings::Output;
use station::{
    app::{Exit, Failure},
    text::Timestamp,
    words::{command, config::Config, run::Machine},
    world::{
        channel::{self, Channel, Holder},
        clock::{Clock, SystemClock},
        machine,
        probe::{Ending, Order},
        signals::{self, Stop},
        store::{self, Plan, Session, Store, Try},
        turn::{self, Turn},
    },
};

use super::{Ended, PROGRAM, Wanted};

/// How often the channel is tried that somebody else has.
const RETRY: Duration = Duration::from_millis(200);
/// The lease of the target lasts so much longer than the run may.
const MARGIN: Duration = Duration::from_secs(30);

/// Waits for the channel, and carries the run out.
pub(super) fn carry_out(
    store: &mut Store,
    config: &Config,
    wanted: &Wanted,
    stop: &Stop,
) -> Result<Ended, Failure> {
    let channel = wait_for_channel(config, wanted, stop)?;
    let now = SystemClock.now();
    let preparing = |error| Failure::store("preparing the run", error);
    let order = store
        .transaction(|session| insert(session, config, wanted, now))
        .map_err(preparing)?
        .map_err(|why| {
            let doing = format!("running {} to {}", wanted.spec.key.tool, wanted.node.id);
            Failure::new(Exit::TryLater, doing).why(why)
        })?;
    let run = order.run;
    let plan = match plan(wanted, order) {
        Ok(plan) => plan,
        Err(why) => return Ok(Err((run, why))),
    };
    let ended = turn(store, config, (plan, channel), stop);
    let station = config.node.as_str();
    let noted = store.transaction(|session| {
        store::end_try(session, run, &tried(&ended))?;
        store::release(session, station, wanted.node.id.as_str(), run)
    });
    if let Err(error) = noted {
        // The result is worth more: it becomes a file first of all.
        log::error!("noting how run {run} ended: {error}");
    }
    Ok(ended.map_err(|why| (run, why)).map(|(ending, _)| ending))
}

/// Takes the channel; says once whom it waits for.
fn wait_for_channel(config: &Config, wanted: &Wanted, stop: &Stop) -> Result<Channel, Failure> {
    let folder = &config.exclusive.channel;
    let taking =
        || Failure::new(Exit::TryLater, format!("taking the channel in {}", folder.display()));
    let holder = Holder {
        program: PROGRAM.to_owned(),
        home: config.paths.home.clone(),
        schedule_id: 0,
        node: wanted.node.id.to_string(),
        commands: Vec::new(),
        since_us: SystemClock.now(),
    };
    let mut told = String::new();
    loop {
        let who = match channel::take(folder, &holder).map_err(|error| taking().because(error))? {
            Ok(channel) => return Ok(channel),
            Err(who) => who,
        };
        if who != told {
            log::warn!("waiting: {who}");
            told = who;
        }
        signals::wait_for(&[stop.fd()], RETRY);
        if stop.asked() {
            return Err(taking().why("interrupted by the operator"));
        }
    }
}

/// Writes the row, and takes the lease of its target; or says who has that.
fn insert(
    session: &mut dyn Session,
    config: &Config,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<Result<Order, String>, store::Error> {
    let (station, dest) = (config.node.as_str(), wanted.node.id.as_str());
    let order = wanted.insert(session, now)?;
    let until = now + turn::LEAD + order.limit + turn::ENDING + MARGIN;
    if store::take_lease(session, station, dest, order.run.schedule_id, (now, until))? {
        return Ok(Ok(order));
    }
    let elsewhere = store::held_elsewhere(session, station, now)?.remove(dest);
    let (other, until) = elsewhere.unwrap_or_default();
    let why = format!("the station {other} measures to {dest}, until {until} at most");
    store::fail(session, order.run, &why)?;
    Ok(Err(why))
}

fn plan(wanted: &Wanted, order: Order) -> Result<Plan, String> {
    let target = wanted.node.host.as_str().to_owned();
    let beside = command::beside(&wanted.spec.pingbeside, wanted.node.family, &target)?;
    Ok(Plan { order, target, beside, allowance: wanted.spec.allowance.clone() })
}

/// The run's turn, from its start to its end; with the bytes that it sent, where that is known.
fn turn(
    store: &mut Store,
    config: &Config,
    (plan, channel): (Plan, Channel),
    stop: &Stop,
) -> Result<(Ending, Option<u64>), String> {
    let moment = SystemClock.moment();
    let holder = Holder::of(PROGRAM, config, &plan.order, &plan.beside, moment.wall);
    channel.note(&holder).map_err(|error| format!("noting who has the channel: {error}"))?;
    let machine = machine::look();
    begin(store, config, &plan.order, moment.wall, &machine)?;
    let over = machine::over(&machine, &config.exclusive, machine::processors());
    let mut turn = Turn::begin(PROGRAM, plan, channel, (machine, over), config, &moment);
    loop {
        let moment = SystemClock.moment();
        if turn.advance(config, &moment) {
            break;
        }
        let rest = turn.deadline().map_or(RETRY, |at| moment.monotonic.until(at)).min(RETRY);
        signals::wait_for(&turn.fds().chain([stop.fd()]).collect::<Vec<_>>(), rest);
        if stop.asked() {
            turn.kill(config);
            return Err("interrupted by the operator".to_owned());
        }
    }
    match turn.end() {
        turn::End::Ended(mut ending) => {
            let bytes = bytes(&mut ending, config.most_output);
            Ok((*ending, bytes))
        }
        turn::End::Failed(_, why) => Err(why),
    }
}

fn begin(
    store: &mut Store,
    config: &Config,
    order: &Order,
    now: Timestamp,
    machine: &Machine,
) -> Result<(), String> {
    let station = config.node.as_str();
    let begun =
        store.transaction(|session| store::begin_try(session, station, order, now, machine));
    begun.map_err(|error| error.to_string())
}

fn tried(ended: &Result<(Ending, Option<u64>), String>) -> Try {
    match ended {
        Ok((ending, bytes)) => Try {
            end: ending.ended_at,
            bytes: *bytes,
            outcome: ending.ended.remark().unwrap_or_else(|| "by hand".to_owned()),
            unclean: ending.alone.as_ref().and_then(|company| company.unclean.clone()),
        },
        Err(why) => Try { end: SystemClock.now(), outcome: why.clone(), ..Try::default() },
    }
}

/// Bytes that the run sent, by what it printed.
fn bytes(ending: &mut Ending, most: u64) -> Option<u64> {
    let [(stdout, _), _] = ending.printed(most).ok()?;
    let output = Output { stdout: &stdout, stderr: &[], end: (&ending.ended).into() };
    readings::read(&ending.order.tool, &output).ok()?.bytes()
}
