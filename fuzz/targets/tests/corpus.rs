//! Every input that fuzzing began with or that once broke something, through its target again, without cargo-fuzz:
//! `cargo test --workspace --test corpus`. A target without inputs or without its file for cargo-fuzz fails.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ensemble_fuzz_targets::{Needs, TARGETS, Target};
use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

/// The whole corpus is part of every clone.
const CORPUS_BYTES_AT_MOST: u64 = 768 << 10;
const INPUT_BYTES_AT_MOST: u64 = 64 << 10;

fn fuzz() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in `fuzz`")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn names(folder: &str) -> BTreeSet<String> {
    files(&fuzz().join(folder))
        .iter()
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

fn replay(target: &Target) {
    let is_root = rustix::process::geteuid().is_root();
    if target.needs == Needs::Root && !is_root {
        println!("SKIPPED {}: its inputs are unpacked by root", target.name);
        return;
    }
    let inputs = files(&fuzz().join("corpus").join(target.name));
    assert!(!inputs.is_empty(), "{} has no inputs", target.name);
    let mut failed = Vec::new();
    for path in &inputs {
        let input = fs::read(path).unwrap();
        if catch_unwind(|| (target.check)(&input)).is_err() {
            failed.push(path.display().to_string());
        }
    }
    println!("{}: {} inputs", target.name, inputs.len());
    assert!(failed.is_empty(), "what must hold did not, for\n  {}", failed.join("\n  "));
}

macro_rules! replayed {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            replay(TARGETS.iter().find(|target| target.name == stringify!($name)).unwrap());
        })*

        #[test]
        fn every_target_has_inputs_a_test_and_a_file_for_cargo_fuzz() {
            let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();

            assert_eq!(BTreeSet::from([$(stringify!($name).to_owned()),*]), targets, "tests");
            assert_eq!(names("corpus"), targets, "corpora");
            assert_eq!(names("fuzz_targets"), targets, "files for cargo-fuzz");
        }
    };
}

replayed!(
    fleet_file,
    image_archive,
    image_document,
    image_layer,
    image_reference,
    image_user,
    log_record,
    log_recovery,
    parameters,
    selector,
    signature,
    signing,
    template
);

#[test]
fn the_corpus_stays_small() {
    let folders = files(&fuzz().join("corpus"));
    let sizes: Vec<(PathBuf, u64)> = folders
        .iter()
        .flat_map(|folder| files(folder))
        .map(|path| (path.clone(), fs::metadata(&path).unwrap().len()))
        .collect();

    let large: Vec<_> = sizes.iter().filter(|(_, bytes)| *bytes > INPUT_BYTES_AT_MOST).collect();
    assert!(large.is_empty(), "inputs over {INPUT_BYTES_AT_MOST} bytes: {large:?}");
    let all: u64 = sizes.iter().map(|(_, bytes)| bytes).sum();
    assert!(all <= CORPUS_BYTES_AT_MOST, "{all} bytes in all");
}
