//! `image_user` under cargo-fuzz; what must hold stands in `targets/src/image_user.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ensemble_fuzz_targets::image_user::check(input));
