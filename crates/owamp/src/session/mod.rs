//! Sends a schedule's packets, receives another's, makes the records of both.

pub mod receiving;
pub mod sending;
pub mod skips;
pub mod spread;
pub mod timetable;
pub mod window;
