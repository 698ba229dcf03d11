//! The server over real sockets, with the simulated engine: what a client sees of the gateway, and what of its
//! writes survives.

mod durability;
mod gateway;
mod harness;
mod stream;
