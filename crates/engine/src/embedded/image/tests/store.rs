//! The store over crafted layouts: what it takes, what it refuses, and what it leaves behind.

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
fn only_a_digest_names_an_image() {
    let bench = Bench::new();

    for text in ["", "sha256:", "../../etc/passwd", "sha256:../../../../etc/passwd"] {
        let error = bench.store.image(&Digest::new(text)).unwrap_err();

        assert!(matches!(error, Error::NotInStore { .. }), "{text}: {error}");
    }
}

#[test]
fn a_layout_may_link_within_itself_but_not_outside() {
    if !is_root_or_skipped("a_layout_may_link_within_itself_but_not_outside") {
        return;
    }
    let bench = Bench::new();
    let path = web().write_directory(&bench.path("layout"));
    fs::rename(path.join("index.json"), path.join("real.json")).unwrap();
    symlink("real.json", path.join("index.json")).unwrap();
    let inside = bench.import_path(&path, "");
    fs::rename(path.join("real.json"), bench.path("outside.json")).unwrap();
    for target in ["../outside.json", "/etc/passwd", "/proc/self/fd/0"] {
        fs::remove_file(path.join("index.json")).unwrap();
        symlink(target, path.join("index.json")).unwrap();

        let outside = bench.import_path(&path, "").unwrap_err();

        assert!(outside.to_string().contains("a link in it leads outside"), "{target}: {outside}");
    }
    assert!(inside.is_ok());
}

#[test]
fn a_path_that_is_no_image_is_refused_without_a_word_of_what_it_holds() {
    let bench = Bench::new();
    let at = |name: &str| bench.path(name);
    fs::write(at("secret"), "password: hunter2\n".repeat(100)).unwrap();
    fs::create_dir(at("empty")).unwrap();
    fs::create_dir_all(at("secretive/blobs")).unwrap();
    fs::write(at("secretive/oci-layout"), "hunter2").unwrap();
    fs::write(at("secretive/index.json"), r#"{"schemaVersion":"hunter2"}"#).unwrap();
    fs::create_dir(at("fifo")).unwrap();
    fs::write(at("fifo/oci-layout"), "").unwrap();
    for fifo in ["fifo/index.json", "pipe"] {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(CWD, at(fifo), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    }
    fs::write(at("compressed.tar.gz"), gzip(b"hunter2")).unwrap();
    for name in
        ["secret", "empty", "secretive", "fifo", "pipe", "compressed.tar.gz", "missing", "secret/below"]
    {
        let error = bench.import_path(&at(name), ":v1").unwrap_err();

        assert!(error.is_hopeless(), "{name}: {error:?}");
        let said = format!("{error} {error:?}");
        assert!(!said.contains("hunter2") && !said.contains("password"), "{name}: {said}");
        bench.assert_nothing_taken();
    }
}

#[test]
fn an_archive_cut_anywhere_is_refused_or_lacks_a_blob() {
    if !is_root_or_skipped("an_archive_cut_anywhere_is_refused_or_lacks_a_blob") {
        return;
    }
    let whole = fs::read(web().write_archive(&Bench::new().path("image.tar"))).unwrap();
    // The last two blocks only mark the end.
    for length in (0..whole.len() - 1024).step_by(256) {
        let bench = Bench::new();
        fs::write(bench.path("cut.tar"), &whole[..length]).unwrap();

        match bench.import_path(&bench.path("cut.tar"), "") {
            Err(error) => assert!(error.is_hopeless(), "{length}: {error:?}"),
            // Only the padding of the last file is gone.
            Ok(digest) => assert!(length > whole.len() - 1536 && bench.store.image(&digest).is_ok()),
        }
    }
}
