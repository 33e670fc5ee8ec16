//! Parameters as a shell would split them, without a shell: words, redirections, and a final `&`.
//!
//! Quotes and backslashes mean what `sh` takes them for. What a shell would *do* something about, a pipe,
//! a variable, a pattern, is a mistake with its place, unless it is quoted: whoever wrote it would wait
//! for it in vain. So is a `#` that begins a word, for a shell would leave out what follows.

use std::path::{Component, Path, PathBuf};

use crate::text::{Mistake, Span};

use super::quotes::{self, Reader, acted_on};

/// Where an output goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Output {
    /// Nothing was said of it.
    #[default]
    Log,
    /// To this file, absolute or below the directory of logs.
    File {
        /// The file.
        path: PathBuf,
        /// Whether what it holds stays (`>>`).
        append: bool,
    },
}

/// What parameters come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters {
    /// The words.
    pub words: Vec<String>,
    /// Where the standard output goes.
    pub stdout: Output,
    /// Where the standard error goes.
    pub stderr: Output,
}

/// Splits the characters of line number `line` from `start` on.
pub(super) fn split(chars: &[char], start: usize, line: usize) -> (Parameters, Vec<Mistake>) {
    let (parameters, mistakes) = (Parameters::default(), Vec::new());
    let reader = Reader { chars, at: start };
    let mut splitter = Splitter { reader, line, parameters, mistakes };
    while let Some(next) = splitter.reader.peek(0) {
        match next {
            ' ' | '\t' => splitter.reader.at += 1,
            '&' => splitter.ampersand(),
            _ => splitter.word_or_redirection(),
        }
    }
    (splitter.parameters, splitter.mistakes)
}

/// The words of a command without redirections.
///
/// # Errors
/// Says what a shell would act on, or that there are no words.
pub fn command(text: &str) -> Result<Vec<String>, String> {
    let chars: Vec<char> = text.chars().collect();
    let (Parameters { words, stdout, stderr }, mistakes) = split(&chars, 0, 1);
    if let Some(mistake) = mistakes.first() {
        Err(mistake.message.clone())
    } else if (stdout, stderr) != (Output::Log, Output::Log) {
        Err("nothing can be redirected here".to_owned())
    } else if words.is_empty() {
        Err("expected a command, found nothing".to_owned())
    } else {
        Ok(words)
    }
}

struct Splitter<'a> {
    reader: Reader<'a>,
    line: usize,
    parameters: Parameters,
    mistakes: Vec<Mistake>,
}

/// What a redirection is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    Out,
    Error,
    Both,
}

impl Splitter<'_> {
    /// A mistake that reaches from `start` to where we are.
    fn mistake(&mut self, start: usize, message: impl Into<String>) {
        let span = Span { line: self.line, column: start + 1, width: self.reader.at - start };
        self.mistakes.push(Mistake::new(span, message));
    }

    /// At the end it is what a server is started with anyway.
    fn ampersand(&mut self) {
        let start = self.reader.at;
        self.reader.at += 1;
        if self.reader.takes('>') {
            let append = self.reader.takes('>');
            self.redirect(start, Stream::Both, append);
        } else if self.reader.takes('&') {
            self.mistake(start, acted_on("&&"));
        } else if self.reader.chars[self.reader.at..].iter().any(|c| !matches!(c, ' ' | '\t')) {
            self.mistake(
                start,
                "'&' may stand at the end only; for the character itself: '&' in quotes",
            );
        }
    }

    fn word_or_redirection(&mut self) {
        let start = self.reader.at;
        let digits = self.reader.chars[start..].iter().take_while(|c| c.is_ascii_digit()).count();
        if let Some(arrow @ ('<' | '>')) = self.reader.peek(digits) {
            let number: String = self.reader.chars[start..start + digits].iter().collect();
            self.reader.at += digits + 1;
            if arrow == '<' { self.input(start, &number) } else { self.output(start, &number) }
        } else {
            let word = self.word();
            self.parameters.words.extend(word);
        }
    }

    /// A server has no other input than none.
    fn input(&mut self, start: usize, number: &str) {
        let only = "the input of a server is /dev/null; no other can be given";
        if matches!(self.reader.peek(0), Some('<' | '>' | '&' | '(')) || !matches!(number, "" | "0")
        {
            self.reader.at += 1;
            self.mistake(start, only);
            return;
        }
        if self.target(start).is_some_and(|target| target != "/dev/null") {
            self.mistake(start, only);
        }
    }

    fn output(&mut self, start: usize, number: &str) {
        let stream = match number {
            "" | "1" => Stream::Out,
            "2" => Stream::Error,
            _ => return self.mistake(start, "only the outputs 1 and 2 can be redirected"),
        };
        if self.reader.takes('&') {
            self.follow(start, stream, number);
        } else {
            let append = self.reader.takes('>');
            self.redirect(start, stream, append);
        }
    }

    /// `2>&1`, `>&2`, and `>& FILE`, which is `&> FILE`.
    fn follow(&mut self, start: usize, stream: Stream, number: &str) {
        match self.reader.peek(0) {
            Some('1') if self.ends_after_digit() => self.copy(stream, Stream::Out),
            Some('2') if self.ends_after_digit() => self.copy(stream, Stream::Error),
            _ if number.is_empty() => self.redirect(start, Stream::Both, false),
            _ => {
                self.reader.at = (self.reader.at + 1).min(self.reader.chars.len());
                self.mistake(start, "behind '>&' stands 1 or 2, the output that this one follows");
            }
        }
    }

    fn ends_after_digit(&self) -> bool {
        matches!(self.reader.peek(1), None | Some(' ' | '\t' | '<' | '>' | '&'))
    }

    fn copy(&mut self, stream: Stream, from: Stream) {
        self.reader.at += 1;
        let Parameters { stdout, stderr, .. } = &self.parameters;
        let output = if from == Stream::Out { stdout.clone() } else { stderr.clone() };
        self.set(stream, &output);
    }

    fn set(&mut self, stream: Stream, output: &Output) {
        if stream != Stream::Error {
            self.parameters.stdout = output.clone();
        }
        if stream != Stream::Out {
            self.parameters.stderr = output.clone();
        }
    }

    fn redirect(&mut self, start: usize, stream: Stream, append: bool) {
        let Some(target) = self.target(start) else { return };
        match target_fault(&target) {
            Some(fault) => self.mistake(start, fault),
            None => self.set(stream, &Output::File { path: PathBuf::from(target), append }),
        }
    }

    /// The word behind a redirection.
    fn target(&mut self, start: usize) -> Option<String> {
        while matches!(self.reader.peek(0), Some(' ' | '\t')) {
            self.reader.at += 1;
        }
        if matches!(self.reader.peek(0), None | Some('<' | '>' | '&')) {
            self.mistake(start, "expected a file behind the redirection");
            return None;
        }
        self.word()
    }

    /// A word; nothing if it has a fault, which is told.
    fn word(&mut self) -> Option<String> {
        let read = self.reader.word();
        let told = |fault: quotes::Fault| {
            let span = Span { line: self.line, column: fault.place + 1, width: 1 };
            self.mistakes.push(Mistake::new(span, fault.message));
        };
        read.map_err(told).ok()
    }
}

fn target_fault(target: &str) -> Option<String> {
    let climbs = Path::new(target).components().any(|part| part == Component::ParentDir);
    if target.is_empty() || target.ends_with('/') {
        Some("expected a file behind the redirection".to_owned())
    } else {
        climbs.then(|| format!("the path of an output holds no \"..\": \"{target}\""))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> (Parameters, Vec<Mistake>) {
        split(&text.chars().collect::<Vec<_>>(), 0, 1)
    }

    fn right(text: &str) -> Parameters {
        let (parameters, mistakes) = read(text);
        assert_eq!(mistakes, [], "{text}");
        parameters
    }

    fn words(text: &str) -> Vec<String> {
        right(text).words
    }

    fn told(text: &str) -> Vec<(usize, usize, String)> {
        let tell = |m: Mistake| (m.span.column, m.span.width, m.message);
        read(text).1.into_iter().map(tell).collect()
    }

    fn file(path: &str, append: bool) -> Output {
        Output::File { path: path.into(), append }
    }

    #[test]
    fn quotes_mean_what_a_shell_takes_them_for() {
        assert_eq!(words(" -s  -p\t5000 "), ["-s", "-p", "5000"]);
        assert_eq!(words(r#"'a b' "c  d"e\ f '' "\"\\\x""#), ["a b", "c  de f", "", "\"\\\\x"]);
        assert_eq!(
            words(r"'$HOME|;&<>*?[]{}()~#`' a#b a~b \$x"),
            ["$HOME|;&<>*?[]{}()~#`", "a#b", "a~b", "$x"]
        );
        assert_eq!(words(r#""a;b" "\$HOME" "x y"'z'"#), ["a;b", "$HOME", "x yz"]);
        assert_eq!(words(""), Vec::<String>::new());
    }

    #[test]
    fn outputs_are_redirected_one_after_the_other() {
        let outputs = |text| {
            let Parameters { stdout, stderr, .. } = right(text);
            (stdout, stderr)
        };
        let (f, log) = (|| file("/tmp/f", false), || Output::Log);
        assert_eq!(outputs(">/tmp/f"), (f(), log()));
        assert_eq!(outputs("1> /tmp/f 2>/tmp/f"), (f(), f()));
        assert_eq!(outputs(">>/tmp/f 2>&1"), (file("/tmp/f", true), file("/tmp/f", true)));
        assert_eq!(outputs("2>&1 >/tmp/f"), (f(), log()));
        assert_eq!(outputs("2>>/tmp/f"), (log(), file("/tmp/f", true)));
        for both in
            [">& /tmp/f &", "&>/tmp/f", ">&/tmp/f", "2>/tmp/f >&2", "'2' &> /tmp/f </dev/null"]
        {
            assert_eq!(outputs(both), (f(), f()), "{both}");
        }
        assert_eq!(outputs("&>>a.log"), (file("a.log", true), file("a.log", true)));
        // A number that belongs to a word is none of a redirection.
        assert_eq!(right("-x2>/tmp/f").words, ["-x2"]);
        assert_eq!(right("-x 2>/tmp/f").words, ["-x"]);
        assert_eq!(right("a>'/tmp/x y'b").stdout, file("/tmp/x yb", false));
    }

    #[test]
    fn what_a_shell_would_act_on_is_told_with_its_place() {
        for (text, column) in [
            ("-a | tee", 4),
            ("a; b", 2),
            ("-d $HOME", 4),
            ("x`id`", 2),
            ("*.c", 1),
            ("a?", 2),
            ("[a]", 1),
            ("~/x", 1),
            ("-a #b", 4),
            ("{a,b}", 1),
            ("$(id)", 1),
            (r#"-x "a$b""#, 4),
            ("a\u{7}", 2),
            ("'a", 1),
            ("b \"a", 3),
            ("a\\", 2),
        ] {
            let told = told(text);
            assert_eq!(told.len(), 1, "{text}: {told:?}");
            assert_eq!((told[0].0, told[0].1), (column, 1), "{text}: {told:?}");
        }
        for (text, column, width) in [
            ("a && b", 3, 2),
            ("a & b", 3, 1),
            ("& &", 1, 1),
            (">", 1, 1),
            ("a >&", 3, 2),
            ("a 2>&x", 3, 4),
            ("3>/tmp/f", 1, 2),
            ("</etc/passwd", 1, 12),
            ("<<EOF", 1, 2),
            ("<(id)", 1, 2),
            (">../f", 1, 5),
            ("> f/", 1, 4),
            ("2>>", 1, 3),
        ] {
            let told = told(text);
            assert!(!told.is_empty(), "{text}");
            assert_eq!((told[0].0, told[0].1), (column, width), "{text}: {told:?}");
        }
        assert_eq!(told("a|b $c").len(), 2, "each word has its own");
    }

    #[test]
    fn a_command_has_words_and_no_redirections() {
        assert_eq!(command("check 'a b'"), Ok(vec!["check".to_owned(), "a b".to_owned()]));
        for wrong in ["", "a >f", "a | b", "'a"] {
            assert!(command(wrong).is_err(), "{wrong}");
        }
    }

    /// The words that `sh` makes of `text`, each behind a NUL.
    fn shells(text: &str) -> Option<Vec<String>> {
        let script = format!("printf '%s\\0' {text}");
        #[expect(
            clippy::disallowed_methods,
            reason = "a room without processes asks a shell in tests"
        )]
        let mut shell = std::process::Command::new("sh");
        let said = shell.args(["-c", &script]).stdin(Stdio::null()).output().ok()?;
        let said = String::from_utf8(said.stdout).ok()?;
        Some(said.split_terminator('\0').map(str::to_owned).collect())
    }

    #[test]
    fn a_real_shell_splits_alike() {
        for text in [
            "-s -p 5000 -w 20M",
            r#"a 'b c' "d e" f\ g"#,
            r#"'' "" a''b"#,
            r#""\"" "\\" "\a" '\a' \a"#,
            r"'$x' \$x \\ a=b ! ^ % , : @ + ] a#b a~b",
            r#""a'b" 'a"b' 'x'"y"\z"#,
            "é 'ü ß' \"…\"",
        ] {
            assert_eq!(Some(words(text)), shells(text), "{text}");
        }
    }

    fn quoted(word: &str, manner: u8) -> String {
        let in_double =
            |c: char| if "$`\"\\".contains(c) { format!("\\{c}") } else { c.to_string() };
        match manner % 3 {
            0 => format!("'{}'", word.replace('\'', r"'\''")),
            1 => format!("\"{}\"", word.chars().map(in_double).collect::<String>()),
            _ if word.is_empty() => "''".to_owned(),
            _ => word.chars().flat_map(|c| ['\\', c]).collect(),
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in any::<String>()) {
            let (_, mistakes) = read(&text);
            for mistake in mistakes {
                prop_assert!(mistake.span.column <= text.chars().count() + 1);
            }
        }

        #[test]
        fn a_shells_characters_in_any_order_do_not_either(text in r#"[ab12 '"\\<>&|;$#~-]{0,16}"#) {
            let _ = read(&text);
        }

        #[test]
        fn quoted_words_come_back(list in proptest::collection::vec(("[^\\p{Cc}]{0,8}", any::<u8>()), 0..6)) {
            let text: Vec<String> = list.iter().map(|(word, manner)| quoted(word, *manner)).collect();
            let (parameters, mistakes) = read(&text.join(" "));
            prop_assert_eq!(mistakes, vec![]);
            prop_assert_eq!(parameters.words, list.into_iter().map(|(word, _)| word).collect::<Vec<_>>());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn what_is_right_is_what_a_shell_reads(text in r#"[ab12 '"\\,=%-]{0,14}"#) {
            let (parameters, mistakes) = read(&text);
            // `printf` without an argument prints one empty one.
            if mistakes.is_empty() && !parameters.words.is_empty() {
                prop_assert_eq!(Some(parameters.words), shells(&text));
            }
        }
    }
}
