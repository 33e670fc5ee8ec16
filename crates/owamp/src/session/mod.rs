//! Sends a schedule's packets, receives another's, makes the records of both.
//!
//! [`start`] starts an engine: a thread that carries all sessions of a process. A [`Handle`] tells it what to send
//! ([`SendSpec`]) and to receive ([`ReceiveSpec`]); an [`Event`] tells what became of it. What is sent next, taken,
//! skipped or lost is decided in [`sending`] and [`receiving`], without a clock or a socket.

mod clocks;
mod engine;
mod handle;
mod receiver;
pub mod receiving;
mod sender;
pub mod sending;
mod sessions;
mod skips;
mod spread;
mod store;
mod timers;
mod timetable;
mod window;

pub use clocks::{ClockReport, MOST_STEPS};
pub use engine::{EngineSettings, start, start_with};
pub use handle::{
    Event, Handle, MOST_PADDING, ReceiveReport, ReceiveSpec, Refusal, SendSpec, Source,
};
pub use receiving::{Counts, MOST_COPIES, Refused};
pub use sending::SendReport;
pub use skips::{MOST_RANGES, Skips, apply_skips};
pub use spread::Spread;
pub use store::{Iter, Records};
pub use timetable::{Timetable, nanos_of_units, units_of};
pub(crate) use window::{MOST_OPEN, OPEN};
