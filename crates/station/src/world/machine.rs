//! How busy the machine is: what a test that must be alone on the network has to share with others.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use sysinfo::{MemoryRefreshKind, Networks, System};

use super::{clock::Monotonic, peers};
use crate::{
    text::Family,
    words::{config::Exclusive, run::Machine},
};

/// The bytes that have gone through each interface, both ways, and when they were counted.
#[derive(Debug, Clone)]
pub struct Traffic {
    at: Monotonic,
    bytes: BTreeMap<String, u64>,
}

/// Over a shorter time a rate says nothing.
pub const SHORTEST: Duration = Duration::from_millis(100);

impl Traffic {
    /// Counts at `now`.
    #[must_use]
    pub fn count(now: Monotonic) -> Self {
        let both = |data: &sysinfo::NetworkData| {
            data.total_received().saturating_add(data.total_transmitted())
        };
        let counted = |networks: &Networks| {
            let counts = networks.iter();
            counts.map(|(name, data)| (name.to_string_lossy().into_owned(), both(data))).collect()
        };
        // What cannot be counted is not known.
        Self { at: now, bytes: networks().as_ref().map_or_else(BTreeMap::new, counted) }
    }

    /// When it was counted.
    #[must_use]
    pub fn at(&self) -> Monotonic {
        self.at
    }

    /// Bits per second through `interface` from here to `later`; nothing if that is too short a time.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
    pub fn rate_to(&self, later: &Self, interface: &str) -> Option<f64> {
        let time = self.at.until(later.at);
        let (before, after) = (self.bytes.get(interface)?, later.bytes.get(interface)?);
        // A counter that runs backwards belongs to another interface of the same name.
        let bits = 8.0 * after.checked_sub(*before)? as f64;
        (time >= SHORTEST).then(|| bits / time.as_secs_f64())
    }
}

/// The interface that `target` is reached by. Looks the name up: it may take long.
#[must_use]
pub fn interface_to(target: &str) -> Option<String> {
    let remote = *peers::addresses(target, 9, Family::Any).ok()?.first()?;
    let own = peers::own_address(remote).ok()?;
    interface_of(own)
}

/// The interfaces, where they can be looked at.
fn networks() -> Option<Networks> {
    Networks::new_with_refreshed_list().ok()
}

fn interface_of(own: IpAddr) -> Option<String> {
    let networks = networks()?;
    let has = |data: &sysinfo::NetworkData| data.ip_networks().iter().any(|net| net.addr == own);
    networks.iter().find(|(_, data)| has(data)).map(|(name, _)| name.to_string_lossy().into_owned())
}

/// How busy the machine is, without what went through its interfaces.
#[must_use]
pub fn look() -> Machine {
    Machine {
        load: System::load_average().ok().map(|load| load.one),
        free_memory_bytes: free_memory(),
        ..Machine::default()
    }
}

fn free_memory() -> Option<u64> {
    let mut system = System::new().ok()?;
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    // Nothing at all is what a machine says that does not tell.
    Some(system.available_memory()).filter(|bytes| *bytes > 0)
}

/// How many processors share the load.
#[must_use]
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Which limits of `limits` a machine is over, with its figures; nothing if it is over none.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "loads and rates need no more than 53 bits")]
pub fn over(machine: &Machine, limits: &Exclusive, processors: usize) -> Option<String> {
    let mut over = Vec::new();
    let most = limits.max_load as f64 / 100.0 * processors as f64;
    if let Some(load) = machine.load.filter(|load| *load > most) {
        over.push(format!("load {load:.2} over {most:.2}"));
    }
    let least = limits.min_free_memory.0;
    if let Some(free) = machine.free_memory_bytes.filter(|free| *free < least) {
        over.push(format!("{free} bytes of free memory under {least}"));
    }
    let traffic = machine.traffic_bps.zip(limits.max_traffic);
    if let Some((rate, most)) = traffic.filter(|(rate, most)| *rate > most.0 as f64) {
        let interface = machine.interface.as_deref().unwrap_or("?");
        over.push(format!("{:.3} Mbit/s through {interface} over {most} bit/s", rate / 1e6));
    }
    (!over.is_empty()).then(|| over.join(", "))
}

#[cfg(test)]
mod tests {
    use std::{net::UdpSocket, path::Path};

    use super::*;
    use crate::words::{allowance::Volume, config::Config};

    #[test]
    fn the_loopback_is_reached_by_the_loopback() {
        assert_eq!(interface_to("127.0.0.1").as_deref(), Some("lo"));
        assert_eq!(interface_to("no-such-host.invalid"), None);
    }

    #[test]
    fn traffic_is_counted_on_an_interface() {
        let count = |at, bytes| Traffic {
            at: Monotonic(Duration::from_millis(at)),
            bytes: BTreeMap::from([("lo".to_owned(), bytes)]),
        };
        let rate = |from: Traffic, to: Traffic| from.rate_to(&to, "lo");
        assert_eq!(rate(count(0, 1_000), count(500, 126_000)), Some(2e6));
        assert_eq!(rate(count(0, 0), count(99, 1)), None, "too short");
        assert_eq!(rate(count(0, 5), count(500, 1)), None, "another interface");
        let (sender, receiver) = (
            UdpSocket::bind("127.0.0.1:0").expect("a port"),
            UdpSocket::bind("127.0.0.1:0").expect("a port"),
        );
        let before = Traffic::count(Monotonic::default());
        sender.send_to(&[0; 10_000], receiver.local_addr().expect("bound")).expect("sent");
        let after = Traffic::count(Monotonic(Duration::from_secs(1)));
        assert!(before.rate_to(&after, "lo").is_some_and(|rate| rate >= 160_000.0));
    }

    #[test]
    fn a_machine_has_a_load_and_memory() {
        let machine = look();
        assert!(machine.free_memory_bytes > Some(1_000_000) && machine.load >= Some(0.0));
    }

    #[test]
    fn limits_are_told_with_the_figures_that_are_over_them() {
        let limits = Config::default_at(Path::new("/x")).exclusive;
        let limits = Exclusive { max_load: 100, max_traffic: Some(Volume(10_000_000)), ..limits };
        let machine = Machine {
            load: Some(1.5),
            free_memory_bytes: Some(500_000_000),
            interface: Some("eth0".to_owned()),
            traffic_bps: Some(3e6),
        };
        assert_eq!(over(&machine, &limits, 2), None);
        let busy = Machine {
            load: Some(2.5),
            free_memory_bytes: Some(50_000_000),
            traffic_bps: Some(12.5e6),
            ..machine
        };
        assert_eq!(
            over(&busy, &limits, 2).as_deref(),
            Some(
                "load 2.50 over 2.00, 50000000 bytes of free memory under 100000000, \
                 12.500 Mbit/s through eth0 over 10M bit/s"
            )
        );
    }
}
