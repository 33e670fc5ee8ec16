//! Man pages and shell completions of any program, made from what it tells clap.
//!
//! `PROGRAM --generate man|bash|zsh|fish` prints them; `scripts/generate` collects them all.

use std::io;

use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::app::Exit;

/// Prints what `--generate` asks for, if it is the first argument.
pub(crate) fn asked<A: CommandFactory>(name: &str) -> Option<Exit> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != "--generate" {
        return None;
    }
    let what = arguments.next().unwrap_or_default();
    let mut command = A::command();
    let mut page = Vec::new();
    let made = if what == "man" {
        clap_mangen::Man::new(command).render(&mut page)
    } else {
        match Shell::from_str(&what, true) {
            Ok(shell) => {
                clap_complete::generate(shell, &mut command, name, &mut page);
                Ok(())
            }
            Err(_) => Err(io::Error::other("expected --generate man, bash, zsh or fish")),
        }
    };
    let made = made.map_err(|error| error.to_string());
    let printed = made.and_then(|()| {
        crate::app::print(&String::from_utf8_lossy(&page)).map_err(|failure| failure.to_string())
    });
    match printed {
        Ok(()) => Some(Exit::Well),
        Err(why) => {
            eprintln!("{name}: {why}");
            Some(Exit::Usage)
        }
    }
}
