//! Which of several images a reference means: tags, indexes, platforms.

use super::*;

#[test]
fn a_tag_names_one_of_several_images() {
    if !is_root_or_skipped("a_tag_names_one_of_several_images") {
        return;
    }
    let bench = Bench::new();
    let mut layout = SampleLayout::new();
    let tar = web_layer().tar();
    let first = layout.image(json!({ "Cmd": ["1"] }), vec![(GZIP_LAYER, gzip(&tar), tar.clone())]);
    let second = layout.image(json!({ "Cmd": ["2"] }), vec![(GZIP_LAYER, gzip(&tar), tar)]);
    let layout = layout.tagged(first, "v1").tagged(second, "v2");

    let second = bench.import_from(&layout, ":v2").unwrap();
    let none = bench.import(&layout).unwrap_err();
    let unknown = bench.import_from(&layout, ":v3").unwrap_err();

    assert_eq!(bench.store.image(&second).unwrap().config.cmd, ["2"]);
    assert!(matches!(&none, Error::TagNeeded { offered, .. } if offered == "`v1`, `v2`"), "{none}");
    assert!(matches!(&unknown, Error::NoSuchTag { offered, .. } if offered == "`v1`, `v2`"), "{unknown}");
}

/// A layout whose image stands in as many indexes within each other.
fn nested(depth: usize, media_type: &str) -> SampleLayout {
    let mut layout = SampleLayout::new();
    let tar = web_layer().tar();
    let mut descriptor = layout.image(json!({ "Cmd": ["here"] }), vec![(GZIP_LAYER, gzip(&tar), tar)]);
    let attestation = layout.blob(OCI_MANIFEST, b"{}");
    let elsewhere = layout.blob(OCI_MANIFEST, b"{ }");
    for _ in 0..depth {
        let platform = |os: &str, architecture: &str, descriptor: &Value| {
            let mut descriptor = descriptor.clone();
            descriptor["platform"] = json!({ "os": os, "architecture": architecture });
            descriptor
        };
        let index = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": [
            platform("unknown", "unknown", &attestation),
            platform("linux", "mips", &elsewhere),
            platform("linux", &Platform::here().architecture, &descriptor),
        ] });
        descriptor = layout.blob(media_type, &to_bytes(&index));
    }
    layout.tagged(descriptor, "v1")
}

#[test]
fn the_image_for_this_machine_is_found_through_indexes() {
    if !is_root_or_skipped("the_image_for_this_machine_is_found_through_indexes") {
        return;
    }
    for (depth, media_type) in [(1, OCI_INDEX), (1, DOCKER_INDEX), (3, OCI_INDEX)] {
        let bench = Bench::new();

        let digest = bench.import(&nested(depth, media_type)).unwrap();

        assert_eq!(bench.store.image(&digest).unwrap().config.cmd, ["here"]);
        assert_eq!(bench.store.record(&digest).unwrap().indexes.len(), depth);
    }
    let error = Bench::new().import(&nested(4, OCI_INDEX)).unwrap_err();
    assert_eq!(error.to_string(), "the image is refused: its indexes are nested too deep");
}

#[test]
fn an_image_for_other_machines_only_says_for_which() {
    if !is_root_or_skipped("an_image_for_other_machines_only_says_for_which") {
        return;
    }
    let mut layout = SampleLayout::new();
    let blob = layout.blob(OCI_MANIFEST, b"{}");
    let with = |platform: Value| {
        let mut descriptor = blob.clone();
        descriptor["platform"] = platform;
        descriptor
    };
    let index = json!({ "schemaVersion": 2, "manifests": [
        with(json!({ "os": "linux", "architecture": "mips" })),
        with(json!({ "os": "plan9", "architecture": "arm", "variant": "v7" })),
    ] });
    let index = layout.blob(OCI_INDEX, &to_bytes(&index));
    let by_config = changed(|layout, manifest| {
        let config = json!({ "os": "linux", "architecture": "mips", "rootfs": { "diff_ids": [] } });
        let media_type = manifest["config"]["mediaType"].as_str().unwrap().to_owned();
        manifest["config"] = layout.blob(&media_type, &to_bytes(&config));
    });

    for (layout, expected) in
        [(layout.tagged(index, "v1"), "`linux/mips`, `plan9/arm/v7`"), (by_config, "`linux/mips`")]
    {
        let error = Bench::new().import(&layout).unwrap_err();

        assert!(error.is_hopeless());
        assert!(matches!(&error, Error::NoSuchPlatform { offered, .. } if offered == expected), "{error}");
    }
}
