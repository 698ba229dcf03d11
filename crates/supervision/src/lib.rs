//! How containers are supervised: what is decided and in which order things are done, without the things themselves.
//! Everything here works over the [`kernel`] seam and [`network::Wires`]; `engine` has the real ones.
//! Must not do I/O, read a clock or start anything by itself, nor know how a container is made.

pub mod directory;
pub mod faults;
pub mod host;
pub mod kernel;
pub mod layout;
pub mod network;
pub mod pod;
pub mod probing;
pub mod reconcile;
pub mod record;
pub mod scan;
pub mod shim;
pub mod supervisor;
