//! `signing` under cargo-fuzz; what must hold stands in `targets/src/signing.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ensemble_fuzz_targets::signing::check(input));
