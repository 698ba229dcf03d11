//! The pod network as far as it can be decided: which addresses there are, who holds which, and in what order that is
//! written down, made and taken away. What it is made of is behind [`Wires`].
//! Must not know containers, nor decide which pods there are.

pub mod address;
mod error;
pub mod ledger;
pub mod names;
pub mod record;
mod takeover;

use crate::pod::PodKey;
use address::Subnet;
use ensemble_model::id::AppId;
use ensemble_model::port::PortRange;
use ipnet::Ipv4Net;
use record::Reservation;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;

pub use error::Error;

/// What a pod network is made of in a kernel: bridges, interfaces, namespaces, routes, rules. Of one data directory:
/// whatever another server has on the same machine is neither seen nor touched.
///
/// Any call may fail half way, may be repeated, and may have been cut short by a crash before; all but what the
/// ledger's file holds is gone after a reboot.
pub trait Wires {
    /// Networks that are routed on this machine by anything but our bridges.
    fn routed_elsewhere(&mut self) -> Result<Vec<Ipv4Net>, Error>;

    /// What of ours is in the kernel now.
    fn look(&mut self) -> Result<Sight, Error>;

    /// Where containers enter the namespace of that name, whether it is there or not.
    fn namespace_path(&self, namespace: &str) -> PathBuf;

    /// Makes the bridge of a subnet; one that is there is no error.
    fn make_bridge(&mut self, subnet: Subnet) -> Result<(), Error>;

    /// Removes our bridges with all interfaces on them.
    fn remove_bridges(&mut self) -> Result<(), Error>;

    /// Makes the pod complete, whatever of it is there already: its namespace with the interface, addresses and routes,
    /// and the bridge it hangs on. Until [`rule`](Self::rule) names it, nothing reaches it.
    fn make(&mut self, pod: &PodKey, held: &Reservation, subnet: Subnet) -> Result<(), Error>;

    /// Removes everything of those pods; what is not there is no error. One answer for each, in order. With `Ok`
    /// neither interface nor namespace of that pod is left; processes that are still in the namespace keep it
    /// without any interface.
    fn unmake(&mut self, pods: &[(Reservation, Option<Subnet>)]) -> Vec<Result<(), Error>>;

    /// Removes one interface by its name, which no record has.
    fn remove_link(&mut self, link: &str) -> Result<(), Error>;

    /// Removes one namespace by its name, which no record has.
    fn remove_namespace(&mut self, namespace: &str) -> Result<(), Error>;

    /// Replaces all rules at once, or leaves them as they were: each pod reaches the outside and the pods of its own
    /// application in the list, and what is not in the list reaches nothing and is reached by nothing. Each forwarded
    /// port leads to its pod; the other ports of an instance's address are refused.
    fn rule(&mut self, slice: Ipv4Net, ruled: &Ruled) -> Result<(), Error>;

    /// Whether there are rules of ours at all: somebody may have flushed them.
    fn has_rules(&mut self) -> bool;

    /// Takes away what is left when no pod is: bridges, the place of the namespaces, the rules.
    fn close(&mut self) -> Result<(), Error>;
}

/// Who is where, and which ports lead there: all that the rules depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruled {
    pub pods: BTreeMap<AppId, Vec<Ipv4Addr>>,
    /// The addresses of instances.
    pub instances: BTreeSet<Ipv4Addr>,
    pub forwards: Vec<Forward>,
}

/// Ports of an address, of an instance's or of the machine's, that lead to a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    pub at: Ipv4Addr,
    pub ports: PortRange,
    pub to: Ipv4Addr,
}

/// What of one data directory's network is in the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// How many bridges.
    pub bridges: usize,
    /// The names of all interfaces on the machine's side, ours among them, whatever they hang on.
    pub links: BTreeSet<String>,
    /// Those of them that hang on our bridges.
    pub ports: BTreeSet<String>,
    /// The names of our namespaces, and of files for such that have none on them.
    pub namespaces: BTreeMap<String, Presence>,
}

impl Sight {
    pub(crate) fn has_namespace(&self, name: &str) -> bool {
        self.namespaces.get(name) == Some(&Presence::There)
    }
}

/// What a pod has while it is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodNetwork {
    /// The namespace to start the pod's containers in.
    pub netns: PathBuf,
    /// Reachable from the machine.
    pub address: Ipv4Addr,
    /// The address of its instance, where node ports lead to the pod.
    pub exposed_at: Option<Ipv4Addr>,
}

/// A pod that holds an address, and what of it is in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPod {
    pub pod: PodKey,
    pub app: AppId,
    pub address: Ipv4Addr,
    /// The address of its instance, where node ports lead to the pod.
    pub exposed_at: Option<Ipv4Addr>,
    pub namespace: Presence,
    pub interface: Presence,
}

/// Whether something was found in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    There,
    Missing,
}
