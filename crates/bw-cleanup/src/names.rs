//! What a process is called: its program's path, the name that it was started by, and the script that it
//! runs if its program is an interpreter.
//!
//! Nothing else of a command line is a name. `vi gnuplot.txt`, `tail -f gnuplot.log`, `ssh host gnuplot`
//! and `sh -c 'gnuplot x'` are not called gnuplot, and the kernel's own name of a process, which ends
//! after 15 characters, is not asked for.

use std::{os::unix::ffi::OsStrExt, path::Path};

use station::{words::cleanup::Entry, world::processes::words};

/// How an interpreter's command line tells the script that it runs.
struct Language {
    /// The interpreters, without the version that may follow.
    programs: &'static [&'static str],
    /// Letters of options that leave no script: code or a module follows, or it reads its input.
    none: &'static str,
    /// Letters of options whose value follows, in the same word or the next.
    value: &'static str,
    /// Letters of options whose value, if any, ends the same word.
    attached: &'static str,
    /// Letters of options whose value is the script.
    script: &'static str,
    /// Whole options whose value is the next word.
    long: &'static [&'static str],
    /// Whether the first word that is no option is the script.
    first_word: bool,
}

const NOTHING: Language = Language {
    programs: &[],
    none: "",
    value: "",
    attached: "",
    script: "",
    long: &[],
    first_word: true,
};

/// The interpreters that are known; any other program is called only by its own name.
const LANGUAGES: [Language; 7] = [
    Language {
        programs: &["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"],
        none: "cs",
        value: "oO",
        long: &["--rcfile", "--init-file"],
        ..NOTHING
    },
    Language { programs: &["perl"], none: "eE", value: "I", attached: "MmixFDCV:", ..NOTHING },
    Language {
        programs: &["python", "pypy"],
        none: "cm",
        value: "WXQ",
        long: &["--check-hash-based-pycs"],
        ..NOTHING
    },
    Language { programs: &["ruby"], none: "e", value: "ICEr", attached: "xiFKTW0", ..NOTHING },
    Language { programs: &["tclsh", "wish"], long: &["-encoding"], ..NOTHING },
    Language { programs: &["expect"], value: "cD", script: "f", ..NOTHING },
    Language {
        programs: &["awk", "gawk", "mawk", "original-awk"],
        none: "e",
        value: "vFil",
        script: "f",
        first_word: false,
        ..NOTHING
    },
];

/// All that a process may be called by, as paths or bare names.
pub(crate) fn of<'a>(
    program: Option<&'a Path>,
    arguments: &'a [u8],
) -> impl Iterator<Item = &'a [u8]> {
    let program = program.map(|path| path.as_os_str().as_bytes());
    // A process that shows a title in place of its arguments is not called by the last word of that.
    let first = words(arguments).next().filter(|word| !word.contains(&b' '));
    let script =
        program.or(first).and_then(language).and_then(|language| script(language, arguments));
    [program, first, script].into_iter().flatten().filter(|name| !name.is_empty())
}

/// The entry that decides about a process, the strictest of those that name it, and the name.
pub(crate) fn entry<'list, 'name>(
    list: &'list [Entry],
    program: Option<&'name Path>,
    arguments: &'name [u8],
) -> Option<(&'list Entry, &'name [u8])> {
    let named = of(program, arguments).flat_map(|name| {
        list.iter().filter(move |entry| entry.names(name)).map(move |entry| (entry, name))
    });
    named.min_by_key(|(entry, _)| entry.age)
}

/// The language whose interpreter the program is.
fn language(program: &[u8]) -> Option<&'static Language> {
    let name = base(program);
    let version = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    let bare = &name[..name.len() - name.iter().rev().take_while(|byte| version(byte)).count()];
    let is = |known: &&str| known.as_bytes() == bare || known.as_bytes() == name;
    LANGUAGES.iter().find(|language| language.programs.iter().any(is))
}

fn base(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// The script that an interpreter with these arguments runs.
fn script<'a>(language: &Language, arguments: &'a [u8]) -> Option<&'a [u8]> {
    let mut rest = words(arguments).skip(1);
    while let Some(word) = rest.next() {
        match word {
            b"--" => return rest.next().filter(|_| language.first_word),
            b"-" => return None,
            [b'-' | b'+', letters @ ..] if !letters.is_empty() => match option(language, letters) {
                _ if language.long.iter().any(|long| long.as_bytes() == word) => _ = rest.next(),
                Then::Goes => {}
                Then::TakesNext => _ = rest.next(),
                Then::NoScript => return None,
                Then::IsScript(b"") => return rest.next(),
                Then::IsScript(value) => return Some(value),
            },
            word => return Some(word).filter(|_| language.first_word),
        }
    }
    None
}

/// What follows an option.
enum Then<'a> {
    /// The next option, or the script.
    Goes,
    /// Its value.
    TakesNext,
    /// No script.
    NoScript,
    /// The script: this, or if this is empty the next word.
    IsScript(&'a [u8]),
}

/// Letters of options that share a word; a long option is one that takes nothing.
fn option<'a>(language: &Language, letters: &'a [u8]) -> Then<'a> {
    if letters.starts_with(b"-") {
        return Then::Goes;
    }
    for (index, letter) in letters.iter().enumerate() {
        let (is, rest) = (|set: &str| set.as_bytes().contains(letter), &letters[index + 1..]);
        if is(language.none) {
            return Then::NoScript;
        } else if is(language.script) {
            return Then::IsScript(rest);
        } else if is(language.value) {
            return if rest.is_empty() { Then::TakesNext } else { Then::Goes };
        } else if is(language.attached) {
            return Then::Goes;
        }
    }
    Then::Goes
}

#[cfg(test)]
mod tests {
    use station::words::cleanup;

    use super::*;

    /// What a process with this program and these words is called.
    fn called(program: &str, command: &[&str]) -> Vec<String> {
        let arguments = command.join("\0") + "\0";
        let program = Some(program).filter(|program| !program.is_empty()).map(Path::new);
        let names = of(program, arguments.as_bytes());
        names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    }

    fn script_of(command: &[&str]) -> Option<String> {
        called(&format!("/usr/bin/{}", command[0]), command).into_iter().nth(2)
    }

    #[test]
    fn a_script_is_the_first_word_that_is_no_option() {
        for (command, script) in [
            ("sh post-test", "post-test"),
            ("dash -eu /x/post-test gnuplot", "/x/post-test"),
            ("bash --norc --rcfile x -O extglob -o pipefail +x -- post-test", "post-test"),
            ("perl -w -I lib -Mstrict -CSDA asn.pl whois", "asn.pl"),
            ("perl5.36.0 /x/asn.pl", "/x/asn.pl"),
            ("python3.11 -u -W ignore -Xdev asn.py", "asn.py"),
            ("ruby3.1 -W0 -rjson -I lib run.rb", "run.rb"),
            ("tclsh8.6 -encoding utf-8 runperiod", "runperiod"),
            ("wish triganal", "triganal"),
            ("expect -d -f runperiod x", "runperiod"),
            ("expect -c x runperiod", "runperiod"),
            ("gawk -v a=b -f runperiod x", "runperiod"),
            ("awk -frunperiod x", "runperiod"),
        ] {
            let words: Vec<&str> = command.split(' ').collect();
            assert_eq!(script_of(&words).as_deref(), Some(script), "{command}");
        }
    }

    #[test]
    fn code_modules_data_and_arguments_are_no_scripts() {
        for command in [
            "sh -c gnuplot",
            "bash -ec gnuplot x",
            "bash -s gnuplot",
            "bash",
            "sh -o errexit",
            "perl -e gnuplot",
            "perl -lane gnuplot x",
            "perl -pi.bak -e gnuplot",
            "perl - gnuplot",
            "python3 -m gnuplot",
            "python3 -Ic gnuplot",
            "ruby -e gnuplot",
            "awk gnuplot x",
            "awk -- gnuplot",
            "gawk -e gnuplot x",
            "expect -c gnuplot",
        ] {
            let words: Vec<&str> = command.split(' ').collect();
            assert_eq!(script_of(&words), None, "{command}");
        }
    }

    #[test]
    fn other_programs_are_called_by_their_own_name_only() {
        assert_eq!(called("/usr/bin/vi", &["vi", "gnuplot"]), ["/usr/bin/vi", "vi"]);
        assert_eq!(called("/usr/bin/env", &["env", "gnuplot"]), ["/usr/bin/env", "env"]);
        assert_eq!(called("", &["ping", "gnuplot"]), ["ping"]);
        // busybox, and whoever else is many programs in one.
        assert_eq!(called("/bin/busybox", &["/bin/ping", "x"]), ["/bin/busybox", "/bin/ping"]);
        assert_eq!(called("/usr/bin/x", &["x: at work on /home/gnuplot"]), ["/usr/bin/x"]);
        assert!(called("", &[""]).is_empty() && of(None, b"").next().is_none());
    }

    #[test]
    fn the_strictest_entry_decides() {
        let (list, _) = cleanup::parse("ping,9 /bin/ping,3 /usr/bin/ping,5 gnuplot,1");
        let arguments = b"ping\0-c\x001\0gnuplot\0";
        let (entry, name) =
            entry(&list, Some(Path::new("/usr/bin/ping")), arguments).expect("named");
        assert_eq!((entry.to_string(), name), ("/bin/ping,3".to_owned(), &b"/usr/bin/ping"[..]));
    }
}
