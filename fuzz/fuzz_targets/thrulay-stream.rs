//! Blocks, records and packets of thrulay.
#![no_main]

fuzz::thrulay_target!("thrulay-stream");
