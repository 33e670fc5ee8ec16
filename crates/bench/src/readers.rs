//! How fast readers read: all captures of their tests again and again, against a look at the same bytes.

use std::{fs, hint::black_box, path::Path, time::Duration};

use anyhow::{Context, ensure};
use readings::{End, Output, Reading, TOOLS, Unreadable};

use crate::{
    bed::Bed,
    machine::{median, timed},
    table::{Line, Quantity, Reach},
};

/// What all readers together have to reach, MB/s.
const REACH_MBPS: f64 = 200.0;
/// Bytes that are read of each tool in a round.
const ROUND_BYTES: u32 = 40_000_000;

/// A text and who reads it.
struct Capture {
    tool: &'static str,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Measures the readers one by one and together.
///
/// # Errors
/// The captures are not there.
pub fn measure(bed: &Bed) -> anyhow::Result<Vec<Line>> {
    let captures = captures()?;
    let mut lines = Vec::new();
    for tool in TOOLS {
        let own: Vec<&Capture> = captures.iter().filter(|capture| capture.tool == *tool).collect();
        if !own.is_empty() {
            let (speed, _) = speeds(bed, &own)?;
            lines.push(Line::told(format!("reading {tool}"), Quantity::new(speed, "MB/s")));
        }
    }
    let (speed, look) = speeds(bed, &captures.iter().collect::<Vec<_>>())?;
    let (speed, look) = (Quantity::new(speed, "MB/s"), Quantity::new(look, "MB/s"));
    let limit = (Quantity::new(REACH_MBPS, "MB/s"), "the limit");
    lines.push(Line::measured("reading all captures", speed, limit, Reach::AtLeast(1.0)));
    lines.push(Line::told("checking their UTF-8, counting their lines", look));
    let ratio = Quantity::new(look.value / speed.value, "times");
    lines.push(Line::told("reading takes as long as such a look", ratio));
    Ok(lines)
}

/// Megabytes per second that are read, and that are looked at.
fn speeds(bed: &Bed, captures: &[&Capture]) -> anyhow::Result<(f64, f64)> {
    let bytes: usize =
        captures.iter().map(|capture| capture.stdout.len() + capture.stderr.len()).sum();
    ensure!(bytes > 0, "the captures are empty");
    let times = usize::try_from(bed.size(ROUND_BYTES, ROUND_BYTES / 4))? / bytes + 1;
    let (mut reads, mut looks) = (vec![], vec![]);
    for _ in 0..bed.size(9, 5) {
        bed.rest(Duration::ZERO)?;
        let round = |each: fn(&Capture)| {
            timed(|| {
                (0..times).for_each(|_| captures.iter().for_each(|capture| each(capture)));
                Ok(())
            })
        };
        let megabytes = as_megabytes(bytes * times);
        reads.push(megabytes / round(read)?.0.as_secs_f64());
        looks.push(megabytes / round(look)?.0.as_secs_f64());
    }
    Ok((median(&reads), median(&looks)))
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn as_megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

impl Capture {
    fn read(&self) -> Result<Reading, Unreadable> {
        let Self { tool, stdout, stderr } = self;
        readings::read(tool, &Output { stdout, stderr, end: End::Exited(0) })
    }
}

fn read(capture: &Capture) {
    let _ = black_box(black_box(capture).read());
}

/// The yardstick: what no reader of text can do without.
fn look(capture: &Capture) {
    for text in [&capture.stdout, &capture.stderr] {
        let text = black_box(text.as_slice());
        let lines: usize = text.iter().map(|byte| usize::from(*byte == b'\n')).sum();
        black_box((str::from_utf8(text).is_ok(), lines));
    }
}

/// The captures of the readers' own tests.
fn captures() -> anyhow::Result<Vec<Capture>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../readings/tests/captures");
    let mut captures = Vec::new();
    for folder in fs::read_dir(&root).with_context(|| format!("reading {}", root.display()))? {
        let folder = folder?.path();
        let Some(tool) = folder.file_name().and_then(|name| tool(name.to_str()?)) else { continue };
        for file in fs::read_dir(&folder)? {
            let file = file?.path();
            if file.extension().is_some_and(|extension| extension == "txt") {
                let stderr = fs::read(file.with_extension("stderr")).unwrap_or_default();
                let capture = Capture { tool, stdout: fs::read(&file)?, stderr };
                // What is rejected, such as a server's output, is rejected early.
                captures.extend(Some(capture).filter(|capture| capture.read().is_ok()));
            }
        }
    }
    Ok(captures)
}

/// The tool of a folder: the longest whose name is in the folder's (`iperf205`, `inetping`).
fn tool(folder: &str) -> Option<&'static str> {
    let named = TOOLS.iter().copied().filter(|tool| folder.contains(tool));
    named.max_by_key(|tool| tool.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_named_after_its_tool() {
        assert_eq!(tool("inetping"), Some("ping"));
        assert_eq!(tool("iperf205"), Some("iperf"));
        assert_eq!(tool("iperf3"), Some("iperf3"));
        assert_eq!(tool("README.md"), None);
    }

    #[test]
    fn there_are_captures_of_several_tools() {
        let captures = captures().expect("captures");
        for tool in ["ping", "traceroute", "iperf", "iperf3"] {
            assert!(captures.iter().any(|capture| capture.tool == tool), "{tool}");
        }
    }
}
