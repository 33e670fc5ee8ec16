//! The reader of pathload.
#![no_main]

fuzz::target!("pathload");
