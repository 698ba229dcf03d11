//! The name of one pod inside the embedded engine, and how it becomes the name of a directory.
//! Must not know what a pod consists of; the directory name is a name only and is never parsed back.

use std::fmt;
use std::fmt::Write as _;

use ensemble_model::id::InstanceId;
use ring::digest;
use serde::{Deserialize, Serialize};

/// How many characters of the instance id stand in a directory name, for people who look for it.
const READABLE_CHARS: usize = 27;

/// How many bytes of the digest tell apart two pods of one instance.
const DIGEST_BYTES: usize = 6;

/// One pod: a workload of an instance, and which of its pods.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PodKey {
    pub instance: InstanceId,
    pub workload: String,
    pub index: u32,
}

impl PodKey {
    pub fn new(instance: InstanceId, workload: impl Into<String>, index: u32) -> Self {
        Self { instance, workload: workload.into(), index }
    }

    /// A name for files and directories of this pod: at most 40 bytes of `a-z`, `0-9` and `-`, never starting with
    /// a dot, different for different pods whatever their names hold.
    pub fn directory_name(&self) -> String {
        let mut name: String = self
            .instance
            .as_str()
            .chars()
            .filter(|character| {
                character.is_ascii_lowercase() || character.is_ascii_digit() || *character == '-'
            })
            .take(READABLE_CHARS)
            .collect();
        name.push('-');
        for byte in self.digest().as_ref().iter().take(DIGEST_BYTES) {
            write!(name, "{byte:02x}").expect("writing to a string cannot fail");
        }
        name
    }

    /// SHA-256 over all three parts, each with its length before it, so that no two keys share their input.
    fn digest(&self) -> digest::Digest {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in [self.instance.as_str(), &self.workload] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        context.update(&self.index.to_be_bytes());
        context.finish()
    }
}

impl fmt::Display for PodKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/{}", self.instance, self.workload, self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn key(instance: &str, workload: &str, index: u32) -> PodKey {
        PodKey::new(InstanceId::new(instance), workload, index)
    }

    #[test]
    fn directory_names_are_short_and_safe_whatever_the_key_holds() {
        let long = "x".repeat(5000);
        for key in [
            key("i-5t7z6bs1hzr2xgtjmqz0vhcq1", "web", 0),
            key("../../etc/passwd", "../..", 1),
            key("", "", u32::MAX),
            key(&long, &long, 7),
            key("i-\u{0}\n", "名字", 2),
        ] {
            let name = key.directory_name();

            assert!(name.len() <= 40, "`{name}` is {} bytes long", name.len());
            let safe = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            assert!(name.bytes().all(safe), "`{name}` has an unsafe character");
        }
    }

    #[test]
    fn directory_names_of_different_pods_differ() {
        let keys = [
            key("i-a", "web", 0),
            key("i-a", "web", 1),
            key("i-a", "we", 0),
            key("i-aw", "eb", 0),
            key("i-a/", "web", 0),
            key("I-A", "web", 0),
        ];

        let names: BTreeSet<String> = keys.iter().map(PodKey::directory_name).collect();

        assert_eq!(names.len(), keys.len());
    }
}
