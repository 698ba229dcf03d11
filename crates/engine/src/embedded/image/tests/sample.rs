//! Crafted images for tests: layers written entry by entry, so that they can be as wrong as a test needs, and
//! layouts around them, as a directory or an archive.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use super::digest;

/// Whether the tests of this machine may make devices and mounts; says so where they may not.
pub(crate) fn is_root_or_skipped(test: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("SKIPPED {test}: needs root");
    }
    is_root
}

/// A tar stream in the making.
pub(crate) struct Layer {
    builder: Builder<Vec<u8>>,
}

impl Layer {
    pub(crate) fn new() -> Self {
        Self { builder: Builder::new(Vec::new()) }
    }

    pub(crate) fn file(self, path: &str, data: &[u8]) -> Self {
        self.entry(EntryType::Regular, path, |header| header.set_mode(0o644), data)
    }

    pub(crate) fn program(self, path: &str, data: &[u8]) -> Self {
        self.entry(EntryType::Regular, path, |header| header.set_mode(0o755), data)
    }

    pub(crate) fn directory(self, path: &str, mode: u32) -> Self {
        self.entry(EntryType::Directory, path, |header| header.set_mode(mode), b"")
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        self.link(EntryType::Symlink, path, target)
    }

    pub(crate) fn hard_link(self, path: &str, target: &str) -> Self {
        self.link(EntryType::Link, path, target)
    }

    fn link(self, kind: EntryType, path: &str, target: &str) -> Self {
        self.entry(kind, path, |header| header.set_link_name_literal(target).unwrap(), b"")
    }

    /// PAX records for the entry that comes next.
    pub(crate) fn pax(mut self, records: &[(&str, &[u8])]) -> Self {
        self.builder.append_pax_extensions(records.iter().copied()).unwrap();
        self
    }

    /// Any entry; the name goes in as it is, however hostile.
    pub(crate) fn entry(
        mut self,
        kind: EntryType,
        path: &str,
        change: impl FnOnce(&mut Header),
        data: &[u8],
    ) -> Self {
        let mut header = Header::new_gnu();
        assert!(path.len() <= 100, "longer names take a PAX record");
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000);
        header.set_size(data.len() as u64);
        change(&mut header);
        header.set_cksum();
        self.builder.append(&header, data).unwrap();
        self
    }

    pub(crate) fn tar(self) -> Vec<u8> {
        self.builder.into_inner().unwrap()
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A layout in the making; every blob can be put in as the test wants it.
pub(crate) struct SampleLayout {
    pub(crate) blobs: Vec<(String, Vec<u8>)>,
    pub(crate) entries: Vec<Value>,
}

pub(crate) const GZIP_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

impl SampleLayout {
    pub(crate) fn new() -> Self {
        Self { blobs: vec![], entries: vec![] }
    }

    /// A layout with one image of gzip layers, base first, tagged `v1`.
    pub(crate) fn of(run: Value, layers: Vec<Layer>) -> Self {
        let mut layout = Self::new();
        let layers = layers.into_iter().map(Layer::tar).map(|tar| (GZIP_LAYER, gzip(&tar), tar)).collect();
        let manifest = layout.image(run, layers);
        layout.tagged(manifest, "v1")
    }

    /// Adds an image of (media type, blob, tar) layers, and answers its descriptor.
    pub(crate) fn image(&mut self, run: Value, layers: Vec<(&str, Vec<u8>, Vec<u8>)>) -> Value {
        let diff_ids: Vec<_> = layers.iter().map(|(_, _, tar)| digest::of(tar).to_string()).collect();
        let config = json!({
            "os": "linux",
            "architecture": super::platform::Platform::here().architecture,
            "config": run,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = self.blob("application/vnd.oci.image.config.v1+json", &to_bytes(&config));
        let layers: Vec<_> = layers.into_iter().map(|(kind, blob, _)| self.blob(kind, &blob)).collect();
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers });
        self.blob(OCI_MANIFEST, &to_bytes(&manifest))
    }

    /// Adds a blob and answers its descriptor.
    pub(crate) fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = digest::of(bytes);
        self.blobs.push((digest::hex(&digest).to_owned(), bytes.to_vec()));
        json!({ "mediaType": media_type, "digest": digest.as_str(), "size": bytes.len() })
    }

    pub(crate) fn tagged(mut self, mut descriptor: Value, tag: &str) -> Self {
        descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
        self.entries.push(descriptor);
        self
    }

    pub(crate) fn write_directory(&self, path: &Path) -> PathBuf {
        fs::create_dir_all(path.join("blobs/sha256")).unwrap();
        for (name, bytes) in self.files() {
            fs::write(path.join(name), bytes).unwrap();
        }
        path.to_owned()
    }

    pub(crate) fn write_archive(&self, path: &Path) -> PathBuf {
        let mut archive = Layer::new();
        for (name, bytes) in self.files() {
            archive = archive.file(&name, &bytes);
        }
        fs::write(path, archive.tar()).unwrap();
        path.to_owned()
    }

    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let index = json!({ "schemaVersion": 2, "manifests": self.entries });
        let mut files = vec![
            ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            ("index.json".to_owned(), to_bytes(&index)),
        ];
        files.extend(self.blobs.iter().map(|(hex, bytes)| (format!("blobs/sha256/{hex}"), bytes.clone())));
        files
    }
}

pub(crate) fn to_bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}
