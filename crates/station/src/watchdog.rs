//! What the programs share that start and end others.

use crate::{
    app::{Exit, Failure},
    words::config::Config,
    world::{
        clock::Moment,
        hold::{self, Hold},
    },
};

/// The hold that lasts at `now`, if somebody holds the station.
///
/// # Errors
/// It cannot be read. That is a hold, too: somebody wanted something.
pub fn held(config: &Config, now: &Moment) -> Result<Option<Hold>, Failure> {
    let folder = &config.paths.keepalives;
    hold::active(folder, now).map_err(|error| {
        let reading = format!("reading the hold {}", folder.join("hold").display());
        let why = format!("{error}; until it is removed or put right nothing is started or ended");
        Failure::new(Exit::NeedsPerson, reading).why(why)
    })
}
