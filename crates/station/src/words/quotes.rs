//! Words with quotes and backslashes, read as a shell would read them.

/// Characters that are read from left to right.
pub(super) struct Reader<'a> {
    pub(super) chars: &'a [char],
    pub(super) at: usize,
}

/// What is wrong with a word, and with which of the characters.
pub(super) struct Fault {
    pub(super) place: usize,
    pub(super) message: String,
}

impl Reader<'_> {
    pub(super) fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    /// Goes on if `wanted` comes next.
    pub(super) fn takes(&mut self, wanted: char) -> bool {
        let taken = self.peek(0) == Some(wanted);
        self.at += usize::from(taken);
        taken
    }

    /// The word that begins here. Of a word with faults the first is told: `$(x)` has one, not three.
    pub(super) fn word(&mut self) -> Result<String, Fault> {
        let start = self.at;
        let (mut word, mut fault) = (String::new(), None);
        while let Some(c) = self.peek(0).filter(|c| !is_end(*c)) {
            let place = self.at;
            self.at += 1;
            let read = match c {
                '\'' => self.single(&mut word),
                '"' => self.double(&mut word),
                '\\' => self.escaped(&mut word),
                _ => {
                    word.push(c);
                    bare(c, place == start).map_or(Ok(()), Err)
                }
            };
            fault = fault.or(read.err().map(|message| Fault { place, message }));
        }
        fault.map_or(Ok(word), Err)
    }

    fn single(&mut self, word: &mut String) -> Result<(), String> {
        loop {
            match self.next()? {
                None => return Err("this quote is not closed".to_owned()),
                Some('\'') => return Ok(()),
                Some(c) => word.push(c),
            }
        }
    }

    fn double(&mut self, word: &mut String) -> Result<(), String> {
        let mut fault = Ok(());
        loop {
            match self.next()? {
                None => return Err("this quote is not closed".to_owned()),
                Some('"') => return fault,
                Some(c @ ('$' | '`')) => {
                    fault = Err(format!("{}, also in double quotes", acted_on(&c.to_string())));
                }
                Some('\\') if matches!(self.peek(0), Some('$' | '`' | '"' | '\\')) => {
                    word.extend(self.next()?);
                }
                Some(c) => word.push(c),
            }
        }
    }

    fn escaped(&mut self, word: &mut String) -> Result<(), String> {
        let next = self.next()?;
        word.push(next.ok_or("nothing stands behind this backslash")?);
        Ok(())
    }

    /// The next character, which must be one that a command line can hold.
    fn next(&mut self) -> Result<Option<char>, String> {
        let next = self.peek(0);
        self.at += usize::from(next.is_some());
        match next.and_then(control_fault) {
            Some(fault) => Err(fault),
            None => Ok(next),
        }
    }
}

/// Whether a word ends before `c`.
fn is_end(c: char) -> bool {
    matches!(c, ' ' | '\t' | '<' | '>' | '&')
}

/// What is told of something that a shell would not take as it is.
pub(super) fn acted_on(what: &str) -> String {
    format!(
        "no shell reads this, and a shell would act on {what:?}; quote it in '...' if it is meant as it is"
    )
}

fn control_fault(c: char) -> Option<String> {
    (c.is_control() && c != '\t')
        .then(|| format!("the character {c:?} cannot be part of a command"))
}

/// Why a character cannot stand outside of quotes.
fn bare(c: char, first: bool) -> Option<String> {
    let acts = "|;$`*?[(){}".contains(c) || (first && matches!(c, '~' | '#'));
    if acts { Some(acted_on(&c.to_string())) } else { control_fault(c) }
}
