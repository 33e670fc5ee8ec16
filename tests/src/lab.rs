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

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{
    Line, Tap, Way, Wire,
    program::{command, succeed},
};

/// The network; it is taken down when this is dropped.
#[derive(Debug)]
pub struct Lab {
    name: String,
    /// What is between the router and the server, if that is made by the story.
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
        let mut lab = Self::hosts();
        lab.links(Self::veth);
        lab
    }

    /// As [`Self::up`], with a [`Wire`] between the router and the server: see [`Self::to_server`] and
    /// [`Self::to_client`].
    #[track_caller]
    pub fn with_wire() -> Self {
        let mut lab = Self::hosts();
        lab.links(|server, router| {
            let tap = |host: &Host, device: &'static str| host.inside(move || Tap::new(device));
            Some(Wire::between(tap(router, "s0"), tap(server, "eth0")))
        });
        lab
    }

    #[track_caller]
    fn hosts() -> Self {
        let name = format!("iepm{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let lab = Self { name, wire: None };
        for host in HOSTS {
            let namespace = lab.host(host).namespace;
            ip(&format!("netns add {namespace}"));
            let folder = Path::new("/etc/netns").join(&namespace);
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(folder.join("hosts"), NAMES).expect("written");
            fs::write(
                folder.join("resolv.conf"),
                "nameserver 198.51.100.1\noptions timeout:1 attempts:2\n",
            )
            .expect("written");
        }
        lab
    }

    /// Joins the hosts; `to_server` makes the devices of the link between the server and the router.
    fn links(&mut self, to_server: impl FnOnce(&Host, &Host) -> Option<Wire>) {
        let (client, router, server) = (
            self.host("client").namespace,
            self.host("router").namespace,
            self.host("server").namespace,
        );
        for host in [&client, &router, &server] {
            ip(&format!("-n {host} link set lo up"));
            for setting in [
                "net.ipv6.conf.all.accept_dad=0",
                "net.ipv6.conf.default.accept_dad=0",
                "net.ipv4.icmp_ratelimit=0",
                "net.ipv6.icmp.ratelimit=0",
            ] {
                ip(&format!("netns exec {host} sysctl -qw {setting}"));
            }
        }
        for setting in ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"] {
            ip(&format!("netns exec {router} sysctl -qw {setting}"));
        }
        Self::veth_pair((&client, "eth0"), (&router, "c0"));
        self.wire = to_server(&self.host("server"), &self.host("router"));
        for (host, device, v4, v6) in [
            (&client, "eth0", "198.51.100.2/24", "2001:db8:1::2/64"),
            (&router, "c0", "198.51.100.1/24", "2001:db8:1::1/64"),
            (&router, "s0", "192.0.2.1/24", "2001:db8:2::1/64"),
            (&server, "eth0", "192.0.2.2/24", "2001:db8:2::2/64"),
        ] {
            ip(&format!("-n {host} link set {device} up"));
            ip(&format!("-n {host} addr add {v4} dev {device}"));
            ip(&format!("-n {host} -6 addr add {v6} dev {device} nodad"));
        }
        for (host, v4, v6) in
            [(&client, "198.51.100.1", "2001:db8:1::1"), (&server, "192.0.2.1", "2001:db8:2::1")]
        {
            ip(&format!("-n {host} route add default via {v4}"));
            ip(&format!("-n {host} -6 route add default via {v6}"));
        }
        self.host("router").resolver();
    }

    fn veth(server: &Host, router: &Host) -> Option<Wire> {
        Self::veth_pair((&server.namespace, "eth0"), (&router.namespace, "s0"));
        None
    }

    fn veth_pair((host, device): (&str, &str), (peer, its_device): (&str, &str)) {
        ip(&format!(
            "link add {device} netns {host} type veth peer name {its_device} netns {peer}"
        ));
    }

    /// Has the wire treat what goes from the router to the server so.
    #[track_caller]
    pub fn to_server(&self, line: Line) -> &Self {
        self.fares(Way::There, line)
    }

    /// Has the wire treat what goes from the server to the router so.
    #[track_caller]
    pub fn to_client(&self, line: Line) -> &Self {
        self.fares(Way::Back, line)
    }

    #[track_caller]
    fn fares(&self, way: Way, line: Line) -> &Self {
        self.wire.as_ref().expect("a lab with a wire").fares(way, line);
        self
    }

    /// A host: `client`, `router` or `server`.
    pub fn host(&self, name: &str) -> Host {
        Host { namespace: format!("{}-{name}", self.name) }
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
}

/// Carries out `ip ARGUMENTS`.
#[track_caller]
fn ip(arguments: &str) {
    succeed(command("ip").args(arguments.split(' ')));
}

impl Drop for Lab {
    fn drop(&mut self) {
        // A tap holds its namespace.
        self.wire = None;
        for host in HOSTS {
            let namespace = self.host(host).namespace;
            let _ = command("ip").args(["netns", "del", &namespace]).output();
            let _ = fs::remove_dir_all(Path::new("/etc/netns").join(&namespace));
        }
    }
}

impl Host {
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
