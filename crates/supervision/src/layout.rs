//! Where the engine keeps what: the directories under its own, and the names of control groups. Names only; nothing
//! here touches the disk, and no name is ever parsed back: records say what a directory is.

use crate::directory::Directory;
use crate::pod::PodKey;
use ensemble_model::id::InstanceId;
use ring::digest;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};

/// Longer names of instances, workloads and containers become digests in paths.
const NAME_CHARS: usize = 63;

/// One container of one pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContainerKey {
    pub pod: PodKey,
    pub container: String,
}

impl fmt::Display for ContainerKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.pod, self.container)
    }
}

/// The engine's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout(PathBuf);

impl Layout {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    /// Held while an engine works on the directory.
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    pub fn images(&self) -> PathBuf {
        self.0.join("images")
    }

    pub fn network(&self) -> PathBuf {
        self.0.join("network")
    }

    pub fn instances(&self) -> PathBuf {
        self.0.join("instances")
    }

    /// What is kept of released instances for a day: logs and exit records.
    pub fn released(&self) -> PathBuf {
        self.0.join("released")
    }

    pub fn instance(&self, id: &InstanceId) -> PathBuf {
        self.instances().join(name(id.as_str()))
    }

    pub fn pod(&self, pod: &PodKey) -> PathBuf {
        self.instance(&pod.instance).join(pod.directory_name())
    }

    pub fn container(&self, key: &ContainerKey) -> Directory {
        Directory::new(self.pod(&key.pod).join(name(&key.container)))
    }

    /// The same container in a directory where a released instance is kept.
    pub fn kept_container(kept: &Path, pod: &PodKey, container: &str) -> Directory {
        Directory::new(kept.join(pod.directory_name()).join(name(container)))
    }
}

/// `instance.json` of an instance's directory.
pub fn instance_record(directory: &Path) -> PathBuf {
    directory.join("instance.json")
}

/// The control group of an instance, within our subtree.
pub fn instance_group(id: &InstanceId) -> String {
    name(id.as_str())
}

/// The control group of a container, within its instance's; also its name for the runtime.
pub fn container_group(key: &ContainerKey) -> String {
    // A dot stands in none of the names, so no two containers share one.
    format!("{}.{}.{}", name(&key.pod.workload), key.pod.index, name(&key.container))
}

/// A plain word stays as it is; anything else becomes a digest, so that no name leaves its directory.
pub fn name(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=NAME_CHARS).contains(&text.len()) && text.bytes().all(plain) {
        return text.to_owned();
    }
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    digest.as_ref().iter().take(12).fold("x-".to_owned(), |mut name, byte| {
        write!(name, "{byte:02x}").expect("writing to a string cannot fail");
        name
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_its_directory() {
        let long = "x".repeat(500);
        for text in ["..", ".", "", "a/b", "/etc", "a\0b", "名", "a.b", &long] {
            let name = name(text);
            assert!(name.starts_with("x-") && name.len() == 26, "{text:?} became {name:?}");
        }
        assert_eq!(name("i-5t7z6bs1"), "i-5t7z6bs1");
        assert_ne!(name("a/b"), name("a.b"));
    }

    #[test]
    fn containers_of_one_instance_have_groups_of_their_own() {
        let key = |workload: &str, index, container: &str| ContainerKey {
            pod: PodKey::new(InstanceId::new("i-a"), workload, index),
            container: container.to_owned(),
        };

        assert_eq!(container_group(&key("web", 0, "main")), "web.0.main");
        assert_ne!(container_group(&key("web.0", 0, "main")), container_group(&key("web", 0, "0.main")));
    }
}
