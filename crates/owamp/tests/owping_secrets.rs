//! What `owping` says of a file of passphrases that it cannot use: where, and never what stands there.
#![expect(clippy::disallowed_methods, reason = "a real program is started and waited for")]

use std::{fs, path::Path, process::Command};

const OWPING: &str = env!("CARGO_BIN_EXE_owping");

/// All that it prints with this file, in one form.
fn said(file: &Path, form: &[&str]) -> String {
    let mut command = Command::new(OWPING);
    command.args(form).args(["-u", "iepm", "-k"]).arg(file).arg("127.0.0.1");
    let output = command.output().expect("run");
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8")
}

#[test]
fn mistakes_of_the_file_of_passphrases_are_told_by_their_places_and_no_passphrase() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys");
    fs::write(&file, "iepm 5ec0ca9a51\nann 5ec0ca9a5\nbob 5ec0ca9a52 5ec0ca9a53\n").expect("ours");
    for form in [&[][..], &["--json"]] {
        let said = said(&file, form);
        for place in ["keys:2:5: ", "keys:3:1: "] {
            assert!(said.contains(place), "{place}: {said}");
        }
        assert!(!said.contains("5ec") && !said.contains("ca9a"), "{said}");
    }
}
