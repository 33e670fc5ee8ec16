//! The reader of iperf.
#![no_main]

fuzz::target!("iperf");
