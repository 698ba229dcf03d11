//! What goes and what stays when the store is pruned.

use serde_json::json;

use super::*;
use crate::embedded::image::sample::{Layer, SampleLayout, is_root_or_skipped};

struct Bench {
    directory: tempfile::TempDir,
    store: ImageStore,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = ImageStore::open(&directory.path().join("store")).unwrap();
        Self { directory, store }
    }

    /// An image of a layer that all share and one of its own, used `age` seconds ago.
    fn image(&self, name: &str, age: u64) -> Digest {
        let own = Layer::new().file(name, &vec![b'x'; 256 << 10]);
        let layout =
            SampleLayout::of(json!({ "Cmd": [name] }), vec![Layer::new().file("shared", b"shared"), own]);
        let path = layout.write_directory(&self.directory.path().join(name));
        let digest = self.store.import(&format!("oci:{}", path.display()).parse().unwrap()).unwrap();
        let used = SystemTime::now() - Duration::from_secs(age);
        fs::File::open(self.store.record_path(&digest)).unwrap().set_modified(used).unwrap();
        digest
    }

    fn count(&self, place: &str) -> usize {
        self.store.names_in(place).unwrap().len()
    }

    fn images(&self) -> Vec<Digest> {
        self.store.list().unwrap().into_iter().map(|image| image.manifest).collect()
    }
}

fn nothing() -> Result<BTreeSet<Digest>, Error> {
    Ok(BTreeSet::new())
}

#[test]
fn the_least_recently_used_go_first_until_the_bound_is_kept() {
    if !is_root_or_skipped("the_least_recently_used_go_first_until_the_bound_is_kept") {
        return;
    }
    let bench = Bench::new();
    let (old, older, new) = (bench.image("old", 20), bench.image("older", 30), bench.image("new", 10));
    let before = bench.store.bytes().unwrap();

    let pruned = bench.store.prune(Extent::ToBytes(before - 1), nothing).unwrap();

    assert_eq!(pruned.images.iter().map(|image| &image.manifest).collect::<Vec<_>>(), [&older]);
    assert_eq!(bench.images(), [new, old]);
    assert_eq!(pruned.left_bytes, bench.store.bytes().unwrap());
    assert!(pruned.bytes >= 256 << 10 && pruned.left_bytes + pruned.bytes == before, "{pruned:?}");
    assert_eq!(bench.count("layers"), 3, "what others share stays");
    for left in bench.images() {
        bench.store.image(&left).unwrap();
        bench.store.export(&left, io::sink()).unwrap();
    }
}

#[test]
fn what_is_kept_stays_however_small_the_bound_is() {
    if !is_root_or_skipped("what_is_kept_stays_however_small_the_bound_is") {
        return;
    }
    let bench = Bench::new();
    let (pinned, other) = (bench.image("pinned", 1_000), bench.image("other", 1));

    for extent in [Extent::ToBytes(0), Extent::AllUnpinned] {
        bench.store.prune(extent, || Ok(BTreeSet::from([pinned.clone()]))).unwrap();

        assert_eq!(bench.images(), std::slice::from_ref(&pinned));
    }
    bench.store.image(&pinned).unwrap();
    assert!(bench.store.image(&other).is_err());
}

#[test]
fn layers_stay_when_the_record_of_what_is_kept_cannot_be_used() {
    if !is_root_or_skipped("layers_stay_when_the_record_of_what_is_kept_cannot_be_used") {
        return;
    }
    let bench = Bench::new();
    let pinned = bench.image("pinned", 1);
    let keep = || Ok(BTreeSet::from([pinned.clone()]));
    let path = bench.store.record_path(&pinned);

    fs::write(&path, b"torn").unwrap();
    bench.store.prune(Extent::AllUnpinned, keep).unwrap();
    assert_eq!(bench.count("layers"), 2);

    fs::remove_file(&path).unwrap();
    // Can be opened, and not be read.
    fs::create_dir(&path).unwrap();
    assert!(matches!(bench.store.prune(Extent::AllUnpinned, keep), Err(Error::Read { .. })));
    assert_eq!(bench.count("layers"), 2);
}

#[test]
fn a_blob_that_an_image_of_this_machine_has_is_not_dropped_after_a_pull() {
    if !is_root_or_skipped("a_blob_that_an_image_of_this_machine_has_is_not_dropped_after_a_pull") {
        return;
    }
    let bench = Bench::new();
    let image = bench.image("a", 1);

    for blob in bench.store.names_in("blobs/sha256").unwrap() {
        bench.store.drop_blob(&Digest::new(format!("sha256:{blob}")));
    }

    bench.store.export(&image, io::sink()).unwrap();
}

#[test]
fn a_store_that_is_only_read_is_left_as_it_is() {
    let bench = Bench::new();
    let store = bench.directory.path().join("store");
    // Its maker has not locked it yet.
    fs::create_dir(store.join("incoming/import-young")).unwrap();

    ImageStore::open_to_read(&store);
    ImageStore::open_to_read(&bench.directory.path().join("none"));

    assert_eq!(bench.count("incoming"), 1);
    assert!(!bench.directory.path().join("none").exists());
}

#[test]
fn nothing_is_removed_when_it_is_not_known_what_must_stay() {
    if !is_root_or_skipped("nothing_is_removed_when_it_is_not_known_what_must_stay") {
        return;
    }
    let bench = Bench::new();
    bench.image("a", 1);
    let unknown = || {
        let source = io::Error::other("the disk");
        Err(Error::Read { path: "record".into(), source })
    };

    assert!(bench.store.prune(Extent::AllUnpinned, unknown).is_err());

    assert_eq!(bench.images().len(), 1);
}

#[test]
fn what_somebody_is_about_to_pin_stays_until_the_claim_is_dropped() {
    if !is_root_or_skipped("what_somebody_is_about_to_pin_stays_until_the_claim_is_dropped") {
        return;
    }
    let bench = Bench::new();
    let image = bench.image("a", 1);
    let reference = format!("oci:{}", bench.directory.path().join("a").display()).parse().unwrap();
    let (claimed, claim) = bench.store.import_claimed(&reference).unwrap();
    assert_eq!(claimed, image);

    bench.store.prune(Extent::AllUnpinned, nothing).unwrap();
    assert_eq!(bench.images(), [image]);
    drop(claim);
    bench.store.prune(Extent::AllUnpinned, nothing).unwrap();
    assert!(bench.images().is_empty());
}

#[test]
fn leftovers_go_once_a_pull_that_is_tried_again_had_its_time() {
    if !is_root_or_skipped("leftovers_go_once_a_pull_that_is_tried_again_had_its_time") {
        return;
    }
    let bench = Bench::new();
    let image = bench.image("a", 1);
    let store = bench.directory.path().join("store");
    let (old, young, claimed) = ("0".repeat(64), "1".repeat(64), "2".repeat(64));
    let long_ago = SystemTime::now() - LEFTOVERS_KEPT * 2;
    for place in ["blobs/sha256", "partial"] {
        for (name, at) in [(&old, long_ago), (&young, SystemTime::now()), (&claimed, long_ago)] {
            let path = store.join(place).join(name);
            fs::write(&path, b"of no image").unwrap();
            fs::File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
        }
    }
    fs::create_dir(store.join("layers").join(&old)).unwrap();
    let _claim = bench.store.claim_blob(&Digest::new(format!("sha256:{claimed}")));

    let pruned = bench.store.prune(Extent::ToBytes(u64::MAX), nothing).unwrap();

    assert!(pruned.images.is_empty());
    let mut partial = bench.store.names_in("partial").unwrap();
    partial.sort();
    assert_eq!(partial, [young, claimed]);
    assert_eq!(
        bench.count("blobs/sha256"),
        4 + 2,
        "manifest, config and two layers, and what is young or claimed"
    );
    assert_eq!((bench.count("layers"), bench.count("incoming")), (2, 0));
    bench.store.image(&image).unwrap();
}

#[test]
fn imports_and_prunings_at_once_leave_only_whole_images() {
    if !is_root_or_skipped("imports_and_prunings_at_once_leave_only_whole_images") {
        return;
    }
    let bench = Bench::new();
    let names = ["a", "b", "c", "d"];
    for name in names {
        bench.image(name, 1);
    }
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..20 {
                    bench.store.prune(Extent::AllUnpinned, nothing).unwrap();
                }
            });
        }
        for name in names {
            let bench = &bench;
            scope.spawn(move || {
                let reference =
                    format!("oci:{}", bench.directory.path().join(name).display()).parse().unwrap();
                for _ in 0..20 {
                    let (image, claim) = bench.store.import_claimed(&reference).unwrap();
                    bench.store.image(&image).expect("what is claimed is whole");
                    drop(claim);
                }
            });
        }
    });

    for image in bench.images() {
        let image = bench.store.image(&image).unwrap();
        assert!(image.layers.iter().all(|layer| layer.is_dir()));
    }
}
