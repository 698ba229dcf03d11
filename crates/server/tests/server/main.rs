//! The server over real sockets, with the simulated engine: what a client sees of the gateway, and what of its
//! writes survives.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod actions;
mod backup;
mod daemon;
mod durability;
mod gateway;
mod harness;
mod stream;
