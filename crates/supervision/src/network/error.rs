//! What can go wrong with the pod network, as causes that an operator can act on.
//! Sources are shared, because one failed call to `nft` answers everybody who waited for it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::Ipv4Net;

#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("`nft` is not installed; the Debian package `nftables` has it")]
    NftMissing,
    #[error("`nft` refused the rules of the pod network: {reason}")]
    Rules { reason: String },
    #[error("`pod_network` {pod_network} is too small: it needs a prefix of at most 29 bits")]
    PodNetworkTooSmall { pod_network: Ipv4Net },
    #[error("every part of `pod_network` {pod_network} is routed elsewhere on this machine; set another one")]
    NothingFree { pod_network: Ipv4Net },
    #[error("all addresses of the pod network's slice {slice} are taken")]
    Full { slice: Ipv4Net },
    #[error("could not {action}")]
    Kernel {
        action: String,
        #[source]
        source: Arc<io::Error>,
    },
    #[error("could not {action} `{}`", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: Arc<io::Error>,
    },
    #[error("the record of the pod network `{}` cannot be understood: {reason}", path.display())]
    Record { path: PathBuf, reason: String },
    #[error("another server is setting up its pod network and does not finish")]
    SetUpBusy,
    #[error("the pod network is closed")]
    Closed,
}

impl Error {
    /// Makes an error of a system call: `kernel("create bridge `eb0`")`.
    pub fn kernel(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Kernel { action, source: Arc::new(source) }
    }

    pub fn file(action: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source: Arc::new(source) }
    }
}
