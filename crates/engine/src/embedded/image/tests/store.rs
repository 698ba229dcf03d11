//! The store over crafted layouts: what it takes, what it refuses, and what it leaves behind.

use super::*;
use crate::embedded::image::sample::{Layer, SampleLayout, is_root_or_skipped};
use serde_json::json;

struct Bench {
    directory: TempDir,
    store: ImageStore,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = ImageStore::open(&directory.path().join("store")).unwrap();
        Self { directory, store }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn import(&self, text: String) -> Result<Digest, Error> {
        self.store.import(&text.parse().unwrap())
    }
}

fn web() -> SampleLayout {
    let run = json!({ "Entrypoint": ["/pod"], "Cmd": ["8080"], "Env": ["PATH=/bin", "EMPTY="], "User": "1000:1000" });
    SampleLayout::of(run, vec![Layer::new().directory("bin", 0o755).program("pod", b"#!/bin/pod")])
}

#[test]
fn an_image_of_a_directory_or_an_archive_becomes_one_image_of_the_store() {
    if !is_root_or_skipped("an_image_of_a_directory_or_an_archive_becomes_one_image_of_the_store") {
        return;
    }
    let bench = Bench::new();
    let directory = web().write_directory(&bench.path().join("layout"));
    let archive = web().write_archive(&bench.path().join("image.tar"));

    let from_directory = bench.import(format!("oci:{}:v1", directory.display())).unwrap();
    let from_archive = bench.import(format!("oci:{}", archive.display())).unwrap();

    assert_eq!(from_directory, from_archive);
    let image = bench.store.image(&from_directory).unwrap();
    assert_eq!(image.config.entrypoint, ["/pod"]);
    assert_eq!(image.config.env, [("PATH".into(), "/bin".into()), ("EMPTY".into(), String::new())]);
    assert_eq!(image.config.user, "1000:1000");
    assert_eq!(image.layers.len(), 1);
    assert_eq!(fs::read(image.layers[0].join("pod")).unwrap(), b"#!/bin/pod");
}
