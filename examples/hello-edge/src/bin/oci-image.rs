//! `oci-image PROGRAM ARCHIVE [TAG]`: packs one static program into an OCI image archive with a single layer.
//! The same program always gives the same bytes: names sorted, times zero, owner root.
//! Needs no network, no daemon and no other tool; pushing to a registry is somebody else's work.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

const TAG: &str = "latest";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (program, archive, tag) = match arguments.as_slice() {
        [program, archive] => (program, archive, TAG),
        [program, archive, tag] => (program, archive, tag.as_str()),
        _ => bail!("usage: oci-image PROGRAM ARCHIVE [TAG]"),
    };
    let name =
        Path::new(program).file_name().and_then(|name| name.to_str()).context("the program has no name")?;
    let content = std::fs::read(program).with_context(|| format!("could not read `{program}`"))?;
    let image = pack(name, &content, tag)?;
    write_whole(Path::new(archive), &image)?;
    println!("{archive}: {} bytes, tag {tag}, entrypoint /{name}", image.len());
    Ok(())
}

/// The bytes of an OCI archive whose only layer holds `content` as `/name`.
fn pack(name: &str, content: &[u8], tag: &str) -> Result<Vec<u8>> {
    let root_file_system = tar(&[(name.to_owned(), content.to_vec(), 0o755)])?;
    let layer = gzip(&root_file_system)?;
    let config = json!({
        "architecture": architecture()?,
        "os": "linux",
        "config": {
            "Entrypoint": [format!("/{name}")],
            "Env": ["PATH=/"],
            "ExposedPorts": {"8080/tcp": {}},
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [digest(&root_file_system)]},
    })
    .to_string()
    .into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &layer)],
    })
    .to_string()
    .into_bytes();
    let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
    entry["platform"] = json!({"architecture": architecture()?, "os": "linux"});
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry],
    });
    let mut files = vec![
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(), 0o644),
        ("index.json".to_owned(), index.to_string().into_bytes(), 0o644),
    ];
    for blob in [config, manifest, layer] {
        files.push((format!("blobs/sha256/{}", hexadecimal(&blob)), blob, 0o644));
    }
    files.sort();
    tar(&files)
}

/// The image specification names architectures as Go does.
fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("no image architecture is known for `{other}`"),
    }
}

fn tar(files: &[(String, Vec<u8>, u32)]) -> Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content, mode) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        builder.append_data(&mut header, path, content.as_slice())?;
    }
    Ok(builder.into_inner()?)
}

fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = flate2::GzBuilder::new().mtime(0).write(Vec::new(), flate2::Compression::best());
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(content), "size": content.len()})
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hexadecimal(content))
}

fn hexadecimal(content: &[u8]) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, content);
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes beside the target and renames, so that a reader never meets half an archive.
fn write_whole(target: &Path, content: &[u8]) -> Result<()> {
    let unfinished = PathBuf::from(format!("{}.unfinished", target.display()));
    let in_words = || format!("could not write `{}`", target.display());
    let mut file = File::create(&unfinished).with_context(in_words)?;
    file.write_all(content).and_then(|()| file.sync_all()).with_context(in_words)?;
    std::fs::rename(&unfinished, target).with_context(in_words)
}

#[cfg(test)]
mod tests {
    use super::pack;

    #[test]
    fn the_same_program_gives_the_same_archive() {
        let once = pack("program", b"content", "v1").unwrap();

        let twice = pack("program", b"content", "v1").unwrap();

        assert_eq!(once, twice);
    }

    #[test]
    fn every_blob_lies_under_the_digest_of_its_content() {
        let image = pack("program", b"content", "v1").unwrap();

        let mut blobs = 0;
        let mut archive = tar::Archive::new(image.as_slice());
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
            if let Some(name) = path.strip_prefix("blobs/sha256/") {
                assert_eq!(name, super::hexadecimal(&content));
                blobs += 1;
            }
        }
        assert_eq!(blobs, 3);
    }
}
