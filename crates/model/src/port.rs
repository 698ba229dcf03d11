//! Ports that an instance binds on the machine: which there are, and whether two of them are the same. Pure; `placement`
//! says where that keeps an instance away, engines see to the packets.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv4Addr;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    #[serde(rename = "TCP")]
    Tcp,
    #[serde(rename = "UDP")]
    Udp,
}

/// Neighbouring ports of one instance's address, and the ports of a pod that they lead to, in the same order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortRange {
    pub protocol: Protocol,
    /// The first on the instance's address. At most 65,536 less `count`, as wire has checked.
    pub node: u16,
    /// The first inside of the pod.
    pub container: u16,
    /// 1 or more.
    pub count: u16,
}

/// What an engine is told of the ports of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exposed {
    /// The address of the machine on which they are open too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<Ipv4Addr>,
    /// Of the first pod; see [`PortRange::of_pod`].
    pub ports: Vec<PortRange>,
}

impl Protocol {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

impl Exposed {
    #[must_use]
    pub fn of_pod(&self, index: u32) -> Self {
        Self { publish: self.publish, ports: self.ports.iter().map(|range| range.of_pod(index)).collect() }
    }
}

impl PortRange {
    /// The same range of another pod of the workload: its node ports follow those of the pod before it
    /// (ens-api.md §6.3).
    #[must_use]
    pub fn of_pod(self, index: u32) -> Self {
        let step = u32::from(self.count).saturating_mul(index);
        let node = u32::from(self.node).saturating_add(step);
        Self { node: u16::try_from(node).unwrap_or(u16::MAX), ..self }
    }

    /// All node ports of `pods` pods as one range; their container ports are not.
    #[must_use]
    pub fn of_pods(self, pods: u32) -> Self {
        let count = u32::from(self.count).saturating_mul(pods);
        Self { count: u16::try_from(count).unwrap_or(u16::MAX), ..self }
    }

    pub fn last_node(self) -> u16 {
        self.node.saturating_add(self.count.saturating_sub(1))
    }

    pub fn last_container(self) -> u16 {
        self.container.saturating_add(self.count.saturating_sub(1))
    }

    /// The first node port that both have.
    pub fn shared(self, other: Self) -> Option<u16> {
        let first = self.node.max(other.node);
        let is_shared = self.protocol == other.protocol && first <= self.last_node().min(other.last_node());
        is_shared.then_some(first)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(protocol: Protocol, node: u16, count: u16) -> PortRange {
        PortRange { protocol, node, container: 1, count }
    }

    #[test]
    fn ranges_share_a_port_where_they_overlap_in_one_protocol() {
        let ten = range(Protocol::Tcp, 5_000, 10);

        assert_eq!(ten.shared(range(Protocol::Tcp, 5_009, 1)), Some(5_009));
        assert_eq!(ten.shared(range(Protocol::Tcp, 4_000, 2_000)), Some(5_000));
        assert_eq!(ten.shared(range(Protocol::Tcp, 5_010, 1)), None);
        assert_eq!(ten.shared(range(Protocol::Tcp, 4_990, 10)), None);
        assert_eq!(ten.shared(range(Protocol::Udp, 5_000, 10)), None);
        let last = range(Protocol::Tcp, u16::MAX, 1);
        assert_eq!(last.shared(last), Some(u16::MAX));
    }

    #[test]
    fn pods_have_their_node_ports_one_after_the_other() {
        let ten = range(Protocol::Tcp, 31_000, 10);

        assert_eq!((ten.of_pod(0), ten.of_pod(3).node), (ten, 31_030));
        assert_eq!((ten.of_pods(4).node, ten.of_pods(4).last_node()), (31_000, 31_039));
        assert_eq!(ten.of_pod(2).shared(ten.of_pod(3)), None);
    }
}
