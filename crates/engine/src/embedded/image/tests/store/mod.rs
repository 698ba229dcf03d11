//! The store over crafted layouts: what it takes, what it refuses, and what it leaves behind.

mod choose;
mod keep;
mod share;
mod sources;
mod verify;

use std::os::unix::fs::symlink;
use std::sync::Barrier;

use serde_json::{Value, json};

use super::*;
use crate::embedded::image::sample::{
    GZIP_LAYER, Layer as SampleLayer, OCI_MANIFEST, SampleLayout, gzip, is_root_or_skipped, to_bytes,
};
use crate::embedded::image::stream;
use rustix::fs::CWD;
use tempfile::TempDir;

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const ZSTD_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
const TAR_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

struct Bench {
    directory: TempDir,
    store: ImageStore,
}

impl Bench {
    fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    fn with_limits(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = ImageStore::with_limits(&directory.path().join("store"), limits).unwrap();
        Self { directory, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn import(&self, layout: &SampleLayout) -> Result<Digest, Error> {
        self.import_from(layout, "")
    }

    /// Writes the layout anew and imports it; `tag` is "" or `:TAG`.
    fn import_from(&self, layout: &SampleLayout, tag: &str) -> Result<Digest, Error> {
        let path = self.path("layout");
        let _ = fs::remove_dir_all(&path);
        layout.write_directory(&path);
        self.import_path(&path, tag)
    }

    fn import_path(&self, path: &Path, tag: &str) -> Result<Digest, Error> {
        self.store.import(&format!("oci:{}{tag}", path.display()).parse().unwrap())
    }

    fn count(&self, place: &str) -> usize {
        fs::read_dir(self.path("store").join(place)).unwrap().count()
    }

    fn assert_nothing_taken(&self) {
        for place in ["images", "incoming", "layers"] {
            assert_eq!(self.count(place), 0, "{place}");
        }
    }
}

fn web_layer() -> SampleLayer {
    SampleLayer::new().directory("bin", 0o755).program("pod", b"#!/bin/pod")
}

fn web() -> SampleLayout {
    let run = json!({ "Entrypoint": ["/pod"], "Cmd": ["8080"], "Env": ["PATH=/bin", "EMPTY="], "User": "1000:1000" });
    SampleLayout::of(run, vec![web_layer()])
}

/// One image of one gzip layer with something about its descriptors changed.
fn changed(change: impl FnOnce(&mut SampleLayout, &mut Value)) -> SampleLayout {
    let mut layout = SampleLayout::new();
    let tar = web_layer().tar();
    let image = layout.image(json!({}), vec![(GZIP_LAYER, gzip(&tar), tar)]);
    let manifest = layout.blobs.iter().find(|(hex, _)| image["digest"] == format!("sha256:{hex}")).unwrap();
    let mut manifest: Value = serde_json::from_slice(&manifest.1).unwrap();
    change(&mut layout, &mut manifest);
    let image = layout.blob(OCI_MANIFEST, &to_bytes(&manifest));
    layout.tagged(image, "v1")
}
