//! The reader of pathchirp.
#![no_main]

fuzz::target!("pathchirp");
