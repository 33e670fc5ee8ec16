//! What a client of OWAMP-Control sends.
#![no_main]

fuzz::message_target!("owamp-request");
