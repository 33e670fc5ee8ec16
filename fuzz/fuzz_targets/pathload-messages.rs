//! Lines and packets of pathload, as they come from the network.
#![no_main]

fuzz::libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::check_pathload(data));
