//! `image_reference` under cargo-fuzz; what must hold stands in `targets/src/image_reference.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ensemble_fuzz_targets::image_reference::check(input));
