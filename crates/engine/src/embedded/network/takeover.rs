//! What happens when the pod network is opened: the slice is chosen or kept, what no record names is removed, and
//! the first bridge is made, while no other server of this machine does the same.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv4Addr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::thread;
use std::time::Duration;

use ipnet::Ipv4Net;

use super::NetworkConfig;
use super::wire::Wiring;
use crate::embedded::kernel::Linux;
use ensemble_supervision::network::Error;
use ensemble_supervision::network::address::{self, Allocator, subnets};
use ensemble_supervision::network::names::Names;
use ensemble_supervision::network::record::{Record, RecordFile};

/// More bridges than any slice has.
pub(super) const MOST_BRIDGES: usize = 16;

/// Abstract, hence one for each network namespace of the machine, and gone with its holder.
const LOCK_NAME: &str = "ensemble-pod-network-set-up";
const LOCK_TRIES: u32 = 1_000;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Brings record and kernel together and returns the record, which is on disk.
pub(super) fn take_over(
    config: &NetworkConfig,
    names: &Names,
    file: &RecordFile,
    wiring: &mut Wiring,
) -> Result<Record, Error> {
    let _lock = lock_set_up()?;
    let former = file.load(&Linux)?;
    if former.is_none() {
        wiring.remove_bridges(MOST_BRIDGES)?;
    }
    let bridges: Vec<u32> = wiring.existing_bridges(MOST_BRIDGES)?.iter().map(|link| link.index).collect();
    let routes = wiring.socket.routes().map_err(Error::kernel("list the routes"))?;
    let routed = routed_by_others(routes, &bridges);
    let alive = former.as_ref().is_some_and(|record| is_alive(record, &bridges, wiring));
    let record = settle(config.pod_network, names.slice_hash(), former.as_ref(), alive, &routed)?;
    if former.as_ref().is_some_and(|former| former.slice != record.slice) {
        wiring.remove_bridges(MOST_BRIDGES)?;
    }
    if former.as_ref() != Some(&record) {
        file.save(&Linux, &record)?;
    }
    remove_strays(&record, wiring)?;
    wiring.bridge(subnets(record.slice)[0])?;
    Ok(record)
}

/// Whether pods may be using the recorded slice this moment.
fn is_alive(record: &Record, bridges: &[u32], wiring: &Wiring) -> bool {
    let has_namespace = || record.pods.values().any(|held| wiring.namespaces.is_there(&held.namespace));
    !record.pods.is_empty() && (!bridges.is_empty() || has_namespace())
}

/// The record to go on with. A slice in use is kept whatever happens; one that is not (after a reboot) gives way to
/// others who route it now, and its pods keep their places in the new slice.
fn settle(
    pod_network: Ipv4Net,
    hash: u64,
    former: Option<&Record>,
    alive: bool,
    routed: &[Ipv4Net],
) -> Result<Record, Error> {
    if let Some(former) = former {
        let wanted = pod_network.contains(&former.slice) && !address::overlaps_any(former.slice, routed);
        if alive && !wanted {
            tracing::warn!(
                "pods still use {}, which is routed elsewhere or not in `pod_network`",
                former.slice
            );
        }
        if alive || wanted {
            return Ok(former.clone());
        }
    }
    let slice = address::choose_slice(pod_network, hash, routed).ok_or(Error::NothingFree { pod_network })?;
    let mut record = Record { slice, bridges: BTreeMap::new(), pods: BTreeMap::new() };
    let Some(former) = former else { return Ok(record) };
    let kept = |address| moved(address, former.slice, slice);
    let taken = former.pods.values().filter_map(|held| kept(held.address));
    let mut allocator = Allocator::new(slice, taken);
    for (pod, held) in &former.pods {
        let address = kept(held.address).or_else(|| allocator.allocate()).ok_or(Error::Full { slice })?;
        record.pods.insert(
            pod.clone(),
            ensemble_supervision::network::record::Reservation { address, ..held.clone() },
        );
    }
    Ok(record)
}

/// Removes interfaces on our bridges and namespace files that no record names: nobody else could.
fn remove_strays(record: &Record, wiring: &mut Wiring) -> Result<(), Error> {
    let links: BTreeSet<&str> = record.pods.values().map(|held| held.link.as_str()).collect();
    let bridges: Vec<u32> = wiring.existing_bridges(MOST_BRIDGES)?.iter().map(|link| link.index).collect();
    for port in wiring.ports(&bridges)? {
        if !links.contains(port.name.as_str()) {
            tracing::warn!("interface `{}` belongs to no pod and is removed", port.name);
            wiring.delete(&port.name)?;
        }
    }
    let namespaces: BTreeSet<&str> = record.pods.values().map(|held| held.namespace.as_str()).collect();
    for name in wiring.namespaces.names()? {
        if !namespaces.contains(name.as_str()) {
            tracing::warn!("namespace `{name}` belongs to no pod and is removed");
            wiring.namespaces.remove(&name)?;
        }
    }
    Ok(())
}

/// Two servers that start at once must not both find the same slice free.
fn lock_set_up() -> Result<UnixListener, Error> {
    let failed = |source| Error::kernel("lock the set-up of pod networks")(source);
    let name = SocketAddr::from_abstract_name(LOCK_NAME).map_err(failed)?;
    for _ in 0..LOCK_TRIES {
        match UnixListener::bind_addr(&name) {
            Ok(lock) => return Ok(lock),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => thread::sleep(LOCK_PAUSE),
            Err(error) => return Err(failed(error)),
        }
    }
    Err(Error::SetUpBusy)
}

/// The networks routed on this machine by anything but the given interfaces.
fn routed_by_others(routes: Vec<(Ipv4Net, Option<u32>)>, ours: &[u32]) -> Vec<Ipv4Net> {
    let foreign = |interface: Option<u32>| interface.is_none_or(|index| !ours.contains(&index));
    routes.into_iter().filter(|(_, interface)| foreign(*interface)).map(|(network, _)| network).collect()
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
    use ensemble_model::id::{AppId, InstanceId};
    use ensemble_supervision::network::record::Reservation;
    use ensemble_supervision::pod::PodKey;

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

        let settled = settle(net("10.80.0.0/16"), 0, Some(&former), false, &[net("192.0.2.0/24")]).unwrap();

        assert_eq!(settled, former);
    }

    #[test]
    fn after_a_reboot_a_slice_that_others_route_gives_way_and_pods_keep_their_places() {
        let former = record("10.80.32.0/20", &["10.80.32.9", "10.80.35.200"]);

        let settled = settle(net("10.80.0.0/16"), 0, Some(&former), false, &[net("10.80.40.0/24")]).unwrap();

        assert_eq!(settled.slice, net("10.80.0.0/20"));
        assert_eq!(addresses(&settled), ["10.80.0.9", "10.80.3.200"]);
    }

    #[test]
    fn pods_that_run_keep_their_slice_even_when_others_route_it() {
        let former = record("10.80.32.0/20", &["10.80.32.9"]);

        let settled = settle(net("10.90.0.0/16"), 0, Some(&former), true, &[net("10.80.40.0/24")]).unwrap();

        assert_eq!(settled, former);
    }

    #[test]
    fn a_smaller_pod_network_gives_every_pod_a_new_address() {
        let former = record("10.80.32.0/20", &["10.80.32.9", "10.80.35.200"]);

        let settled = settle(net("10.90.0.0/28"), 0, Some(&former), false, &[]).unwrap();

        assert_eq!(addresses(&settled), ["10.90.0.2", "10.90.0.3"]);
    }

    #[test]
    fn a_pod_network_without_room_for_the_recorded_pods_is_an_error() {
        let former = record("10.80.32.0/20", &["10.80.32.9"; 6]);

        let error = settle(net("10.90.0.0/29"), 0, Some(&former), false, &[]).unwrap_err();

        assert!(matches!(error, Error::Full { .. }), "{error}");
    }
}
