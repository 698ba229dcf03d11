//! What the pod network remembers: the slice, the names of its bridges, and which pod has which address. Written
//! before anything is made in the kernel and after it is gone, whole, under a temporary name first, so that a crash
//! leaves the former or the new content. The form on disk and the one in memory are converted here only.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use ensemble_model::id::{AppId, InstanceId};
use ensemble_model::port::Exposed;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::kernel::{Durability, Kernel};
use crate::pod::PodKey;

const FILE: &str = "network.json";
const TEMPORARY: &str = "network.json.new";
const VERSION: u32 = 1;

/// 100,000 reservations take less.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// What one pod holds of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    pub app: AppId,
    pub address: Ipv4Addr,
    /// The machine's end of its interface.
    pub link: String,
    /// The name of its namespace file.
    pub namespace: String,
    pub node_ports: Option<NodePorts>,
}

/// What of a pod is open on the machine, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodePorts {
    /// Of the instance: its pods share it, and nobody else has it.
    pub address: Ipv4Addr,
    pub exposed: Exposed,
}

/// All that is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub slice: Ipv4Net,
    /// By the number of their subnet.
    pub bridges: BTreeMap<usize, String>,
    pub pods: BTreeMap<PodKey, Reservation>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node_ports: Option<NodePorts>,
}

/// The file of the record in the state directory.
#[derive(Debug)]
pub struct RecordFile {
    directory: PathBuf,
}

impl Record {
    /// Every address that somebody has, those of instances once.
    pub fn addresses(&self) -> BTreeSet<Ipv4Addr> {
        let of_instance = |held: &Reservation| held.node_ports.as_ref().map(|ports| ports.address);
        self.pods.values().flat_map(|held| [Some(held.address), of_instance(held)]).flatten().collect()
    }

    /// The address of an instance, where one of its pods has node ports.
    pub fn address_of(&self, instance: &InstanceId) -> Option<Ipv4Addr> {
        let first = PodKey::new(instance.clone(), "", 0);
        let pods = self.pods.range(first..).take_while(|(pod, _)| pod.instance == *instance);
        pods.filter_map(|(_, held)| held.node_ports.as_ref()).map(|ports| ports.address).next()
    }
}

impl RecordFile {
    pub fn new(state_dir: &Path) -> Self {
        Self { directory: state_dir.to_owned() }
    }

    /// The last record written, or `None` when there was never one.
    pub fn load(&self, kernel: &impl Kernel) -> Result<Option<Record>, Error> {
        let path = self.directory.join(FILE);
        let bytes = match kernel.read(&path, MOST_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file("read", &path)(error)),
        };
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
    pub fn save(&self, kernel: &impl Kernel, record: &Record) -> Result<(), Error> {
        let bytes =
            serde_json::to_vec(&to_stored(record)).expect("a record of plain data always becomes JSON");
        let temporary = self.directory.join(TEMPORARY);
        kernel.write(&temporary, &bytes, Durability::Synced).map_err(Error::file("write", &temporary))?;
        let path = self.directory.join(FILE);
        kernel.rename(&temporary, &path).map_err(Error::file("write", &path))?;
        self.sync_directory(kernel)
    }

    /// Forgets everything; a record that is not there is no error.
    pub fn remove(&self, kernel: &impl Kernel) -> Result<(), Error> {
        for name in [FILE, TEMPORARY] {
            let path = self.directory.join(name);
            match kernel.remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::file("remove", &path)(error)),
            }
        }
        self.sync_directory(kernel)
    }

    fn sync_directory(&self, kernel: &impl Kernel) -> Result<(), Error> {
        kernel.sync_directory(&self.directory).map_err(Error::file("sync", &self.directory))
    }
}

fn to_stored(record: &Record) -> Stored {
    let pods = record.pods.iter().map(|(pod, reservation)| {
        let Reservation { app, address, link, namespace, node_ports } = reservation.clone();
        StoredPod { pod: pod.clone(), app, address, link, namespace, node_ports }
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
        let StoredPod { pod, app, address, link, namespace, node_ports } = stored;
        (pod, Reservation { app, address, link, namespace, node_ports })
    });
    Ok(Record { slice, bridges: stored.bridges, pods: pods.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::scratch::Scratch;
    use ensemble_model::port::{PortRange, Protocol};

    fn record() -> Record {
        let pod = PodKey::new(InstanceId::new("i-a"), "web", 3);
        let reservation = Reservation {
            app: AppId::new("6d2c"),
            address: "10.80.16.2".parse().unwrap(),
            link: "ev0a1b2c3d4e5f".to_owned(),
            namespace: pod.directory_name(),
            node_ports: Some(NodePorts {
                address: "10.80.16.3".parse().unwrap(),
                exposed: Exposed {
                    publish: Some("192.0.2.1".parse().unwrap()),
                    ports: vec![PortRange { protocol: Protocol::Udp, node: 53, container: 5_353, count: 2 }],
                },
            }),
        };
        Record {
            slice: "10.80.16.0/20".parse().unwrap(),
            bridges: BTreeMap::from([(0, "eb0a1b2c3d0".to_owned())]),
            pods: BTreeMap::from([(pod, reservation)]),
        }
    }

    const DIRECTORY: &str = "/network";

    fn file() -> RecordFile {
        RecordFile::new(Path::new(DIRECTORY))
    }

    fn put(kernel: &Scratch, name: &str, content: &str) {
        kernel.write(&Path::new(DIRECTORY).join(name), content.as_bytes(), Durability::Unsynced).unwrap();
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let kernel = Scratch::default();
        assert_eq!(file().load(&kernel).unwrap(), None);

        file().save(&kernel, &record()).unwrap();

        assert_eq!(file().load(&kernel).unwrap(), Some(record()));
    }

    #[test]
    fn a_half_written_successor_does_not_harm_the_record() {
        let kernel = Scratch::default();
        file().save(&kernel, &record()).unwrap();

        put(&kernel, TEMPORARY, "{\"version\":1,\"sli");

        assert_eq!(file().load(&kernel).unwrap(), Some(record()));
    }

    #[test]
    fn a_record_that_cannot_be_understood_is_named() {
        let check = |content: &str, expected: &str| {
            let kernel = Scratch::default();
            put(&kernel, FILE, content);
            let error = file().load(&kernel).unwrap_err().to_string();
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
        let kernel = Scratch::default();
        file().save(&kernel, &record()).unwrap();

        file().remove(&kernel).unwrap();
        file().remove(&kernel).unwrap();

        assert_eq!(file().load(&kernel).unwrap(), None);
    }
}
