//! `iepm hold` and `iepm release`: an operator who works on the station keeps the watchdogs off.

use std::time::Duration;

use station::{
    app::{self, Common, Exit, Failure},
    text::{human_duration, parse_duration},
    world::{
        clock::{Clock, SystemClock},
        files,
        hold::{self, Hold},
    },
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// For how long, 1s to 7d; it ends by itself
    #[arg(value_parser = length, default_value = "1h")]
    length: Duration,
    /// Why, for whoever wonders
    #[arg(long, default_value = "an operator is at work")]
    reason: String,
}

fn length(text: &str) -> Result<Duration, String> {
    let length = parse_duration(text)?;
    if length.is_zero() || length > hold::LONGEST {
        return Err(format!("expected 1s to 7d, found \"{text}\""));
    }
    Ok(length)
}

pub(crate) fn hold(args: &Args, common: &Common) -> Result<Exit, Failure> {
    let config = common.load()?;
    Common::is_ours(&config)?;
    let folder = &config.paths.keepalives;
    let hold = Hold::new(&operator(), &args.reason, &SystemClock.moment(), args.length);
    let written = files::make_directory(folder).and_then(|()| hold::put(folder, &hold));
    written.map_err(|error| {
        Failure::new(Exit::TryLater, format!("writing {}/hold", folder.display())).because(error)
    })?;
    app::print(&format!(
        "held for {}, until {}: nothing is started or ended by watchdogs; `iepm release` ends it before\n",
        human_duration(args.length),
        hold.until_us
    ))?;
    Ok(Exit::Well)
}

pub(crate) fn release(common: &Common) -> Result<Exit, Failure> {
    let config = common.load()?;
    Common::is_ours(&config)?;
    let folder = &config.paths.keepalives;
    let released = hold::release(folder).map_err(|error| {
        Failure::new(Exit::TryLater, format!("removing {}/hold", folder.display())).because(error)
    })?;
    app::print(if released { "released\n" } else { "it was not held\n" })?;
    Ok(Exit::Well)
}

/// Who holds: the name of the user, if the environment tells it.
fn operator() -> String {
    let name = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    name.unwrap_or_else(|_| "an operator".to_owned())
}
