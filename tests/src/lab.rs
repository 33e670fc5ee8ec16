//! Three hosts of the stories' own: a client and a server with a router between them, each a network
//! namespace, over IPv4 and IPv6. Needs root.
//!
//! ```text
//! client 198.51.100.2, 2001:db8:1::2 -- router -- server 192.0.2.2, 2001:db8:2::2
//! ```
//!
//! Names are in each namespace's own hosts file; a resolver on the router knows no name at all.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use rustix::{
    process::Pid,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use crate::{
    program::{command, succeed},
    wire::{Plug, Wire},
};

/// The network; it is taken down when this is dropped.
#[derive(Debug)]
pub struct Lab {
    name: String,
    /// What is between the router and the server, if that is a wire.
    wire: Option<Wire>,
}

/// One host of a lab.
#[derive(Debug, Clone)]
pub struct Host {
    namespace: String,
}

const HOSTS: [&str; 3] = ["client", "router", "server"];
const NAMES: &str = "127.0.0.1 localhost\n::1 localhost\n198.51.100.1 router.example\n192.0.2.2 server.example\n\
                     2001:db8:2::2 server6.example\n";

/// Labs of one process are told apart by a number.
static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Lab {
    /// Sets up the network.
    #[track_caller]
    pub fn up() -> Self {
        let lab = Self::hosts();
        lab.link("server", "s0");
        lab.address();
        lab
    }

    /// As [`Lab::up`], with a [`Wire`] between the router and the server, which lets everything through at once
    /// until it is told otherwise.
    #[track_caller]
    pub fn with_wire() -> Self {
        let mut lab = Self::hosts();
        let (router, server) = (lab.host("router"), lab.host("server"));
        let ends = [Plug { host: &router, device: "s0" }, Plug { host: &server, device: "eth0" }];
        lab.wire = Some(Wire::join(&lab.named("wire"), ends));
        lab.address();
        lab
    }

    /// The hosts, and what joins the client to the router.
    #[track_caller]
    fn hosts() -> Self {
        let name = format!("iepm{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let lab = Self { name, wire: None };
        for host in HOSTS {
            lab.make(host);
        }
        let router = lab.named("router");
        for setting in ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"] {
            ip(&format!("netns exec {router} sysctl -qw {setting}"));
        }
        lab.link("client", "c0");
        lab
    }

    fn make(&self, host: &str) {
        let namespace = self.named(host);
        ip(&format!("netns add {namespace}"));
        let folder = Path::new("/etc/netns").join(&namespace);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("hosts"), NAMES).expect("written");
        fs::write(
            folder.join("resolv.conf"),
            "nameserver 198.51.100.1\noptions timeout:1 attempts:2\n",
        )
        .expect("written");
        ip(&format!("-n {namespace} link set lo up"));
        for setting in [
            "net.ipv6.conf.all.accept_dad=0",
            "net.ipv6.conf.default.accept_dad=0",
            "net.ipv4.icmp_ratelimit=0",
            "net.ipv6.icmp.ratelimit=0",
        ] {
            ip(&format!("netns exec {namespace} sysctl -qw {setting}"));
        }
    }

    /// Addresses of all devices, how client and server find each other, and the resolver on the way.
    fn address(&self) {
        for (host, device, v4, v6) in [
            ("client", "eth0", "198.51.100.2/24", "2001:db8:1::2/64"),
            ("router", "c0", "198.51.100.1/24", "2001:db8:1::1/64"),
            ("router", "s0", "192.0.2.1/24", "2001:db8:2::1/64"),
            ("server", "eth0", "192.0.2.2/24", "2001:db8:2::2/64"),
        ] {
            let namespace = self.named(host);
            ip(&format!("-n {namespace} addr add {v4} dev {device}"));
            ip(&format!("-n {namespace} -6 addr add {v6} dev {device} nodad"));
        }
        for (host, v4, v6) in
            [("client", "198.51.100.1", "2001:db8:1::1"), ("server", "192.0.2.1", "2001:db8:2::1")]
        {
            let namespace = self.named(host);
            ip(&format!("-n {namespace} route add default via {v4}"));
            ip(&format!("-n {namespace} -6 route add default via {v6}"));
        }
        self.host("router").resolver();
    }

    fn link(&self, host: &str, device: &str) {
        let (host, router) = (self.named(host), self.named("router"));
        ip(&format!("link add eth0 netns {host} type veth peer name {device} netns {router}"));
        for (namespace, device) in [(host, "eth0"), (router, device)] {
            ip(&format!("-n {namespace} link set {device} up"));
        }
    }

    /// The namespace of this name in this lab.
    fn named(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }

    /// A host: `client`, `router` or `server`.
    pub fn host(&self, name: &str) -> Host {
        Host { namespace: self.named(name) }
    }

    /// What is between the router and the server of a lab [with a wire](Self::with_wire): out is to the server.
    #[track_caller]
    pub fn wire(&self) -> &Wire {
        self.wire.as_ref().expect("a lab with a wire")
    }

    /// Adds a rule to the router's filter of forwarded packets (`iptables -A FORWARD ...`), IPv4.
    #[track_caller]
    pub fn router_filters(&self, rule: &str) -> &Self {
        let mut iptables = self.host("router").command(Path::new("iptables"));
        succeed(iptables.args(["-A", "FORWARD"]).args(rule.split(' ')));
        self
    }

    /// Gives a device of the router (`s0` to the server, `c0` to the client) a queue
    /// (`tc qdisc add dev ...`).
    #[track_caller]
    pub fn router_shapes(&self, queue: &str) -> &Self {
        let mut tc = self.host("router").command(Path::new("tc"));
        succeed(tc.args(["qdisc", "add", "dev"]).args(queue.split(' ')));
        self
    }

    /// Has a device of the router carry packets of at most so many octets (the MTU of its link). Longer ones are
    /// fragmented, or, where they may not be, their sender is told so.
    #[track_caller]
    pub fn router_carries(&self, device: &str, octets: u32) -> &Self {
        ip(&format!("-n {} link set {device} mtu {octets}", self.named("router")));
        self
    }
}

/// Carries out `ip ARGUMENTS`.
#[track_caller]
pub(crate) fn ip(arguments: &str) {
    succeed(command("ip").args(arguments.split(' ')));
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.wire = None;
        for host in HOSTS {
            let namespace = self.named(host);
            let _ = command("ip").args(["netns", "del", &namespace]).output();
            let _ = fs::remove_dir_all(Path::new("/etc/netns").join(&namespace));
        }
    }
}

impl Host {
    /// What lives in this network namespace.
    pub(crate) fn of(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned() }
    }

    /// The name of its network namespace.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// A command on this host.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = command("ip");
        command.args(["netns", "exec", &self.namespace]).arg(program);
        command
    }

    /// Its network namespace.
    pub fn file(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.namespace)
    }

    /// What runs on it.
    pub fn running(&self) -> Vec<Pid> {
        let pids = command("ip").args(["netns", "pids", &self.namespace]).output();
        let pids = String::from_utf8_lossy(&pids.expect("ip").stdout).into_owned();
        pids.lines().filter_map(|pid| Pid::from_raw(pid.trim().parse().ok()?)).collect()
    }

    /// What of it is called so.
    pub fn running_as(&self, name: &str) -> Vec<Pid> {
        let called = |pid: &Pid| fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero()));
        let is_it = |pid: &Pid| called(pid).is_ok_and(|called| called.trim() == name);
        let mut running = self.running();
        running.retain(is_it);
        running
    }

    /// Makes something, a socket for instance, on this host.
    #[track_caller]
    pub fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let namespace = fs::File::open(self.file()).expect("a namespace");
        let worker = thread::spawn(move || {
            // Only this thread moves, and it ends with the thing made.
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("root");
            work()
        });
        worker.join().expect("made")
    }

    /// Listens on this host, over IPv4; nobody takes what comes unless the story does.
    pub fn listens(&self) -> TcpListener {
        self.inside(|| TcpListener::bind("0.0.0.0:0").expect("a port"))
    }

    /// Bytes that its interface to the router has received.
    #[track_caller]
    pub fn received(&self) -> u64 {
        let mut cat = self.command(Path::new("cat"));
        cat.arg("/sys/class/net/eth0/statistics/rx_bytes");
        succeed(&mut cat).trim().parse().expect("a number")
    }

    /// A resolver that knows no name (RFC 1035: RCODE 3). It ends with the test's process.
    fn resolver(&self) {
        let bind = || UdpSocket::bind("198.51.100.1:53").expect("an address of the router");
        let socket = self.inside(bind);
        thread::spawn(move || {
            let mut packet = [0; 512];
            while let Ok((length, client)) = socket.recv_from(&mut packet) {
                if length > 3 {
                    (packet[2], packet[3]) = (0x81, 0x83);
                    let _ = socket.send_to(&packet[..length], client);
                }
            }
        });
    }
}
