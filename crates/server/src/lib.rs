//! The API gateway, the actions, and the shell around the control loop: everything that does I/O for the core.
//! Must not decide: placement and operations are `ensemble_model`'s, containers are `ensemble_engine`'s.

#![forbid(unsafe_code)]

pub mod credentials;
pub mod data_dir;
pub mod high_water;
mod random;
pub mod store;
