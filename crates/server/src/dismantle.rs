//! Takes a data directory's containers off the machine, with all that its engines made outside of the directory. The
//! opposite of a start; nothing of the log or the state is touched, so the next start makes what is wanted again.

use crate::data_dir::{self, DataDir};
use ensemble_engine::embedded::{EmbeddedEngine, OpenError};
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    DataDir(#[from] data_dir::Error),
    #[error("could not read `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{text}` is no address range for pods")]
    PodNetwork { text: String },
    #[error("could not take down the engine in `{path}`")]
    Engine {
        path: PathBuf,
        #[source]
        source: OpenError,
    },
}

/// Ends the containers of every engine of `data_dir` and removes their networks and control groups. Returns the
/// engines' directories; a data directory that is not there has none.
///
/// # Errors
/// A server still runs on it, or something would not go.
pub async fn dismantle(data_dir: &Path, pod_network: &str) -> Result<Vec<PathBuf>, Error> {
    let engines = data_dir.join("engine");
    if !engines.is_dir() {
        return Ok(Vec::new());
    }
    let pods = pod_network.parse().map_err(|_| Error::PodNetwork { text: pod_network.to_owned() })?;
    let _lock = DataDir::open(data_dir)?;
    let read = |source| Error::Read { path: engines.clone(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&engines).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if path.is_dir() {
            EmbeddedEngine::dismantle(&path, pods)
                .await
                .map_err(|source| Error::Engine { path: path.clone(), source })?;
            found.push(path);
        }
    }
    Ok(found)
}
