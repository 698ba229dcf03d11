//! The thread that owns the pod network: takes what is asked, does everything that waits in one go (the record is
//! written once, the rules are replaced once), and answers when it is done.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ensemble_model::id::AppId;
use tokio::sync::{mpsc, oneshot};

use super::namespace::Namespaces;
use super::rules::Rules;
use super::takeover::{self, MOST_BRIDGES};
use super::wire::Wiring;
use super::{FoundPod, NetworkConfig, PodNetwork, Presence, nft, obstacle};
use crate::embedded::kernel::Linux;
use ensemble_supervision::network::Error;
use ensemble_supervision::network::address::{self, Allocator, subnet_of};
use ensemble_supervision::network::names::Names;
use ensemble_supervision::network::record::{Record, RecordFile, Reservation};
use ensemble_supervision::pod::PodKey;

/// How many pods change in one go. The first of them waits for the last.
const MOST_AT_ONCE: usize = 64;

type Answer<T> = oneshot::Sender<Result<T, Error>>;

pub(super) enum Request {
    Attach(Attach),
    Detach(Detach),
    Found(Answer<Vec<FoundPod>>),
    CloseAll(Answer<()>),
}

pub(super) struct Attach {
    pub(super) pod: PodKey,
    pub(super) app: AppId,
    pub(super) answer: Answer<PodNetwork>,
}

pub(super) struct Detach {
    pub(super) pod: PodKey,
    pub(super) answer: Answer<()>,
}

/// Opens the network, says so, and serves requests until nobody is left to ask or everything is closed.
pub(super) fn run(
    config: NetworkConfig,
    mut queue: mpsc::Receiver<Request>,
    ready: oneshot::Sender<Result<Vec<String>, Error>>,
) {
    let mut worker = match Worker::open(config) {
        Ok(worker) => worker,
        Err(error) => {
            // Whoever asked may have gone away; then nobody wants to know.
            let _ = ready.send(Err(error));
            return;
        }
    };
    let _ = ready.send(Ok(obstacle::find(&worker.names.table())));
    let mut next = queue.blocking_recv();
    while let Some(request) = next {
        let mut batch = Batch::default();
        let mut unbatched = batch.accept(request);
        while unbatched.is_none() && batch.len() < MOST_AT_ONCE {
            let Ok(request) = queue.try_recv() else { break };
            unbatched = batch.accept(request);
        }
        worker.change(batch);
        next = match unbatched {
            Some(Request::Found(answer)) => {
                let _ = answer.send(worker.found());
                queue.blocking_recv()
            }
            Some(Request::CloseAll(answer)) => {
                let closed = worker.close_all();
                let done = closed.is_ok();
                let _ = answer.send(closed);
                if done {
                    return;
                }
                queue.blocking_recv()
            }
            // The second change of one pod: it begins the next batch.
            Some(request) => Some(request),
            None => queue.blocking_recv(),
        };
    }
}

/// Changes of different pods, which can be made in any order.
#[derive(Default)]
struct Batch {
    attaches: Vec<Attach>,
    detaches: Vec<Detach>,
    pods: BTreeSet<PodKey>,
}

impl Batch {
    fn len(&self) -> usize {
        self.pods.len()
    }

    /// Takes the request in, or gives it back where it has to wait for the batch.
    fn accept(&mut self, request: Request) -> Option<Request> {
        match request {
            Request::Attach(attach) => {
                if !self.pods.insert(attach.pod.clone()) {
                    return Some(Request::Attach(attach));
                }
                self.attaches.push(attach);
                None
            }
            Request::Detach(detach) => {
                if !self.pods.insert(detach.pod.clone()) {
                    return Some(Request::Detach(detach));
                }
                self.detaches.push(detach);
                None
            }
            Request::Found(_) | Request::CloseAll(_) => Some(request),
        }
    }
}

struct Worker {
    config: NetworkConfig,
    names: Names,
    file: RecordFile,
    record: Record,
    allocator: Allocator,
    wiring: Wiring,
    /// Who is where, as the rules in the kernel say; `None` when they are to be written anew.
    ruled: Option<BTreeMap<AppId, Vec<Ipv4Addr>>>,
}

impl Worker {
    fn open(config: NetworkConfig) -> Result<Self, Error> {
        if !address::is_large_enough(config.pod_network) {
            return Err(Error::PodNetworkTooSmall { pod_network: config.pod_network });
        }
        let names = Names::new(&config.data_dir_identity);
        let file = RecordFile::new(&config.state_dir);
        let namespaces = Namespaces::open(&config.run_dir)?;
        let mut wiring = Wiring::new(names.clone(), namespaces)?;
        let record = takeover::take_over(&config, &names, &file, &mut wiring)?;
        wiring.allow_forwarding()?;
        let allocator = Allocator::new(record.slice, record.pods.values().map(|held| held.address));
        let mut worker = Self { config, names, file, record, allocator, wiring, ruled: None };
        worker.apply_rules(&BTreeSet::new())?;
        Ok(worker)
    }

    /// Makes all changes of a batch and answers each.
    fn change(&mut self, batch: Batch) {
        let reserved = self.reserve(&batch.attaches);
        let mut attached = Vec::new();
        for (attach, reserved) in batch.attaches.into_iter().zip(reserved) {
            let made = reserved.and_then(|()| self.make(&attach.pod));
            attached.push((attach.answer, made));
        }
        let (known, unknown): (Vec<Detach>, Vec<Detach>) =
            batch.detaches.into_iter().partition(|detach| self.record.pods.contains_key(&detach.pod));
        let mut gone = BTreeSet::new();
        let mut detached: Vec<(Answer<()>, Result<(), Error>)> = Vec::new();
        let unmade = self.unmake(known.iter().map(|detach| &detach.pod));
        for (detach, unmade) in known.into_iter().zip(unmade) {
            if unmade.is_ok() {
                gone.insert(detach.pod);
            }
            detached.push((detach.answer, unmade));
        }
        detached.extend(unknown.into_iter().map(|detach| (detach.answer, Ok(()))));
        // An address is free only when neither the rules nor the record name it any longer.
        let ruled = self.apply_rules(&gone);
        let forgotten = ruled.clone().and_then(|()| self.forget(&gone));
        for (answer, made) in attached {
            let _ = answer.send(made.and_then(|network| ruled.clone().map(|()| network)));
        }
        for (answer, unmade) in detached {
            let _ = answer.send(unmade.and_then(|()| forgotten.clone()));
        }
    }

    /// Writes down who gets which address, before anything is made. One answer for each, in order.
    fn reserve(&mut self, attaches: &[Attach]) -> Vec<Result<(), Error>> {
        let mut record = self.record.clone();
        let mut given = Vec::new();
        let planned: Vec<_> =
            attaches.iter().map(|attach| self.plan(attach, &mut record, &mut given)).collect();
        if record == self.record {
            return planned;
        }
        match self.file.save(&Linux, &record) {
            Ok(()) => {
                self.record = record;
                planned
            }
            Err(error) => {
                given.into_iter().for_each(|address| self.allocator.free(address));
                planned.into_iter().map(|plan| plan.and(Err(error.clone()))).collect()
            }
        }
    }

    fn plan(&mut self, attach: &Attach, record: &mut Record, given: &mut Vec<Ipv4Addr>) -> Result<(), Error> {
        if let Some(held) = record.pods.get_mut(&attach.pod) {
            held.app = attach.app.clone();
            return Ok(());
        }
        let slice = record.slice;
        let address = self.allocator.allocate().ok_or(Error::Full { slice })?;
        given.push(address);
        if let Some(subnet) = subnet_of(slice, address) {
            record.bridges.entry(subnet.number).or_insert_with(|| self.names.bridge(subnet.number));
        }
        let reservation = Reservation {
            app: attach.app.clone(),
            address,
            link: free_link_name(&self.names, &attach.pod, record),
            namespace: attach.pod.directory_name(),
        };
        record.pods.insert(attach.pod.clone(), reservation);
        Ok(())
    }

    fn make(&mut self, pod: &PodKey) -> Result<PodNetwork, Error> {
        let held = self.record.pods.get(pod).ok_or(Error::Closed)?;
        let slice = self.record.slice;
        let subnet = subnet_of(slice, held.address).ok_or(Error::Full { slice })?;
        self.wiring.make(pod, held, subnet)?;
        Ok(PodNetwork { netns: self.wiring.namespaces.path(&held.namespace), address: held.address })
    }

    /// One answer for each pod, in order; all of them are in the record.
    fn unmake<'a>(&mut self, pods: impl Iterator<Item = &'a PodKey>) -> Vec<Result<(), Error>> {
        let slice = self.record.slice;
        let held: Vec<_> = pods
            .filter_map(|pod| self.record.pods.get(pod))
            .map(|held| (held.clone(), subnet_of(slice, held.address)))
            .collect();
        if held.is_empty() { Vec::new() } else { self.wiring.unmake(&held) }
    }

    /// Replaces the rules where they differ from what the record says, less those pods.
    fn apply_rules(&mut self, less: &BTreeSet<PodKey>) -> Result<(), Error> {
        let mut pods: BTreeMap<AppId, Vec<Ipv4Addr>> = BTreeMap::new();
        for (pod, held) in &self.record.pods {
            if !less.contains(pod) {
                pods.entry(held.app.clone()).or_default().push(held.address);
            }
        }
        if self.ruled.as_ref() == Some(&pods) {
            return Ok(());
        }
        let table = self.names.table();
        let rules = Rules {
            table: &table,
            pod_network: self.config.pod_network,
            slice: self.record.slice,
            control_port: self.config.control_port,
            pods: &pods,
        };
        self.ruled = None;
        nft::run(&rules.replacement())?;
        self.ruled = Some(pods);
        Ok(())
    }

    /// Frees what the pods held; they have nothing in the kernel any longer.
    fn forget(&mut self, gone: &BTreeSet<PodKey>) -> Result<(), Error> {
        if gone.is_empty() {
            return Ok(());
        }
        let mut record = self.record.clone();
        record.pods.retain(|pod, _| !gone.contains(pod));
        self.file.save(&Linux, &record)?;
        for pod in gone {
            if let Some(held) = self.record.pods.get(pod) {
                self.allocator.free(held.address);
            }
        }
        self.record = record;
        Ok(())
    }

    fn found(&mut self) -> Result<Vec<FoundPod>, Error> {
        if nft::ask(&["-t", "list", "table", "ip", &self.names.table()]).is_err() {
            tracing::warn!("the rules of the pod network were removed by somebody; they are written anew");
            self.ruled = None;
            self.apply_rules(&BTreeSet::new())?;
        }
        let links: BTreeSet<String> = self.wiring.links()?.into_iter().map(|link| link.name).collect();
        let presence = |there: bool| if there { Presence::There } else { Presence::Missing };
        let pods = self.record.pods.iter().map(|(pod, held)| FoundPod {
            pod: pod.clone(),
            app: held.app.clone(),
            address: held.address,
            namespace: presence(self.wiring.namespaces.is_there(&held.namespace)),
            interface: presence(links.contains(&held.link)),
        });
        Ok(pods.collect())
    }

    fn close_all(&mut self) -> Result<(), Error> {
        let pods: Vec<PodKey> = self.record.pods.keys().cloned().collect();
        self.unmake(pods.iter()).into_iter().collect::<Result<(), Error>>()?;
        self.wiring.remove_bridges(MOST_BRIDGES)?;
        self.wiring.namespaces.close()?;
        nft::run(&Rules::removal(&self.names.table()))?;
        self.file.remove(&Linux)
    }
}

/// A name for the interface that no other pod of the record has.
fn free_link_name(names: &Names, pod: &PodKey, record: &Record) -> String {
    let taken = |name: &String| record.pods.values().any(|held| held.link == *name);
    (0..=u32::MAX)
        .map(|attempt| names.link(pod, attempt))
        .find(|name| !taken(name))
        .expect("a record has fewer pods than there are attempts")
}
