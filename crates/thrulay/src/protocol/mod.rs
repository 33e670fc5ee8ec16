//! What a client and a server of thrulay say to each other: octets into values and back. Nothing here waits or sends.
//!
//! - `frame`: messages of the control connection have a kind and a length; what is too long is refused by its head.
//! - [`Request`]: what a client says, [`Answer`]: what a server says.
//! - [`Head`] and [`Record`]: what blocks of a TCP test begin with, and how each is answered.
//! - [`TestPacket`]: a packet of a UDP test.

mod answer;
mod block;
mod fields;
mod frame;
mod packet;
mod request;
mod wrong;

pub use answer::{AcceptedTcp, AcceptedUdp, Answer, Cause, MOST_REFUSAL, UdpReport};
pub use block::{HEAD, Head, Heads, RECORD, Record, Records};
pub use frame::{Incoming, LONGEST};
pub use packet::{HELLO, PACKET, TestPacket};
pub use request::{Join, Request, TcpProposal, UdpProposal};
pub use wrong::Wrong;

/// TCP port of the server.
pub const PORT: u16 = 5_003;

/// What a server says first on each connection: a name and the version of what follows.
pub const GREETING: [u8; 16] = *b"iepm-thrulay/1\r\n";

/// What the greeting of a server of the reference implementation (thrulay 0.9) begins with.
pub const OTHERS: &[u8] = b"thrulay/";

/// What shows that a connection belongs to a test. Nobody can guess it.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Token(pub [u8; 16]);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The most streams that a test can have.
pub const MOST_STREAMS: u16 = 64;
/// The fewest octets of a block.
pub const SHORTEST_BLOCK: u32 = 64;
/// The most octets of a block.
pub const LONGEST_BLOCK: u32 = 1 << 24;
