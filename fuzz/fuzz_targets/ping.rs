//! The reader of ping.
#![no_main]

fuzz::target!("ping");
