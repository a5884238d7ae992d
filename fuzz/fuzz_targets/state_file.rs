#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wan_fuzz::run("state_file", data));
