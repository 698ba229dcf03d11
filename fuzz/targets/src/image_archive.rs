//! An image as one archive, taken in by a store: it is there whole and can be opened, or nothing of it is.

use crate::tarball;
use ensemble_engine::embedded::image::{Error, ImageStore, Limits, OciReference};
use std::fs;
use std::path::Path;

const LIMITS: Limits = Limits {
    layer_bytes: 1 << 20,
    image_bytes: 2 << 20,
    entries: 512,
    image_entries: 1_024,
    ratio: 400,
    ratio_from: 1 << 20,
};

/// The archive; its checksums are mended.
pub fn check(input: &[u8]) {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let archive = directory.path().join("image.tar");
    let mut bytes = input.to_vec();
    tarball::mend(&mut bytes);
    fs::write(&archive, &bytes).expect("the directory is ours");
    let reference = format!("oci:{}", archive.display());
    let reference: OciReference = reference.parse().expect("a path of ours is a reference");
    let place = directory.path().join("store");
    let store = ImageStore::with_limits(&place, LIMITS).expect("the directory is ours");

    match store.import(&reference) {
        Ok(digest) => {
            let image = store.image(&digest).expect("what was taken in is there");
            assert!(image.layers.iter().all(|layer| layer.is_dir()), "a layer is missing: {image:?}");
            assert_eq!(store.import(&reference).ok(), Some(digest), "taken in twice differently");
            assert_eq!(store.image(&image.manifest).ok(), Some(image), "taken in twice differently");
        }
        Err(error) => {
            let is_ours = matches!(error, Error::Read { .. } | Error::Write { .. });
            assert!(!is_ours, "an archive is blamed on the machine: {error:?}");
            assert_eq!(count(&place.join("images")), 0, "an image that was refused is there");
        }
    }
    assert_eq!(count(&place.join("incoming")), 0, "something is left half done");
    assert_eq!(fs::read(&archive).ok(), Some(bytes), "the archive was changed");
}

fn count(directory: &Path) -> usize {
    fs::read_dir(directory).expect("the store made it").count()
}
