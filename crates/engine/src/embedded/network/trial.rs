//! What the pod network needs of a machine, tried or looked at before there is one; for `preflight`.
//! Changes nothing but the network namespace of the calling thread, which must be one made for the trial.

use std::io;
use std::os::fd::AsFd as _;

use ipnet::Ipv4Net;

use super::netlink::{PodWire, Socket};
use super::{nft, obstacle};
use ensemble_supervision::network::Error;
use ensemble_supervision::network::{address, names};

/// A masquerading rule, the most that the real ones ask of the kernel.
const RULES: &str = "table ip ensemble_trial { chain outwards { type nat hook postrouting priority srcnat; \
                     ip saddr 192.0.2.0/24 masquerade; }; }\n";

/// Makes a bridge with a pod's wire on it.
pub(crate) fn make_interfaces() -> io::Result<()> {
    let namespace = std::fs::File::open("/proc/thread-self/ns/net")?;
    let hardware_address = names::hardware_address([192, 0, 2, 1].into());
    let mut socket = Socket::open()?;
    socket.create_bridge("ebtrial", hardware_address)?;
    let bridge = socket.link("ebtrial")?.ok_or(io::ErrorKind::NotFound)?;
    socket.create_wire(PodWire {
        name: "evtrial",
        bridge: bridge.index,
        namespace: namespace.as_fd(),
        hardware_address,
    })
}

/// Has `nft` set a rule.
pub(crate) fn set_rules() -> Result<(), Error> {
    nft::run(RULES)
}

/// The nftables tables of this machine that drop what is forwarded.
pub(crate) fn tables_that_drop() -> Result<Vec<String>, Error> {
    Ok(obstacle::dropping_tables(&nft::ask(&["list", "chains", "ip"])?, ""))
}

/// What this machine routes within `pod_network`, with the interface, ours left out.
pub(crate) fn routed_within(pod_network: Ipv4Net) -> io::Result<Vec<(Ipv4Net, String)>> {
    let mut socket = Socket::open()?;
    let links = socket.links()?;
    let name_of = |index: Option<u32>| {
        let link = links.iter().find(|link| Some(link.index) == index);
        link.map_or_else(|| "no interface".to_owned(), |link| link.name.clone())
    };
    let routes = socket.routes()?.into_iter();
    Ok(routes
        .filter(|(network, _)| network.prefix_len() > 0 && address::overlaps_any(pod_network, &[*network]))
        .map(|(network, index)| (network, name_of(index)))
        .filter(|(_, name)| !names::is_bridge(name))
        .collect())
}

/// Whether there is room for the pods of one more server beside what is routed.
pub(crate) fn has_room(pod_network: Ipv4Net, routed: &[Ipv4Net]) -> bool {
    address::is_large_enough(pod_network) && address::choose_slice(pod_network, 0, routed).is_some()
}
