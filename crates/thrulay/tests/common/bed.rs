//! A server and clients as programs, on loopback.
#![allow(dead_code, reason = "each test program uses its part")]

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use station::world::clock::pause;
use timed_udp::clock::Mono;

pub(crate) const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub(crate) const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
/// How long anything on loopback may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

#[expect(clippy::disallowed_methods, reason = "the tests start the programs as a user does")]
pub(crate) fn program(name: &str) -> Command {
    match name {
        "thrulayd" => Command::new(env!("CARGO_BIN_EXE_thrulayd")),
        _ => Command::new(env!("CARGO_BIN_EXE_thrulay")),
    }
}

/// A server, which ends with this.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Returns when it serves both families.
    pub(crate) fn start(args: &[&str]) -> Self {
        let port = free_port();
        let mut command = program("thrulayd");
        command.args(["-p", &port.to_string()]).args(args).stderr(Stdio::null());
        let mut server = Self { child: command.spawn().expect("it starts"), port };
        until("it listens", || {
            assert!(server.child.try_wait().expect("ours").is_none(), "it ended");
            [V4, V6].iter().all(|it| TcpStream::connect((*it, port)).is_ok()).then_some(())
        });
        server
    }

    pub(crate) fn client(&self, address: IpAddr, args: &str) -> Command {
        let mut command = program("thrulay");
        command.args(["-p", &self.port.to_string()]).args(args.split_whitespace());
        command.arg(address.to_string()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn measure(&self, address: IpAddr, args: &str) -> Output {
        self.client(address, args).output().expect("it starts")
    }

    /// A test that goes well.
    pub(crate) fn measured(&self, address: IpAddr, args: &str) -> Value {
        let output = self.measure(address, &format!("--json {args}"));
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        document(&output)
    }
}

pub(crate) fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", told(output)))
}

pub(crate) fn told(output: &Output) -> String {
    let text = |octets| String::from_utf8_lossy(octets).into_owned();
    format!("{:?}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// A port that nobody had a moment ago in either family.
pub(crate) fn free_port() -> u16 {
    loop {
        let four = TcpListener::bind((V4, 0)).expect("a port");
        let port = four.local_addr().expect("bound").port();
        if TcpListener::bind((V6, port)).is_ok() {
            return port;
        }
    }
}

pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Mono::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Mono::now().since(begun) < PATIENCE, "not: {what}");
        pause(Duration::from_millis(5));
    }
}

/// Waits for a client's end.
pub(crate) fn ended(mut child: Child) -> Output {
    until("the client ends", || child.try_wait().expect("ours").map(drop));
    child.wait_with_output().expect("ours")
}
