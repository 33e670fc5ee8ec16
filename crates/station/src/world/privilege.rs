//! What a program like ping needs of the kernel, and whether it has it.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

const GROUPS: &str = "/proc/sys/net/ipv4/ping_group_range";
const SET_UID: u32 = 0o4000;

/// How a ping may send echo requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo {
    /// The kernel does it for everybody of our groups (`icmp(7)`, `ping_group_range`).
    pub by_kernel: bool,
    /// The program may open raw sockets: it has file capabilities, or root's rights.
    pub by_raw_sockets: bool,
}

/// How the program `path` may send echo requests when we start it.
///
/// # Errors
/// As `stat(2)`.
pub fn echo(path: &Path) -> io::Result<Echo> {
    let file = fs::metadata(path)?;
    let set_uid = file.uid() == 0 && file.permissions().mode() & SET_UID != 0;
    let root = rustix::process::geteuid().is_root();
    let range = fs::read_to_string(GROUPS).unwrap_or_default();
    Ok(Echo {
        by_kernel: groups()?.iter().any(|group| is_in(*group, &range)),
        by_raw_sockets: root || set_uid || has_capabilities(path),
    })
}

fn groups() -> io::Result<Vec<u32>> {
    let more = rustix::process::getgroups()?;
    let all = std::iter::once(rustix::process::getegid()).chain(more);
    Ok(all.map(rustix::process::Gid::as_raw).collect())
}

fn has_capabilities(path: &Path) -> bool {
    let mut value = [0_u8; 64];
    rustix::fs::getxattr(path, "security.capability", &mut value[..]).is_ok_and(|length| length > 0)
}

/// Whether a group is in `0 2147483647`; `1 0` is the range in which none is.
fn is_in(group: u32, range: &str) -> bool {
    let mut ends = range.split_ascii_whitespace().map(str::parse::<u32>);
    match (ends.next(), ends.next()) {
        (Some(Ok(first)), Some(Ok(last))) => (first..=last).contains(&group),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_in_the_range_or_not() {
        for (range, group, is) in [
            ("0\t2147483647\n", 1_000, true),
            ("1\t0\n", 0, false),
            ("100 200", 200, true),
            ("100 200", 201, false),
            ("", 0, false),
        ] {
            assert_eq!(is_in(group, range), is, "{group} in {range:?}");
        }
    }

    #[test]
    fn a_plain_program_has_no_raw_sockets_but_those_of_root() {
        let root = rustix::process::geteuid().is_root();
        assert_eq!(echo(Path::new("/bin/sh")).expect("there").by_raw_sockets, root);
        assert!(echo(Path::new("/no/such/ping")).is_err());
    }
}
