//! The reader of iperf3.
#![no_main]

fuzz::target!("iperf3");
