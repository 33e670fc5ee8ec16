//! The lines that cron is given for a station.

use std::path::Path;

use station::words::config::Config;

/// Above the block, and below it; the station's home tells its block from that of another.
const BEGIN: &str = "# BEGIN iepm ";
const END: &str = "# END iepm ";

/// What stands between the markers. `NAME` at the start of a command is a program of the suite.
const LINES: &str = "\
# Written by `iepm crontab --install`, which writes all anew between these two markers; `--remove` takes it away.
# No variable is set here, for it would hold for the lines below, too: programs are called by their whole paths,
# and mail goes where a MAILTO above says, or to the owner of this crontab. What is printed is mailed: on a good
# day nothing.

# Daemons that ended or hang, servers that do not run or do not answer, processes that hang.
@reboot keep-em-alive
* * * * * keep-em-alive
@reboot keep-servers-alive
* * * * * keep-servers-alive
* * * * * bw-cleanup

# About midnight all servers and daemons are started anew, logs change, and what is kept long enough goes.
# Where the clocks are set at midnight an hour is missing once a year, and another comes twice: so there are two
# lines an hour apart, of which the second finds the work done and does nothing.
17 0 * * * restart-all-servers --once-per-day
17 1 * * * restart-all-servers --once-per-day

# The readings of each hour and day in one row, which stays when they go.
37 * * * * iepm roll-up

# What is wrong with the station: a mail when that changes.
*/10 * * * * iepm doctor --alert
";

/// The first line of the block of the station in `home`, or of any station.
pub(super) fn begin(home: &str) -> String {
    format!("{BEGIN}{home}")
}

/// Its last line.
pub(super) fn end(home: &str) -> String {
    format!("{END}{home}")
}

/// The whole block of a station, markers included.
///
/// # Errors
/// A path has a character that cron, or a line, cannot carry.
pub(super) fn text(config: &Config) -> Result<String, String> {
    let home = plain(&config.paths.home)?;
    let bin = plain(&config.paths.bin)?;
    let mut place = format!("--home {}", quoted(&home));
    if config.paths.file != config.paths.home.join("iepm.toml") {
        let file = plain(&config.paths.file)?;
        place = format!("--config {} {place}", quoted(&file));
    }
    let mut block = begin(&home) + "\n";
    for line in LINES.lines() {
        block += &match command(line) {
            Some((times, program, arguments)) => {
                let program = quoted(&format!("{bin}/{program}"));
                [times, &program, &place, arguments].join(" ").trim_end().to_owned()
            }
            None => line.to_owned(),
        };
        block.push('\n');
    }
    Ok(block + &end(&home) + "\n")
}

/// The programs that the block calls, each once.
pub(super) fn programs() -> Vec<&'static str> {
    let mut programs: Vec<_> = LINES.lines().filter_map(command).map(|(_, name, _)| name).collect();
    programs.sort_unstable();
    programs.dedup();
    programs
}

/// The times, the program and the arguments of a line that is none of comment.
fn command(line: &str) -> Option<(&str, &str, &str)> {
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let fields = if line.starts_with('@') { 1 } else { 5 };
    let (end, _) = line.match_indices(' ').nth(fields - 1)?;
    let (times, command) = (&line[..end], &line[end + 1..]);
    let (program, arguments) = command.split_once(' ').unwrap_or((command, ""));
    Some((times, program, arguments))
}

/// A path as text. A percent sign ends a command of cron, a line's end ends it anyway.
fn plain(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let text = path.to_str().ok_or_else(|| format!("{shown} is no UTF-8"))?;
    match text.chars().find(|c| *c == '%' || c.is_control()) {
        Some(c) => {
            Err(format!("{shown} has a {c:?} in it, which cron takes for the end of a line"))
        }
        None => Ok(text.to_owned()),
    }
}

/// A word for the shell that cron calls.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@=".contains(c);
    if word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(home: &str) -> Result<String, String> {
        let mut config = Config::default_at(Path::new(home));
        config.paths.file = config.paths.home.join("iepm.toml");
        text(&config)
    }

    #[test]
    fn the_sample_crontab_is_the_block_of_the_usual_home() {
        let sample = include_str!("../../../../crontab.example");
        assert_eq!(of("/home/iepm").expect("a block"), sample);
        assert!(!sample.contains('%'));
    }

    #[test]
    fn each_line_calls_a_program_by_its_path_and_names_the_station() {
        let block = of("/srv/st").expect("a block");
        assert!(
            block.contains("\n* * * * * /srv/st/bin/keep-em-alive --home /srv/st\n"),
            "{block}"
        );
        let alert = "\n*/10 * * * * /srv/st/bin/iepm --home /srv/st doctor --alert\n";
        assert!(block.contains(alert), "{block}");
        assert_eq!(
            programs(),
            ["bw-cleanup", "iepm", "keep-em-alive", "keep-servers-alive", "restart-all-servers"]
        );
    }

    #[test]
    fn another_file_and_an_odd_home_are_named_so_that_the_shell_reads_them() {
        let mut config = Config::default_at(Path::new("/srv/my station's"));
        config.paths.file = "/etc/iepm.toml".into();
        let block = text(&config).expect("a block");
        let call = r"'/srv/my station'\''s/bin/bw-cleanup' --config /etc/iepm.toml --home '/srv/my station'\''s'";
        assert!(block.contains(&format!("* * * * * {call}\n")), "{block}");
        assert!(of("/srv/50%").expect_err("no").contains("'%'"));
        assert!(of("/srv/a\nb").is_err());
    }

    /// What runs once a day does so also on a day that lacks the hour after midnight, or has it twice.
    #[test]
    fn what_runs_once_a_day_is_given_two_hours_and_told_so() {
        let daily = LINES.lines().filter_map(command).filter_map(|(times, program, arguments)| {
            let mut fields = times.split(' ');
            let (minute, hour) = (fields.next()?, fields.next()?);
            Some((minute, hour.parse::<u32>().ok()?, program, arguments))
        });
        let daily: Vec<_> = daily.collect();
        let [first, second] = daily[..] else { panic!("{daily:?}") };
        assert_eq!((first.0, first.2, first.3), (second.0, second.2, second.3));
        assert_eq!(second.1, first.1 + 1, "no day lacks two hours in a row");
        assert_eq!(first.3, "--once-per-day");
    }
}
