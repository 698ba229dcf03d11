//! The wires of the pod network as its ledger sees them: netlink, namespaces and nftables of this machine. Also the lock
//! that keeps servers of one machine from setting up their networks at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use ensemble_supervision::network::address::Subnet;
use ensemble_supervision::network::record::Reservation;
use ensemble_supervision::network::{Error, Presence, Ruled, Sight, Wires};
use ensemble_supervision::pod::PodKey;
use ipnet::Ipv4Net;

use super::nft;
use super::rules::Rules;
use super::wire::Wiring;

/// More bridges than any slice has.
const MOST_BRIDGES: usize = 16;

/// Abstract, hence one for each network namespace of the machine, and gone with its holder.
const LOCK_NAME: &str = "ensemble-pod-network-set-up";
const LOCK_TRIES: u32 = 1_000;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// What rules say beside who is where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) pod_network: Ipv4Net,
    pub(super) control_port: Option<u16>,
}

/// The wires of one data directory.
pub(super) struct Machinery {
    pub(super) wiring: Wiring,
    pub(super) table: String,
    pub(super) frame: Frame,
}

impl Machinery {
    fn bridge_indexes(&mut self) -> Result<Vec<u32>, Error> {
        Ok(self.wiring.existing_bridges(MOST_BRIDGES)?.iter().map(|link| link.index).collect())
    }
}

impl Wires for Machinery {
    fn routed_elsewhere(&mut self) -> Result<Vec<Ipv4Net>, Error> {
        let bridges = self.bridge_indexes()?;
        let routes = self.wiring.socket.routes().map_err(Error::kernel("list the routes"))?;
        Ok(routed_by_others(routes, &bridges))
    }

    fn look(&mut self) -> Result<Sight, Error> {
        let bridges = self.bridge_indexes()?;
        let links = self.wiring.links()?;
        let on_bridge = |controller: Option<u32>| controller.is_some_and(|index| bridges.contains(&index));
        let ports = links.iter().filter(|link| on_bridge(link.controller)).map(|link| link.name.clone());
        let mut namespaces = BTreeMap::new();
        for name in self.wiring.namespaces.names()? {
            let is_there = self.wiring.namespaces.is_there(&name);
            namespaces.insert(name, if is_there { Presence::There } else { Presence::Missing });
        }
        Ok(Sight {
            bridges: bridges.len(),
            ports: ports.collect(),
            links: links.into_iter().map(|link| link.name).collect::<BTreeSet<String>>(),
            namespaces,
        })
    }

    fn namespace_path(&self, namespace: &str) -> PathBuf {
        self.wiring.namespaces.path(namespace)
    }

    fn make_bridge(&mut self, subnet: Subnet) -> Result<(), Error> {
        self.wiring.bridge(subnet).map(|_| ())
    }

    fn remove_bridges(&mut self) -> Result<(), Error> {
        self.wiring.remove_bridges(MOST_BRIDGES)
    }

    fn make(&mut self, pod: &PodKey, held: &Reservation, subnet: Subnet) -> Result<(), Error> {
        self.wiring.make(pod, held, subnet)
    }

    fn unmake(&mut self, pods: &[(Reservation, Option<Subnet>)]) -> Vec<Result<(), Error>> {
        self.wiring.unmake(pods)
    }

    fn remove_link(&mut self, link: &str) -> Result<(), Error> {
        self.wiring.delete(link)
    }

    fn remove_namespace(&mut self, namespace: &str) -> Result<(), Error> {
        self.wiring.namespaces.remove(namespace)
    }

    fn rule(&mut self, slice: Ipv4Net, ruled: &Ruled) -> Result<(), Error> {
        let Frame { pod_network, control_port } = self.frame;
        nft::run(&Rules { table: &self.table, pod_network, slice, control_port, ruled }.replacement())
    }

    fn has_rules(&mut self) -> bool {
        nft::ask(&["-t", "list", "table", "ip", &self.table]).is_ok()
    }

    fn close(&mut self) -> Result<(), Error> {
        self.wiring.remove_bridges(MOST_BRIDGES)?;
        self.wiring.namespaces.close()?;
        nft::run(&Rules::removal(&self.table))
    }
}

/// Two servers that start at once must not both find the same slice free.
pub(super) fn lock_set_up() -> Result<UnixListener, Error> {
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
