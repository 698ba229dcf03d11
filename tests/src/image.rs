//! Images for registries, made of the program of the example image: every layer and manifest type there is, and as
//! large as a test needs them.

use crate::server;
use anyhow::{Context, Result};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

/// How a layer is packed, and in whose words the manifest speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    OciGzip,
    OciZstd,
    OciPlain,
    DockerGzip,
    DockerPlain,
}

/// One manifest and the blobs it names.
#[derive(Clone, Debug)]
pub struct Built {
    pub media_type: &'static str,
    pub manifest: Vec<u8>,
    pub blobs: Vec<Vec<u8>>,
}

impl Form {
    pub const ALL: [Self; 5] =
        [Self::OciGzip, Self::OciZstd, Self::OciPlain, Self::DockerGzip, Self::DockerPlain];

    fn layer(self) -> &'static str {
        match self {
            Self::OciGzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::OciZstd => "application/vnd.oci.image.layer.v1.tar+zstd",
            Self::OciPlain => "application/vnd.oci.image.layer.v1.tar",
            Self::DockerGzip => "application/vnd.docker.image.rootfs.diff.tar.gzip",
            Self::DockerPlain => "application/vnd.docker.image.rootfs.diff.tar",
        }
    }

    fn manifest(self) -> &'static str {
        match self {
            Self::OciGzip | Self::OciZstd | Self::OciPlain => "application/vnd.oci.image.manifest.v1+json",
            Self::DockerGzip | Self::DockerPlain => "application/vnd.docker.distribution.manifest.v2+json",
        }
    }

    fn config(self) -> &'static str {
        match self {
            Self::OciGzip | Self::OciZstd | Self::OciPlain => "application/vnd.oci.image.config.v1+json",
            Self::DockerGzip | Self::DockerPlain => "application/vnd.docker.container.image.v1+json",
        }
    }

    fn pack(self, tar: &[u8]) -> Result<Vec<u8>> {
        Ok(match self {
            Self::OciPlain | Self::DockerPlain => tar.to_vec(),
            Self::OciZstd => zstd::encode_all(tar, 1)?,
            Self::OciGzip | Self::DockerGzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(tar)?;
                encoder.finish()?
            }
        })
    }
}

/// The example program, and beside it `padding` bytes that no compression makes smaller, in a layer of their own.
///
/// # Errors
/// When `make image` was not run.
pub fn hello_edge(form: Form, padding: usize) -> Result<Built> {
    let program = program()?;
    let mut layers = vec![tar("hello-edge", &program)?];
    if padding > 0 {
        layers.push(tar("padding", &noise(padding))?);
    }
    let blobs: Vec<Vec<u8>> = layers.iter().map(|tar| form.pack(tar)).collect::<Result<_>>()?;
    let diff_ids: Vec<String> = layers.iter().map(|tar| digest(tar)).collect();
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {"Entrypoint": ["/hello-edge"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = serde_json::to_vec(&config)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": form.manifest(),
        "config": descriptor(form.config(), &config),
        "layers": blobs.iter().map(|blob| descriptor(form.layer(), blob)).collect::<Vec<_>>(),
    });
    let manifest = serde_json::to_vec(&manifest)?;
    Ok(Built { media_type: form.manifest(), manifest, blobs: [vec![config], blobs].concat() })
}

/// A small root file system of this machine's own programs, with the libraries that they are loaded from: `sh` and those
/// named. Runs `sh` with whatever arguments it is given.
///
/// # Errors
/// When a program is not there.
pub fn of_machine(programs: &[&str]) -> Result<Built> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut libraries = BTreeSet::new();
    for name in ["sh"].iter().chain(programs) {
        let path = format!("/usr/bin/{name}");
        add_file(&mut archive, &path, &format!("bin/{name}"))?;
        let loaded = Command::new("ldd").arg(&path).output()?;
        let words = String::from_utf8(loaded.stdout)?;
        libraries.extend(words.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned));
    }
    for library in libraries {
        add_file(&mut archive, &library, library.trim_start_matches('/'))?;
    }
    let layer = archive.into_inner()?;
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {"Entrypoint": ["/bin/sh"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
    });
    let (form, config) = (Form::OciPlain, serde_json::to_vec(&config)?);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": form.manifest(),
        "config": descriptor(form.config(), &config),
        "layers": [descriptor(form.layer(), &layer)],
    });
    let manifest = serde_json::to_vec(&manifest)?;
    Ok(Built { media_type: form.manifest(), manifest, blobs: vec![config, layer] })
}

fn add_file(archive: &mut tar::Builder<Vec<u8>>, from: &str, name: &str) -> Result<()> {
    let content = std::fs::read(from).with_context(|| format!("`{from}`"))?;
    archive.append_data(&mut header(content.len()), name, content.as_slice())?;
    Ok(())
}

impl Built {
    /// Writes it as an OCI layout, which `oci:PATH` names.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn write_layout(&self, path: &Path) -> Result<()> {
        let blobs = path.join("blobs/sha256");
        std::fs::create_dir_all(&blobs)?;
        for blob in self.blobs.iter().chain([&self.manifest]) {
            std::fs::write(blobs.join(digest(blob).trim_start_matches("sha256:")), blob)?;
        }
        let index = json!({"schemaVersion": 2, "manifests": [descriptor(self.media_type, &self.manifest)]});
        std::fs::write(path.join("index.json"), index.to_string())?;
        std::fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        Ok(())
    }
}

/// An index over manifests with their platforms, with an attestation before them as builders put it.
pub fn index(entries: &[(&Built, &str, Option<&str>)]) -> Result<Vec<u8>> {
    let attestation = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest(b"an attestation"), "size": 14,
        "platform": {"os": "unknown", "architecture": "unknown"},
    });
    let listed = entries.iter().map(|(built, architecture, variant)| {
        let mut entry = descriptor(built.media_type, &built.manifest);
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        if let Some(variant) = variant {
            entry["platform"]["variant"] = json!(variant);
        }
        entry
    });
    let manifests: Vec<Value> = std::iter::once(attestation).chain(listed).collect();
    Ok(serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    }))?)
}

/// `amd64`, as images call this machine.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// `sha256:…`.
pub fn digest(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}

/// The static program in the example image.
fn program() -> Result<Vec<u8>> {
    let mut archive = tar::Archive::new(std::fs::File::open(server::image())?);
    for entry in archive.entries()? {
        let mut bytes = Vec::new();
        entry?.read_to_end(&mut bytes)?;
        if bytes.starts_with(&[0x1f, 0x8b]) {
            let mut layer = tar::Archive::new(GzDecoder::new(bytes.as_slice()));
            let mut program = Vec::new();
            let first = layer.entries()?.next().context("the example image's layer has a file")?;
            first?.read_to_end(&mut program)?;
            return Ok(program);
        }
    }
    anyhow::bail!("the example image has no layer")
}

fn tar(name: &str, content: &[u8]) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header(content.len()), name, content)?;
    Ok(archive.into_inner()?)
}

fn header(length: usize) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(length as u64);
    header
}

/// Bytes that look random and are the same each time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
