//! What can go wrong with a registry, in words that name it and the configuration that mends it, and whether trying again
//! can help (`decisions.md` §2.4). Nothing that a registry sent is repeated but its status.

use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("registry `{registry}` has no `{name}`")]
    Absent { registry: String, name: String },
    #[error(
        "registry `{registry}` gives `{repository}` to nobody without credentials ({status}), if it has it; they go into a file that \
         `[registries.\"{registry}\"] credentials` of the server's configuration names"
    )]
    NeedsCredentials { registry: String, repository: String, status: u16 },
    #[error(
        "registry `{registry}` does not give `{repository}` to the credentials of `[registries.\"{registry}\"]` ({status}), if it \
         has it"
    )]
    NotAccepted { registry: String, repository: String, status: u16 },
    #[error(
        "registry `{registry}` speaks plain HTTP, which is only for registries on this machine and for those that \
         `plain_http` under `[images]` of the server's configuration lists"
    )]
    PlainHttp { registry: String },
    #[error("could not use the credentials of `[registries.\"{registry}\"]` in `{path}`: {reason}")]
    Credentials { registry: String, path: PathBuf, reason: String },
    #[error("registry `{registry}` cannot be reached")]
    Unreachable {
        registry: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("the connection to registry `{registry}` broke off")]
    Broken {
        registry: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("registry `{registry}` answered {status}")]
    Status { registry: String, status: u16 },
    #[error("registry `{registry}` sends too slowly")]
    Stalled { registry: String },
    #[error("registry `{registry}` sent more than {limit} bytes where a document was asked for")]
    TooLong { registry: String, limit: u64 },
    #[error("registry `{registry}` gave no sound answer: {reason}")]
    Protocol { registry: String, reason: &'static str },
}

impl Error {
    /// A failed request. The address is left out: it may hold a token of the place that was redirected to.
    pub(in crate::embedded::image) fn of(registry: &str, error: reqwest::Error) -> Self {
        let (registry, source) = (registry.to_owned(), error.without_url());
        if answered_in_clear(&source) {
            Self::PlainHttp { registry }
        } else if source.is_connect() || source.is_builder() || source.is_redirect() {
            Self::Unreachable { registry, source }
        } else {
            Self::Broken { registry, source }
        }
    }

    /// See [`crate::embedded::image::Error::is_hopeless`]. Whoever refuses us will refuse us again; what is broken, busy or
    /// out of reach may come back.
    pub fn is_hopeless(&self) -> bool {
        match self {
            Self::Absent { .. }
            | Self::NeedsCredentials { .. }
            | Self::NotAccepted { .. }
            | Self::PlainHttp { .. }
            | Self::TooLong { .. } => true,
            Self::Status { status, .. } => !matches!(status, 408 | 421 | 425 | 429 | 500..),
            Self::Credentials { .. }
            | Self::Unreachable { .. }
            | Self::Broken { .. }
            | Self::Stalled { .. }
            | Self::Protocol { .. } => false,
        }
    }
}

/// Whether what came instead of TLS was not TLS at all.
fn answered_in_clear(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return matches!(error, rustls::Error::InvalidMessage(_));
    }
    // An `io::Error` names the cause of what it holds, and not what it holds.
    let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let cause = held.map(|held| held as &(dyn std::error::Error + 'static)).or(error.source());
    cause.is_some_and(answered_in_clear)
}
