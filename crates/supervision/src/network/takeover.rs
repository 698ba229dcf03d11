//! What happens when the ledger is opened: the slice is chosen or kept, what no record names is removed, and the first
//! bridge is made. Whoever opens it sees to it that no other server of the machine does the same meanwhile.

use super::address::{self, Allocator, subnets};
use super::names::Names;
use super::record::{NodePorts, Record, RecordFile, Reservation};
use super::{Error, Sight, Wires};
use crate::kernel::Kernel;
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// Brings record and kernel together and returns the record, which is on disk.
pub(super) fn take_over(
    kernel: &impl Kernel,
    pod_network: Ipv4Net,
    names: &Names,
    file: &RecordFile,
    wires: &mut impl Wires,
) -> Result<Record, Error> {
    let former = file.load(kernel)?;
    if former.is_none() {
        wires.remove_bridges()?;
    }
    let sight = wires.look()?;
    let routed = wires.routed_elsewhere()?;
    let use_now = former.as_ref().map_or(Use::Idle, |record| use_of(record, &sight));
    let record = settle(pod_network, names.slice_hash(), former.as_ref(), use_now, &routed)?;
    if former.as_ref().is_some_and(|former| former.slice != record.slice) {
        wires.remove_bridges()?;
    }
    if former.as_ref() != Some(&record) {
        file.save(kernel, &record)?;
    }
    remove_strays(&record, wires)?;
    wires.make_bridge(subnets(record.slice)[0])?;
    Ok(record)
}

/// Whether pods may be using the recorded slice this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    InUse,
    Idle,
}

fn use_of(record: &Record, sight: &Sight) -> Use {
    let has_namespace = || record.pods.values().any(|held| sight.has_namespace(&held.namespace));
    if !record.pods.is_empty() && (sight.bridges > 0 || has_namespace()) { Use::InUse } else { Use::Idle }
}

/// The record to go on with. A slice in use is kept whatever happens; one that is not (after a reboot) gives way to
/// others who route it now, and its pods keep their places in the new slice.
fn settle(
    pod_network: Ipv4Net,
    hash: u64,
    former: Option<&Record>,
    use_now: Use,
    routed: &[Ipv4Net],
) -> Result<Record, Error> {
    if let Some(former) = former {
        let wanted = pod_network.contains(&former.slice) && !address::overlaps_any(former.slice, routed);
        if use_now == Use::InUse && !wanted {
            tracing::warn!(
                "pods still use {}, which is routed elsewhere or not in `pod_network`",
                former.slice
            );
        }
        if use_now == Use::InUse || wanted {
            return Ok(former.clone());
        }
    }
    let slice = address::choose_slice(pod_network, hash, routed).ok_or(Error::NothingFree { pod_network })?;
    let mut record = Record { slice, bridges: BTreeMap::new(), pods: BTreeMap::new() };
    let Some(former) = former else { return Ok(record) };
    let addresses = former.addresses();
    let kept = |address: &Ipv4Addr| moved(*address, former.slice, slice);
    let mut allocator = Allocator::new(slice, addresses.iter().filter_map(kept));
    let mut now = BTreeMap::new();
    for address in &addresses {
        let successor = kept(address).or_else(|| allocator.allocate()).ok_or(Error::Full { slice })?;
        now.insert(*address, successor);
    }
    let successor = |address: Ipv4Addr| now.get(&address).copied().unwrap_or(address);
    for (pod, held) in &former.pods {
        let node_ports = held.node_ports.clone();
        let node_ports = node_ports.map(|ports| NodePorts { address: successor(ports.address), ..ports });
        let address = successor(held.address);
        record.pods.insert(pod.clone(), Reservation { address, node_ports, ..held.clone() });
    }
    Ok(record)
}

/// Removes interfaces on our bridges and namespace files that no record names: nobody else could.
fn remove_strays(record: &Record, wires: &mut impl Wires) -> Result<(), Error> {
    let sight = wires.look()?;
    let links: BTreeSet<&str> = record.pods.values().map(|held| held.link.as_str()).collect();
    for port in &sight.ports {
        if !links.contains(port.as_str()) {
            tracing::warn!("interface `{port}` belongs to no pod and is removed");
            wires.remove_link(port)?;
        }
    }
    let namespaces: BTreeSet<&str> = record.pods.values().map(|held| held.namespace.as_str()).collect();
    for name in sight.namespaces.keys() {
        if !namespaces.contains(name.as_str()) {
            tracing::warn!("namespace `{name}` belongs to no pod and is removed");
            wires.remove_namespace(name)?;
        }
    }
    Ok(())
}

/// The same place in another slice, where that is as large.
fn moved(address: Ipv4Addr, from: Ipv4Net, to: Ipv4Net) -> Option<Ipv4Addr> {
    if from.prefix_len() != to.prefix_len() || !from.contains(&address) {
        return None;
    }
    let offset = u32::from(address) - u32::from(from.network());
    Some(Ipv4Addr::from(u32::from(to.network()) + offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::PodKey;
    use ensemble_model::id::{AppId, InstanceId};
    use ensemble_model::port::Exposed;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    fn record(slice: &str, addresses: &[&str]) -> Record {
        let pods = addresses.iter().zip(0..).map(|(address, index)| {
            let pod = PodKey::new(InstanceId::new("i-a"), "web", index);
            let held = Reservation {
                app: AppId::new("6d2c"),
                address: address.parse().unwrap(),
                link: format!("ev{index}"),
                namespace: pod.directory_name(),
                node_ports: None,
            };
            (pod, held)
        });
        Record { slice: net(slice), bridges: BTreeMap::new(), pods: pods.collect() }
    }

    fn addresses(record: &Record) -> Vec<String> {
        record.pods.values().map(|held| held.address.to_string()).collect()
    }

    #[test]
    fn a_recorded_slice_is_kept_while_nobody_else_routes_it() {
        let former = record("10.80.32.0/20", &["10.80.32.9"]);

        let settled =
            settle(net("10.80.0.0/16"), 0, Some(&former), Use::Idle, &[net("192.0.2.0/24")]).unwrap();

        assert_eq!(settled, former);
    }

    #[test]
    fn after_a_reboot_a_slice_that_others_route_gives_way_and_pods_keep_their_places() {
        let former = record("10.80.32.0/20", &["10.80.32.9", "10.80.35.200"]);

        let settled =
            settle(net("10.80.0.0/16"), 0, Some(&former), Use::Idle, &[net("10.80.40.0/24")]).unwrap();

        assert_eq!(settled.slice, net("10.80.0.0/20"));
        assert_eq!(addresses(&settled), ["10.80.0.9", "10.80.3.200"]);
    }

    #[test]
    fn pods_that_run_keep_their_slice_even_when_others_route_it() {
        let former = record("10.80.32.0/20", &["10.80.32.9"]);

        let settled =
            settle(net("10.90.0.0/16"), 0, Some(&former), Use::InUse, &[net("10.80.40.0/24")]).unwrap();

        assert_eq!(settled, former);
    }

    #[test]
    fn a_smaller_pod_network_gives_every_pod_a_new_address() {
        let former = record("10.80.32.0/20", &["10.80.32.9", "10.80.35.200"]);

        let settled = settle(net("10.90.0.0/28"), 0, Some(&former), Use::Idle, &[]).unwrap();

        assert_eq!(addresses(&settled), ["10.90.0.2", "10.90.0.3"]);
    }

    #[test]
    fn the_address_of_an_instance_moves_with_its_pods() {
        let mut former = record("10.80.32.0/20", &["10.80.32.9", "10.80.32.10"]);
        let exposed = Exposed { publish: None, ports: Vec::new() };
        for held in former.pods.values_mut() {
            let address = "10.80.32.8".parse().unwrap();
            held.node_ports = Some(NodePorts { address, exposed: exposed.clone() });
        }

        let settled =
            settle(net("10.80.0.0/16"), 0, Some(&former), Use::Idle, &[net("10.80.40.0/24")]).unwrap();

        let of_instance = settled.pods.values().map(|held| held.node_ports.as_ref().unwrap().address);
        assert_eq!(of_instance.collect::<Vec<_>>(), ["10.80.0.8".parse::<Ipv4Addr>().unwrap(); 2]);
        assert_eq!(addresses(&settled), ["10.80.0.9", "10.80.0.10"]);
    }

    #[test]
    fn a_pod_network_without_room_for_the_recorded_pods_is_an_error() {
        let former = record(
            "10.80.32.0/20",
            &["10.80.32.9", "10.80.32.10", "10.80.32.11", "10.80.32.12", "10.80.32.13", "10.80.32.14"],
        );

        let error = settle(net("10.90.0.0/29"), 0, Some(&former), Use::Idle, &[]).unwrap_err();

        assert!(matches!(error, Error::Full { .. }), "{error}");
    }
}
