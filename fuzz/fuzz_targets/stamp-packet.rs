//! Test packets of STAMP and TWAMP-Light.
#![no_main]

fuzz::message_target!("stamp-packet");
