//! What a layer hides of those below it, in every order.

use super::*;
use crate::embedded::image::sample::is_root_or_skipped;

#[test]
fn whiteouts_hide_what_is_below_in_any_order() {
    if !is_root_or_skipped("whiteouts_hide_what_is_below_in_any_order") {
        return;
    }
    let mut bench = Bench::new();
    let layer = Layer::new()
        .file(".wh.plain", b"")
        .file("after/new", b"new")
        .file("after/.wh..wh..opq", b"")
        .file("before/.wh..wh..opq", b"")
        .file("before/new", b"new")
        .file("replaced", b"new")
        .file(".wh.replaced", b"")
        .file(".wh.remade/", b"")
        .directory("made", 0o755)
        .file("made/new", b"new")
        .file(".wh.made", b"")
        .file(".wh..wh.plnk", b"")
        .file(".wh..wh.aufs", b"");

    let result = bench.unpack(layer);

    result.unwrap();
    assert_eq!(bench.names(), ["after", "before", "made", "plain", "remade", "replaced"]);
    assert!(bench.is_whiteout("plain") && bench.is_whiteout("remade"));
    assert_eq!(bench.text("replaced"), "new");
    for path in ["after", "before", "made"] {
        assert!(bench.is_opaque(path), "{path}");
        assert_eq!(bench.text(&format!("{path}/new")), "new");
    }
    assert!(!bench.is_opaque(""));
}

#[test]
fn a_directory_made_where_a_whiteout_was_stays_closed_to_what_is_below() {
    if !is_root_or_skipped("a_directory_made_where_a_whiteout_was_stays_closed_to_what_is_below") {
        return;
    }
    let mut bench = Bench::new();
    let layer = Layer::new()
        .file(".wh.described", b"")
        .directory("described", 0o755)
        .file(".wh.implied", b"")
        .file("implied/file", b"");

    bench.unpack(layer).unwrap();

    assert!(bench.is_opaque("described") && bench.is_opaque("implied"));
}

#[test]
fn a_whiteout_must_hide_one_plain_name() {
    if !is_root_or_skipped("a_whiteout_must_hide_one_plain_name") {
        return;
    }
    for (path, reason) in [
        (".wh.", "a whiteout hides no plain name"),
        (".wh..", "a whiteout hides no plain name"),
        (".wh...", "a whiteout hides no plain name"),
        (".wh.x/y", "a parent has the name of a whiteout"),
    ] {
        let mut bench = Bench::new();

        assert_eq!(refused_as(bench.unpack(Layer::new().file(path, b""))), reason, "{path}");
    }
}
