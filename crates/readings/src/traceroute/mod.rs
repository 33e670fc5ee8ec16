//! Reads the output of traceroute: of Dmitry Butskoy's, the one on Linux, of inetutils and
//! `BusyBox`, over IPv4 and IPv6.
//!
//! # What was learned from real output
//!
//! - The exit status says little: 0 also when nothing was reached, 1 from inetutils then.
//! - The common traceroute prints the newline of a hop *before* the hop. A run that is ended leaves
//!   an unfinished line: what stands whole in it is kept, what may be half a word is not.
//! - With several addresses in one hop, a time belongs to the nearest address before it, also across
//!   a `*`.

mod header;
mod hop;

use std::{collections::BTreeSet, net::IpAddr};

use serde::Serialize;

use crate::{
    End, Output, Problem, Unreadable, problem,
    text::{self, Line, bare},
};

use header::Header;

/// What a traceroute found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Traceroute {
    /// The target as it was asked for.
    pub target: Option<String>,
    /// The address that was traced.
    pub address: Option<IpAddr>,
    /// The largest TTL that was to be tried.
    pub max_hops: Option<u32>,
    /// Size of a probe in bytes with its IP header; inetutils does not print it.
    pub packet_bytes: Option<u32>,
    /// The hops in the order of their TTL, silent ones too.
    pub hops: Vec<Hop>,
    /// Whether the target's own address is among the answers of the last hop that answered.
    ///
    /// What it answered does not matter: `!P` or `!X` from the target's address was sent by the target
    /// or by something in its place, so the probe went all the way. The same from another address
    /// (`!H`, `!N`, `!X` of a router) means that it did not. A target that answers from another of
    /// its addresses cannot be told from a router, and does not count as reached.
    pub reached: bool,
    /// TTL of the last hop that answered, 0 if none did. Silent hops behind it do not count.
    pub numhops: u32,
    /// Why there are no hops, or fewer.
    pub problem: Option<Problem>,
    /// Whether the tool ended by itself after a whole line of hops.
    pub complete: bool,
}

/// One hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hop {
    /// The TTL the probes were sent with, 1 to 255.
    pub ttl: u32,
    /// What became of each probe, in the order of sending.
    pub answers: Vec<Answer>,
}

/// What became of a probe. One without an answer (`*`) has no address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Who answered.
    pub address: Option<IpAddr>,
    /// Its name, unless it has none or none was looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Round-trip time, microseconds.
    pub rtt_us: Option<u64>,
    /// What the answer was if not the usual one, as printed (traceroute(8)): `!H`, `!N`, `!P` host,
    /// network, protocol unreachable, `!X` prohibited, `!F` too big, `!<13>` another code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotation: Option<String>,
    /// Origin of the address (`-A`), as printed within the brackets: `AS64500`, `AS64500/AS64501`,
    /// `*` not in the registry, `!!` the look-up failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asn: Option<String>,
    /// ICMP extensions (`-e`): `MPLS:L=16,E=0,S=1,T=1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
}

impl Answer {
    /// Whether there was none.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.address.is_none()
    }
}

impl Hop {
    /// Those who answered, each once, in ascending order.
    #[must_use]
    pub fn addresses(&self) -> BTreeSet<IpAddr> {
        self.answers.iter().filter_map(|answer| answer.address).collect()
    }
}

impl Traceroute {
    /// For each hop from 1 to `numhops` the addresses that answered, each once, in ascending order;
    /// none where all was silent, or where the tool did not probe.
    #[must_use]
    pub fn route(&self) -> Vec<Vec<IpAddr>> {
        let addresses = |ttl| {
            let hop = self.hops.iter().find(|hop| hop.ttl == ttl);
            hop.map(|hop| hop.addresses().into_iter().collect()).unwrap_or_default()
        };
        (1..=self.numhops).map(addresses).collect()
    }

    /// Takes the next line that is not blank: a hop, or more of the hop before.
    fn take(&mut self, line: &Line<'_>) -> Result<(), Unreadable> {
        let Some(said) = hop::read(line)? else { return Ok(()) };
        match (said.ttl, self.hops.last_mut()) {
            (None, Some(last)) if line.text.starts_with(' ') => last.go_on(line, said.answers),
            (None, _) => Err(line.wrong("a hop number", &line.text)),
            (Some(ttl), Some(last)) if ttl <= last.ttl => {
                Err(line.wrong(&format!("a hop number above {}", last.ttl), &line.text))
            }
            (Some(ttl), _) => {
                self.hops.push(Hop { ttl, answers: said.answers });
                Ok(())
            }
        }
    }

    /// Derives what follows from the hops.
    fn conclude(&mut self) {
        let any = |hop: &Hop, is: &dyn Fn(IpAddr) -> bool| {
            hop.answers.iter().filter_map(|answer| answer.address).any(is)
        };
        let last = self.hops.iter().rfind(|hop| any(hop, &|_| true));
        self.numhops = last.map_or(0, |hop| hop.ttl);
        let target = self.address;
        self.reached = last.is_some_and(|hop| any(hop, &|address| Some(address) == target));
    }
}

/// Reads the output of a traceroute.
///
/// # Errors
///
/// If this is no output of a traceroute, or hops do not follow one another. Also if nothing was
/// printed and nothing ended the tool.
pub fn read(output: &Output<'_>) -> Result<Traceroute, Unreadable> {
    let mut lines = text::lines(output.stdout).filter(|line| !bare(&line.text).is_empty());
    let Some(first) = lines.next() else { return instead(output, None) };
    let header = match Header::of(&first) {
        Ok(header) => header,
        Err(wrong) => return instead(output, Some(wrong)),
    };
    let mut reading = Traceroute {
        target: header.target,
        address: header.address,
        max_hops: header.max_hops,
        packet_bytes: header.packet_bytes,
        ..Traceroute::default()
    };
    for line in lines {
        reading.take(&line)?;
    }
    reading.conclude();
    let finished = output.stdout.ends_with(b"\n") && matches!(output.end, End::Exited(_));
    reading.complete = finished && !reading.hops.is_empty();
    reading.problem = problem::of(output, reading.complete);
    Ok(reading)
}

fn instead(output: &Output<'_>, first: Option<Unreadable>) -> Result<Traceroute, Unreadable> {
    let problem = problem::instead_of_output(output, first)?;
    Ok(Traceroute { problem: Some(problem), ..Traceroute::default() })
}
