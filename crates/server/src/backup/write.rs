//! Makes a backup of a data directory, whether a server runs on it or not. What was answered before the copy of the log
//! began is in it; writes go on meanwhile.

use super::{
    CREDENTIALS, Error, Extra, FOR_PEOPLE, FORMAT, FileEntry, ImageEntry, LOG, MANIFEST, Manifest, Step,
};
use super::{Workplace, archive};
use crate::data_dir::LOG_FILE;
use crate::file_error::FileError;
use crate::start::recover::recover;
use crate::store::sqlite::SqliteStore;
use ensemble_engine::embedded::image::{self, ImageStore};
use ensemble_model::id::Digest;
use ensemble_model::state::State;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What such a reference of an image begins with: it came from a file, and no registry has it.
const FROM_A_FILE: &str = "oci:";

/// Writes a backup of `data_dir` to `file`, which appears whole or not at all, and replaces one that is there.
///
/// # Errors
/// [`Error::NoServer`] for a directory without log or key, [`Error::NotAFile`] for a target that is something else;
/// what cannot be read or written.
pub async fn write(
    data_dir: &Path,
    file: &Path,
    extras: &[Extra],
    mut progress: impl FnMut(Step),
) -> Result<Manifest, Error> {
    for missing in [LOG_FILE, CREDENTIALS] {
        if !data_dir.join(missing).is_file() {
            return Err(Error::NoServer { path: data_dir.to_owned(), missing });
        }
    }
    let file = absolute(file)?;
    refuse_other_than_file(&file)?;
    let workplace = Workplace::beside(&file)?;
    progress(Step::CopyingLog);
    let (state, taken_at) = copy_log(data_dir, &workplace.join(LOG)).await?;
    let mut content = vec![
        (LOG.to_owned(), workplace.join(LOG), None),
        (CREDENTIALS.to_owned(), data_dir.join(CREDENTIALS), None),
    ];
    for extra in extras {
        content.push((format!("{FOR_PEOPLE}/{}", extra.name), extra.path.clone(), None));
    }
    content.extend(export_images(data_dir, &state, &workplace, &mut progress)?);
    let mut manifest = Manifest {
        format: FORMAT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        taken_at,
        sequence: state.sequence(),
        applications: state.application_count(),
        instances: state.held_instances(),
        files: Vec::new(),
    };
    let mut opened = Vec::new();
    for (name, path, image) in content {
        let open = File::open(&path).map_err(FileError::on("read", &path))?;
        let bytes = open.metadata().map_err(FileError::on("read", &path))?.len();
        manifest.files.push(FileEntry { name, bytes, image });
        opened.push((path, open));
    }
    let made = workplace.join("backup");
    assemble(&made, &manifest, opened, &mut progress)?;
    progress(Step::Placing);
    place(&made, &file)?;
    Ok(manifest)
}

/// A backup replaces a file, never a device, a link or a directory.
fn refuse_other_than_file(path: &Path) -> Result<(), Error> {
    match path.symlink_metadata() {
        Ok(found) if !found.is_file() => Err(Error::NotAFile { path: path.to_owned() }),
        _ => Ok(()),
    }
}

/// A path that a rename can go to, whatever the working directory is by then.
fn absolute(file: &Path) -> Result<PathBuf, Error> {
    Ok(std::path::absolute(file).map_err(FileError::on("find", file))?)
}

/// The log as it is now, and what it says.
async fn copy_log(data_dir: &Path, to: &Path) -> Result<(State, Timestamp), Error> {
    let store = SqliteStore::open_to_read(&data_dir.join(LOG_FILE)).await?;
    let taken_at = Timestamp::now();
    let copied = store.copy_to(to).await;
    store.close().await;
    copied?;
    let copy = SqliteStore::open_to_read(to).await?;
    let recovered = recover(&copy, to).await;
    copy.close().await;
    Ok((recovered.map_err(|error| Error::Log(Box::new(error)))?.state, taken_at))
}

/// What becomes an entry: its name, where it lies, and the image that it is.
type Content = (String, PathBuf, Option<ImageEntry>);

/// The images of applications that came from files, out of the store of each engine that has them. An engine that was
/// added after they were read has none; one that no engine has is missed.
fn export_images(
    data_dir: &Path,
    state: &State,
    workplace: &Workplace,
    progress: &mut impl FnMut(Step),
) -> Result<Vec<Content>, Error> {
    let digests: BTreeSet<&Digest> =
        state.pins().filter(|(image, _)| image.starts_with(FROM_A_FILE)).map(|(_, digest)| digest).collect();
    if digests.is_empty() {
        return Ok(Vec::new());
    }
    let stores = image_stores(data_dir)?;
    let of = digests.len() * stores.len();
    let mut content: Vec<Content> = Vec::new();
    let mut number = 0;
    for digest in digests {
        let mut missing = None;
        let before = content.len();
        for (engine, store) in &stores {
            number += 1;
            progress(Step::Image { number, of });
            let path = workplace.join(&format!("{number}.oci"));
            match export(store, digest, &path) {
                Ok(()) => {
                    let image = ImageEntry { engine: engine.clone(), digest: digest.clone() };
                    content.push((format!("images/{number}.oci"), path, Some(image)));
                }
                Err(error @ Error::Image { source: image::Error::NotInStore { .. }, .. }) => {
                    missing = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(missing) = missing.filter(|_| content.len() == before) {
            return Err(missing);
        }
    }
    Ok(content)
}

/// The engines of this directory that have a store of images, by name.
fn image_stores(data_dir: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let engines = data_dir.join("engine");
    if !engines.is_dir() {
        return Ok(Vec::new());
    }
    let mut stores = Vec::new();
    for entry in fs::read_dir(&engines).map_err(FileError::on("read", &engines))? {
        let entry = entry.map_err(FileError::on("read", &engines))?;
        let store = entry.path().join("images");
        if store.is_dir() {
            stores.push((entry.file_name().to_string_lossy().into_owned(), store));
        }
    }
    Ok(stores)
}

fn export(store: &Path, digest: &Digest, to: &Path) -> Result<(), Error> {
    let failed = |source| Error::Image { digest: digest.clone(), source };
    let file = File::create(to).map_err(FileError::on("write", to))?;
    ImageStore::open_to_read(store).export(digest, &file).map_err(failed)
}

fn assemble(
    to: &Path,
    manifest: &Manifest,
    content: Vec<(PathBuf, File)>,
    progress: &mut impl FnMut(Step),
) -> Result<(), Error> {
    let mut archive = archive::Writer::create(to).map_err(FileError::on("write", to))?;
    let text = serde_json::to_vec_pretty(manifest).expect("names and numbers always serialize");
    archive.add(MANIFEST, text.len() as u64, text.as_slice()).map_err(FileError::on("write", to))?;
    for (entry, (path, file)) in manifest.files.iter().zip(content) {
        // Whether reading or writing failed is in the cause; the file that was read says more.
        archive.add(&entry.name, entry.bytes, file).map_err(FileError::on("take along", &path))?;
        progress(Step::Writing { bytes: archive.written() });
    }
    Ok(archive.finish().map_err(FileError::on("write", to))?)
}

fn place(made: &Path, file: &Path) -> Result<(), Error> {
    fs::rename(made, file).map_err(FileError::on("write", file))?;
    let parent = file.parent().unwrap_or(Path::new("/"));
    Ok(File::open(parent).and_then(|parent| parent.sync_all()).map_err(FileError::on("write", parent))?)
}
