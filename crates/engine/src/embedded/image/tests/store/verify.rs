//! What is not what it is said to be: bytes, digests, sizes, media types, and bombs by bytes and ratio.

use super::*;

#[test]
fn a_layer_that_is_not_what_it_is_said_to_be_is_refused() {
    if !is_root_or_skipped("a_layer_that_is_not_what_it_is_said_to_be_is_refused") {
        return;
    }
    let tar = web_layer().tar();
    let other = SampleLayer::new().file("other", b"").tar();
    let mut broken = gzip(&tar);
    let middle = broken.len() / 2;
    broken.truncate(middle);
    for (media_type, blob, tar, reason) in [
        (GZIP_LAYER, tar.clone(), tar.clone(), "its compression is not the one that its media type says"),
        (TAR_LAYER, gzip(&tar), tar.clone(), "its compression is not the one that its media type says"),
        (ZSTD_LAYER, gzip(&tar), tar.clone(), "its compression is not the one that its media type says"),
        (GZIP_LAYER, gzip(&other), tar.clone(), "its unpacked bytes are not those that the config names"),
        (GZIP_LAYER, broken, tar.clone(), "it ends too early"),
        (GZIP_LAYER, gzip(&[b'x'; 1024]), tar.clone(), "a header's checksum is wrong"),
    ] {
        let bench = Bench::new();
        let mut layout = SampleLayout::new();
        let image = layout.image(json!({}), vec![(media_type, blob, tar)]);

        let error = bench.import(&layout.tagged(image, "v1")).unwrap_err();

        assert!(error.is_hopeless());
        assert!(
            matches!(&error, Error::Layer { source: stream::Error::Malformed(text), .. } if *text == reason),
            "{error:?}"
        );
        bench.assert_nothing_taken();
    }
}

#[test]
fn a_blob_that_was_changed_is_refused_whichever_it_is() {
    if !is_root_or_skipped("a_blob_that_was_changed_is_refused_whichever_it_is") {
        return;
    }
    for number in 0..web().blobs.len() {
        let (mut flipped, mut longer, mut missing) = (web(), web(), web());
        *flipped.blobs[number].1.last_mut().unwrap() ^= 1;
        longer.blobs[number].1.push(b' ');
        missing.blobs.remove(number);
        for layout in [flipped, longer, missing] {
            let bench = Bench::new();

            let error = bench.import(&layout).unwrap_err();

            assert!(error.is_hopeless(), "{error:?}");
            bench.assert_nothing_taken();
        }
    }
}

#[test]
fn a_changed_blob_is_refused_also_where_its_layer_is_known() {
    if !is_root_or_skipped("a_changed_blob_is_refused_also_where_its_layer_is_known") {
        return;
    }
    let bench = Bench::new();
    bench.import(&web()).unwrap();
    let mut other = SampleLayout::of(json!({ "Cmd": ["/other"] }), vec![web_layer()]);
    let layer = other.blobs.iter_mut().find(|(_, bytes)| bytes.starts_with(&[0x1f, 0x8b])).unwrap();
    *layer.1.last_mut().unwrap() ^= 1;

    let error = bench.import(&other).unwrap_err();

    assert!(matches!(error, Error::Layer { .. }), "{error:?}");
    assert_eq!(bench.count("images"), 1);
}

#[test]
fn a_manifest_that_asks_for_what_we_do_not_do_is_refused() {
    if !is_root_or_skipped("a_manifest_that_asks_for_what_we_do_not_do_is_refused") {
        return;
    }
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    for (layout, expected) in [
        (changed(|_, manifest| manifest["layers"][0]["mediaType"] = json!(foreign)), "foreign"),
        (changed(|_, manifest| manifest["layers"][0]["mediaType"] = json!("text/plain")), "media type"),
        (changed(|_, manifest| manifest["layers"][0]["urls"] = json!(["http://x/"])), "elsewhere"),
        (changed(|_, manifest| manifest["config"]["mediaType"] = json!("text/plain")), "config"),
        (changed(|_, manifest| manifest["mediaType"] = json!(OCI_INDEX)), "something else"),
        (changed(|_, manifest| manifest["schemaVersion"] = json!(1)), "schema version"),
        (changed(|_, manifest| manifest["layers"] = json!([])), "number of layers"),
        (changed(|_, manifest| manifest["layers"][0]["size"] = json!(-1)), "JSON"),
        (changed(|_, manifest| manifest["layers"][0]["digest"] = json!("sha256:../../x")), "digest"),
        (
            changed(|_, manifest| {
                manifest["layers"] = json!(vec![manifest["layers"][0].clone(); 501]);
            }),
            "500 layers",
        ),
        (
            changed(|layout, manifest| {
                let config = json!({ "os": "linux", "architecture": Platform::here().architecture,
                    "rootfs": { "diff_ids": ["sha256:../../../etc"] } });
                let media_type = manifest["config"]["mediaType"].as_str().unwrap().to_owned();
                manifest["config"] = layout.blob(&media_type, &to_bytes(&config));
            }),
            "diff id",
        ),
        (
            changed(|layout, manifest| {
                let media_type = manifest["config"]["mediaType"].as_str().unwrap().to_owned();
                manifest["config"] = layout.blob(&media_type, &vec![b' '; (4 << 20) + 1]);
            }),
            "4 MiB",
        ),
    ] {
        let bench = Bench::new();

        let error = bench.import(&layout).unwrap_err();

        assert!(error.is_hopeless() && error.to_string().contains(expected), "{expected}: {error}");
        bench.assert_nothing_taken();
    }
}

#[test]
fn bounds_on_bytes_and_ratio_are_reached() {
    if !is_root_or_skipped("bounds_on_bytes_and_ratio_are_reached") {
        return;
    }
    let zeros = |name: &str| SampleLayer::new().file(name, &vec![0; 1 << 20]);
    let small = Limits { layer_bytes: 1 << 20, ..Limits::default() };
    let image = Limits { image_bytes: 3 << 19, ..Limits::default() };
    let ratio = Limits { ratio: 50, ratio_from: 1 << 16, ..Limits::default() };
    let generous = Limits { ratio: 1100, ratio_from: 1 << 16, ..Limits::default() };
    for (limits, layers, fits) in [
        (small, vec![zeros("a")], false),
        (image, vec![zeros("a")], true),
        (image, vec![zeros("a"), zeros("b")], false),
        (ratio, vec![zeros("a")], false),
        (generous, vec![zeros("a")], true),
    ] {
        let bench = Bench::with_limits(limits);

        let result = bench.import(&SampleLayout::of(json!({}), layers));

        match result {
            Ok(_) => assert!(fits),
            Err(Error::Layer { source: stream::Error::TooLarge { unit: "bytes", .. }, .. }) => assert!(!fits),
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn entries_are_bounded_over_all_layers_as_well() {
    if !is_root_or_skipped("entries_are_bounded_over_all_layers_as_well") {
        return;
    }
    let layer = |name: &str| SampleLayer::new().file(name, b"").file(&format!("{name}-2"), b"");
    for (image_entries, fits) in [(4, true), (3, false)] {
        let bench = Bench::with_limits(Limits { image_entries, ..Limits::default() });

        let result = bench.import(&SampleLayout::of(json!({}), vec![layer("a"), layer("b")]));

        assert_eq!(result.is_ok(), fits, "{image_entries}: {result:?}");
    }
}

#[test]
fn a_bomb_is_given_up_long_before_it_has_unfolded() {
    if !is_root_or_skipped("a_bomb_is_given_up_long_before_it_has_unfolded") {
        return;
    }
    // 64 MiB of zeros; gzip makes 64 KiB of them, zstd a few hundred bytes.
    let tar = SampleLayer::new().file("zeros", &vec![0; 64 << 20]).tar();
    let zstd = zstd::encode_all(&tar[..], 1).unwrap();
    for (media_type, blob) in [(GZIP_LAYER, gzip(&tar)), (ZSTD_LAYER, zstd)] {
        let bench = Bench::with_limits(Limits { ratio: 10, ratio_from: 1 << 20, ..Limits::default() });
        let mut layout = SampleLayout::new();
        let image = layout.image(json!({}), vec![(media_type, blob, tar.clone())]);

        let error = bench.import(&layout.tagged(image, "v1")).unwrap_err();

        let Error::Layer { source: stream::Error::TooLarge { limit, .. }, .. } = error else {
            panic!("{error:?}")
        };
        assert!(limit < 8 << 20, "{media_type}: {limit}");
        bench.assert_nothing_taken();
    }
}

#[test]
fn a_stream_that_asks_for_too_much_memory_is_refused() {
    if !is_root_or_skipped("a_stream_that_asks_for_too_much_memory_is_refused") {
        return;
    }
    let tar = web_layer().tar();
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(30).unwrap();
    encoder.include_contentsize(false).unwrap();
    std::io::Write::write_all(&mut encoder, &tar).unwrap();
    let blob = encoder.finish().unwrap();
    let bench = Bench::new();
    let mut layout = SampleLayout::new();
    let image = layout.image(json!({}), vec![(ZSTD_LAYER, blob, tar)]);

    let error = bench.import(&layout.tagged(image, "v1")).unwrap_err();

    assert!(matches!(error, Error::Layer { source: stream::Error::Malformed(_), .. }), "{error:?}");
}

#[test]
fn a_document_that_is_a_manifest_and_an_index_is_neither() {
    let ambiguous = changed(|_, manifest| manifest["manifests"] = json!([]));

    let error = Bench::new().import(&ambiguous).unwrap_err();

    assert!(error.to_string().contains("a manifest and an index at once"), "{error}");
}
