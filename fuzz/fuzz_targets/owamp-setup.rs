//! The messages with which an OWAMP-Control connection begins.
#![no_main]

fuzz::message_target!("owamp-setup");
