//! Backups: one file with everything that a server cannot be made again without: its log, its key, the images that came
//! from files, and for people its configuration. `write` makes one beside a running server, `restore` makes a data
//! directory of one, `archive` is the file itself. Must not touch the directory that it reads.

mod archive;
mod restore;
mod write;

pub use restore::restore;
pub use write::write;

use crate::file_error::FileError;
use crate::{credentials, data_dir, restored, start, store};
use ensemble_engine::embedded::image;
use ensemble_model::id::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Of the file; another number is another layout.
const FORMAT: u32 = 1;

/// The first entry of a backup, which says what follows.
const MANIFEST: &str = "ensemble-backup.json";
const LOG: &str = "log.sqlite";
const CREDENTIALS: &str = "credentials.toml";

/// What is kept for people to look at: a restore puts it beside the log and uses none of it.
const FOR_PEOPLE: &str = "restored";

/// A file that goes along for people: the configuration, the fleet file.
#[derive(Clone, Debug)]
pub struct Extra {
    /// Its name in the backup: `ensemble.toml`.
    pub name: &'static str,
    pub path: PathBuf,
}

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// The version of the program that made it.
    pub program: String,
    pub taken_at: Timestamp,
    /// The last sequence of its log.
    pub sequence: u64,
    pub applications: usize,
    pub instances: usize,
    /// In the order in which they follow.
    pub files: Vec<FileEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    pub name: String,
    pub bytes: u64,
    /// Where it is an image: which, and of which engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageEntry {
    pub engine: String,
    pub digest: Digest,
}

/// What is being done, for whoever waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    CopyingLog,
    /// Of how many.
    Image {
        number: usize,
        of: usize,
    },
    Writing {
        bytes: u64,
    },
    Verifying {
        bytes: u64,
    },
    Placing,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("`{path}` is no data directory: it has no `{missing}`")]
    NoServer { path: PathBuf, missing: &'static str },
    #[error("`{path}` is there and is no file; a backup replaces nothing else")]
    NotAFile { path: PathBuf },
    #[error("`{path}` is no backup of Ensemble")]
    NoBackup { path: PathBuf },
    #[error("the backup `{path}` is cut off or damaged: {what}")]
    Damaged { path: PathBuf, what: String },
    #[error("the backup `{path}` has format {found}; this version reads format {FORMAT}")]
    Format { path: PathBuf, found: u32 },
    #[error("`{path}` is not empty; a backup is restored into a directory of its own")]
    NotEmpty { path: PathBuf },
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("the log in the backup cannot be gone on with")]
    Log(#[source] Box<start::Error>),
    #[error(transparent)]
    Credentials(#[from] credentials::Error),
    #[error(transparent)]
    DataDir(#[from] data_dir::Error),
    #[error(transparent)]
    Restored(#[from] restored::Error),
    #[error("image `{digest}` could not be taken along")]
    Image {
        digest: Digest,
        #[source]
        source: image::Error,
    },
}

/// A directory that is removed again unless it became something.
struct Workplace(PathBuf);

impl Workplace {
    /// Beside `target`, so that a rename takes what is made there to its place.
    fn beside(target: &Path) -> Result<Self, Error> {
        use std::os::unix::fs::DirBuilderExt;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!(".{name}.{}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&path).map_err(FileError::on("create", &path))?;
        Ok(Self(path))
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        // Gone already where it became something; else nothing more can be done about it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests;
