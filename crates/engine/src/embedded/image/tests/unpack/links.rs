//! Links that were planted to be followed: symbolic ones on the way to an entry, hard ones to what is not the image's.

use super::*;
use crate::embedded::image::sample::is_root_or_skipped;
use std::os::unix::fs::symlink;

#[test]
fn writing_through_a_planted_link_stays_inside() {
    if !is_root_or_skipped("writing_through_a_planted_link_stays_inside") {
        return;
    }
    let mut bench = Bench::new();
    let outside = bench.directory.path().to_str().unwrap().to_owned();
    let layer = Layer::new()
        .symlink("absolute", &outside)
        .file("absolute/secret", b"evil")
        .symlink("relative", "../../../../../../..")
        .file("relative/tmp/evil", b"evil")
        .symlink("magic", "/proc/self/root")
        .file("magic/evil", b"evil");

    bench.unpack(layer).unwrap();

    bench.assert_host_unharmed();
    assert_eq!(bench.text(&format!("{}/secret", &outside[1..])), "evil");
    assert_eq!(bench.text("tmp/evil"), "evil");
    assert_eq!(bench.text(&["proc", "self", "root", "evil"].join("/")), "evil");
    assert!(!Path::new("/evil").exists() && !Path::new("/tmp/evil").exists());
}

#[test]
fn links_in_a_circle_are_refused() {
    if !is_root_or_skipped("links_in_a_circle_are_refused") {
        return;
    }
    let mut bench = Bench::new();

    let result = bench.unpack(Layer::new().symlink("a", "b").symlink("b", "a").file("a/x", b""));

    assert_eq!(refused_as(result), "too many links lead to an entry");
}

#[test]
fn a_hard_link_reaches_regular_files_of_the_image_only() {
    if !is_root_or_skipped("a_hard_link_reaches_regular_files_of_the_image_only") {
        return;
    }
    let secret = Bench::new().secret().into_os_string().into_string().unwrap();
    for (layer, reason) in [
        (Layer::new().hard_link("x", &secret), "a hard link leads to no regular file"),
        (Layer::new().hard_link("x", "../secret"), "a path has `..` in it"),
        (Layer::new().hard_link("x", "/"), "a hard link leads to the root directory"),
        (Layer::new().hard_link("x", ""), "a path is empty or too long"),
        (
            Layer::new().symlink("s", "/etc/passwd").hard_link("x", "s"),
            "a hard link leads to no regular file",
        ),
        (
            Layer::new().symlink("s", "/etc").hard_link("x", "s/passwd"),
            "a hard link leads to no regular file",
        ),
        (Layer::new().directory("d", 0o755).hard_link("x", "d"), "a hard link leads to no regular file"),
        (Layer::new().file(".wh.gone", b"").hard_link("x", "gone"), "a hard link leads to no regular file"),
        (Layer::new().file("x/file", b"").hard_link("x", "x/file"), "a hard link replaces its own target"),
    ] {
        let mut bench = Bench::new();

        assert_eq!(refused_as(bench.unpack(layer)), reason);
    }
}

#[test]
fn a_hard_link_to_itself_changes_nothing() {
    if !is_root_or_skipped("a_hard_link_to_itself_changes_nothing") {
        return;
    }
    let mut bench = Bench::new();

    bench.unpack(Layer::new().file("file", b"data").hard_link("file", "file")).unwrap();

    assert_eq!(bench.text("file"), "data");
}

#[test]
fn a_hard_link_to_a_file_of_a_lower_layer_becomes_a_copy() {
    if !is_root_or_skipped("a_hard_link_to_a_file_of_a_lower_layer_becomes_a_copy") {
        return;
    }
    let mut bench = Bench::new();
    bench.unpack(Layer::new().directory("d", 0o755).program("d/low", b"low").file("gone", b"")).unwrap();
    bench.unpack(Layer::new().file(".wh.gone", b"")).unwrap();

    let unpacked = bench.unpack(Layer::new().hard_link("copy", "d/low")).unwrap();

    assert!(unpacked.depends_on_lower);
    assert_eq!(bench.text("copy"), "low");
    assert_eq!(fs::metadata(bench.top().join("copy")).unwrap().mode() & 0o777, 0o755);
    let hidden = bench.unpack(Layer::new().hard_link("copy", "gone"));
    assert_eq!(refused_as(hidden), "a hard link leads to no regular file");
}

#[test]
fn a_link_of_the_host_at_the_layer_itself_is_not_ours_to_follow() {
    if !is_root_or_skipped("a_link_of_the_host_at_the_layer_itself_is_not_ours_to_follow") {
        return;
    }
    let mut bench = Bench::new();
    bench.unpack(Layer::new().directory("d", 0o755)).unwrap();
    symlink(bench.secret(), bench.top().join("planted")).unwrap();
    let below = Lower::open(&bench.layers).unwrap();

    let through = below.find(&[b"planted".to_vec()]).unwrap().unwrap();

    assert_eq!(through.file_type(), FileType::Symlink);
    assert!(through.open_regular().is_err());
}
