//! `log_record` under cargo-fuzz; what must hold stands in `targets/src/log_record.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ensemble_fuzz_targets::log_record::check(input));
