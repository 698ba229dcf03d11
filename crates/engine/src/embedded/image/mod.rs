//! Images: from an OCI layout or archive, through verification and safe unpacking, to directories that an
//! overlay mount takes. Blocking calls only; must not know about containers, pods or the network.
//! Start at [`ImageStore`]; what is hostile is handled in `unpack.rs`.

mod archive;
mod config;
mod digest;
mod error;
mod layer;
mod layout;
mod lower;
mod manifest;
mod platform;
mod reference;
#[cfg(test)]
#[path = "tests/sample.rs"]
pub(crate) mod sample;
mod store;
mod tarball;
mod tree;
mod unpack;
mod user;

pub use config::{ImageConfig, working_dir};
pub use error::Error;
pub use layer::{Error as LayerError, Limits};
pub use reference::{ImageReference, OciReference};
pub use store::{Image, ImageStore};
pub use user::{Identity, lookup_user};
