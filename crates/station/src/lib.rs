//! What two or more programs of a measuring station need.
//!
//! The rooms, from the lowest up; a room imports only rooms below it:
//!
//! - [`text`]: places, mistakes, and the values that everything is made of.
//! - [`words`]: files and rows made into values. Pure.
//! - [`world`]: the clock, processes, locks, files, the database: each small, the real thing behind it.
//! - [`app`]: how a program begins, fails and ends; [`daemon`] and [`ledger`]: what daemons share;
//!   [`doors`]: where servers listen, and [`news`]: what their logs are told; [`name`]: whether a station may go
//!   by its name, and [`report`]: what it says of itself to others.

pub mod app;
pub mod daemon;
pub mod doors;
pub mod filter;
mod generate;
pub mod ledger;
mod locate;
mod log;
pub mod name;
pub mod news;
pub mod report;
pub mod text;
pub mod watchdog;
pub mod words;
pub mod world;
