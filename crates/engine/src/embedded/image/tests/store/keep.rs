//! What becomes of an image in the store, and what a crash or a loss does to it.

use super::*;

#[test]
fn an_image_of_a_directory_or_an_archive_becomes_one_image_of_the_store() {
    if !is_root_or_skipped("an_image_of_a_directory_or_an_archive_becomes_one_image_of_the_store") {
        return;
    }
    let bench = Bench::new();
    let directory = web().write_directory(&bench.path("layout"));
    let archive = web().write_archive(&bench.path("image.tar"));

    let from_directory = bench.import_path(&directory, ":v1").unwrap();
    let from_archive = Bench::new().import_path(&archive, "").unwrap();

    assert_eq!(from_directory, from_archive);
    let image = bench.store.image(&from_directory).unwrap();
    assert_eq!(image.config.entrypoint, ["/pod"]);
    assert_eq!(image.config.cmd, ["8080"]);
    assert_eq!(image.config.env, [("PATH".into(), "/bin".into()), ("EMPTY".into(), String::new())]);
    assert_eq!(image.config.user, "1000:1000");
    assert_eq!(image.layers.len(), 1);
    assert_eq!(fs::read(image.layers[0].join("pod")).unwrap(), b"#!/bin/pod");
    assert_eq!(bench.count("incoming"), 0);
}

#[test]
fn every_compression_and_the_docker_media_types_are_taken() {
    if !is_root_or_skipped("every_compression_and_the_docker_media_types_are_taken") {
        return;
    }
    let tar = web_layer().tar();
    let two_members = [gzip(&tar[..700]), gzip(&tar[700..])].concat();
    let zstd = zstd::encode_all(&tar[..], 1).unwrap();
    for (media_type, blob) in [
        (GZIP_LAYER, gzip(&tar)),
        (GZIP_LAYER, two_members),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", gzip(&tar)),
        (TAR_LAYER, tar.clone()),
        ("application/vnd.docker.image.rootfs.diff.tar", tar.clone()),
        (ZSTD_LAYER, zstd),
    ] {
        let bench = Bench::new();
        let mut layout = SampleLayout::new();
        let image = layout.image(json!({}), vec![(media_type, blob, tar.clone())]);

        let digest = bench.import(&layout.tagged(image, "v1")).unwrap();

        let image = bench.store.image(&digest).unwrap();
        assert!(image.layers[0].join("pod").is_file(), "{media_type}");
    }
}

#[test]
fn what_a_crash_left_is_cleared_but_not_what_is_still_written() {
    if !is_root_or_skipped("what_a_crash_left_is_cleared_but_not_what_is_still_written") {
        return;
    }
    let bench = Bench::new();
    fs::create_dir_all(bench.path("store/incoming/import-dead/layer-0")).unwrap();
    symlink(bench.path("store/layers"), bench.path("store/incoming/import-dead/layer-0/link")).unwrap();
    let digest = bench.import(&web()).unwrap();
    let alive = Incoming::new(&bench.path("store")).unwrap();

    ImageStore::open(&bench.path("store")).unwrap();

    assert_eq!(bench.count("incoming"), 1);
    assert!(alive.directory.path().is_dir());
    assert!(bench.store.image(&digest).is_ok(), "a link in what was cleared must not be followed");
}

#[test]
fn an_image_that_lost_a_part_is_not_believed_and_can_be_imported_again() {
    if !is_root_or_skipped("an_image_that_lost_a_part_is_not_believed_and_can_be_imported_again") {
        return;
    }
    let bench = Bench::new();
    let digest = bench.import(&web()).unwrap();
    let config = bench.store.record(&digest).unwrap().config;
    let layer = bench.store.image(&digest).unwrap().layers[0].clone();
    let config_path = bench.store.blob_path(&config);
    let record_path = bench.store.record_path(&digest);
    let losses: [(&str, &dyn Fn()); 5] = [
        ("layer", &|| fs::remove_dir_all(&layer).unwrap()),
        ("record", &|| fs::remove_file(&record_path).unwrap()),
        ("record cut short", &|| fs::write(&record_path, "{").unwrap()),
        ("config", &|| fs::remove_file(&config_path).unwrap()),
        ("config damaged", &|| fs::write(&config_path, "{}").unwrap()),
    ];
    for (what, lose) in losses {
        lose();

        assert!(bench.store.image(&digest).is_err(), "{what}");
        assert_eq!(bench.import(&web()).unwrap(), digest, "{what}");
        assert!(bench.store.image(&digest).is_ok(), "{what}");
    }
}

#[test]
fn every_reference_of_an_image_is_noted_once_and_not_without_bound() {
    if !is_root_or_skipped("every_reference_of_an_image_is_noted_once_and_not_without_bound") {
        return;
    }
    let bench = Bench::new();
    let digest = bench.import(&web()).unwrap();
    let first = bench.store.names_of(&digest);

    for turn in ["a:v1", "b:v1", "a:v1", "b:v1"] {
        bench.store.touch(&digest, turn);
    }
    assert_eq!(bench.store.names_of(&digest), [&first[..], &["a:v1".to_owned(), "b:v1".to_owned()]].concat());

    for number in 0..100 {
        bench.store.touch(&digest, &format!("many:v{number}"));
    }
    let names = bench.store.names_of(&digest);
    assert_eq!((names.len(), &names[0], names.last().unwrap().as_str()), (16, &first[0], "many:v99"));
    bench.store.image(&digest).unwrap();
    bench.store.touch(&Digest::new("sha256:of nobody"), "a:v1");
}

#[test]
fn only_a_digest_names_an_image() {
    let bench = Bench::new();

    for text in ["", "sha256:", "../../etc/passwd", "sha256:../../../../etc/passwd"] {
        let error = bench.store.image(&Digest::new(text)).unwrap_err();

        assert!(matches!(error, Error::NotInStore { .. }), "{text}: {error}");
    }
}
