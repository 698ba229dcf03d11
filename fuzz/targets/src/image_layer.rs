//! A layer, which is a stranger's archive unpacked by root. It never reaches out of its directory, brings nothing but
//! plain things within its bounds, and unpacks to the same twice.

use crate::tarball;
use crate::tree::{self, Entry, Kind};
use ensemble_engine::embedded::image::inspect::{self, Unpacked};
use ensemble_engine::embedded::image::{Compression, LayerError, Limits};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const SECRET: &str = "of the host";
const LAYER_BYTES: u64 = 1 << 20;
const ENTRIES: u64 = 512;
/// Of the directory name that each layer of these is given.
const LOWER: &str = "lower";

/// One byte that says how (the lowest two bits: as it is, gzip, zstd, as it is; then: checksums mended, above another
/// layer), then the layer.
pub fn check(input: &[u8]) {
    let Some((how, packed)) = input.split_first() else { return };
    let compression = match how & 3 {
        1 => Compression::Gzip,
        2 => Compression::Zstd,
        _ => Compression::None,
    };
    let mut packed = packed.to_vec();
    if how & 4 != 0 {
        tarball::mend(&mut packed);
    }
    let bench = Bench::new(how & 8 != 0);
    let before = bench.surroundings();

    let first = bench.unpack("first", &packed, compression);
    let second = bench.unpack("second", &packed, compression);

    assert_eq!(bench.surroundings(), before, "a layer reached out of its directory");
    match (first, second) {
        (Ok(first), Ok(second)) => {
            assert_eq!(first, second, "unpacked twice differently");
            let tree = tree::list(&bench.path("first"));
            assert_eq!(tree, tree::list(&bench.path("second")), "unpacked twice differently");
            is_sound(&tree, &first);
        }
        (Err(first), Err(second)) => {
            assert_eq!(first.to_string(), second.to_string(), "refused twice differently");
            // The disk of a fuzzing machine is not full: what cannot be written is the layer's doing.
            let is_ours = matches!(first, LayerError::Read(_) | LayerError::Write(_));
            assert!(!is_ours, "a layer is blamed on the machine: {first:?}");
        }
        (first, second) => panic!("taken and refused: {first:?}, {second:?}"),
    }
}

fn is_sound(tree: &BTreeMap<PathBuf, Entry>, unpacked: &Unpacked) {
    assert!(unpacked.entries <= ENTRIES && tree.len() as u64 <= ENTRIES, "{} entries", tree.len());
    assert!(unpacked.bytes <= LAYER_BYTES && unpacked.copied_bytes <= LAYER_BYTES, "{unpacked:?}");
    let mut held = 0;
    let mut names: BTreeMap<&[u8], u64> = BTreeMap::new();
    for (path, entry) in tree {
        assert!(tree::is_plain(path), "{path:?}");
        match &entry.kind {
            Kind::Directory | Kind::Fifo | Kind::Whiteout | Kind::Link(_) => {}
            Kind::File(links, content) => {
                assert!(content != SECRET.as_bytes(), "{path:?} is the host's");
                held += content.len() as u64 / links;
                *names.entry(content).or_default() += 1;
                assert!(*links <= ENTRIES, "{path:?} has {links} names");
            }
            Kind::Foreign => panic!("{path:?} is a device or a socket"),
        }
        let is_kept = |name: &String| {
            let is_users = name.starts_with("user.") && !name.starts_with("user.overlay.");
            is_users || name == "trusted.overlay.opaque" && entry.kind == Kind::Directory
        };
        assert!(entry.attributes.iter().all(is_kept), "{path:?} speaks to the kernel: {entry:?}");
    }
    assert!(held <= unpacked.bytes + unpacked.copied_bytes, "{held} bytes out of {unpacked:?}");
    for (path, entry) in tree {
        if let Kind::File(links, content) = &entry.kind {
            let known = names.get(content.as_slice()).copied().unwrap_or_default();
            assert!(*links <= known, "{path:?} has a name outside of its layer");
        }
    }
}

/// A directory with a secret of the host beside the layers.
struct Bench {
    directory: TempDir,
    lower: Vec<PathBuf>,
}

impl Bench {
    fn new(is_above_another: bool) -> Self {
        let directory = tempfile::tempdir().expect("there is room for a directory");
        let mut bench = Self { directory, lower: Vec::new() };
        fs::write(bench.path("secret"), SECRET).expect("the directory is ours");
        if is_above_another {
            bench.lower.push(bench.path(LOWER));
            lower(&bench.path(LOWER)).expect("the directory is ours");
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn unpack(&self, name: &str, packed: &[u8], compression: Compression) -> Result<Unpacked, LayerError> {
        let target = self.path(name);
        fs::create_dir(&target).expect("the directory is ours");
        let limits = Limits { layer_bytes: LAYER_BYTES, entries: ENTRIES, ..Limits::default() };
        inspect::unpack(packed, compression, &target, &self.lower, &limits)
    }

    /// Everything that no layer may change: what lies beside it and what lies below it.
    fn surroundings(&self) -> BTreeMap<PathBuf, Entry> {
        let mut found = tree::list(self.directory.path());
        found.retain(|path, _| !path.starts_with("first") && !path.starts_with("second"));
        found
    }
}

/// A layer below, with one of each thing that something above can meet.
fn lower(top: &Path) -> std::io::Result<()> {
    for directory in ["", "etc", "bin", "tmp", "srv", "srv/deep"] {
        fs::create_dir(top.join(directory))?;
    }
    fs::set_permissions(top.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    fs::write(top.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n")?;
    fs::write(top.join("bin/sh"), "#!")?;
    fs::write(top.join("srv/deep/file"), "below")?;
    symlink("etc", top.join("link"))?;
    symlink("../../secret", top.join("srv/out"))
}
