//! `fleet_file` under cargo-fuzz; what must hold stands in `targets/src/fleet_file.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ensemble_fuzz_targets::fleet_file::check(input));
