//! What a sender of pathchirp says and sends.
#![no_main]

fuzz::chirp_target!("pathchirp-answer");
