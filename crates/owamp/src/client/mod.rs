//! `owping`: a client of OWAMP (RFC 4656), and what it prints.

mod agree;
mod control;
mod faults;
mod line;
mod measure;
mod remarks;
mod run;
mod stream;
mod tell;
mod trouble;
mod wanted;

use std::fs;

use station::{
    app::{Exit, Failure},
    text::Mistake,
    world::signals::Stop,
};

use crate::{
    protocol::{KeyId, Mode},
    server::secrets,
};

use control::Identity;
use measure::{Measured, measure};
use stream::stream;
use tell::Teller;
use trouble::Trouble;

pub use wanted::{Args, Interval};

/// Carries out the test and prints its figures. The exit status is 0 if all of it went well; 1 if figures are missing,
/// or are not of the whole test.
///
/// # Errors
/// Why there are no figures at all.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let stop = Stop::on_signals()
        .map_err(|error| Failure::new(Exit::NeedsPerson, "listening for signals").because(error))?;
    let teller = Teller::new(args);
    let identity = identity(args);
    let measured = match &identity {
        Ok(identity) if args.count == 0 => return Ok(stream(args, identity, &stop)),
        Ok(identity) => measure(args, identity, &stop, None, |plan| teller.announce(&plan)),
        Err(why) => Err(Trouble::Secrets(why.clone())),
    };
    conclude(&teller, measured.unwrap_or_else(Measured::none))
}

fn conclude(teller: &Teller<'_>, measured: Measured) -> Result<Exit, Failure> {
    let remarks = teller.tell(&measured).map_err(|error| {
        Failure::new(Exit::NeedsPerson, "writing the standard output").because(error)
    })?;
    measured.warnings.iter().chain(&remarks).for_each(|warning| log::warn!("{warning}"));
    match measured.trouble {
        None => Ok(Exit::Well),
        Some(trouble) if measured.ways.is_empty() => {
            Err(Failure::new(Exit::NeedsPerson, trouble.to_string()))
        }
        Some(trouble) => {
            log::warn!("{trouble}");
            Ok(Exit::NeedsPerson)
        }
    }
}

/// Our name and what proves it, if any mode but the open one may be used and there is a file.
fn identity(args: &Args) -> Result<Identity, String> {
    let modes = args.modes;
    let (Some(path), Some(user)) = (&args.passphrases, &args.user) else {
        if !modes.has(Mode::Open) {
            let why = "the modes A and E need a user (-u) and a file of passphrases (-k)";
            return Err(why.to_owned());
        }
        return Ok(Identity { modes, secret: None });
    };
    let file = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| format!("reading the passphrases of {file}: {error}"))?;
    let (known, mistakes) = secrets::parse(&text);
    if !mistakes.is_empty() {
        return Err(places(&file.to_string(), &mistakes));
    }
    let nobody = || format!("{file} has no passphrase of \"{user}\"");
    let secret = known.of(user).cloned().ok_or_else(nobody)?;
    Ok(Identity { modes, secret: Some((KeyId::new(user).ok_or_else(nobody)?, secret)) })
}

/// The lines hold secrets: places are told, lines are not.
fn places(file: &str, mistakes: &[Mistake]) -> String {
    let place = |Mistake { span, message }: &Mistake| {
        format!("{file}:{}:{}: {message}", span.line, span.column)
    };
    mistakes.iter().map(place).collect::<Vec<_>>().join("\n")
}
