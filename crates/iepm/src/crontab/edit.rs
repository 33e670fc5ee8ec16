//! A crontab with the block of one station in it, and what is done with it: from bytes to bytes.
//!
//! Whatever is not between the markers is somebody else's, and stays byte for byte.

use super::block;

/// A crontab taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    before: &'a [u8],
    /// Markers included.
    pub(super) block: Option<&'a [u8]>,
    after: &'a [u8],
}

/// A line that begins or ends the block of a station.
#[derive(Debug, Clone, Copy)]
struct Marker {
    kind: Kind,
    /// The number of the line.
    number: usize,
    /// Where the line begins and ends, bytes.
    from: usize,
    to: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Begin,
    End,
    /// Of another station.
    Other,
}

/// Takes a crontab apart at the markers of the station in `home`.
///
/// # Errors
/// The markers are not one begin and one end: says which line is too many, or has no other.
pub(super) fn take_apart<'a>(crontab: &'a [u8], home: &str) -> Result<Parts<'a>, String> {
    let all = markers(crontab, home);
    let own: Vec<Marker> =
        all.iter().filter(|marker| marker.kind != Kind::Other).copied().collect();
    let (begin, end) = (block::begin(home), block::end(home));
    let twice = |number: usize, first: usize| {
        format!("line {number}, \"{begin}\", stands on line {first} already")
    };
    let alone = |number: usize| format!("line {number}, \"{end}\", has no \"{begin}\" above it");
    let (first, last) = match own[..] {
        [] => return Ok(Parts { before: crontab, block: None, after: &[] }),
        [Marker { kind: Kind::End, number, .. }, ..] => return Err(alone(number)),
        [Marker { number, .. }] => {
            return Err(format!("line {number}, \"{begin}\", has no \"{end}\" below it"));
        }
        [first, last @ Marker { kind: Kind::End, .. }] => (first, last),
        [first, second, ..] => {
            let begins = own.iter().skip(1).find(|marker| marker.kind == Kind::Begin);
            let second_end = own.get(2).unwrap_or(&second).number;
            return Err(
                begins.map_or_else(|| alone(second_end), |other| twice(other.number, first.number))
            );
        }
    };
    if let Some(other) = all.iter().find(|other| other.from > first.from && other.to < last.to) {
        let Marker { number, .. } = other;
        let begins = first.number;
        return Err(format!(
            "line {number}, of another station, stands in the block that line {begins} begins"
        ));
    }
    let block = Some(&crontab[first.from..last.to]);
    Ok(Parts { before: &crontab[..first.from], block, after: &crontab[last.to..] })
}

fn markers(crontab: &[u8], home: &str) -> Vec<Marker> {
    let (begin, end) = (block::begin(home), block::end(home));
    let (mut markers, mut to) = (Vec::new(), 0);
    for (number, line) in (1..).zip(crontab.split_inclusive(|byte| *byte == b'\n')) {
        let from = to;
        to += line.len();
        let kind = match line.trim_ascii_end() {
            line if line == begin.as_bytes() => Kind::Begin,
            line if line == end.as_bytes() => Kind::End,
            line if is_of_another(line) => Kind::Other,
            _ => continue,
        };
        markers.push(Marker { kind, number, from, to });
    }
    markers
}

fn is_of_another(line: &[u8]) -> bool {
    [block::begin(""), block::end("")].iter().any(|marker| line.starts_with(marker.as_bytes()))
}

impl Parts<'_> {
    /// The crontab with `block` in the place of the old one, or at its end.
    pub(super) fn with(&self, block: &str) -> Vec<u8> {
        let open = self.before.last().is_some_and(|byte| *byte != b'\n');
        let line_end: &[u8] = if open { b"\n" } else { b"" };
        [self.before, line_end, block.as_bytes(), self.after].concat()
    }

    /// The crontab without the block.
    pub(super) fn without(&self) -> Vec<u8> {
        [self.before, self.after].concat()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BLOCK: &str = "# BEGIN iepm /h\n* * * * * x\n# END iepm /h\n";

    fn parts(crontab: &str) -> Result<Parts<'_>, String> {
        take_apart(crontab.as_bytes(), "/h")
    }

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn a_block_goes_to_the_end_and_is_replaced_where_it_stands() {
        assert_eq!(text(parts("").expect("fine").with(BLOCK)), BLOCK);
        let own = "MAILTO=ann\n1 2 3 4 5 own\n";
        let with = text(parts(own).expect("fine").with(BLOCK));
        assert_eq!(with, format!("{own}{BLOCK}"));
        let more = format!("{with}# below\n");
        let again = parts(&more).expect("fine");
        assert_eq!(again.block, Some(BLOCK.as_bytes()));
        assert_eq!(text(again.with(BLOCK)), more);
        assert_eq!(text(again.without()), format!("{own}# below\n"));
    }

    #[test]
    fn markers_that_do_not_match_are_refused_by_their_lines() {
        let (begin, end) = ("# BEGIN iepm /h\n", "# END iepm /h\n");
        let refused = |crontab: &str| parts(crontab).expect_err(crontab);
        assert!(
            refused(&format!("x\n{begin}y\n")).starts_with("line 2, \"# BEGIN iepm /h\", has no")
        );
        assert!(refused(&format!("x\n{end}")).starts_with("line 2, \"# END iepm /h\", has no"));
        assert!(refused(&format!("{begin}{begin}{end}")).starts_with("line 2"));
        assert!(refused(&format!("{BLOCK}{BLOCK}")).starts_with("line 4"));
        assert!(refused(&format!("{BLOCK}{end}")).starts_with("line 4"));
        let inside = refused(&format!("{begin}# BEGIN iepm /other\n{end}"));
        assert!(inside.starts_with("line 2, of another station"), "{inside}");
    }

    #[test]
    fn the_block_of_another_station_is_none_of_ours() {
        let other = "# BEGIN iepm /h2\nz\n# END iepm /h2\n";
        assert_eq!(parts(other).expect("fine").block, None);
        assert_eq!(text(parts(&format!("{other}{BLOCK}")).expect("fine").without()), other);
    }

    proptest! {
        /// Whatever bytes the crontab is made of: what is not ours is the same after an install, a second
        /// install and a removal.
        #[test]
        fn nothing_of_others_is_touched(
            lines in prop::collection::vec("[^\n]{0,20}", 0..8), at in 0_usize..8, whole in any::<bool>(),
        ) {
            let at = at.min(lines.len());
            let join = |lines: &[String]| lines.iter().flat_map(|line| [line, "\n"]).collect::<String>();
            let (before, after) = (join(&lines[..at]), join(&lines[at..]));
            let others = format!("{before}{after}");
            prop_assume!(parts(&others).is_ok_and(|parts| parts.block.is_none()));
            let crontab = if whole { others.clone() } else { format!("{before}{BLOCK}{after}") };
            let once = text(parts(&crontab).expect("fine").with(BLOCK));
            let twice = text(parts(&once).expect("fine").with(BLOCK));
            prop_assert_eq!(&once, &twice);
            prop_assert_eq!(text(parts(&twice).expect("fine").without()), others);
        }
    }
}
