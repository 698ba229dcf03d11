//! Paths that would lead out of the layer, or that are strange and legal.

use super::*;
use crate::embedded::image::sample::is_root_or_skipped;
use std::iter;
use std::os::unix::ffi::OsStrExt;

#[test]
fn a_path_that_leads_out_is_refused() {
    if !is_root_or_skipped("a_path_that_leads_out_is_refused") {
        return;
    }
    for path in ["../secret", "a/../../secret", "/../secret", "..", "a/.."] {
        let mut bench = Bench::new();

        let result = bench.unpack(Layer::new().file(path, b"evil"));

        assert_eq!(refused_as(result), "a path has `..` in it", "{path}");
        bench.assert_host_unharmed();
    }
}

#[test]
fn an_absolute_path_is_one_of_the_layer() {
    if !is_root_or_skipped("an_absolute_path_is_one_of_the_layer") {
        return;
    }
    let mut bench = Bench::new();
    let absolute = bench.secret().into_os_string().into_string().unwrap();

    bench.unpack(Layer::new().file(&absolute, b"evil")).unwrap();

    assert_eq!(bench.text(&absolute[1..]), "evil");
    bench.assert_host_unharmed();
}

#[test]
fn the_root_is_described_but_never_replaced() {
    if !is_root_or_skipped("the_root_is_described_but_never_replaced") {
        return;
    }
    for path in [".", "/", "./", "//."] {
        let mut bench = Bench::new();

        let result = bench.unpack(Layer::new().symlink(path, "/etc"));

        assert_eq!(refused_as(result), "it would replace the root directory", "{path}");
        assert!(fs::symlink_metadata(bench.top()).unwrap().is_dir());
    }
}

#[test]
fn a_file_as_a_parent_is_refused() {
    if !is_root_or_skipped("a_file_as_a_parent_is_refused") {
        return;
    }
    let mut bench = Bench::new();

    let result = bench.unpack(Layer::new().file("file", b"").file("file/below", b""));

    assert_eq!(refused_as(result), "a parent of an entry is no directory");
}

#[test]
fn a_long_path_and_a_late_group_survive() {
    if !is_root_or_skipped("a_long_path_and_a_late_group_survive") {
        return;
    }
    let mut bench = Bench::new();
    let path = iter::repeat_n("n".repeat(200), 15).collect::<Vec<_>>().join("/");
    let layer = Layer::new().pax(&[("path", path.as_bytes()), ("gid", b"4294967294")]).file("short", b"deep");

    let unpacked = bench.unpack(layer).unwrap();

    assert!(unpacked.depends_on_lower, "its parents are implied");
    let metadata = fs::metadata(bench.top().join(&path)).unwrap();
    assert_eq!((metadata.len(), metadata.gid()), (4, u32::MAX - 1));
}

#[test]
fn an_implied_directory_keeps_the_attributes_it_has_below() {
    if !is_root_or_skipped("an_implied_directory_keeps_the_attributes_it_has_below") {
        return;
    }
    let mode = |bench: &Bench, path: &str| fs::metadata(bench.top().join(path)).unwrap().mode() & 0o7777;
    let mut bench = Bench::new();
    bench
        .unpack(Layer::new().directory("tmp", 0o1777).directory("was", 0o700).directory("old", 0o711))
        .unwrap();
    bench.unpack(Layer::new().file(".wh.was", b"").file("old/.wh..wh..opq", b"")).unwrap();

    let unpacked =
        bench.unpack(Layer::new().file("tmp/x", b"").file("was/x", b"").file("new/x", b"")).unwrap();

    assert!(unpacked.depends_on_lower);
    assert_eq!((mode(&bench, "tmp"), mode(&bench, "was"), mode(&bench, "new")), (0o1777, 0o755, 0o755));
}

#[test]
fn names_that_are_no_text_are_kept() {
    if !is_root_or_skipped("names_that_are_no_text_are_kept") {
        return;
    }
    let mut bench = Bench::new();

    bench.unpack(Layer::new().pax(&[("path", b"\xff\xfe")]).file("short", b"data")).unwrap();

    let name = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    assert_eq!(fs::read(bench.top().join(name)).unwrap(), b"data");
}
