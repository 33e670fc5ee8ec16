//! The machine: each part small, and the only place where its system calls are made.

pub mod channel;
pub mod clock;
pub mod detached;
pub mod elsewhere;
pub mod ending;
pub mod errand;
pub mod files;
pub mod hold;
pub mod inbox;
pub mod keepalive;
pub mod lock;
pub mod machine;
pub mod orphans;
pub mod peers;
pub mod privilege;
pub mod probe;
pub mod process;
pub mod processes;
pub mod room;
pub mod servers;
pub mod signals;
pub mod sockets;
pub mod spool;
pub mod store;
pub mod strays;
pub mod turn;
