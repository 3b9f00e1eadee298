#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| optgate::checks::gate_record(data));
