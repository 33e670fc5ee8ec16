//! The JSON documents that programs of the suite print by `--json`. Each has its version at the key of its program's
//! name, and the page of that program in `docs/` tells the other keys.

use serde::de::DeserializeOwned;

use crate::{Output, Unreadable, problem, text::quote};

/// A document of one of the programs.
pub(crate) trait Document: DeserializeOwned {
    /// The program's tool.
    const TOOL: &'static str;
    /// The newest version of the form that is understood.
    const NEWEST: u32 = 1;

    /// The version that it is of.
    fn version(&self) -> u32;
}

/// Whether the output is a document, or several.
pub(crate) fn is_it(stdout: &[u8]) -> bool {
    stdout.trim_ascii_start().starts_with(b"{")
}

/// The document that the output is; nothing where its program was ended while it wrote it.
///
/// # Errors
/// It is no such document, not whole though its program ended by itself, or of a newer version.
pub(crate) fn read<D: Document>(output: &Output<'_>) -> Result<Option<D>, Unreadable> {
    judged(output, serde_json::from_slice(output.stdout))
}

/// The documents of the output one by one, each as [`read`] gives it.
pub(crate) fn each<D: Document>(
    output: &Output<'_>,
) -> impl Iterator<Item = Result<Option<D>, Unreadable>> {
    let all = serde_json::Deserializer::from_slice(output.stdout).into_iter::<D>();
    all.map(|one| judged(output, one))
}

fn judged<D: Document>(
    output: &Output<'_>,
    read: serde_json::Result<D>,
) -> Result<Option<D>, Unreadable> {
    match read {
        Ok(document) if document.version() > D::NEWEST => {
            let (tool, newest, found) = (D::TOOL, D::NEWEST, document.version());
            let reason =
                format!("expected version {newest} of {tool}'s JSON at most, found {found}");
            Err(Unreadable { reason, line: None })
        }
        Ok(document) => Ok(Some(document)),
        Err(broken) if broken.is_eof() && problem::from_outside(output.end).is_some() => Ok(None),
        Err(broken) => {
            let reason = format!("this is no whole document of {}'s JSON: {broken}", D::TOOL);
            Err(Unreadable { reason: quote(&reason), line: Some(broken.line()) })
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::End;

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    struct Small {
        small: u32,
    }

    impl Document for Small {
        const TOOL: &'static str = "small";

        fn version(&self) -> u32 {
            self.small
        }
    }

    fn output(stdout: &str, end: End) -> Output<'_> {
        Output { stdout: stdout.as_bytes(), stderr: b"", end }
    }

    fn all(stdout: &str, end: End) -> Vec<Result<Option<Small>, String>> {
        each(&output(stdout, end)).map(|it| it.map_err(|wrong| wrong.reason)).collect()
    }

    #[test]
    fn half_a_document_is_none_only_of_a_program_that_was_ended() {
        let half = |end| read::<Small>(&output("{\"small\":", end));
        assert_eq!(half(End::TimedOut), Ok(None));
        assert_eq!(half(End::Signalled(9)), Ok(None));
        let wrong = half(End::Exited(0)).expect_err("it ended by itself");
        assert!(wrong.reason.starts_with("this is no whole document of small's JSON: EOF"));
        assert!(read::<Small>(&output("{\"small\":\"x\"}", End::TimedOut)).is_err(), "not cut off");
    }

    #[test]
    fn documents_come_one_by_one_and_a_newer_one_is_not_understood() {
        let found = all("{\"small\":1}\n{\"small\":2}\n", End::Exited(0));
        let newer = "expected version 1 of small's JSON at most, found 2".to_owned();
        assert_eq!(found, [Ok(Some(Small { small: 1 })), Err(newer)]);
        assert_eq!(
            all("{\"small\":1}\n{\"sm", End::TimedOut),
            [Ok(Some(Small { small: 1 })), Ok(None)]
        );
        assert!(is_it(b" \n{") && !is_it(b"ping"));
    }
}
