//! Names of what the pod network makes in the kernel, derived from a hash of the data directory, so that two servers
//! on one machine never meet. Names are stored in the record and compared, never parsed for meaning.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use ring::digest;

use crate::pod::PodKey;

/// An interface name has at most 15 bytes.
const LINK_DIGEST_BYTES: usize = 6;
const TAG_BYTES: usize = 4;

/// The names of one data directory.
#[derive(Clone, Debug)]
pub struct Names {
    identity: String,
    digest: digest::Digest,
}

impl Names {
    /// `identity` is the canonical path of the data directory.
    pub fn new(identity: &str) -> Self {
        let digest = digest::digest(&digest::SHA256, format!("ensemble pod network\n{identity}").as_bytes());
        Self { identity: identity.to_owned(), digest }
    }

    /// What decides where the search for a slice of the pod network begins.
    pub fn slice_hash(&self) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.digest.as_ref()[16..24]);
        u64::from_be_bytes(bytes)
    }

    /// The bridge of one subnet of the slice.
    pub fn bridge(&self, subnet: usize) -> String {
        format!("eb{}{subnet:x}", self.tag())
    }

    /// What `ip link` shows beside the name of a bridge.
    pub fn bridge_alias(&self) -> String {
        format!("ensemble {}", self.identity).chars().take(200).collect()
    }

    /// The number of the group that interfaces are put into to be deleted together; people use small numbers.
    pub fn deletion_group(&self) -> u32 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.digest.as_ref()[8..12]);
        u32::from_be_bytes(bytes) | 0x4000_0000
    }

    pub fn table(&self) -> String {
        format!("ensemble_{}", self.tag())
    }

    /// The machine's end of a pod's interface. `attempt` counts names that another pod has already.
    pub fn link(&self, pod: &PodKey, attempt: u32) -> String {
        let input = format!("{}\n{}\n{attempt}", self.identity, pod.directory_name());
        format!("ev{}", hex(digest::digest(&digest::SHA256, input.as_bytes()).as_ref(), LINK_DIGEST_BYTES))
    }

    fn tag(&self) -> String {
        hex(self.digest.as_ref(), TAG_BYTES)
    }
}

/// Whether an interface bears the name of a bridge of ours, of whichever data directory. For explanations only.
pub fn is_bridge(name: &str) -> bool {
    let digits = name.strip_prefix("eb").unwrap_or_default();
    digits.len() > 2 * TAG_BYTES && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The hardware address that belongs to an address of the pod network. It depends on nothing else, so an address
/// that is given again never leaves a stale neighbour entry behind, and entries can be written before any traffic.
pub fn hardware_address(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    // 0x02: locally administered, unicast.
    [0x02, 0x45, a, b, c, d]
}

fn hex(bytes: &[u8], count: usize) -> String {
    bytes.iter().take(count).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ensemble_model::id::InstanceId;

    #[test]
    fn interface_names_fit_the_kernel() {
        let names = Names::new("/var/lib/ensemble");
        let pod = PodKey::new(InstanceId::new("i-5t7z6bs1hzr2xgtjmqz0vhcq1"), "web", 4_000_000_000);

        let all = [names.bridge(0), names.bridge(7), names.link(&pod, 0), names.link(&pod, u32::MAX)];

        assert!(all.iter().all(|name| name.len() <= 15), "{all:?}");
    }

    #[test]
    fn two_data_directories_share_no_name() {
        let (one, other) = (Names::new("/var/lib/one"), Names::new("/var/lib/other"));
        let pod = PodKey::new(InstanceId::new("i-a"), "web", 0);

        assert_ne!(one.bridge(0), other.bridge(0));
        assert_ne!(one.table(), other.table());
        assert_ne!(one.link(&pod, 0), other.link(&pod, 0));
        assert_ne!(one.slice_hash(), other.slice_hash());
    }

    #[test]
    fn a_name_that_is_taken_has_a_successor() {
        let names = Names::new("/var/lib/ensemble");
        let pod = PodKey::new(InstanceId::new("i-a"), "web", 0);

        assert_ne!(names.link(&pod, 0), names.link(&pod, 1));
    }
}
