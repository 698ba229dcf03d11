//! Containers for real, as root: one supervisor at a time (`shim`), and the whole engine (`engine`, `survival`,
//! `misfortune`).
//! Without root every test says by name that it is skipped. Nothing may be left behind, also on failure.

mod engine;
mod exec;
#[path = "../fixture/mod.rs"]
mod fixture;
mod misfortune;
mod nth_failure;
mod probes;
mod shim;
mod survival;
