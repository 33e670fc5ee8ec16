//! The reader of owping.
#![no_main]

fuzz::target!("owping");
