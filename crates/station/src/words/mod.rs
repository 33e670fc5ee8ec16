//! Files and rows made into values and mistakes. Pure: text in, values out.

pub mod allowance;
pub mod cleanup;
pub mod command;
pub mod config;
pub mod database;
pub mod grid;
pub mod hosts;
pub mod monhost;
pub mod names;
pub mod node;
pub mod option_file;
pub mod place;
mod quotes;
pub mod restarts;
pub mod run;
pub mod servers;
mod settings;
pub mod shell;
pub mod suite;
pub mod table;
pub mod toolspec;
