//! UDP packets that leave at exact times and arrive with the kernel's time stamps, and what the clock that
//! stamps them is worth: what every active measurement of ours stands on.
//!
//! Nothing here knows a protocol. [`ntp`] holds the times and errors as packets carry them.

pub mod ntp;
