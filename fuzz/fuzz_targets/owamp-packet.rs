//! Test packets of OWAMP.
#![no_main]

fuzz::message_target!("owamp-packet");
