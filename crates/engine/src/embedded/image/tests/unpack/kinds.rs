//! Kinds of entries and their attributes: what comes out as it went in, what is left out, and which of several wins.

use super::*;
use crate::embedded::image::sample::is_root_or_skipped;
use tar::EntryType;

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

    assert_eq!(unpacked, Unpacked { entries: 6, ..Unpacked::default() });
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
