//! Errors that routers, the target or the local system reported.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::text;

/// Kinds and addresses that are kept: an honest run has a handful.
const MOST_KINDS: usize = 64;
const MOST_ADDRESSES: usize = 100;

/// What the tools say, in lower case, and the kind it is. The first that fits counts: "Destination
/// unreachable: Administratively prohibited" is more prohibited than unreachable.
const SAYINGS: &[(&str, &str)] = &[
    ("prohibited", "admin prohibited"),
    ("filtered", "filtered"),
    ("frag needed", "frag needed"),
    ("fragmentation needed", "frag needed"),
    ("packet too big", "frag needed"),
    ("port unreachable", "port unreachable"),
    ("protocol unreachable", "protocol unreachable"),
    ("host unreachable", "host unreachable"),
    ("address unreachable", "host unreachable"),
    ("host unknown", "host unreachable"),
    ("net unreachable", "net unreachable"),
    ("network unreachable", "net unreachable"),
    ("net unknown", "net unreachable"),
    ("no route", "net unreachable"),
    ("reassembly", "reassembly exceeded"),
    ("defragmentation", "reassembly exceeded"),
    ("time to live exceeded", "ttl exceeded"),
    ("hop limit", "ttl exceeded"),
    ("time exceeded", "ttl exceeded"),
    ("redirect", "redirect"),
    ("source quench", "source quench"),
    ("parameter problem", "parameter problem"),
];

/// Where the local system's words begin.
const LOCAL: &[&str] = &["local error: ", "sendmsg: ", "sendto: "];

#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) kinds: BTreeMap<String, u64>,
    pub(super) from: BTreeSet<IpAddr>,
}

impl Faults {
    /// `From 203.0.113.14 icmp_seq=1 Packet filtered`, without its first word.
    pub(super) fn note_line(&mut self, said: &str) {
        let parts = said.split_once(" icmp_seq=").or_else(|| said.split_once(' '));
        let (sender, told) = parts.unwrap_or((said, ""));
        self.note(sender.trim_end_matches(':'), told);
    }

    /// An error told by `sender`: an address, or a name with the address in parentheses.
    pub(super) fn note(&mut self, sender: &str, told: &str) {
        let told = told.to_ascii_lowercase();
        let known = SAYINGS.iter().find(|(words, _)| told.contains(words));
        self.count(known.map_or("other", |(_, kind)| *kind).to_owned());
        let address = sender.rsplit('(').next().unwrap_or(sender).trim_end_matches(')');
        if let Some(address) = text::address(address)
            && self.from.len() < MOST_ADDRESSES
        {
            self.from.insert(address);
        }
    }

    /// `ping: local error: message too long, mtu=1400`, from standard error.
    pub(super) fn note_local(&mut self, said: &str) {
        let words = LOCAL.iter().find_map(|start| said.split_once(start));
        let Some((_, words)) = words else { return };
        let words = words.split(',').next().unwrap_or_default();
        self.count(format!("local error: {}", text::quote(words).to_lowercase()));
    }

    /// Errors that the summary counts, beyond those that were told one by one.
    pub(super) fn fill_up_to(&mut self, total: u64) {
        let told: u64 = self.kinds.values().sum();
        if total > told {
            self.kinds.insert("unspecified".to_owned(), total - told);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    fn count(&mut self, kind: String) {
        let room = self.kinds.len() < MOST_KINDS || self.kinds.contains_key(&kind);
        let kind = if room { kind } else { "other".to_owned() };
        *self.kinds.entry(kind).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn is_told_as(kind: &str, said: &str) {
        let mut faults = Faults::default();
        faults.note_line(said);
        assert_eq!(faults.kinds.keys().collect::<Vec<_>>(), [kind], "{said}");
        assert_eq!(faults.from.len(), 1, "{said}");
    }

    #[test]
    fn errors_have_stable_names() {
        is_told_as("net unreachable", "192.0.2.1 icmp_seq=1 Destination Net Unreachable");
        is_told_as("net unreachable", "2001:db8::1 icmp_seq=1 Destination unreachable: No route");
        is_told_as("host unreachable", "gw (192.0.2.1) icmp_seq=1 Destination Host Unreachable");
        is_told_as(
            "host unreachable",
            "::1 icmp_seq=1 Destination unreachable: Address unreachable",
        );
        is_told_as("port unreachable", "::1 icmp_seq=1 Destination unreachable: Port unreachable");
        is_told_as(
            "admin prohibited",
            "::1 icmp_seq=1 Destination unreachable: Administratively prohibited",
        );
        is_told_as("admin prohibited", "192.0.2.1: icmp_seq=1 Destination Host Prohibited");
        is_told_as("frag needed", "::1 icmp_seq=1 Packet too big: mtu=1280");
        is_told_as("redirect", "192.0.2.1 icmp_seq=1 Redirect Host(New nexthop: 192.0.2.9)");
        is_told_as("reassembly exceeded", "192.0.2.1 icmp_seq=1 Frag reassembly time exceeded");
        is_told_as(
            "host unreachable",
            "filtered.example (192.0.2.1) icmp_seq=1 Destination Host Unreachable",
        );
        is_told_as("other", "192.0.2.1 icmp_seq=1 Dest Unreachable, Bad Code: 99");
    }

    #[test]
    fn no_run_makes_the_list_of_kinds_endless() {
        let mut faults = Faults::default();
        for number in 0..1000 {
            faults.note_local(&format!("ping: sendmsg: error {number}"));
        }
        assert!(faults.kinds.len() <= MOST_KINDS + 1);
        assert_eq!(faults.kinds.values().sum::<u64>(), 1000);
    }
}
