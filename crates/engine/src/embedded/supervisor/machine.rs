//! Does single actions on this machine: those over the kernel seam on blocking threads, networks and images beside them.
//! Every one may be repeated and may have been cut short before. Decides nothing.

use super::containers::image_error;
use super::program::Program;
use crate::embedded::cgroup::Subtree;
use crate::embedded::image::Images;
use crate::embedded::kernel::Linux;
use crate::embedded::network::Network;
use crate::embedded::shim::order::LogBounds;
use ensemble_model::id::AppId;
use ensemble_model::port::Exposed;
use ensemble_supervision::host::Host;
use ensemble_supervision::layout::Layout;
use ensemble_supervision::pod::PodKey;
use ensemble_supervision::reconcile::state::{Action, Stray};
use ensemble_supervision::record::InstanceRecord;
use ensemble_supervision::supervisor::Learnt;
use ensemble_supervision::supervisor::start::Start;
use ensemble_supervision::supervisor::steps::Error;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

/// How an action worked.
#[derive(Debug)]
pub(crate) enum Done {
    Learnt(Learnt),
    /// The supervisor, our child.
    Spawned(OwnedFd),
}

/// Everything that actions work with.
pub(crate) struct Machine {
    pub(crate) layout: Layout,
    pub(crate) subtree: Subtree,
    pub(crate) images: Images,
    pub(crate) network: Network,
    pub(crate) shim: Program,
    pub(crate) network_run_dir: PathBuf,
    pub(crate) log: LogBounds,
}

impl Machine {
    /// Does one action. `record` is the instance's, where the action needs it; `pulls` is called once an image is not in
    /// the store and has to be fetched.
    pub(crate) async fn act(
        self: Arc<Self>,
        action: Action,
        record: Option<InstanceRecord>,
        pulls: impl FnOnce(),
    ) -> Result<Done, Error> {
        match action {
            Action::Attach { pod, app, exposed } => self.attach(&pod, &app, exposed.as_ref()).await,
            Action::Detach(pod) | Action::Sweep(Stray::Network(pod)) => {
                self.network.detach(&pod).await?;
                Ok(Done::Learnt(Learnt::Nothing))
            }
            Action::Start { container, attempt } => {
                let record = record.ok_or(Error::Cut)?;
                // Asked again because only the network knows the namespace's path; it changes nothing.
                let exposed = record.template.exposed(&container.pod.workload, container.pod.index);
                let pod = self.network.attach(&container.pod, &record.cell.app, exposed.as_ref()).await?;
                let start = Start { record, container, attempt, pod };
                let machine = self;
                let spawned = tokio::task::spawn_blocking(move || start.run(machine.host(), &*machine)).await;
                Ok(Done::Spawned(spawned.map_err(|_| Error::Cut)??))
            }
            Action::Prepare(record) => self.blocking(move |host| host.prepare(&record)).await,
            Action::Collect { container, attempt, loss } => {
                self.blocking(move |host| host.collect(&container, attempt, loss)).await
            }
            Action::Stop(container) => self.blocking(move |host| host.stop(&container)).await,
            Action::Kill(container) => self.blocking(move |host| host.kill(&container)).await,
            Action::Retire(id) => self.blocking(move |host| host.retire(&id)).await,
            Action::Sweep(Stray::Directory(name)) => {
                self.blocking(move |host| host.sweep_directory(&name)).await
            }
            Action::Sweep(Stray::Group(name)) => self.blocking(move |host| host.sweep_group(&name)).await,
            Action::Resolve(of) => {
                let resolved = self.images.resolve(&of.image).await;
                resolved
                    .map(|pin| Done::Learnt(Learnt::Resolved(pin)))
                    .map_err(|error| image_error(&of.image, error))
            }
            Action::Fetch { image, pin } => match self.images.fetch(&image, &pin, pulls).await {
                Ok(()) => Ok(Done::Learnt(Learnt::Nothing)),
                Err(error) => Err(image_error(&image, error)),
            },
        }
    }

    /// This machine as the steps see it.
    pub(crate) fn host(&self) -> Host<'_, Linux, Subtree> {
        Host { kernel: &Linux, groups: &self.subtree, layout: &self.layout }
    }

    async fn blocking(
        self: Arc<Self>,
        step: impl FnOnce(Host<'_, Linux, Subtree>) -> Result<(), Error> + Send + 'static,
    ) -> Result<Done, Error> {
        let done = tokio::task::spawn_blocking(move || step(self.host())).await;
        done.map_err(|_| Error::Cut)?.map(|()| Done::Learnt(Learnt::Nothing))
    }

    async fn attach(&self, pod: &PodKey, app: &AppId, exposed: Option<&Exposed>) -> Result<Done, Error> {
        let network = self.network.attach(pod, app, exposed).await?;
        let (address, exposed_at) = (IpAddr::V4(network.address), network.exposed_at.map(IpAddr::V4));
        Ok(Done::Learnt(Learnt::Attached { address, exposed_at }))
    }
}
