//! Root's rights are for binding the port; then the server is somebody else.
//!
//! Users and groups are looked up in `/etc/passwd` and `/etc/group`, or are numbers.

use std::{fs, io};

use rustix::{
    process::{Gid, Uid, geteuid},
    thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};

/// Who is to be what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) user: u32,
    pub(crate) group: u32,
}

/// The user who has nothing, if nobody was named.
pub(crate) const NOBODY: &str = "nobody";

/// Whether there are rights to drop.
pub(crate) fn is_root() -> bool {
    geteuid().is_root()
}

/// Who `user` is, with `group` in place of the group of that user.
///
/// # Errors
/// There is no such user or group, in words.
pub(crate) fn look_up(user: &str, group: Option<&str>) -> Result<Identity, String> {
    let read = |path| fs::read_to_string(path).map_err(|error| format!("reading {path}: {error}"));
    let (passwd, groups) = (read("/etc/passwd")?, read("/etc/group")?);
    identity(user, group, &passwd, &groups)
}

fn identity(
    user: &str,
    group: Option<&str>,
    passwd: &str,
    groups: &str,
) -> Result<Identity, String> {
    let (user, of_user) = match entry(passwd, user) {
        Some(fields) => (number(&fields, 2), number(&fields, 3)),
        None => (user.parse().ok(), None),
    };
    let user = user.ok_or("there is no such user in /etc/passwd")?;
    let group = match group {
        None => of_user.ok_or("a user by number needs a group as well")?,
        Some(group) => {
            let named = entry(groups, group).and_then(|fields| number(&fields, 2));
            named.or_else(|| group.parse().ok()).ok_or("there is no such group in /etc/group")?
        }
    };
    Ok(Identity { user, group })
}

fn entry<'a>(file: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let mut lines = file.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines.find(|fields| fields[0] == name)
}

fn number(fields: &[&str], at: usize) -> Option<u32> {
    fields.get(at)?.parse().ok()
}

/// Becomes that, for good. The kernel changes a thread at a time, and threads take after the one that starts them: so
/// this is done by the only thread there is.
///
/// # Errors
/// As `setgroups(2)`, `setresgid(2)` and `setresuid(2)`; or there are other threads.
pub(crate) fn become_one(identity: Identity) -> io::Result<()> {
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("other threads run already, and would keep root's rights"));
    }
    let (user, group) = (Uid::from_raw(identity.user), Gid::from_raw(identity.group));
    set_thread_groups(&[group])?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    if identity.user != 0 && set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).is_ok() {
        return Err(io::Error::other("root's rights came back"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_are_names_or_numbers() {
        let passwd = "root:x:0:0::/root:/bin/sh\nowamp:x:120:130::/:/bin/false\n";
        let groups = "root:x:0:\nmeasure:x:77:\n";
        let of = |user, group| identity(user, group, passwd, groups).ok();
        assert_eq!(of("owamp", None), Some(Identity { user: 120, group: 130 }));
        assert_eq!(of("owamp", Some("measure")), Some(Identity { user: 120, group: 77 }));
        assert_eq!(of("500", Some("600")), Some(Identity { user: 500, group: 600 }));
        assert_eq!((of("500", None), of("ann", None), of("owamp", Some("no"))), (None, None, None));
    }
}
