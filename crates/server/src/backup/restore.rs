//! Makes a data directory of a backup. Everything is verified before anything is placed, and what is placed appears at
//! once. The server that starts on it only observes until its operator confirms (`decisions.md` §9.9).

use super::{CREDENTIALS, Error, FOR_PEOPLE, FORMAT, LOG, MANIFEST, Manifest, Step, Workplace, archive};
use crate::credentials::Credentials;
use crate::file_error::FileError;
use crate::restored::Restored;
use crate::start::recover::recover;
use crate::store::sqlite::SqliteStore;
use ensemble_engine::embedded::image::ImageStore;
use jiff::Timestamp;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Longest manifest that is read.
const MANIFEST_BYTES_AT_MOST: u64 = 16 << 20;

/// Restores `file` into `data_dir`, which is not there yet or empty.
///
/// # Errors
/// [`Error::NoBackup`], [`Error::Damaged`] and [`Error::Format`] for what is no sound backup, [`Error::NotEmpty`] for a
/// directory that holds something; then nothing was placed.
pub async fn restore(
    file: &Path,
    data_dir: &Path,
    mut progress: impl FnMut(Step),
) -> Result<Manifest, Error> {
    let data_dir = std::path::absolute(data_dir).map_err(FileError::on("find", data_dir))?;
    refuse_content(&data_dir)?;
    // A word for what is something else altogether, before its checksum is called wrong.
    // Opened once: what is extracted is what was verified, whatever is put at its path meanwhile.
    let mut opened = File::open(file).map_err(FileError::on("read", file))?;
    refuse_other_files(file, &opened)?;
    opened.rewind().map_err(FileError::on("read", file))?;
    archive::verify(file, &opened, |bytes| progress(Step::Verifying { bytes }))?;
    opened.rewind().map_err(FileError::on("read", file))?;
    let parent = data_dir.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).map_err(FileError::on("create", parent))?;
    let workplace = Workplace::beside(&data_dir)?;
    let manifest = extract(file, &opened, &workplace)?;
    check(file, &workplace, &manifest).await?;
    let of = manifest.files.iter().filter(|entry| entry.image.is_some()).count();
    import(&workplace, &manifest, |number| progress(Step::Image { number, of }))?;
    let restored = Restored {
        format: 1,
        taken_at: manifest.taken_at,
        sequence: manifest.sequence,
        restored_at: to_the_second(Timestamp::now()),
        confirmed_at: None,
    };
    restored.write(&workplace.0)?;
    progress(Step::Placing);
    sync_all(&workplace.0).map_err(FileError::on("write", &data_dir))?;
    // Onto an empty directory, too: what is there is replaced, or nothing is.
    fs::rename(&workplace.0, &data_dir).map_err(FileError::on("place", &data_dir))?;
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(FileError::on("write", parent))?;
    Ok(manifest)
}

/// Stamps of requests have no fractions.
fn to_the_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn refuse_content(data_dir: &Path) -> Result<(), Error> {
    match fs::read_dir(data_dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Error::NotEmpty { path: data_dir.to_owned() }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(FileError::on("read", data_dir)(error).into()),
    }
}

fn refuse_other_files(file: &Path, opened: &File) -> Result<(), Error> {
    let mut head = Vec::new();
    opened.take(MANIFEST.len() as u64).read_to_end(&mut head).map_err(FileError::on("read", file))?;
    if head == MANIFEST.as_bytes() { Ok(()) } else { Err(Error::NoBackup { path: file.to_owned() }) }
}

/// Puts each file where it belongs; what the manifest does not name is not taken.
fn extract(file: &Path, opened: &File, workplace: &Workplace) -> Result<Manifest, Error> {
    let damaged = |what: String| Error::Damaged { path: file.to_owned(), what };
    let mut manifest: Option<Manifest> = None;
    let mut left = Vec::new();
    archive::entries(file, opened, |name, content| {
        let Some(manifest) = &manifest else {
            let mut text = Vec::new();
            content
                .take(MANIFEST_BYTES_AT_MOST)
                .read_to_end(&mut text)
                .map_err(FileError::on("read", file))?;
            let read: Manifest = serde_json::from_slice(&text)
                .map_err(|error| damaged(format!("its manifest cannot be read: {error}")))?;
            if read.format != FORMAT {
                return Err(Error::Format { path: file.to_owned(), found: read.format });
            }
            left = read.files.iter().map(|entry| entry.name.clone()).collect();
            manifest = Some(read);
            return Ok(());
        };
        let entry = manifest.files.iter().find(|entry| entry.name == name);
        let entry = entry.ok_or_else(|| damaged(format!("`{name}` is not in its manifest")))?;
        let to = place_of(workplace, name).ok_or_else(|| damaged(format!("`{name}` is no name of ours")))?;
        if let Some(parent) = to.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(parent)
                .map_err(FileError::on("create", parent))?;
        }
        let mut out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&to)
            .map_err(FileError::on("write", &to))?;
        // One more than was promised tells a longer one.
        let mut content = content.take(entry.bytes.saturating_add(1));
        let bytes = io::copy(&mut content, &mut out).map_err(FileError::on("write", &to))?;
        if bytes != entry.bytes {
            return Err(damaged(format!("`{name}` has {bytes} bytes instead of {}", entry.bytes)));
        }
        left.retain(|missing| missing != name);
        Ok(())
    })?;
    match (manifest, left.first()) {
        (Some(manifest), None) => Ok(manifest),
        (Some(_), Some(missing)) => Err(damaged(format!("`{missing}` is missing"))),
        (None, _) => Err(Error::NoBackup { path: file.to_owned() }),
    }
}

/// Only names that a backup writes lead anywhere.
fn place_of(workplace: &Workplace, name: &str) -> Option<std::path::PathBuf> {
    let is_plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
    };
    match name.split_once('/') {
        None if [LOG, CREDENTIALS].contains(&name) => Some(workplace.join(name)),
        Some((FOR_PEOPLE | "images", rest)) if is_plain(rest) => Some(workplace.join(name)),
        Some(_) | None => None,
    }
}

/// Whether the log is whole and is the one that the manifest tells of, and the key can be used.
async fn check(file: &Path, workplace: &Workplace, manifest: &Manifest) -> Result<(), Error> {
    let store = SqliteStore::open(&workplace.join(LOG)).await?;
    let recovered = recover(&store, file).await;
    let raised = store.skip_epochs().await;
    store.close().await;
    let sequence = recovered.map_err(|error| Error::Log(Box::new(error)))?.state.sequence();
    raised?;
    if sequence != manifest.sequence {
        let what = format!("its log ends at {sequence} instead of {}", manifest.sequence);
        return Err(Error::Damaged { path: file.to_owned(), what });
    }
    Credentials::load_or_create(&workplace.join(CREDENTIALS), None)?;
    Ok(())
}

/// Takes the images into the stores of the engines that had them.
fn import(workplace: &Workplace, manifest: &Manifest, mut progress: impl FnMut(usize)) -> Result<(), Error> {
    let images = manifest.files.iter().filter_map(|entry| Some((entry, entry.image.as_ref()?)));
    for (number, (entry, image)) in (1..).zip(images) {
        progress(number);
        let failed = |source| Error::Image { digest: image.digest.clone(), source };
        let damaged = |what: String| Error::Damaged { path: workplace.join(&entry.name), what };
        let from = workplace.join(&entry.name);
        let reference = format!("oci:{}", from.display()).parse().map_err(failed)?;
        if image.engine.contains('/') || image.engine.starts_with('.') {
            return Err(damaged(format!("`{}` is no name of an engine", image.engine)));
        }
        let store = workplace.join("engine").join(&image.engine).join("images");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&store)
            .map_err(FileError::on("create", &store))?;
        let found = ImageStore::open(&store).and_then(|store| store.import(&reference)).map_err(failed)?;
        if found != image.digest {
            return Err(damaged(format!("it holds image `{found}` instead of `{}`", image.digest)));
        }
        fs::remove_file(&from).map_err(FileError::on("remove", &from))?;
    }
    // Empty by now, or never there.
    let _ = fs::remove_dir(workplace.join("images"));
    Ok(())
}

/// Makes what was extracted durable: every file and every directory. Once more for images, which synced themselves, but
/// not the directories that they lie in.
fn sync_all(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_file() {
            File::open(entry.path())?.sync_all()?;
        } else if kind.is_dir() {
            sync_all(&entry.path())?;
        }
    }
    File::open(directory)?.sync_all()
}
