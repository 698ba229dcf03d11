//! Images: from a registry, an OCI layout or an archive, through verification and safe unpacking, to directories that an
//! overlay mount takes. Must not know about containers, pods or the network between them.
//! Start at [`Images`], which fetches, and [`ImageStore`], which keeps; what is hostile is handled in `unpack.rs`.

mod archive;
mod assemble;
mod cache;
mod claims;
mod config;
mod digest;
mod download;
mod error;
mod export;
#[cfg(test)]
#[path = "tests/registry.rs"]
mod fake_registry;
mod images;
mod incoming;
pub mod inspect;
mod layer;
mod layout;
mod lower;
mod manifest;
mod platform;
mod progress;
mod reference;
mod registry;
#[cfg(test)]
#[path = "tests/sample.rs"]
pub(crate) mod sample;
mod store;
mod stream;
mod tarball;
mod tree;
mod unpack;
mod user;

pub use cache::{Extent, Pruned, StoredImage};
pub use claims::Claim;
pub use config::{ImageConfig, working_dir};
pub use error::Error;
pub use images::Images;
pub use manifest::Compression;
pub use progress::PullProgress;
pub use reference::{ImageReference, OciReference, RegistryReference};
pub use registry::{Error as RegistryError, RegistrySettings};
pub use store::{Image, ImageStore};
pub use stream::{Error as LayerError, Limits};
pub use user::{Identity, lookup_user};

/// An error with its causes, joined by colons.
#[cfg(test)]
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
