//! `iepm crontab`: the station's own lines in the crontab of its user.
//!
//! They stand in a block between two markers. What is outside of it is not touched; a crontab whose
//! markers do not match is left as it is, for nobody can tell then what is whose.

mod block;
mod edit;
mod table;

use station::{
    app::{self, Common, Exit, Failure},
    words::config::Config,
};

pub(crate) use table::Table;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    what: What,
    /// With --install or --remove: show which lines would come and go, and change nothing
    #[arg(long, conflicts_with = "show")]
    dry_run: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Print the block of this station, and leave the crontab alone
    #[arg(long)]
    show: bool,
    /// Put the block into the crontab, in place of an older one
    #[arg(long)]
    install: bool,
    /// Take the block out of the crontab
    #[arg(long)]
    remove: bool,
}

pub(crate) fn run(args: &Args, common: &Common) -> Result<Exit, Failure> {
    let config = common.load()?;
    let block = text(&config)?;
    if args.what.show {
        app::print(&block)?;
        return Ok(Exit::Well);
    }
    // The crontab that is changed is that of the station's user.
    Common::is_ours(&config)?;
    if args.what.install {
        programs_are_there(&config)?;
    }
    let table = Table::find(&config).ok_or_else(|| {
        let why = "there is no program crontab; as root: `apt-get install cron`";
        Failure::new(Exit::NeedsPerson, "looking for cron").why(why)
    })?;
    let before = table.read()?;
    let after = edited(&before, &block, &config, args.what.install)?;
    if args.dry_run {
        app::print(&difference(&before, &after))?;
    } else if before == after {
        app::print("nothing to change\n")?;
    } else {
        table.write(&after)?;
        app::print(if args.what.install { "installed\n" } else { "removed\n" })?;
    }
    Ok(Exit::Well)
}

/// How the station's block stands in the user's crontab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Installed {
    /// As this version writes it.
    Yes,
    /// Not as this version writes it.
    Other,
    /// It is not there.
    No,
    /// Nobody can tell: why.
    Unclear(String),
}

/// Looks for the station's block in a crontab.
pub(crate) fn installed(crontab: &[u8], config: &Config) -> Installed {
    let home = config.paths.home.display().to_string();
    match (edit::take_apart(crontab, &home), block::text(config)) {
        (Err(why), _) | (_, Err(why)) => Installed::Unclear(why),
        (Ok(parts), Ok(block)) => match parts.block {
            Some(found) if found == block.as_bytes() => Installed::Yes,
            Some(_) => Installed::Other,
            None => Installed::No,
        },
    }
}

fn text(config: &Config) -> Result<String, Failure> {
    block::text(config)
        .map_err(|why| Failure::new(Exit::NeedsPerson, "making the lines for cron").why(why))
}

fn edited(before: &[u8], block: &str, config: &Config, install: bool) -> Result<Vec<u8>, Failure> {
    let home = config.paths.home.display().to_string();
    let parts = edit::take_apart(before, &home).map_err(|why| {
        let doing = "looking for the station's block in the crontab, which stays as it is";
        Failure::new(Exit::NeedsPerson, doing).why(format!("{why}; put it right by `crontab -e`"))
    })?;
    Ok(if install { parts.with(block) } else { parts.without() })
}

/// A line whose program is not there would have cron send a mail each minute.
fn programs_are_there(config: &Config) -> Result<(), Failure> {
    let bin = &config.paths.bin;
    let programs = block::programs().into_iter().filter(|name| !bin.join(name).exists());
    let missing: Vec<&str> = programs.collect();
    if missing.is_empty() {
        return Ok(());
    }
    let why = format!("there is no {}; install the whole suite first", missing.join(", no "));
    Err(Failure::new(Exit::NeedsPerson, format!("looking into {}", bin.display())).why(why))
}

/// What comes and what goes, line by line. The block is all that differs, so the lines before and after
/// those that differ are the same.
fn difference(before: &[u8], after: &[u8]) -> String {
    let lines = |text: &[u8]| -> Vec<String> {
        String::from_utf8_lossy(text).lines().map(str::to_owned).collect()
    };
    let (before, after) = (lines(before), lines(after));
    if before == after {
        return "nothing to change\n".to_owned();
    }
    let same = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
    let (old, new) = (&before[same..], &after[same..]);
    let below = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let going = old[..old.len() - below].iter().map(|line| format!("- {line}\n"));
    let coming = new[..new.len() - below].iter().map(|line| format!("+ {line}\n"));
    going.chain(coming).collect::<String>() + "nothing was changed\n"
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_difference_is_the_lines_that_differ() {
        let told = difference(b"a\nb\nc\n", b"a\nx\ny\nc\n");
        assert_eq!(told, "- b\n+ x\n+ y\nnothing was changed\n");
        assert_eq!(difference(b"a\n", b"a\n"), "nothing to change\n");
        assert_eq!(difference(b"a\na\n", b"a\n"), "- a\nnothing was changed\n");
    }

    #[test]
    fn a_block_is_there_or_is_another_or_is_not() {
        let mut config = Config::default_at(Path::new("/h"));
        config.paths.file = "/h/iepm.toml".into();
        let block = block::text(&config).expect("a block");
        assert_eq!(installed(block.as_bytes(), &config), Installed::Yes);
        let old = block.replace("*/10", "*/9");
        assert_eq!(installed(old.as_bytes(), &config), Installed::Other);
        assert_eq!(installed(b"# none\n", &config), Installed::No);
        let half = installed(b"# BEGIN iepm /h\n", &config);
        assert!(matches!(half, Installed::Unclear(_)), "{half:?}");
    }
}
