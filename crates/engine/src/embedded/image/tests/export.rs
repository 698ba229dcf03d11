//! Export and import of an image are one another's inverse, and what was not kept is said to be missing.

use serde_json::json;

use super::*;
use crate::embedded::image::sample::{Layer, SampleLayout, is_root_or_skipped};

fn layout() -> SampleLayout {
    let base = Layer::new().directory("bin", 0o755).program("bin/pod", b"#!/bin/pod");
    // The same layer twice, as some builders make them.
    let layers = vec![base, Layer::new().file("a", b"a"), Layer::new().file("a", b"a")];
    SampleLayout::of(json!({ "Entrypoint": ["/bin/pod"] }), layers)
}

#[test]
fn an_exported_image_is_imported_as_the_same_one() {
    if !is_root_or_skipped("an_exported_image_is_imported_as_the_same_one") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let store = ImageStore::open(&directory.path().join("store")).unwrap();
    let path = layout().write_directory(&directory.path().join("layout"));
    let image = store.import(&format!("oci:{}", path.display()).parse().unwrap()).unwrap();
    let archive = directory.path().join("image.tar");

    store.export(&image, File::create(&archive).unwrap()).unwrap();

    let other = ImageStore::open(&directory.path().join("other")).unwrap();
    assert_eq!(other.import(&format!("oci:{}", archive.display()).parse().unwrap()).unwrap(), image);
    assert_eq!(other.image(&image).unwrap().config, store.image(&image).unwrap().config);
    let mut again = Vec::new();
    other.export(&image, &mut again).unwrap();
    assert_eq!(again, std::fs::read(&archive).unwrap(), "to the byte");
}

#[test]
fn an_image_whose_blobs_were_not_kept_is_not_exported_until_it_is_imported_again() {
    if !is_root_or_skipped("an_image_whose_blobs_were_not_kept_is_not_exported_until_it_is_imported_again") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let store = ImageStore::open(&directory.path().join("store")).unwrap();
    let path = layout().write_directory(&directory.path().join("layout"));
    let reference = format!("oci:{}", path.display()).parse().unwrap();
    let image = store.import(&reference).unwrap();
    let layers = manifest::manifest(&std::fs::read(store.blob_path(&image)).unwrap()).unwrap().layers;
    std::fs::remove_file(store.blob_path(&layers[0].0.digest)).unwrap();

    assert!(matches!(store.export(&image, Vec::new()), Err(Error::NoSuchBlob { .. })));
    store.import(&reference).unwrap();
    store.export(&image, Vec::new()).unwrap();
}
