//! What is written comes back as it was, and what is not whole is refused before anything is placed.

use super::*;
use crate::credentials::Credentials;
use crate::data_dir::{DataDir, LOG_FILE};
use crate::restored::Restored;
use crate::store::LogStore;
use crate::store::sqlite::SqliteStore;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

/// A directory as a server leaves it, without having accepted anything.
async fn data_dir(parent: &TempDir) -> PathBuf {
    let path = parent.path().join("data");
    let directory = DataDir::open(&path).unwrap();
    Credentials::load_or_create(&path.join(CREDENTIALS), None).unwrap();
    let store = SqliteStore::open(&directory.path().join(LOG_FILE)).await.unwrap();
    store.fence().await.unwrap();
    store.close().await;
    path
}

async fn backed_up() -> (TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let data_dir = data_dir(&parent).await;
    let configuration = parent.path().join("any.toml");
    fs::write(&configuration, "listen = \"127.0.0.1:8420\"\n").unwrap();
    let file = parent.path().join("ensemble.backup");
    let extras = [Extra { name: "ensemble.toml", path: configuration }];
    write(&data_dir, &file, &extras, |_| {}).await.unwrap();
    (parent, file)
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_backup_becomes_a_private_directory_that_only_observes() {
    let (parent, file) = backed_up().await;
    let to = parent.path().join("new/place");

    let manifest = restore(&file, &to, |_| {}).await.unwrap();

    assert_eq!(manifest.sequence, 0);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(names(&to), ["credentials.toml", "log.sqlite", "restored", "restored.json"]);
    assert_eq!(names(&to.join("restored")), ["ensemble.toml"]);
    for name in [CREDENTIALS, "log.sqlite", "restored.json"] {
        assert_eq!(fs::metadata(to.join(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    let key = |dir: &Path| fs::read(dir.join(CREDENTIALS)).unwrap();
    assert_eq!(key(&to), key(&parent.path().join("data")));
    assert!(!Restored::read(&to).unwrap().unwrap().is_confirmed());
    assert_eq!(names(parent.path()), ["any.toml", "data", "ensemble.backup", "new"], "nothing is left lying");
}

#[tokio::test]
async fn the_restored_servers_epoch_is_above_all_that_the_old_one_reached() {
    let (parent, file) = backed_up().await;
    let to = parent.path().join("new");
    restore(&file, &to, |_| {}).await.unwrap();

    let old = SqliteStore::open(&parent.path().join("data").join(LOG_FILE)).await.unwrap();
    let new = SqliteStore::open(&to.join(LOG_FILE)).await.unwrap();
    for _ in 0..10 {
        old.fence().await.unwrap();
    }

    assert!(new.fence().await.unwrap() > old.fence().await.unwrap());
}

#[tokio::test]
async fn a_bit_that_flipped_anywhere_is_noticed_and_nothing_is_placed() {
    let (parent, file) = backed_up().await;
    let whole = fs::read(&file).unwrap();
    let to = parent.path().join("new");
    // Each block once, at a place of its own, the last byte of all included.
    let places = (0..whole.len() / 512).map(|block| block * 512 + (block * 37) % 512);
    for place in places.chain([0, whole.len() - 1]) {
        let mut flipped = whole.clone();
        flipped[place] ^= 0x10;
        fs::write(&file, &flipped).unwrap();

        let restored = restore(&file, &to, |_| {}).await;

        let error = restored.expect_err("a flipped bit is noticed");
        assert!(matches!(error, Error::Damaged { .. } | Error::NoBackup { .. }), "{place}: {error}");
        assert!(!to.exists(), "{place}");
    }
}

#[tokio::test]
async fn a_backup_that_was_cut_off_is_refused_wherever_it_ends() {
    let (parent, file) = backed_up().await;
    let whole = fs::read(&file).unwrap();
    let to = parent.path().join("new");
    for length in [0, 1, 512, 2_047, 2_048, whole.len() / 2, whole.len() - 512, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();

        let error = restore(&file, &to, |_| {}).await.expect_err("a cut is noticed");

        assert!(matches!(error, Error::Damaged { .. } | Error::NoBackup { .. }), "{length}: {error}");
        assert!(error.to_string().contains("ensemble.backup"), "{error}");
        assert!(!to.exists(), "{length}");
    }
}

#[tokio::test]
async fn other_files_and_other_directories_are_left_alone() {
    let (parent, file) = backed_up().await;
    let other = parent.path().join("letter.txt");
    fs::write(&other, "x".repeat(4_096)).unwrap();
    let (empty, full) = (parent.path().join("empty"), parent.path().join("full"));
    fs::create_dir(&empty).unwrap();
    fs::create_dir(&full).unwrap();
    fs::write(full.join("photo.jpg"), "").unwrap();

    let no_backup = restore(&other, &empty, |_| {}).await.unwrap_err();
    let not_empty = restore(&file, &full, |_| {}).await.unwrap_err();
    let no_server = write(&empty, &file, &[], |_| {}).await.unwrap_err();
    restore(&file, &empty, |_| {}).await.unwrap();

    assert!(matches!(no_backup, Error::NoBackup { .. }), "{no_backup}");
    assert!(matches!(not_empty, Error::NotEmpty { .. }), "{not_empty}");
    assert!(matches!(no_server, Error::NoServer { .. }), "{no_server}");
    assert_eq!(names(&full), ["photo.jpg"]);
}

#[tokio::test]
async fn a_backup_replaces_a_file_and_nothing_else() {
    let (parent, file) = backed_up().await;
    let data = parent.path().join("data");
    let link = parent.path().join("link");
    std::os::unix::fs::symlink(&file, &link).unwrap();

    for other in [Path::new("/dev/full"), parent.path(), link.as_path()] {
        let error = write(&data, other, &[], |_| {}).await.unwrap_err();

        assert!(matches!(error, Error::NotAFile { .. }), "{error}");
    }
    write(&data, &file, &[], |_| {}).await.expect("an older backup may be replaced");
    assert!(link.is_symlink());
}

#[tokio::test]
async fn a_backup_of_another_format_is_refused_by_its_number() {
    let (parent, file) = backed_up().await;
    let later = parent.path().join("later.backup");
    let manifest = Manifest {
        format: 2,
        program: "9".into(),
        taken_at: Timestamp::now(),
        sequence: 0,
        applications: 0,
        instances: 0,
        files: Vec::new(),
    };
    let text = serde_json::to_vec(&manifest).unwrap();
    let mut archive = archive::Writer::create(&later).unwrap();
    archive.add(MANIFEST, text.len() as u64, text.as_slice()).unwrap();
    archive.finish().unwrap();

    let error = restore(&later, &parent.path().join("new"), |_| {}).await.unwrap_err();

    assert!(matches!(error, Error::Format { found: 2, .. }), "{error}");
    drop(file);
}

/// A backup with one entry, and a manifest that says how long it is.
fn crafted(parent: &TempDir, name: &str, bytes: u64, content: &[u8]) -> PathBuf {
    let file = parent.path().join("crafted.backup");
    let manifest = Manifest {
        format: FORMAT,
        program: "0".into(),
        taken_at: Timestamp::now(),
        sequence: 0,
        applications: 0,
        instances: 0,
        files: vec![FileEntry { name: name.into(), bytes, image: None }],
    };
    let text = serde_json::to_vec(&manifest).unwrap();
    let mut archive = archive::Writer::create(&file).unwrap();
    archive.add(MANIFEST, text.len() as u64, text.as_slice()).unwrap();
    archive.add_raw(name.as_bytes(), content).unwrap();
    archive.finish().unwrap();
    file
}

#[tokio::test]
async fn a_backup_never_reaches_outside_of_its_directory() {
    for name in [
        "../escape",
        "/tmp/escape",
        "..",
        "restored/../../escape",
        "restored/..",
        "images//tmp/escape",
        "restored/a/b",
        "engine/x",
        "restored/.x",
        "",
    ] {
        let parent = tempfile::tempdir().unwrap();
        let file = crafted(&parent, name, 1, b"x");

        let error = restore(&file, &parent.path().join("new"), |_| {}).await.unwrap_err();

        assert!(error.to_string().contains("is no name of ours"), "{name}: {error}");
        assert_eq!(names(parent.path()), ["crafted.backup"], "{name}");
    }
}

#[tokio::test]
async fn an_entry_that_is_longer_than_promised_is_not_read_to_its_end() {
    let parent = tempfile::tempdir().unwrap();
    let file = crafted(&parent, LOG, 1, &[0; 100_000]);

    let error = restore(&file, &parent.path().join("new"), |_| {}).await.unwrap_err();

    assert!(error.to_string().contains("has 2 bytes instead of 1"), "{error}");
}
