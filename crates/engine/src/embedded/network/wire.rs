//! Makes and removes what one pod has in the kernel: its namespace, the wire from there to its bridge, addresses and
//! routes; and the bridges themselves. Every step may be repeated after a crash between any two of them.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd as _;
use std::thread;
use std::time::Duration;

use super::namespace::{Namespace, Namespaces, Origin};
use super::netlink::{Link, LinkState, POD_LINK, PodWire, Socket};
use super::sysctl;
use ensemble_supervision::network::Error;
use ensemble_supervision::network::address::Subnet;
use ensemble_supervision::network::names::{Names, hardware_address};
use ensemble_supervision::network::record::Reservation;
use ensemble_supervision::pod::PodKey;

const UP_TRIES: u32 = 2_000;
const UP_PAUSE: Duration = Duration::from_millis(1);

/// The kernel's side of the pod network.
pub(super) struct Wiring {
    pub(super) socket: Socket,
    pub(super) namespaces: Namespaces,
    names: Names,
    /// Interface indexes by the number of the subnet, of those bridges that were looked at.
    bridges: BTreeMap<usize, u32>,
}

impl Wiring {
    pub(super) fn new(names: Names, namespaces: Namespaces) -> Result<Self, Error> {
        let socket = Socket::open().map_err(Error::kernel("open a netlink socket"))?;
        Ok(Self { socket, namespaces, names, bridges: BTreeMap::new() })
    }

    /// Makes the pod complete, whatever of it is there already.
    pub(super) fn make(&mut self, pod: &PodKey, held: &Reservation, subnet: Subnet) -> Result<(), Error> {
        let made = self.make_steps(pod, held, subnet);
        if made.is_err() {
            // Somebody may have removed a bridge; the next call looks again.
            self.bridges.clear();
        }
        made
    }

    fn make_steps(&mut self, pod: &PodKey, held: &Reservation, subnet: Subnet) -> Result<(), Error> {
        let bridge = self.bridge(subnet)?;
        let mut namespace = self.namespaces.obtain(&held.namespace)?;
        let inside = self.connect(&mut namespace, held, bridge)?;
        let failed = |step: &str| Error::kernel(format!("{step} of pod `{pod}`"));

        let Namespace { socket, .. } = &mut namespace;
        socket.raise(inside, None).map_err(failed("raise the interface"))?;
        socket.set_address(inside, held.address, 32).map_err(failed("set the address"))?;
        let gateway = subnet.gateway();
        socket
            .set_neighbour(inside, gateway, hardware_address(gateway))
            .map_err(failed("set the gateway's neighbour entry"))?;
        socket.set_routes(inside, gateway).map_err(failed("set the routes"))?;

        sysctl::set(&format!("ipv6/conf/{}/disable_ipv6", held.link), "1")?;
        self.socket
            .isolate_port(&held.link, &format!("ensemble {pod}"))
            .map_err(failed("isolate the bridge port"))?;
        self.socket
            .set_neighbour(bridge, held.address, hardware_address(held.address))
            .map_err(failed("set the neighbour entry"))?;
        wait_until_up(&mut namespace.socket, POD_LINK)
            .and_then(|()| wait_until_up(&mut self.socket, &held.link))
            .and_then(|()| wait_until_up(&mut self.socket, &self.names.bridge(subnet.number)))
            .map_err(failed("wait for the interface"))
    }

    /// Sees to the wire between bridge and namespace. Returns the index of the interface inside.
    fn connect(&mut self, namespace: &mut Namespace, held: &Reservation, bridge: u32) -> Result<u32, Error> {
        let failed = |source| Error::kernel(format!("make the interface `{}`", held.link))(source);
        if namespace.origin == Origin::Found {
            let outside = self.socket.link(&held.link).map_err(failed)?;
            let inside = namespace.socket.link(POD_LINK).map_err(failed)?;
            if let (Some(Link { controller: Some(port_of), .. }), Some(inside)) = (outside, inside)
                && port_of == bridge
            {
                return Ok(inside.index);
            }
        }
        self.create_wire(namespace, held, bridge).map_err(failed)?;
        let inside = namespace.socket.link(POD_LINK).map_err(failed)?;
        inside.map(|link| link.index).ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
    }

    /// A wire of that name that leads elsewhere (into the namespace of before a crash) makes way.
    fn create_wire(&mut self, namespace: &Namespace, held: &Reservation, bridge: u32) -> io::Result<()> {
        let wire = PodWire {
            name: &held.link,
            bridge,
            namespace: namespace.file.as_fd(),
            hardware_address: hardware_address(held.address),
        };
        match self.socket.create_wire(wire) {
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
                self.socket.delete_link(&held.link)?;
                self.socket.create_wire(wire)
            }
            other => other,
        }
    }

    /// Removes everything of those pods; the interfaces first, so that nothing reaches the pods from then on. One
    /// answer for each, in order.
    pub(super) fn unmake(&mut self, pods: &[(Reservation, Option<Subnet>)]) -> Vec<Result<(), Error>> {
        let links: Vec<&str> = pods.iter().map(|(held, _)| held.link.as_str()).collect();
        let group = self.names.deletion_group();
        let deleted = self
            .socket
            .delete_links(&links, group)
            .map_err(Error::kernel(format!("delete the interfaces of {} pods", links.len())));
        pods.iter().map(|(held, subnet)| deleted.clone().and_then(|()| self.let_go(held, *subnet))).collect()
    }

    fn let_go(&mut self, held: &Reservation, subnet: Option<Subnet>) -> Result<(), Error> {
        if let Some(bridge) = subnet.map(|subnet| self.existing_bridge(subnet)).transpose()?.flatten() {
            self.socket
                .delete_neighbour(bridge, held.address)
                .map_err(Error::kernel(format!("delete the neighbour entry of {}", held.address)))?;
        }
        self.namespaces.remove(&held.namespace)
    }

    fn existing_bridge(&mut self, subnet: Subnet) -> Result<Option<u32>, Error> {
        if let Some(index) = self.bridges.get(&subnet.number) {
            return Ok(Some(*index));
        }
        let name = self.names.bridge(subnet.number);
        let link = self.socket.link(&name).map_err(Error::kernel(format!("look for the bridge `{name}`")))?;
        Ok(link.map(|link| link.index))
    }

    /// The bridge of a subnet, made if it is missing.
    pub(super) fn bridge(&mut self, subnet: Subnet) -> Result<u32, Error> {
        if let Some(index) = self.bridges.get(&subnet.number) {
            return Ok(*index);
        }
        let name = self.names.bridge(subnet.number);
        let failed = |source| Error::kernel(format!("make the bridge `{name}`"))(source);
        let gateway = subnet.gateway();
        let link = match self.socket.link(&name).map_err(failed)? {
            Some(link) => Some(link),
            None => {
                // A hardware address of its own: else it would change with the bridge's ports, under the pods' feet.
                self.socket.create_bridge(&name, hardware_address(gateway)).map_err(failed)?;
                self.socket.link(&name).map_err(failed)?
            }
        };
        let index = link.map(|link| link.index).ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        // The rules are for IPv4: by a link-local address of IPv6 a pod could reach the control plane past them.
        sysctl::set(&format!("ipv6/conf/{name}/disable_ipv6"), "1")?;
        sysctl::set(&format!("ipv4/conf/{name}/send_redirects"), "0")?;
        sysctl::set(&format!("ipv4/conf/{name}/rp_filter"), "1")?;
        self.socket.set_address(index, gateway, subnet.network.prefix_len()).map_err(failed)?;
        self.socket.raise(index, Some(&self.names.bridge_alias())).map_err(failed)?;
        self.bridges.insert(subnet.number, index);
        Ok(index)
    }

    /// Those of our bridges that are in the kernel.
    pub(super) fn existing_bridges(&mut self, most: usize) -> Result<Vec<Link>, Error> {
        let ours: Vec<String> = (0..most).map(|number| self.names.bridge(number)).collect();
        Ok(self.links()?.into_iter().filter(|link| ours.contains(&link.name)).collect())
    }

    /// Removes our bridges with all their ports.
    pub(super) fn remove_bridges(&mut self, most: usize) -> Result<(), Error> {
        self.bridges.clear();
        for bridge in self.existing_bridges(most)? {
            let ports: Vec<Link> = self.ports(&[bridge.index])?;
            for link in ports.iter().chain([&bridge]) {
                self.delete(&link.name)?;
            }
        }
        Ok(())
    }

    /// The ports of those bridges.
    pub(super) fn ports(&mut self, bridges: &[u32]) -> Result<Vec<Link>, Error> {
        let is_port = |link: &Link| link.controller.is_some_and(|controller| bridges.contains(&controller));
        Ok(self.links()?.into_iter().filter(is_port).collect())
    }

    pub(super) fn links(&mut self) -> Result<Vec<Link>, Error> {
        self.socket.links().map_err(Error::kernel("list the interfaces"))
    }

    pub(super) fn delete(&mut self, link: &str) -> Result<(), Error> {
        self.socket.delete_link(link).map_err(Error::kernel(format!("delete the interface `{link}`")))
    }

    /// Lets the machine forward packets, which pods' traffic needs.
    pub(super) fn allow_forwarding(&self) -> Result<(), Error> {
        sysctl::set("ipv4/ip_forward", "1")
    }
}

/// Waits until an interface carries packets. Kernels from 6.7 on see to it when they are asked; older ones do so
/// behind, a moment later, and drop what comes before (and then the first connection takes a second).
fn wait_until_up(socket: &mut Socket, name: &str) -> io::Result<()> {
    for _ in 0..UP_TRIES {
        match socket.link(name)? {
            Some(link) if link.state == LinkState::Up => return Ok(()),
            Some(_) => thread::sleep(UP_PAUSE),
            None => return Err(io::ErrorKind::NotFound.into()),
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}
