//! What could not be done with which file: the one error that every room with files of its own shares.
//! Must not decide what to do about it.

use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
#[error("could not {action} `{path}`")]
pub struct FileError {
    /// A verb: `read`, `write`.
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl FileError {
    /// For `map_err`: says what was tried with which file.
    pub(crate) fn on<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl Fn(io::Error) -> Self + Copy + use<'a> {
        move |source| Self { action, path: path.to_owned(), source }
    }
}
