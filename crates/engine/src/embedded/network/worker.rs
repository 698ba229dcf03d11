//! The thread that owns the pod network: takes what is asked, has the ledger do everything that waits in one go (the
//! record is written once, the rules are replaced once), and answers when it is done.

use std::collections::BTreeSet;

use ensemble_supervision::network::Error;
use ensemble_supervision::network::address;
use ensemble_supervision::network::ledger::{Attach, Changed, Ledger};
use ensemble_supervision::network::names::Names;
use ensemble_supervision::pod::PodKey;
use tokio::sync::{mpsc, oneshot};

use super::namespace::Namespaces;
use super::seam::{Frame, Machinery, lock_set_up};
use super::wire::Wiring;
use super::{FoundPod, NetworkConfig, PodNetwork, obstacle};
use crate::embedded::kernel::Linux;

/// How many pods change in one go. The first of them waits for the last.
const MOST_AT_ONCE: usize = 64;

type Answer<T> = oneshot::Sender<Result<T, Error>>;

pub(super) enum Request {
    Attach(Attach, Answer<PodNetwork>),
    Detach(PodKey, Answer<()>),
    Found(Answer<Vec<FoundPod>>),
    CloseAll(Answer<()>),
}

/// Opens the network, says so, and serves requests until nobody is left to ask or everything is closed.
pub(super) fn run(
    config: NetworkConfig,
    mut queue: mpsc::Receiver<Request>,
    ready: oneshot::Sender<Result<Vec<String>, Error>>,
) {
    let mut ledger = match open(config) {
        Ok(ledger) => ledger,
        Err(error) => {
            // Whoever asked may have gone away; then nobody wants to know.
            let _ = ready.send(Err(error));
            return;
        }
    };
    let _ = ready.send(Ok(obstacle::find(&ledger.wires().table)));
    let mut next = queue.blocking_recv();
    while let Some(request) = next {
        let mut batch = Batch::default();
        let mut unbatched = batch.accept(request);
        while unbatched.is_none() && batch.len() < MOST_AT_ONCE {
            let Ok(request) = queue.try_recv() else { break };
            unbatched = batch.accept(request);
        }
        batch.carry_out(&mut ledger);
        next = match unbatched {
            Some(Request::Found(answer)) => {
                let _ = answer.send(ledger.found());
                queue.blocking_recv()
            }
            Some(Request::CloseAll(answer)) => {
                let closed = ledger.close_all(&Linux);
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

/// Opens the ledger while no other server of this machine does the same.
fn open(config: NetworkConfig) -> Result<Ledger<Machinery>, Error> {
    let NetworkConfig { state_dir, run_dir, data_dir_identity, pod_network, control_port } = config;
    if !address::is_large_enough(pod_network) {
        // Told before anything is made.
        return Err(Error::PodNetworkTooSmall { pod_network });
    }
    let names = Names::new(&data_dir_identity);
    let wiring = Wiring::new(names.clone(), Namespaces::open(&run_dir)?)?;
    let machinery = Machinery { wiring, table: names.table(), frame: Frame { pod_network, control_port } };
    let lock = lock_set_up()?;
    let ledger = Ledger::open(&Linux, machinery, names, &state_dir, pod_network)?;
    drop(lock);
    ledger.wires().wiring.allow_forwarding()?;
    Ok(ledger)
}

/// Changes of different pods, which can be made in any order.
#[derive(Default)]
struct Batch {
    attaches: Vec<Attach>,
    attach_answers: Vec<Answer<PodNetwork>>,
    detaches: Vec<PodKey>,
    detach_answers: Vec<Answer<()>>,
    pods: BTreeSet<PodKey>,
}

impl Batch {
    fn len(&self) -> usize {
        self.pods.len()
    }

    /// Takes the request in, or gives it back where it has to wait for the batch.
    fn accept(&mut self, request: Request) -> Option<Request> {
        match request {
            Request::Attach(attach, answer) => {
                if !self.pods.insert(attach.pod.clone()) {
                    return Some(Request::Attach(attach, answer));
                }
                self.attaches.push(attach);
                self.attach_answers.push(answer);
                None
            }
            Request::Detach(pod, answer) => {
                if !self.pods.insert(pod.clone()) {
                    return Some(Request::Detach(pod, answer));
                }
                self.detaches.push(pod);
                self.detach_answers.push(answer);
                None
            }
            Request::Found(_) | Request::CloseAll(_) => Some(request),
        }
    }

    /// Makes all changes and answers each. Whoever asked may have gone away.
    fn carry_out(self, ledger: &mut Ledger<Machinery>) {
        let Changed { attached, detached } = ledger.change(&Linux, &self.attaches, &self.detaches);
        for (answer, attached) in self.attach_answers.into_iter().zip(attached) {
            let _ = answer.send(attached);
        }
        for (answer, detached) in self.detach_answers.into_iter().zip(detached) {
            let _ = answer.send(detached);
        }
    }
}
