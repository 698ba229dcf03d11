//! Layouts and archives that lead elsewhere or are none.

use super::*;

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
