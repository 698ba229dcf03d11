//! The pod network: each pod has a namespace and an address of its own, reaches the outside and the pods of its own
//! application, and nothing else of ours. All kernel work happens on one thread; the calls here only ask it.
//! Must not know containers, nor decide which pods there are.
//!
//! What the machine sees of a data directory:
//!
//! - a slice (a /20) of `pod_network`, kept in `<state>/network.json` with every pod's address;
//! - one bridge for each /23 of it that has pods (`eb…`, with the path of the data directory as its alias), holding the
//!   gateway's address, without IPv6; one interface for each pod (`ev…`, with the pod as its alias), a port of the
//!   bridge that is isolated from the other ports;
//! - permanent neighbour entries, since hardware addresses follow from addresses: no ARP, and no limit of 1,024;
//! - one namespace file for each pod in `<run>/netns`, a tmpfs that is mounted privately;
//! - one address of the slice for each instance with node ports, which no interface has: the rules lead its ports to
//!   the pods, and refuse the others;
//! - one nftables table (`ip ensemble_…`), and `net.ipv4.ip_forward = 1`, which stays when everything else goes.
//!
//! Inside, a pod has a /32 and two routes, to the gateway and through it to everything else. So even packets to a
//! neighbour on the same bridge are routed by the machine, where `rules` decides; the isolated ports make that a
//! property of the bridge instead of a courtesy of the pod.

mod namespace;
mod netlink;
mod nft;
mod obstacle;
mod resolver;
mod rules;
mod seam;
mod sysctl;
pub(crate) mod trial;
mod wire;
mod worker;

#[cfg(test)]
mod machine;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use ensemble_model::id::AppId;
use ensemble_model::port::Exposed;
use ipnet::Ipv4Net;
use tokio::sync::{mpsc, oneshot};

use ensemble_supervision::pod::PodKey;

use ensemble_supervision::network::ledger::Attach;
pub use ensemble_supervision::network::{Error, FoundPod, PodNetwork, Presence};
pub use namespace::forget_namespaces;
pub use resolver::resolv_conf;

/// Requests that wait at the most; more wait before they are sent.
const QUEUE: usize = 256;

/// Where the pod network keeps things, and what it divides.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// Survives a reboot; holds the record of addresses. Must exist.
    pub state_dir: PathBuf,
    /// Holds the mount of the namespaces. Made if it is missing.
    pub run_dir: PathBuf,
    /// The canonical path of the data directory: what tells two servers on one machine apart.
    pub data_dir_identity: String,
    /// Divided among the servers of this machine, at most a /29: `10.80.0.0/16` unless configured.
    pub pod_network: Ipv4Net,
    /// The port that no pod may reach.
    pub control_port: Option<u16>,
}

/// The pod network of one data directory. Clones ask the same thread, which ends with the last of them; what it made
/// stays.
#[derive(Clone, Debug)]
pub struct Network {
    requests: mpsc::Sender<worker::Request>,
    obstacles: Arc<[String]>,
}

impl Network {
    /// Takes over what an earlier run left, removes what no record names, and makes the first bridge and the rules.
    ///
    /// # Errors
    /// [`Error::NftMissing`] and [`Error::NothingFree`] are the operator's to mend; [`Error::Kernel`] with
    /// `EPERM` means that the rights are missing.
    pub async fn open(config: NetworkConfig) -> Result<Self, Error> {
        let (requests, queue) = mpsc::channel(QUEUE);
        let (ready, opened) = oneshot::channel();
        std::thread::Builder::new()
            .name("pod-network".to_owned())
            .spawn(move || worker::run(config, queue, ready))
            .map_err(Error::kernel("start a thread"))?;
        let obstacles = opened.await.map_err(|_| Error::Closed)??;
        Ok(Self { requests, obstacles: obstacles.into() })
    }

    /// Gives the pod a namespace and an address, the same ones while it is not detached; after a reboot the namespace
    /// is made again, with the same address. What of it is `exposed` is open on the address of its instance, which gets
    /// one with the first such pod. Returns when the rules for it hold.
    ///
    /// # Errors
    /// What was made up to then stays and is completed by the next call, or removed by [`detach`](Self::detach).
    pub async fn attach(
        &self,
        pod: &PodKey,
        app: &AppId,
        exposed: Option<&Exposed>,
    ) -> Result<PodNetwork, Error> {
        let (pod, app, exposed) = (pod.clone(), app.clone(), exposed.cloned());
        self.ask(|answer| worker::Request::Attach(Attach { pod, app, exposed }, answer)).await
    }

    /// Takes the pod's interface, namespace and address away; they are gone when this returns. Processes that are still
    /// in the namespace keep it, without any interface. A pod that has nothing is no error.
    pub async fn detach(&self, pod: &PodKey) -> Result<(), Error> {
        let pod = pod.clone();
        self.ask(|answer| worker::Request::Detach(pod, answer)).await
    }

    /// Every pod that holds anything of this network. Mends the rules should somebody have flushed them.
    pub async fn found(&self) -> Result<Vec<FoundPod>, Error> {
        self.ask(worker::Request::Found).await
    }

    /// Removes everything of this data directory from the machine, and the record. Afterwards every call answers
    /// [`Error::Closed`].
    pub async fn close_all(&self) -> Result<(), Error> {
        self.ask(worker::Request::CloseAll).await
    }

    /// What on this machine stands in the way of the pods' traffic, in words for the operator; seen when opening.
    pub fn obstacles(&self) -> &[String] {
        &self.obstacles
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> worker::Request,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).await.map_err(|_| Error::Closed)?;
        answered.await.map_err(|_| Error::Closed)?
    }
}
