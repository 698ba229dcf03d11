//! What the world of a seed is made of: its fleet, the hosts that run it, its accounts.

use crate::clients::Client;
use crate::dice::Dice;
use crate::host::Host;
use crate::host::cluster::Cluster;
use crate::host::machine::Machine;
use crate::options::Options;
use ensemble_model::fleet::builtin::builtin;
use ensemble_model::fleet::{EngineKind, Fleet};
use ensemble_model::id::{EdgeNodeId, EngineName};
use ensemble_model::spec::Resources;
use ipnet::Ipv4Net;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Edge nodes that one host runs, at the most.
const NODES_OF_A_HOST: u64 = 6;

/// How many of the hosts are single machines under the real supervision.
const MACHINES_PER_MILLE: u64 = 500;

pub(crate) struct Scenario {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) host_of: BTreeMap<EngineName, usize>,
    pub(crate) clients: Vec<Client>,
    pub(crate) snapshot_every: u64,
}

impl Scenario {
    pub(crate) fn draw(options: &Options) -> Self {
        let mut dice = Dice::stream(options.seed, "scenario");
        let table = builtin(EngineKind::Simulated, EngineName::new("host-0"));
        let mut nodes = Vec::new();
        let (mut hosts, mut host_of) = (Vec::new(), BTreeMap::new());
        let mut engines = BTreeMap::new();
        let mut room = 0;
        for index in 0..options.edge_nodes.max(1) {
            let mut node = table.nodes[index % table.nodes.len()].clone();
            if index >= table.nodes.len() {
                node.id = EdgeNodeId::new(format!("{}-{}", node.id, index / table.nodes.len() + 1));
            }
            if room == 0 {
                room = dice.between(1, NODES_OF_A_HOST);
                let name = EngineName::new(format!("host-{}", hosts.len()));
                host_of.insert(name.clone(), hosts.len());
                engines.insert(name.clone(), EngineKind::Simulated);
                hosts.push(if dice.happens(MACHINES_PER_MILLE) {
                    room = 1;
                    Host::Machine(Box::new(machine(name, node.id.clone(), hosts.len(), options.seed)))
                } else {
                    Host::Cluster(Box::new(Cluster::new(name, options.seed)))
                });
            }
            room -= 1;
            node.engine = EngineName::new(format!("host-{}", hosts.len() - 1));
            let vcpu = dice.between(4, 24) as u32;
            node.capacity = Resources { vcpu, memory_mib: u64::from(vcpu) * 2_048 };
            nodes.push(node);
        }
        let accounts = 2 + dice.below(2) as usize;
        let most_apps = options.applications.div_ceil(accounts).max(1);
        let mut clients: Vec<Client> =
            (0..accounts).map(|index| Client::new(index, options.seed, most_apps)).collect();
        clients.push(Client::operator(accounts, options.seed));
        Self {
            fleet: Arc::new(Fleet { engines, nodes, districts: table.districts }),
            hosts,
            host_of,
            clients,
            snapshot_every: dice.between(5, 60),
        }
    }
}

/// A machine with a pod network of its own.
fn machine(name: EngineName, node: EdgeNodeId, number: usize, seed: u64) -> Machine {
    let second = u8::try_from(number % 200).unwrap_or(0) + 20;
    let pod_network = Ipv4Net::new_assert(Ipv4Addr::new(10, second, 0, 0), 16);
    Machine::new(name, node, pod_network, seed)
}
