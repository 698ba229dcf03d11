//! Bombs by size, count and depth, and archives that are not whole.

use super::*;
use crate::embedded::image::sample::is_root_or_skipped;
use std::iter;
use tar::EntryType;

#[test]
fn what_is_out_of_bounds_is_refused() {
    if !is_root_or_skipped("what_is_out_of_bounds_is_refused") {
        return;
    }
    let deep = iter::repeat_n("d", 257).collect::<Vec<_>>().join("/");
    let long = "x".repeat(4097);
    let wide = "y".repeat(256);
    let name = |name: &str| Layer::new().pax(&[("path", name.as_bytes())]).file("short", b"");
    let big_value = vec![b'v'; 65 << 10];
    for (layer, reason) in [
        (name(&deep), "an entry lies too deep"),
        (name(&long), "a path is empty or too long"),
        (name(&wide), "a name or path is too long"),
        (name("a\0b"), "a path has a NUL byte in it"),
        (name("a/../b"), "a path has `..` in it"),
        (Layer::new().pax(&[("uid", b"4294967295")]).file("f", b""), "its owner is out of range"),
        (Layer::new().pax(&[("gid", b"4294967296")]).file("f", b""), "its owner is out of range"),
        (Layer::new().pax(&[("uid", b"-1")]).file("f", b""), "a PAX record is wrong"),
        (Layer::new().pax(&[("GNU.sparse.major", b"1")]).file("f", b""), "it has a sparse file"),
        (
            Layer::new().pax(&[("SCHILY.xattr.user.big", &big_value)]).file("f", b""),
            "its extended attributes are too large",
        ),
        (
            Layer::new().pax(&[("comment", &vec![b'c'; 1 << 20])]).file("f", b""),
            "an extension header is too long",
        ),
        (
            (0..9).fold(Layer::new(), |layer, _| layer.pax(&[("comment", b"again")])).file("f", b""),
            "an entry has too many extension headers",
        ),
        (Layer::new().entry(EntryType::GNUSparse, "f", |_| {}, b""), "it has a sparse file"),
        (Layer::new().entry(EntryType::new(b'V'), "f", |_| {}, b""), "it has an entry of an unknown type"),
    ] {
        let mut bench = Bench::new();

        assert_eq!(refused_as(bench.unpack(layer)), reason);
    }
}

#[test]
fn the_number_of_entries_is_bounded_with_the_implied_ones() {
    if !is_root_or_skipped("the_number_of_entries_is_bounded_with_the_implied_ones") {
        return;
    }
    let layer = || Layer::new().file("a/b/c/d", b"").file("a/e", b"");
    for (entries, fits) in [(5, true), (4, false)] {
        let mut bench = Bench::new();
        bench.limits.entries = entries;

        let result = bench.unpack(layer());

        assert_eq!(result.is_ok(), fits, "{entries}: {result:?}");
        assert!(result.is_ok() || result.unwrap_err().is_hopeless());
    }
}

#[test]
fn an_archive_cut_short_or_with_a_wrong_sum_is_refused() {
    if !is_root_or_skipped("an_archive_cut_short_or_with_a_wrong_sum_is_refused") {
        return;
    }
    let whole = Layer::new().file("file", &[b'x'; 2000]).tar();
    let mut flipped = whole.clone();
    flipped[0] ^= 1;
    let mut endless =
        Layer::new().entry(EntryType::Regular, "f", |header| header.set_size(u64::MAX), b"").tar();
    endless.truncate(512);
    for (bytes, reason) in [
        (&whole[..300], "it ends within a header"),
        (&whole[..1500], "it ends too early"),
        (&flipped[..], "a header's checksum is wrong"),
        (&endless[..], "it ends too early"),
    ] {
        let mut bench = Bench::new();

        assert_eq!(refused_as(bench.unpack_bytes(bytes)), reason);
    }
}

#[test]
fn copies_of_files_below_count_as_bytes_of_the_layer() {
    if !is_root_or_skipped("copies_of_files_below_count_as_bytes_of_the_layer") {
        return;
    }
    for (copies, fits) in [(3, true), (4, false)] {
        let mut bench = Bench::new();
        bench.limits.layer_bytes = 300_000;
        bench.unpack(Layer::new().file("large", &[b'x'; 100_000])).unwrap();
        let links =
            (0..copies).fold(Layer::new(), |layer, at| layer.hard_link(&format!("copy-{at}"), "large"));

        let result = bench.unpack(links);

        match result {
            Ok(unpacked) => assert_eq!((fits, unpacked.copied_bytes), (true, 300_000)),
            Err(Error::TooLarge { unit: "bytes", .. }) => assert!(!fits),
            Err(other) => panic!("{other:?}"),
        }
    }
}
