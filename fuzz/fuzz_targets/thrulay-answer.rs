//! What a server of thrulay says.
#![no_main]

fuzz::thrulay_target!("thrulay-answer");
