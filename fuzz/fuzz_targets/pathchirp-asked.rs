//! What a client of pathchirp says.
#![no_main]

fuzz::chirp_target!("pathchirp-asked");
