//! What the kernel says of a stream (`TCP_INFO`, tcp(7)).

use std::net::TcpStream;

use nix::{
    getsockopt_impl, sockopt_impl,
    sys::socket::{getsockopt, sockopt},
};

use crate::report::KernelView;

sockopt_impl!(
    /// What TCP knows of a connection.
    TcpInfo,
    GetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    Known
);

/// The first 104 octets of the kernel's `struct tcp_info`, which every Linux since 2.6.33 has: eight octets, and then
/// numbers of 32 bits.
type Known = [u32; 26];
/// Places in it.
const PMTU: usize = 15;
const RTT: usize = 17;
const RTT_VAR: usize = 18;
const CWND: usize = 20;
const TOTAL_RETRANS: usize = 25;
const SND_MSS: usize = 4;

/// The stream as the kernel sees it now; its retransmissions are of its whole life.
pub(super) fn look(stream: &TcpStream) -> Option<KernelView> {
    let known = getsockopt(stream, TcpInfo).ok()?;
    let mss = getsockopt(stream, sockopt::TcpMaxSeg).unwrap_or(known[SND_MSS]);
    Some(KernelView {
        retransmits: known[TOTAL_RETRANS],
        rtt_us: known[RTT],
        rtt_var_us: known[RTT_VAR],
        congestion_window: known[CWND],
        mss,
        mtu: known[PMTU],
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_kernel_tells_of_a_connection_of_loopback() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let stream = TcpStream::connect(listener.local_addr().expect("bound")).expect("there");
        let view = look(&stream).expect("told");
        assert!((65_535..=65_536).contains(&view.mtu) && view.retransmits == 0, "{view:?}");
        assert!(view.mss > 1_000 && view.mss < view.mtu, "{view:?}");
        assert!(view.congestion_window > 0 && view.congestion_window < 1_000, "{view:?}");
        assert!(view.rtt_us < 1_000_000, "{view:?}");
    }
}
