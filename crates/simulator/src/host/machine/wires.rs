//! The pod network of a simulated machine: bridges, namespaces with or without a name, interfaces, addresses, rules, and
//! what others have of the same. A namespace lives as long as it has a name or somebody in it, as in a kernel.
//! Single deeds only; `cables` puts them in the place of netlink's.

use super::processes::ProcessKey;
use ensemble_model::port::PortRange;
use ensemble_supervision::network::Ruled;
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// One namespace, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NamespaceKey(u64);

#[derive(Clone, Debug, Default)]
pub(crate) struct Net {
    bridges: BTreeSet<usize>,
    /// Files that stand for namespaces, and for which; one was just made, or lost what it stood for.
    names: BTreeMap<String, Option<NamespaceKey>>,
    /// Who is in a namespace, with or without a name.
    inside: BTreeMap<ProcessKey, NamespaceKey>,
    /// By their name on the machine's side.
    links: BTreeMap<String, Link>,
    rules: Option<Ruled>,
    next: u64,
    /// What somebody else routes on this machine.
    pub(crate) foreign_routes: Vec<Ipv4Net>,
    /// What somebody else has on this machine.
    pub(crate) foreign_addresses: BTreeSet<Ipv4Addr>,
}

/// An interface: one end on a bridge, the other in a namespace, where it has the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link {
    bridge: usize,
    namespace: NamespaceKey,
    address: Ipv4Addr,
}

impl Net {
    pub(crate) fn bridges(&self) -> usize {
        self.bridges.len()
    }

    pub(crate) fn links(&self) -> impl Iterator<Item = &String> {
        self.links.keys()
    }

    /// Names, and whether there is a namespace behind each.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = (&String, bool)> {
        self.names.iter().map(|(name, key)| (name, key.is_some()))
    }

    pub(crate) fn make_bridge(&mut self, number: usize) {
        self.bridges.insert(number);
    }

    pub(crate) fn remove_bridges(&mut self) {
        self.bridges.clear();
        self.links.clear();
    }

    /// Makes the file that is to stand for a namespace.
    pub(crate) fn make_name(&mut self, name: &str) {
        if !self.names.contains_key(name) {
            self.names.insert(name.to_owned(), None);
        }
    }

    /// Makes the namespace behind a file, where there is none.
    pub(crate) fn make_namespace(&mut self, name: &str) {
        self.make_name(name);
        if let Some(key) = self.names.get_mut(name).filter(|key| key.is_none()) {
            *key = Some(NamespaceKey(self.next));
            self.next += 1;
        }
    }

    pub(crate) fn remove_namespace(&mut self, name: &str) {
        if let Some(Some(namespace)) = self.names.remove(name)
            && !self.inside.values().any(|key| *key == namespace)
        {
            self.links.retain(|_, link| link.namespace != namespace);
        }
    }

    /// Leads from a bridge into a namespace. One of that name that leads elsewhere makes way. Says whether both are there.
    pub(crate) fn make_link(
        &mut self,
        link: &str,
        bridge: usize,
        namespace: &str,
        address: Ipv4Addr,
    ) -> bool {
        let namespace = self.names.get(namespace).copied().flatten();
        let Some(namespace) = namespace.filter(|_| self.bridges.contains(&bridge)) else { return false };
        // A namespace has one interface, always under the same name inside.
        self.links.retain(|_, other| other.namespace != namespace);
        self.links.insert(link.to_owned(), Link { bridge, namespace, address });
        true
    }

    pub(crate) fn remove_link(&mut self, link: &str) {
        self.links.remove(link);
    }

    pub(crate) fn rule(&mut self, ruled: Option<Ruled>) {
        self.rules = ruled;
    }

    pub(crate) fn has_rules(&self) -> bool {
        self.rules.is_some()
    }

    /// A process is started in a namespace. Says whether there is one of that name.
    pub(crate) fn enter(&mut self, process: ProcessKey, namespace: &str) -> bool {
        match self.names.get(namespace).copied().flatten() {
            Some(key) => {
                self.inside.insert(process, key);
                true
            }
            None => false,
        }
    }

    pub(crate) fn leave(&mut self, process: ProcessKey) {
        if let Some(namespace) = self.inside.remove(&process)
            && !self.inside.values().any(|key| *key == namespace)
            && !self.names.values().any(|key| *key == Some(namespace))
        {
            self.links.retain(|_, link| link.namespace != namespace);
        }
    }

    /// The namespace that a process is in, and the address that it has there.
    pub(crate) fn place(&self, process: ProcessKey) -> Option<(NamespaceKey, Option<Ipv4Addr>)> {
        let namespace = *self.inside.get(&process)?;
        let link = self.links.values().find(|link| link.namespace == namespace);
        Some((namespace, link.map(|link| link.address)))
    }

    /// Namespaces with a name and nobody in them.
    pub(crate) fn empty_namespaces(&self) -> impl Iterator<Item = &String> {
        let is_empty = |key: &Option<NamespaceKey>| !self.inside.values().any(|inside| Some(*inside) == *key);
        self.names.iter().filter(move |(_, key)| is_empty(key)).map(|(name, _)| name)
    }

    /// Whether the rules let an address talk.
    pub(crate) fn is_ruled(&self, address: Ipv4Addr) -> bool {
        self.ruled().any(|ruled| ruled == address)
    }

    /// Which addresses the rules let talk.
    pub(crate) fn ruled(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.rules.iter().flat_map(|rules| rules.pods.values().flatten()).copied()
    }

    /// What pods have.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.links.values().map(|link| link.address)
    }

    /// Addresses that more than one has: two interfaces, or an interface and an instance or somebody else. That somebody
    /// takes the address of an instance, which no interface has, is seen by nobody.
    pub(crate) fn doubled(&self) -> BTreeSet<Ipv4Addr> {
        let mut seen = self.foreign_addresses.clone();
        let addresses = || self.links.values().map(|link| link.address);
        let mut doubled: BTreeSet<Ipv4Addr> = addresses().filter(|address| !seen.insert(*address)).collect();
        let instances: BTreeSet<_> = self.rules.iter().flat_map(|rules| &rules.instances).collect();
        doubled.extend(addresses().filter(|address| instances.contains(address)));
        doubled
    }

    /// Ports of an address that lead to two pods.
    pub(crate) fn doubled_ports(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let forwards = self.rules.iter().flat_map(|rules| &rules.forwards);
        let ports = forwards.flat_map(|forward| {
            let PortRange { protocol, node, .. } = forward.ports;
            (node..=forward.ports.last_node()).map(move |port| (forward.at, protocol, port))
        });
        let doubled = ports.filter(|port| !seen.insert(*port));
        doubled.map(|(at, protocol, port)| format!("{protocol} port {port} of {at}")).collect()
    }

    pub(crate) fn reboot(&mut self) {
        *self = Self {
            next: self.next,
            foreign_routes: std::mem::take(&mut self.foreign_routes),
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::processes::{Processes, Role};
    use super::*;
    use ensemble_model::port::Protocol;
    use ensemble_supervision::network::Forward;

    fn address(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 80, 0, last)
    }

    fn with_pod() -> Net {
        let mut net = Net::default();
        net.make_bridge(0);
        net.make_namespace("pod");
        assert!(net.make_link("ev1", 0, "pod", address(2)));
        net
    }

    #[test]
    fn a_namespace_without_a_name_lives_while_somebody_is_in_it() {
        let process = Processes::new().spawn(Role::Program, None, 0);
        let mut net = with_pod();
        assert!(net.enter(process, "pod"));

        net.remove_namespace("pod");

        assert_eq!(net.place(process).unwrap().1, Some(address(2)));
        net.leave(process);
        assert_eq!(net.links().count(), 0);
    }

    #[test]
    fn a_process_whose_interface_is_gone_has_no_address() {
        let process = Processes::new().spawn(Role::Program, None, 0);
        let mut net = with_pod();
        net.enter(process, "pod");

        net.remove_link("ev1");

        assert_eq!(net.place(process).unwrap().1, None);
        assert!(!net.enter(process, "other"));
    }

    #[test]
    fn an_address_of_two_is_seen() {
        let mut net = with_pod();
        net.make_namespace("other");
        net.make_link("ev2", 0, "other", address(3));
        assert_eq!(net.doubled(), BTreeSet::new());

        net.make_link("ev2", 0, "other", address(2));
        assert_eq!(net.doubled(), BTreeSet::from([address(2)]));

        net.remove_link("ev2");
        net.foreign_addresses.insert(address(2));
        assert_eq!(net.doubled(), BTreeSet::from([address(2)]));
    }

    #[test]
    fn an_address_of_an_instance_and_a_port_of_two_pods_are_seen() {
        let mut net = with_pod();
        let ports = PortRange { protocol: Protocol::Tcp, node: 80, container: 80, count: 2 };
        let forward = |node| Forward { at: address(9), ports: PortRange { node, ..ports }, to: address(2) };
        let ruled = |instance: u8, forwards| Ruled {
            instances: [address(instance)].into(),
            forwards,
            ..Ruled::default()
        };

        net.rule(Some(ruled(9, vec![forward(80), forward(82)])));
        assert_eq!((net.doubled(), net.doubled_ports()), (BTreeSet::new(), Vec::new()));

        net.rule(Some(ruled(2, vec![forward(80), forward(81)])));
        assert_eq!(net.doubled(), BTreeSet::from([address(2)]));
        assert_eq!(net.doubled_ports(), ["TCP port 81 of 10.80.0.9"]);
    }

    #[test]
    fn a_link_needs_its_bridge_and_its_namespace() {
        let mut net = Net::default();

        assert!(!net.make_link("ev1", 0, "pod", address(2)));
        net.make_bridge(0);
        assert!(!net.make_link("ev1", 0, "pod", address(2)));
        net.make_namespace("pod");
        assert!(net.make_link("ev1", 0, "pod", address(2)));
    }

    #[test]
    fn of_a_reboot_only_what_others_route_is_left() {
        let mut net = with_pod();
        net.rule(Some(Ruled::default()));
        net.foreign_routes.push("10.80.0.0/20".parse().unwrap());

        net.reboot();

        assert_eq!((net.bridges(), net.links().count(), net.namespaces().count()), (0, 0, 0));
        assert!(!net.has_rules());
        assert_eq!(net.foreign_routes.len(), 1);
    }
}
