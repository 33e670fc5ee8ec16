//! What a client of thrulay says.
#![no_main]

fuzz::thrulay_target!("thrulay-request");
