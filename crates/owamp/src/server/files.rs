//! The configuration directory, whole: what is not there is as built in; what is wrong is told, all of it.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

use station::{
    app::{Exit, Failure},
    text::{Mistake, cite_all},
};

use super::{
    classes::{self, Classes},
    secrets::{self, Secrets},
    settings::{self, Settings},
};

/// Where the files are looked for if nobody says.
pub(super) const USUAL: &str = "/etc/owamp-server";

/// What the directory says.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) settings: Settings,
    pub(super) classes: Classes,
    pub(super) secrets: Secrets,
}

/// Reads the directory.
///
/// # Errors
/// A file cannot be read, or has mistakes.
pub(super) fn load(folder: &Path) -> Result<Files, Failure> {
    let mut reader = Reader { folder, missing: Vec::new(), cited: Vec::new() };
    let mut files = Files::default();
    if let Some(text) = reader.text("owamp-server.conf")? {
        let (settings, mistakes, unused) = settings::parse(&text);
        reader.cite("owamp-server.conf", &text, &mistakes);
        files.settings = settings;
        if !unused.is_empty() {
            log::info!("settings without a meaning here: {}", unused.join(", "));
        }
    }
    if let Some(text) = reader.text("owamp-server.pfs")? {
        reader.secret("owamp-server.pfs")?;
        let (secrets, mistakes) = secrets::parse(&text);
        // The lines hold secrets: places are told, lines are not.
        for Mistake { span, message } in mistakes {
            let place = folder.join("owamp-server.pfs");
            reader.cited.push(format!(
                "{}:{}:{}: {message}",
                place.display(),
                span.line,
                span.column
            ));
        }
        files.secrets = secrets;
    }
    if let Some(text) = reader.text("owamp-server.limits")? {
        let (classes, mistakes) = classes::parse(&text, &files.secrets);
        reader.cite("owamp-server.limits", &text, &mistakes);
        files.classes = classes;
    }
    reader.end().map(|()| files)
}

struct Reader<'a> {
    folder: &'a Path,
    missing: Vec<&'static str>,
    cited: Vec<String>,
}

impl Reader<'_> {
    fn text(&mut self, name: &'static str) -> Result<Option<String>, Failure> {
        let path = self.folder.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.missing.push(name);
                Ok(None)
            }
            Err(error) => {
                Err(Failure::new(Exit::Config, format!("reading {}", path.display()))
                    .because(error))
            }
        }
    }

    fn cite(&mut self, name: &str, text: &str, mistakes: &[Mistake]) {
        if !mistakes.is_empty() {
            self.cited.push(cite_all(
                &self.folder.join(name).display().to_string(),
                text,
                mistakes,
            ));
        }
    }

    /// Passphrases are nobody else's.
    fn secret(&self, name: &str) -> Result<(), Failure> {
        let path = self.folder.join(name);
        let doing = format!("reading {}", path.display());
        let file = fs::metadata(&path)
            .map_err(|error| Failure::new(Exit::Config, &doing).because(error))?;
        if file.permissions().mode() & 0o027 == 0 {
            return Ok(());
        }
        let why = "others may read it, or its group may write it: chmod 0640 it, or 0600";
        Err(Failure::new(Exit::Config, doing).why(why))
    }

    fn end(self) -> Result<(), Failure> {
        if !self.missing.is_empty() {
            log::info!(
                "{} has no {}: there, what is built in holds",
                self.folder.display(),
                self.missing.join(", no ")
            );
        }
        if self.cited.is_empty() {
            return Ok(());
        }
        let doing = format!("reading the files of {}", self.folder.display());
        Err(Failure::new(Exit::Config, doing).why(format_args!("\n{}", self.cited.join("\n"))))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_read_or_has_mistakes_that_stand_in_it(
            words in prop::collection::vec("limit|assign|with|net|user|default|parent|disk|=|,|\\\\\n|\n|#|1k|a|b|10.0.0.0/8|port|authmode|\\PC{0,9}", 0..40),
        ) {
            let text = words.join(" ");
            let (secrets, of_secrets) = secrets::parse(&text);
            let (_, of_classes) = classes::parse(&text, &secrets);
            let (_, of_settings, _) = settings::parse(&text);
            for mistake in [of_secrets, of_classes, of_settings].concat() {
                prop_assert!(mistake.span.line <= text.lines().count(), "{mistake:?}");
                prop_assert!(!mistake.cite("file", &text).is_empty());
            }
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_as_built_in() {
        let files = load(Path::new("/afs/no/such/directory")).expect("built in");
        assert_eq!(files.settings, Settings::default());
        assert_eq!(files.classes, Classes::default());
    }

    #[test]
    fn mistakes_of_all_files_are_told_at_once_and_no_passphrase() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str, mode| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("ours");
        };
        write("owamp-server.conf", "port 0\nnosuch x\n", 0o644);
        write("owamp-server.limits", "allow all\n", 0o644);
        write("owamp-server.pfs", "iepm 5ecre7\nann 5ec\n", 0o600);
        let told = load(folder.path()).expect_err("wrong").to_string();
        for part in ["conf:1:6: ", "conf:2:1: ", "limits:1:1: ", "pfs:1:6: ", "pfs:2:5: "] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(!told.contains("5ec"), "{told}");
        write("owamp-server.pfs", "iepm 00\n", 0o644);
        let told = load(folder.path()).expect_err("open to all").to_string();
        assert!(told.contains("chmod"), "{told}");
    }
}
