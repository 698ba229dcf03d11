//! What can go wrong between an image string and directories to run from, and whether trying again can help.
//! No message quotes what a file holds: a path may name any file of the machine (`decisions.md` §6.3).

use std::io;
use std::path::PathBuf;

use ensemble_model::id::Digest;

use super::{registry, stream};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{text}` is not an image reference: {reason}")]
    Reference { text: String, reason: &'static str },
    #[error(transparent)]
    Registry(#[from] registry::Error),
    #[error("there is no `{path}`")]
    NoSuchPath { path: PathBuf },
    #[error("`{path}` is no OCI image: {reason}")]
    NotAnImage { path: PathBuf, reason: &'static str },
    #[error("`{path}` holds several images, so a tag is needed; it has {offered}")]
    TagNeeded { path: PathBuf, offered: String },
    #[error("`{path}` has no image with the tag `{tag}`; it has {offered}")]
    NoSuchTag { path: PathBuf, tag: String, offered: String },
    #[error("the image is not made for `{wanted}`; it offers {offered}")]
    NoSuchPlatform { wanted: String, offered: String },
    #[error("blob `{digest}` is not there")]
    NoSuchBlob { digest: Digest },
    #[error("blob `{digest}` is damaged: {reason}")]
    Damaged { digest: Digest, reason: &'static str },
    #[error("the image is refused: {reason}")]
    Refused { reason: &'static str },
    #[error("layer `{digest}` is refused")]
    Layer {
        digest: Digest,
        #[source]
        source: stream::Error,
    },
    #[error("the image cannot run as `{user}`: {reason}")]
    User { user: String, reason: &'static str },
    #[error("image `{digest}` is not in the store")]
    NotInStore { digest: Digest },
    #[error("image `{image}` is no longer what the version was pinned to, `{pin}`")]
    Repinned { image: String, pin: Digest },
    #[error("the archive could not be written")]
    Export(#[source] io::Error),
    #[error("could not read `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not write `{path}`")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Whether the same image can never work, however often it is tried (`decisions.md` §2.4): it is absent,
    /// damaged, refused, or made for another platform. The others are faults of this machine that may pass.
    pub fn is_hopeless(&self) -> bool {
        match self {
            Self::Reference { .. }
            | Self::NoSuchPath { .. }
            | Self::NotAnImage { .. }
            | Self::TagNeeded { .. }
            | Self::NoSuchTag { .. }
            | Self::NoSuchPlatform { .. }
            | Self::NoSuchBlob { .. }
            | Self::Damaged { .. }
            | Self::Refused { .. }
            | Self::User { .. }
            | Self::Repinned { .. }
            | Self::NotInStore { .. } => true,
            Self::Registry(error) => error.is_hopeless(),
            Self::Layer { source, .. } => source.is_hopeless(),
            Self::Read { .. } | Self::Write { .. } | Self::Export(_) => false,
        }
    }
}
