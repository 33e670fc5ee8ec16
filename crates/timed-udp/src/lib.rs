//! UDP packets that leave at exact times and arrive with the kernel's time stamps, and what the clock that
//! stamps them is worth: what every active measurement of ours stands on.
//!
//! Nothing here knows a protocol.
//!
//! - [`ntp`] holds times and errors as packets carry them.
//! - [`clock`] reads the clocks: the time, what it is worth, and whether somebody set it meanwhile.
//! - [`socket`] opens sockets and sends; [`inbox`] receives in batches, each packet with the kernel's stamp.
//! - [`pace`] waits for a time: exactly, or for next to nothing.
//! - [`train`] sends packets at many times, and tells whether their gaps were kept.

pub mod clock;
pub mod inbox;
pub mod ntp;
mod opening;
pub mod pace;
mod ports;
pub mod socket;
mod stamping;
pub mod train;
