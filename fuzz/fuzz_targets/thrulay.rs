//! The reader of thrulay.
#![no_main]

fuzz::target!("thrulay");
