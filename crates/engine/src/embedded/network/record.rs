//! What the pod network remembers: the slice, the names of its bridges, and which pod has which address. Written
//! before anything is made in the kernel and after it is gone, whole, under a temporary name first, so that a crash
//! leaves the former or the new content. The form on disk and the one in memory are converted here only.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use ensemble_model::id::AppId;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use super::error::Error;
use crate::embedded::pod::PodKey;

const FILE: &str = "network.json";
const TEMPORARY: &str = "network.json.new";
const VERSION: u32 = 1;

/// 100,000 reservations take less.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// What one pod holds of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reservation {
    pub(super) app: AppId,
    pub(super) address: Ipv4Addr,
    /// The machine's end of its interface.
    pub(super) link: String,
    /// The name of its namespace file.
    pub(super) namespace: String,
}

/// All that is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) slice: Ipv4Net,
    /// By the number of their subnet.
    pub(super) bridges: BTreeMap<usize, String>,
    pub(super) pods: BTreeMap<PodKey, Reservation>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    /// `10.80.16.0/20`
    slice: String,
    bridges: BTreeMap<usize, String>,
    pods: Vec<StoredPod>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPod {
    pod: PodKey,
    app: AppId,
    address: Ipv4Addr,
    link: String,
    namespace: String,
}

/// The file of the record in the state directory.
#[derive(Debug)]
pub(super) struct RecordFile {
    directory: PathBuf,
}

impl RecordFile {
    pub(super) fn new(state_dir: &Path) -> Self {
        Self { directory: state_dir.to_owned() }
    }

    /// The last record written, or `None` when there was never one.
    pub(super) fn load(&self) -> Result<Option<Record>, Error> {
        let path = self.directory.join(FILE);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file("read", &path)(error)),
        };
        let mut bytes = Vec::new();
        file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(Error::file("read", &path))?;
        let unreadable = |reason: String| Error::Record { path: path.clone(), reason };
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        if stored.version != VERSION {
            return Err(unreadable(format!(
                "it has version {}, this program knows {VERSION}",
                stored.version
            )));
        }
        from_stored(stored).map(Some).map_err(unreadable)
    }

    /// Writes the record; it is durable when this returns.
    pub(super) fn save(&self, record: &Record) -> Result<(), Error> {
        let bytes =
            serde_json::to_vec(&to_stored(record)).expect("a record of plain data always becomes JSON");
        let temporary = self.directory.join(TEMPORARY);
        write_durably(&temporary, &bytes).map_err(Error::file("write", &temporary))?;
        let path = self.directory.join(FILE);
        fs::rename(&temporary, &path).map_err(Error::file("write", &path))?;
        self.sync_directory()
    }

    /// Forgets everything; a record that is not there is no error.
    pub(super) fn remove(&self) -> Result<(), Error> {
        for name in [FILE, TEMPORARY] {
            let path = self.directory.join(name);
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::file("remove", &path)(error)),
            }
        }
        self.sync_directory()
    }

    fn sync_directory(&self) -> Result<(), Error> {
        File::open(&self.directory)
            .and_then(|directory| directory.sync_all())
            .map_err(Error::file("sync", &self.directory))
    }
}

fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn to_stored(record: &Record) -> Stored {
    let pods = record.pods.iter().map(|(pod, reservation)| {
        let Reservation { app, address, link, namespace } = reservation.clone();
        StoredPod { pod: pod.clone(), app, address, link, namespace }
    });
    Stored {
        version: VERSION,
        slice: record.slice.to_string(),
        bridges: record.bridges.clone(),
        pods: pods.collect(),
    }
}

fn from_stored(stored: Stored) -> Result<Record, String> {
    let slice = stored.slice.parse().map_err(|_| format!("`{}` is no network", stored.slice))?;
    let pods = stored.pods.into_iter().map(|stored| {
        let StoredPod { pod, app, address, link, namespace } = stored;
        (pod, Reservation { app, address, link, namespace })
    });
    Ok(Record { slice, bridges: stored.bridges, pods: pods.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ensemble_model::id::InstanceId;

    fn record() -> Record {
        let pod = PodKey::new(InstanceId::new("i-a"), "web", 3);
        let reservation = Reservation {
            app: AppId::new("6d2c"),
            address: "10.80.16.2".parse().unwrap(),
            link: "ev0a1b2c3d4e5f".to_owned(),
            namespace: pod.directory_name(),
        };
        Record {
            slice: "10.80.16.0/20".parse().unwrap(),
            bridges: BTreeMap::from([(0, "eb0a1b2c3d0".to_owned())]),
            pods: BTreeMap::from([(pod, reservation)]),
        }
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let directory = tempfile::tempdir().unwrap();
        let file = RecordFile::new(directory.path());
        assert_eq!(file.load().unwrap(), None);

        file.save(&record()).unwrap();

        assert_eq!(file.load().unwrap(), Some(record()));
    }

    #[test]
    fn a_half_written_successor_does_not_harm_the_record() {
        let directory = tempfile::tempdir().unwrap();
        let file = RecordFile::new(directory.path());
        file.save(&record()).unwrap();

        fs::write(directory.path().join(TEMPORARY), "{\"version\":1,\"sli").unwrap();

        assert_eq!(file.load().unwrap(), Some(record()));
    }

    #[test]
    fn a_record_that_cannot_be_understood_is_named() {
        let check = |content: &str, expected: &str| {
            let directory = tempfile::tempdir().unwrap();
            fs::write(directory.path().join(FILE), content).unwrap();
            let error = RecordFile::new(directory.path()).load().unwrap_err().to_string();
            assert!(error.contains(FILE) && error.contains(expected), "{error}");
        };

        check("", "EOF");
        check("{\"version\":2,\"slice\":\"10.80.16.0/20\",\"bridges\":{},\"pods\":[]}", "it has version 2");
        check("{\"version\":1,\"slice\":\"here\",\"bridges\":{},\"pods\":[]}", "`here` is no network");
        check(
            "{\"version\":1,\"slice\":\"10.80.16.0/20\",\"bridges\":{},\"pods\":[],\"more\":1}",
            "unknown field",
        );
    }

    #[test]
    fn a_removed_record_is_gone_and_removing_it_again_is_no_error() {
        let directory = tempfile::tempdir().unwrap();
        let file = RecordFile::new(directory.path());
        file.save(&record()).unwrap();

        file.remove().unwrap();
        file.remove().unwrap();

        assert_eq!(file.load().unwrap(), None);
    }
}
