//! `log_recovery` under cargo-fuzz; what must hold stands in `targets/src/log_recovery.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ensemble_fuzz_targets::log_recovery::check(input));
