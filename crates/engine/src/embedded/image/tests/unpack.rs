//! Every trap of runtime.md §8 as a crafted layer.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::PathBuf;
use std::{fs, iter};

use tar::EntryType;
use tempfile::TempDir;

use super::*;
use crate::embedded::image::digest::Hashing;
use crate::embedded::image::sample::{Layer, is_root_or_skipped};

/// A directory with a secret of the host beside the layer, to be reached by no layer.
struct Bench {
    directory: TempDir,
    layers: Vec<PathBuf>,
    limits: Limits,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("secret"), "of the host").unwrap();
        Self { directory, layers: vec![], limits: Limits::default() }
    }

    fn secret(&self) -> PathBuf {
        self.directory.path().join("secret")
    }

    /// Unpacks the layer above those unpacked before.
    fn unpack(&mut self, layer: Layer) -> Result<Unpacked, Error> {
        self.unpack_bytes(&layer.tar())
    }

    fn unpack_bytes(&mut self, tar: &[u8]) -> Result<Unpacked, Error> {
        let target = self.directory.path().join(format!("layer-{}", self.layers.len()));
        fs::create_dir(&target).unwrap();
        let lower = Lower::open(&self.layers).unwrap();
        self.layers.insert(0, target.clone());
        unpack(&mut Hashing::new(tar), &target, &lower, &self.limits)
    }

    fn top(&self) -> &Path {
        &self.layers[0]
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.top().join(path)).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.top()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn is_whiteout(&self, path: &str) -> bool {
        let metadata = fs::symlink_metadata(self.top().join(path)).unwrap();
        metadata.file_type().is_char_device() && metadata.rdev() == 0
    }

    fn is_opaque(&self, path: &str) -> bool {
        tree::is_opaque(&File::open(self.top().join(path)).unwrap()).unwrap()
    }

    fn assert_host_unharmed(&self) {
        assert_eq!(fs::read_to_string(self.secret()).unwrap(), "of the host");
        let outside = fs::read_dir(self.directory.path()).unwrap().count();
        assert_eq!(outside, 1 + self.layers.len(), "a layer wrote beside itself");
    }
}

fn refused_as(result: Result<Unpacked, Error>) -> &'static str {
    match result {
        Err(Error::Refused { reason, .. } | Error::Malformed(reason)) => reason,
        other => panic!("was not refused: {other:?}"),
    }
}

#[test]
fn files_directories_links_and_fifos_come_out_as_they_went_in() {
    if !is_root_or_skipped("files_directories_links_and_fifos_come_out_as_they_went_in") {
        return;
    }
    let mut bench = Bench::new();
    let owned = |header: &mut tar::Header| {
        header.set_uid(1000);
        header.set_gid(2000);
        header.set_mode(0o4751);
    };
    let layer = Layer::new()
        .directory("./", 0o700)
        .directory("srv/", 0o1777)
        .entry(EntryType::Regular, "srv/program", owned, b"data")
        .symlink("srv/link", "program")
        .hard_link("srv/other", "/srv/program")
        .entry(EntryType::Fifo, "srv/fifo", |header| header.set_mode(0o620), b"");

    let unpacked = bench.unpack(layer).unwrap();

    assert_eq!(unpacked, Unpacked::default());
    let program = fs::metadata(bench.top().join("srv/program")).unwrap();
    assert_eq!((program.uid(), program.gid(), program.mode() & 0o7777), (1000, 2000, 0o4751));
    assert_eq!(program.ino(), fs::metadata(bench.top().join("srv/other")).unwrap().ino());
    assert_eq!(fs::read_link(bench.top().join("srv/link")).unwrap(), Path::new("program"));
    assert_eq!(bench.text("srv/link"), "data");
    let fifo = fs::symlink_metadata(bench.top().join("srv/fifo")).unwrap();
    assert!(fifo.file_type().is_fifo() && fifo.mode() & 0o777 == 0o620);
    for path in ["", "srv", "srv/program"] {
        assert_eq!(fs::metadata(bench.top().join(path)).unwrap().mtime(), 1_700_000_000, "{path}");
    }
    assert_eq!(fs::metadata(bench.top().join("srv")).unwrap().mode() & 0o7777, 0o1777);
    assert_eq!(fs::metadata(bench.top()).unwrap().mode() & 0o7777, 0o700);
}

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
fn a_file_written_over_a_link_replaces_the_link() {
    if !is_root_or_skipped("a_file_written_over_a_link_replaces_the_link") {
        return;
    }
    let mut bench = Bench::new();
    let secret = bench.secret().into_os_string().into_string().unwrap();

    bench.unpack(Layer::new().symlink("file", &secret).file("file", b"mine")).unwrap();

    assert!(fs::symlink_metadata(bench.top().join("file")).unwrap().is_file());
    bench.assert_host_unharmed();
}

#[test]
fn the_last_of_several_entries_wins_whatever_their_kinds() {
    if !is_root_or_skipped("the_last_of_several_entries_wins_whatever_their_kinds") {
        return;
    }
    let mut bench = Bench::new();
    let layer = Layer::new()
        .file("twice", b"first and longer")
        .file("twice", b"second")
        .directory("tree", 0o755)
        .file("tree/deep/er/file", b"")
        .file("tree", b"now a file")
        .file("grown", b"")
        .directory("grown", 0o755)
        .symlink("pointer", "twice")
        .directory("pointer", 0o750)
        .directory("merged", 0o700)
        .file("merged/kept", b"kept")
        .directory("merged", 0o711);

    bench.unpack(layer).unwrap();

    assert_eq!(bench.text("twice"), "second");
    assert_eq!(bench.text("tree"), "now a file");
    assert!(bench.top().join("grown").is_dir());
    assert!(fs::symlink_metadata(bench.top().join("pointer")).unwrap().is_dir());
    assert_eq!(bench.text("merged/kept"), "kept");
    assert_eq!(fs::metadata(bench.top().join("merged")).unwrap().mode() & 0o777, 0o711);
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

#[test]
fn device_nodes_are_left_out_and_disguised_whiteouts_refused() {
    if !is_root_or_skipped("device_nodes_are_left_out_and_disguised_whiteouts_refused") {
        return;
    }
    let device = |major, minor| {
        move |header: &mut tar::Header| {
            header.set_device_major(major).unwrap();
            header.set_device_minor(minor).unwrap();
        }
    };
    let mut bench = Bench::new();
    let layer = Layer::new().entry(EntryType::Char, "null", device(1, 3), b"").entry(
        EntryType::Block,
        "disk",
        device(8, 0),
        b"",
    );

    let unpacked = bench.unpack(layer).unwrap();
    let disguised = bench.unpack(Layer::new().entry(EntryType::Char, "hidden", device(0, 0), b""));

    assert_eq!(unpacked.devices_skipped, 2);
    assert_eq!(refused_as(disguised), "it is a whiteout in disguise");
}

#[test]
fn only_user_attributes_are_kept() {
    if !is_root_or_skipped("only_user_attributes_are_kept") {
        return;
    }
    let mut bench = Bench::new();
    let layer = Layer::new()
        .pax(&[
            ("SCHILY.xattr.user.note", b"a\0b"),
            ("SCHILY.xattr.user.overlay.opaque", b"y"),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
            ("SCHILY.xattr.security.capability", b"\x01\0\0\x02"),
            ("SCHILY.xattr.security.selinux", b"label"),
        ])
        .directory("d", 0o755);

    bench.unpack(layer).unwrap();

    let mut names = Vec::with_capacity(4096);
    let directory = File::open(bench.top().join("d")).unwrap();
    rustix::fs::flistxattr(&directory, rustix::buffer::spare_capacity(&mut names)).unwrap();
    assert_eq!(String::from_utf8(names).unwrap(), "user.note\0");
}

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
