//! Does single actions on this machine: directories, control groups, supervisors, networks. Every one may be repeated
//! and may have been cut short before. Decides nothing; blocking parts run on blocking threads.

use super::keep;
use super::program::Program;
use super::start::Start;
use crate::embedded::cgroup::{self, Subtree};
use crate::embedded::image::{self, Images};
use crate::embedded::kernel::{self, Linux, clocks};
use crate::embedded::network::{self, Network};
use crate::embedded::shim::order::LogBounds;
use ensemble_model::id::{AppId, Digest, InstanceId};
use ensemble_supervision::directory::Directory;
use ensemble_supervision::kernel::{Groups, Kernel, ProcessIdentity, Signal, open_process};
use ensemble_supervision::layout::{self, ContainerKey, Layout};
use ensemble_supervision::pod::PodKey;
use ensemble_supervision::reconcile::state::{Action, Loss, Stray};
use ensemble_supervision::record::{self, Attempt, End, Exit, InstanceRecord, Prospect, Running};
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Directories below a stray one that are looked through for living supervisors.
const STRAY_DEPTH: usize = 3;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Record(#[from] record::Error),
    #[error(transparent)]
    Group(#[from] cgroup::Error),
    #[error(transparent)]
    Groups(io::Error),
    #[error("image `{image}`")]
    Image {
        image: String,
        #[source]
        source: image::Error,
    },
    #[error("image `{image}` is not in the store any more")]
    ImageLost { image: String, pin: Digest },
    #[error("the template cannot be run: {reason}")]
    Template { reason: String },
    #[error("the pod network failed")]
    Network(#[from] network::Error),
    #[error("could not {step} `{path}`")]
    File {
        step: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not start the supervisor")]
    Spawn(#[source] io::Error),
    #[error("the supervisor of `{container}` cannot be told")]
    NoSupervisor { container: ContainerKey },
    #[error("could not signal the supervisor")]
    Signal(#[source] io::Error),
    #[error("a step of the engine ended early")]
    Cut,
}

impl Error {
    pub(crate) fn file(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { step, path, source }
    }

    pub(crate) fn prospect(&self) -> Prospect {
        match self {
            Self::Image { source, .. } if source.is_hopeless() => Prospect::Hopeless,
            Self::Template { .. } => Prospect::Hopeless,
            Self::Image { .. }
            | Self::ImageLost { .. }
            | Self::Record(_)
            | Self::Group(_)
            | Self::Groups(_)
            | Self::Network(_)
            | Self::File { .. }
            | Self::Spawn(_)
            | Self::NoSupervisor { .. }
            | Self::Signal(_)
            | Self::Cut => Prospect::Retry,
        }
    }

    /// The whole chain on one line.
    pub(crate) fn sentence(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }
}

/// What an action learnt beside that it worked.
#[derive(Debug)]
pub(crate) enum Learnt {
    Nothing,
    Attached(IpAddr),
    Resolved(Digest),
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
    ) -> Result<Learnt, Error> {
        match action {
            Action::Attach { pod, app } => self.attach(&pod, &app).await,
            Action::Detach(pod) | Action::Sweep(Stray::Network(pod)) => {
                self.network.detach(&pod).await?;
                Ok(Learnt::Nothing)
            }
            Action::Start { container, attempt } => {
                let record = record.ok_or(Error::Cut)?;
                // Asked again because only the network knows the namespace's path; it changes nothing.
                let pod = self.network.attach(&container.pod, &record.cell.app).await?;
                let start = Start { record, container, attempt, pod };
                let machine = self;
                let spawned = tokio::task::spawn_blocking(move || start.run(&machine)).await;
                Ok(Learnt::Spawned(spawned.map_err(|_| Error::Cut)??))
            }
            Action::Prepare(record) => self.blocking(move |machine| machine.prepare(&record)).await,
            Action::Collect { container, attempt, loss } => {
                self.blocking(move |machine| machine.collect(&container, attempt, loss)).await
            }
            Action::Stop(container) => self.blocking(move |machine| machine.stop(&container)).await,
            Action::Kill(container) => self.blocking(move |machine| machine.kill(&container)).await,
            Action::Retire(id) => self.blocking(move |machine| machine.retire(&id)).await,
            Action::Sweep(Stray::Directory(name)) => {
                self.blocking(move |machine| machine.sweep_directory(&name)).await
            }
            Action::Resolve(of) => {
                let resolved = self.images.resolve(&of.image).await;
                let fail = |source| Error::Image { image: of.image, source };
                resolved.map(Learnt::Resolved).map_err(fail)
            }
            Action::Fetch { image, pin } => match self.images.fetch(&image, &pin, pulls).await {
                Ok(()) => Ok(Learnt::Nothing),
                Err(source) => Err(Error::Image { image, source }),
            },
            Action::Sweep(Stray::Group(name)) => {
                self.blocking(move |machine| machine.subtree.remove_instance(&name).map_err(Error::Groups))
                    .await
            }
        }
    }

    async fn blocking(
        self: Arc<Self>,
        step: impl FnOnce(&Self) -> Result<(), Error> + Send + 'static,
    ) -> Result<Learnt, Error> {
        let done = tokio::task::spawn_blocking(move || step(&self)).await;
        done.map_err(|_| Error::Cut)?.map(|()| Learnt::Nothing)
    }

    async fn attach(&self, pod: &PodKey, app: &AppId) -> Result<Learnt, Error> {
        let network = self.network.attach(pod, app).await?;
        Ok(Learnt::Attached(IpAddr::V4(network.address)))
    }

    /// The record comes first: whatever else is there can then be found by it.
    fn prepare(&self, record: &InstanceRecord) -> Result<(), Error> {
        let directory = self.layout.instance(&record.id);
        std::fs::create_dir_all(&directory).map_err(Error::file("make", &directory))?;
        let path = layout::instance_record(&directory);
        if record::read::<InstanceRecord>(&Linux, &path)?.as_ref() != Some(record) {
            record::write(&Linux, &path, record)?;
        }
        self.subtree
            .make_instance(&layout::instance_group(&record.id), record.template.limits)
            .map_err(Error::Groups)?;
        Ok(())
    }

    /// Under the supervisor's lock: one that was started late finds itself given up, or is left alone.
    fn collect(&self, key: &ContainerKey, attempt: Attempt, loss: Loss) -> Result<(), Error> {
        let directory = self.layout.container(key);
        let lock = Linux.take_lock(&directory.lock()).map_err(Error::file("lock", &directory.lock()))?;
        let Some(lock) = lock else { return Ok(()) };
        let given_up = self.give_up(key, attempt, loss);
        Linux.release_lock(lock);
        given_up
    }

    fn give_up(&self, key: &ContainerKey, attempt: Attempt, loss: Loss) -> Result<(), Error> {
        let directory = self.layout.container(key);
        self.group(key).kill_and_remove()?;
        let boot_id = kernel::boot_id().map_err(Error::file("read", Path::new("the boot id")))?;
        let now = clocks();
        let running = record::read::<Running>(&Linux, &directory.running()).unwrap_or_default();
        let same_boot = running.filter(|running| running.process.boot_id == boot_id);
        if let Some(running) = &same_boot {
            // Its parent is dead: where we are process 1, we are its parent now.
            if let Ok(Some(process)) = open_process(&Linux, &running.process) {
                Linux.reap(&process);
            }
        }
        let up_ms = same_boot.map_or(0, |running| now.boot_ms.saturating_sub(running.started_boot_ms));
        let end = End::Lost { reason: loss.reason().to_owned() };
        // The boot it ran in: one that is over is nobody's reason for a pause.
        let boot_id = match loss {
            Loss::MachineRestarted { boot_id } => boot_id,
            Loss::SupervisorEnded | Loss::NeverStarted => boot_id,
        };
        let attempt = attempt.number;
        let exit = Exit { attempt, end, at: now.wall, boot_id, at_boot_ms: now.boot_ms, up_ms };
        record::write_of_process(&Linux, &directory.exit(), &exit)?;
        remove_directory(&directory.work())
    }

    fn stop(&self, key: &ContainerKey) -> Result<(), Error> {
        match self.supervisor(key)? {
            Some(process) => Linux.signal(&process, Signal::Terminate).map_err(Error::Signal),
            None => {
                // A supervisor that cannot be asked (its lock names nobody) ends by itself once its container has.
                self.group(key).kill()?;
                Err(Error::NoSupervisor { container: key.clone() })
            }
        }
    }

    /// The container first: a supervisor whose container is gone ends by itself and still writes how.
    fn kill(&self, key: &ContainerKey) -> Result<(), Error> {
        self.group(key).kill()?;
        match self.supervisor(key)? {
            Some(process) => Linux.signal(&process, Signal::Kill).map_err(Error::Signal),
            None => Ok(()),
        }
    }

    /// A descriptor of the supervisor that holds the container's lock, checked.
    fn supervisor(&self, key: &ContainerKey) -> Result<Option<OwnedFd>, Error> {
        supervisor_of(&self.layout.container(key))
    }

    fn retire(&self, id: &InstanceId) -> Result<(), Error> {
        self.subtree.remove_instance(&layout::instance_group(id)).map_err(Error::Groups)?;
        keep::keep(&self.layout, id)?;
        keep::forget_old(&self.layout)
    }

    fn sweep_directory(&self, name: &str) -> Result<(), Error> {
        let path = self.layout.instances().join(name);
        kill_supervisors(&path, 0)?;
        remove_directory(&path)
    }

    pub(super) fn group(&self, key: &ContainerKey) -> cgroup::ContainerGroup {
        self.subtree.container(&layout::instance_group(&key.pod.instance), &layout::container_group(key))
    }
}

/// Who holds the lock of this directory: written into it, and believed only if the process is that one. A lock that
/// makes no sense names nobody.
pub(super) fn supervisor_of(directory: &Directory) -> Result<Option<OwnedFd>, Error> {
    let identity = match record::read::<ProcessIdentity>(&Linux, &directory.lock()) {
        Err(record::Error::Malformed { .. }) => None,
        read => read?,
    };
    let Some(identity) = identity else { return Ok(None) };
    open_process(&Linux, &identity).map_err(Error::Signal)
}

/// Ends every supervisor in a directory that nobody knows, so that it can be removed.
fn kill_supervisors(path: &Path, depth: usize) -> Result<(), Error> {
    let directory = Directory::new(path);
    // Best effort: a lock that cannot be read names nobody, and the group's sweep ends the container.
    if let Ok(Some(process)) = supervisor_of(&directory) {
        Linux.signal(&process, Signal::Kill).map_err(Error::Signal)?;
    }
    if depth < STRAY_DEPTH {
        for entry in std::fs::read_dir(path).map_err(Error::file("list", path))?.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                kill_supervisors(&entry.path(), depth + 1)?;
            }
        }
    }
    Ok(())
}

pub(super) fn remove_directory(path: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file("remove", path)(error)),
        Err(_) | Ok(()) => Ok(()),
    }
}
