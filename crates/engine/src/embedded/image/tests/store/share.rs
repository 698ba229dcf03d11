//! Layers that images share, also when several are taken in at once.

use super::*;

#[test]
fn layers_are_shared_by_content_and_come_topmost_first() {
    if !is_root_or_skipped("layers_are_shared_by_content_and_come_topmost_first") {
        return;
    }
    let bench = Bench::new();
    let top = || SampleLayer::new().file("top", b"");
    let one = SampleLayout::of(json!({ "Cmd": ["one"] }), vec![web_layer(), top()]);
    let two = SampleLayout::of(json!({ "Cmd": ["two"] }), vec![top(), web_layer()]);

    let one = bench.import(&one).unwrap();
    let two = bench.import(&two).unwrap();

    assert_ne!(one, two);
    let (one, two) = (bench.store.image(&one).unwrap().layers, bench.store.image(&two).unwrap().layers);
    assert!(one[0].join("top").is_file() && one[1].join("pod").is_file());
    assert_eq!([&one[0], &one[1]], [&two[1], &two[0]]);
    assert_eq!(bench.count("layers"), 2);
}

#[test]
fn a_layer_that_takes_from_those_below_is_not_shared_above_others() {
    if !is_root_or_skipped("a_layer_that_takes_from_those_below_is_not_shared_above_others") {
        return;
    }
    let bench = Bench::new();
    let implied = || SampleLayer::new().file("tmp/file", b"");
    let above =
        |mode| SampleLayout::of(json!({}), vec![SampleLayer::new().directory("tmp", mode), implied()]);
    let mode = |digest: &Digest| {
        use std::os::unix::fs::MetadataExt;
        let image = bench.store.image(digest).unwrap();
        fs::metadata(image.layers[0].join("tmp")).unwrap().mode() & 0o7777
    };

    let alone = bench.import(&SampleLayout::of(json!({}), vec![implied()])).unwrap();
    let open = bench.import(&above(0o1777)).unwrap();
    let closed = bench.import(&above(0o700)).unwrap();

    assert_eq!((mode(&alone), mode(&open), mode(&closed)), (0o755, 0o1777, 0o700));
}

#[test]
fn a_layer_whose_root_is_opaque_ends_the_list() {
    if !is_root_or_skipped("a_layer_whose_root_is_opaque_ends_the_list") {
        return;
    }
    let bench = Bench::new();
    let opaque = SampleLayer::new().file(".wh..wh..opq", b"").file("only", b"");
    let layers = vec![web_layer(), opaque, SampleLayer::new().file("top", b"")];

    let digest = bench.import(&SampleLayout::of(json!({}), layers)).unwrap();

    let image = bench.store.image(&digest).unwrap();
    assert_eq!(image.layers.len(), 2);
    assert!(image.layers[1].join("only").is_file());
}

#[test]
fn imports_of_one_image_at_once_meet() {
    if !is_root_or_skipped("imports_of_one_image_at_once_meet") {
        return;
    }
    let bench = Bench::new();
    web().write_directory(&bench.path("layout"));
    let start = Barrier::new(8);
    // Half of them through a store of their own, as a second process would.
    let other = ImageStore::open(&bench.path("store")).unwrap();
    let reference: OciReference = format!("oci:{}", bench.path("layout").display()).parse().unwrap();

    let import = |store: &ImageStore| {
        start.wait();
        store.import(&reference).unwrap()
    };

    let digests: Vec<_> = std::thread::scope(|scope| {
        let stores = [&bench.store, &other].into_iter().cycle().take(8);
        let threads: Vec<_> = stores.map(|store| scope.spawn(|| import(store))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    assert!(digests.iter().all(|digest| *digest == digests[0]));
    assert!(bench.store.image(&digests[0]).is_ok());
    assert_eq!((bench.count("layers"), bench.count("incoming"), bench.count("images")), (1, 0, 1));
}

#[test]
fn images_that_are_taken_in_at_once_keep_every_whiteout_of_the_layers_they_share() {
    if !is_root_or_skipped("images_that_are_taken_in_at_once_keep_every_whiteout_of_the_layers_they_share") {
        return;
    }
    let bench = Bench::new();
    let image = |name: &str| {
        let base = SampleLayer::new().directory("d", 0o755).file("d/low", b"low").file("gone", b"");
        let middle =
            SampleLayer::new().file(".wh.gone", b"").file("d/.wh..wh..opq", b"").file("d/new", b"new");
        let own = SampleLayer::new().file(name, b"");
        SampleLayout::of(json!({ "Cmd": [name] }), vec![base, middle, own])
    };
    let names = ["a", "b", "c", "d"];
    for name in names {
        image(name).write_directory(&bench.path(name));
    }
    let start = Barrier::new(names.len());

    let images: Vec<Digest> = std::thread::scope(|scope| {
        let (bench, start) = (&bench, &start);
        let import = move |name: &str| {
            start.wait();
            bench.import_path(&bench.path(name), "").unwrap()
        };
        let threads: Vec<_> = names.map(|name| scope.spawn(move || import(name))).into_iter().collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    for image in &images {
        let layers = bench.store.image(image).unwrap().layers;
        let whiteout = fs::symlink_metadata(layers[1].join("gone")).unwrap();
        assert!(std::os::unix::fs::FileTypeExt::is_char_device(&whiteout.file_type()));
        let opaque = File::open(layers[1].join("d")).unwrap();
        assert!(crate::embedded::image::tree::is_opaque(&opaque).unwrap());
    }
    assert_eq!(bench.count("layers"), 2 + names.len());
}
