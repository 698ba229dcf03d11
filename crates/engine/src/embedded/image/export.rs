//! Writes an image of the store as an OCI archive, for backups: what [`ImageStore::import`] reads back as the same image.
//! Only images that came from `oci:` keep all their blobs; others can be had from their registry.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use ensemble_model::id::Digest;
use serde_json::json;
use tar::{Builder, EntryType, Header};

use super::manifest::{self, OCI_MANIFEST};
use super::store::ImageStore;
use super::{Error, digest};

impl ImageStore {
    /// Writes the image as an OCI archive with one manifest and no tag.
    ///
    /// # Errors
    /// [`Error::NotInStore`]; [`Error::NoSuchBlob`] for an image whose blobs were not kept; [`Error::Export`] where `out`
    /// cannot be written.
    pub fn export(&self, image: &Digest, out: impl Write) -> Result<(), Error> {
        let record = self.record(image)?;
        let path = self.blob_path(&record.manifest);
        let bytes = std::fs::read(&path).map_err(|source| Error::Read { path, source })?;
        let parsed = manifest::manifest(&bytes).map_err(|reason| Error::Refused { reason })?;
        let media_type = parsed.media_type.as_deref().unwrap_or(OCI_MANIFEST);
        let descriptor =
            json!({ "mediaType": media_type, "digest": record.manifest.as_str(), "size": bytes.len() });
        let index = json!({ "schemaVersion": 2, "manifests": [descriptor] });
        let mut archive = Builder::new(out);
        let mut small = |name: &str, bytes: &[u8]| {
            let mut header = header(bytes.len() as u64);
            archive.append_data(&mut header, name, bytes).map_err(Error::Export)
        };
        small("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        small("index.json", index.to_string().as_bytes())?;
        small(&format!("blobs/sha256/{}", digest::hex(&record.manifest)), &bytes)?;
        let mut written = std::collections::BTreeSet::new();
        let layers = parsed.layers.iter().map(|(layer, _)| layer);
        for blob in std::iter::once(&parsed.config).chain(layers) {
            // An image may have one layer twice.
            if written.insert(&blob.digest) {
                let file = self.open_blob(blob)?;
                append(
                    &mut archive,
                    &format!("blobs/sha256/{}", digest::hex(&blob.digest)),
                    file,
                    blob.size,
                )?;
            }
        }
        archive.finish().map_err(Error::Export)
    }
}

fn append(archive: &mut Builder<impl Write>, name: &str, file: File, size: u64) -> Result<(), Error> {
    let found = file.metadata().map_err(|source| Error::Read { path: Path::new(name).into(), source })?;
    if found.len() != size {
        let source = io::Error::from(io::ErrorKind::InvalidData);
        return Err(Error::Read { path: Path::new(name).into(), source });
    }
    archive.append_data(&mut header(size), name, file).map_err(Error::Export)
}

fn header(size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

#[cfg(test)]
#[path = "tests/export.rs"]
mod tests;
