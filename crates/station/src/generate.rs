//! Man pages and shell completions of any program, made from what it tells clap.
//!
//! `PROGRAM --generate man|bash|zsh|fish` prints them, `PROGRAM --generate man COMMAND` the page of one
//! of its commands and `PROGRAM --generate commands` their names; `scripts/generate` collects them all.

use std::io;

use clap::{Command, CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::app::Exit;

/// Prints what `--generate` asks for, if it is the first argument.
pub(crate) fn asked<A: CommandFactory>(name: &str) -> Option<Exit> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != "--generate" {
        return None;
    }
    let (what, of) = (arguments.next().unwrap_or_default(), arguments.next());
    let made = make(A::command(), name, &what, of.as_deref()).map_err(|error| error.to_string());
    let printed = made.and_then(|page| {
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

fn make(mut program: Command, name: &str, what: &str, of: Option<&str>) -> io::Result<Vec<u8>> {
    // Options that all commands share are told on their pages too.
    program.build();
    let mut page = Vec::new();
    match (what, of) {
        ("commands", _) => {
            let commands = program.get_subcommands().map(Command::get_name);
            page =
                commands.filter(|name| *name != "help").collect::<Vec<_>>().join("\n").into_bytes();
            page.push(b'\n');
        }
        ("man", Some(of)) => {
            let command = program.find_subcommand(of).cloned();
            let command = command.ok_or_else(|| io::Error::other(format!("no command {of}")))?;
            clap_mangen::Man::new(command).render(&mut page)?;
        }
        ("man", None) => clap_mangen::Man::new(program).render(&mut page)?,
        _ => {
            let shell = Shell::from_str(what, true)
                .map_err(|_| io::Error::other("expected man, commands, bash, zsh or fish"))?;
            clap_complete::generate(shell, &mut program, name, &mut page);
        }
    }
    Ok(page)
}
