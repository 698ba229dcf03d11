//! `selector` under cargo-fuzz; what must hold stands in `targets/src/selector.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ensemble_fuzz_targets::selector::check(input));
