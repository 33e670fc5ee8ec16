//! The reader of traceroute.
#![no_main]

fuzz::target!("traceroute");
