//! How an alert reaches a person: by the command of the configuration, or by mail.

use std::{env, path::PathBuf, time::Duration};

use station::{
    app,
    words::config::Config,
    world::{
        errand::{self, Errand},
        process,
    },
};

/// A command that takes longer is ended.
const LIMIT: Duration = Duration::from_secs(10);

/// How an alert is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    /// Nobody wants to be told.
    Off,
    /// By these words.
    Command(Vec<String>),
    /// On the standard output, which cron mails.
    Print,
}

fn way(command: Option<&[String]>, mail: Option<PathBuf>, user: &str) -> Way {
    match (command, mail) {
        (Some([]), _) => Way::Off,
        (Some(words), _) => Way::Command(words.to_vec()),
        (None, Some(_)) => {
            Way::Command(["mail", "-s", "%subject", user].map(str::to_owned).to_vec())
        }
        (None, None) => Way::Print,
    }
}

/// Sends an alert, if anybody wants to have it.
///
/// # Errors
/// Why it could not be sent.
pub(super) fn send(config: &Config, subject: &str, text: &str) -> Result<(), String> {
    let mail = process::find("mail", &config.paths.bin);
    match way(config.alert.as_deref(), mail, &user()) {
        Way::Off => Ok(()),
        Way::Print => {
            app::print(&format!("{subject}\n\n{text}")).map_err(|failure| failure.to_string())
        }
        Way::Command(words) => call(&words, config, subject, text),
    }
}

fn call(words: &[String], config: &Config, subject: &str, text: &str) -> Result<(), String> {
    let words: Vec<String> = words.iter().map(|word| word.replace("%subject", subject)).collect();
    let (name, arguments) = words.split_first().ok_or("there is no command")?;
    let program = missing(name, config)?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let errand = Errand {
        program: &program,
        arguments: &arguments,
        variables: &[],
        input: text.as_bytes(),
        limit: LIMIT,
    };
    let done = errand::run(&errand).map_err(|error| format!("{name}: {error}"))?;
    match done.status {
        Some(0) => Ok(()),
        Some(status) => Err(format!("{name}: it ended with status {status}: {}", done.complaint)),
        None => Err(format!("{name}: it was killed by a signal")),
    }
}

fn missing(name: &str, config: &Config) -> Result<PathBuf, String> {
    let program =
        process::find(name, &config.paths.bin).filter(|path| process::is_executable(path));
    program.ok_or_else(|| format!("{name} is not installed"))
}

/// Why alerts cannot be sent, if they cannot.
pub(super) fn fault(config: &Config) -> Option<String> {
    let name = config.alert.as_ref()?.first()?;
    missing(name, config).err()
}

/// The name of the station's user, which cron tells.
fn user() -> String {
    let name = env::var("LOGNAME").or_else(|_| env::var("USER"));
    name.unwrap_or_else(|_| "root".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_is_the_default_where_it_is_installed() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let mail = || Some(PathBuf::from("/usr/bin/mail"));
        assert_eq!(way(None, mail(), "ann"), Way::Command(words("mail -s %subject ann")));
        assert_eq!(way(None, None, "ann"), Way::Print);
        assert_eq!(way(Some(&[]), mail(), "ann"), Way::Off);
        assert_eq!(way(Some(&words("page ann")), None, "ann"), Way::Command(words("page ann")));
    }
}
