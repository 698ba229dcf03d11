//! Every trap of runtime.md §8 as a crafted layer, by kind of trap. Here is the bench that they are sprung on.

mod bounds;
mod kinds;
mod links;
mod paths;
mod whiteouts;

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::embedded::image::digest::Hashing;
use crate::embedded::image::sample::Layer;

/// A directory with a secret of the host beside the layer, to be reached by no layer.
struct Bench {
    directory: TempDir,
    layers: Vec<PathBuf>,
    limits: Limits,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("secret"), "of the host").unwrap();
        Self { directory, layers: vec![], limits: Limits::default() }
    }

    fn secret(&self) -> PathBuf {
        self.directory.path().join("secret")
    }

    /// Unpacks the layer above those unpacked before.
    fn unpack(&mut self, layer: Layer) -> Result<Unpacked, Error> {
        self.unpack_bytes(&layer.tar())
    }

    fn unpack_bytes(&mut self, tar: &[u8]) -> Result<Unpacked, Error> {
        let target = self.directory.path().join(format!("layer-{}", self.layers.len()));
        fs::create_dir(&target).unwrap();
        let lower = Lower::open(&self.layers).unwrap();
        self.layers.insert(0, target.clone());
        unpack(&mut Hashing::new(tar), &target, &lower, &self.limits)
    }

    fn top(&self) -> &Path {
        &self.layers[0]
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.top().join(path)).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.top()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn is_whiteout(&self, path: &str) -> bool {
        let metadata = fs::symlink_metadata(self.top().join(path)).unwrap();
        metadata.file_type().is_char_device() && metadata.rdev() == 0
    }

    fn is_opaque(&self, path: &str) -> bool {
        tree::is_opaque(&File::open(self.top().join(path)).unwrap()).unwrap()
    }

    fn assert_host_unharmed(&self) {
        assert_eq!(fs::read_to_string(self.secret()).unwrap(), "of the host");
        let outside = fs::read_dir(self.directory.path()).unwrap().count();
        assert_eq!(outside, 1 + self.layers.len(), "a layer wrote beside itself");
    }
}

fn refused_as(result: Result<Unpacked, Error>) -> &'static str {
    match result {
        Err(Error::Refused { reason, .. } | Error::Malformed(reason)) => reason,
        other => panic!("was not refused: {other:?}"),
    }
}
