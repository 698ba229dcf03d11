//! The embedded engine as the rest of the program sees it: opens everything, hands wishes to the supervisor, answers
//! for logs. All work is the supervisor's.

use super::cgroup::{self, Hierarchies, Subtree};
use super::exec;
use super::image::{self, Extent, ImageStore, Images, Pruned, PullProgress, RegistrySettings};
use super::kernel::{self, Linux};
use super::logs;
use super::network::{self, Network, NetworkConfig};
use super::rootfs;
use super::shim::order::LogBounds;
use super::supervisor::machine::Machine;
use super::supervisor::probes::Probes;
use super::supervisor::program::Program;
use super::supervisor::watch::Watches;
use super::supervisor::{Message, Shell};
use crate::exec::{ExecOrder, Execution};
use crate::{Capabilities, Engine, Error, LogLine, LogQuery};
use ensemble_model::id::{Digest, EngineName, InstanceId};
use ensemble_model::observation::Observation;
use ensemble_model::wanted::{Epoch, Wanted};
use ensemble_supervision::kernel::Kernel;
use ensemble_supervision::layout::{self, ContainerKey, Layout};
use ensemble_supervision::pod::PodKey;
use ensemble_supervision::record::{self, InstanceRecord};
use ensemble_supervision::scan;
use ensemble_supervision::supervisor::memory::Memory;
use ensemble_supervision::supervisor::{Supervisor, keep};
use ipnet::Ipv4Net;
use ring::digest;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

/// Wishes and ends that wait for the loop; more wait where they come from.
const QUEUE: usize = 1_024;

/// What was measured on one machine (runtime.md §6); more may fit.
const PODS_AT_MOST: usize = 1_000;

/// What an embedded engine is made with.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    pub name: EngineName,
    /// The engine's own directory; made if it is missing. On a file system that can hold upper layers.
    pub dir: PathBuf,
    /// The command that runs `embedded::shim::main`; the container's directory is appended.
    pub shim_command: Vec<OsString>,
    /// `10.80.0.0/16` unless configured.
    pub pod_network: Ipv4Net,
    /// The control plane's own port, which no pod may reach.
    pub control_port: Option<u16>,
    pub registries: RegistrySettings,
    pub epoch: Epoch,
    pub observations: mpsc::Sender<Observation>,
}

/// Why an engine cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("could not make `{path}`")]
    Directory {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("another server works on `{path}`")]
    InUse { path: PathBuf },
    #[error(transparent)]
    FileSystem(#[from] rootfs::Error),
    #[error("control groups cannot be used")]
    Groups(#[from] cgroup::Error),
    #[error("the image store cannot be used")]
    Images(#[from] image::Error),
    #[error("the pod network cannot be used")]
    Network(#[from] network::Error),
    #[error("could not look at what is there")]
    Look(#[from] scan::Error),
    #[error("the supervisors' program cannot be used")]
    Program(#[source] io::Error),
    #[error("could not read the boot id")]
    BootId(#[source] io::Error),
}

/// Runs containers on this machine. Containers stay when it is dropped.
pub struct EmbeddedEngine {
    machine: Arc<Machine>,
    messages: mpsc::Sender<Message>,
    epoch: Mutex<Epoch>,
    at_once: usize,
    supervisor: AbortHandle,
    /// Held for life: two engines on one directory would undo each other's work.
    lock: Option<File>,
}

impl EmbeddedEngine {
    /// Takes the directory, adopts what runs, and begins to report once it is told everything that is wanted.
    ///
    /// Must be called on a multi-threaded tokio runtime.
    ///
    /// # Errors
    /// Each says what is missing.
    pub async fn open(config: EmbeddedConfig) -> Result<Self, OpenError> {
        let (layout, lock) = take_directory(&config.dir)?;
        let place = Place::of(&config.dir)?;
        let subtree = Subtree::open(Hierarchies::find()?, &place.group)?;
        let network = Network::open(place.network(&layout, config.pod_network, config.control_port)).await?;
        let machine = Arc::new(Machine {
            images: Images::new(ImageStore::open(&layout.images())?, config.registries),
            layout,
            subtree,
            network,
            shim: Program::open(config.shim_command).map_err(OpenError::Program)?,
            network_run_dir: place.run_dir,
            log: LogBounds::default(),
        });
        let boot_id = kernel::boot_id().map_err(OpenError::BootId)?;
        let memory = Memory::look(machine.host(), boot_id, machine.network.found().await?)?;
        let at_once = 2 * std::thread::available_parallelism().map_or(1, usize::from);
        let (messages, queue) = mpsc::channel(QUEUE);
        let shell = Shell {
            machine: Arc::clone(&machine),
            supervisor: Supervisor::new(config.name, config.epoch, at_once, memory),
            observations: config.observations,
            messages: queue,
            watches: Watches::new(messages.clone()),
            probes: Probes::new(messages.clone()),
            own: messages.clone(),
        };
        let supervisor = tokio::spawn(shell.run()).abort_handle();
        Ok(Self { machine, messages, epoch: Mutex::new(config.epoch), at_once, supervisor, lock: Some(lock) })
    }

    /// The images of this engine, to import into before a version is pinned.
    pub fn images(&self) -> &ImageStore {
        self.machine.images.store()
    }

    /// Bytes that came from registries since the start.
    pub fn pulled_bytes(&self) -> u64 {
        self.machine.images.received_bytes()
    }

    /// Asks registries by other settings from now on.
    pub fn change_registries(&self, settings: RegistrySettings) {
        self.machine.images.change_registries(settings);
    }

    /// The instances that there is something of, whoever wants them.
    ///
    /// # Errors
    /// [`Error::Read`] when the directory cannot be looked at.
    pub fn held(&self) -> Result<Vec<InstanceId>, Error> {
        let directory = self.machine.layout.instances();
        let failed = |source| Error::Read { path: directory.display().to_string(), source };
        let mut held = Vec::new();
        for entry in std::fs::read_dir(&directory).map_err(failed)? {
            held.extend(entry.map_err(failed)?.file_name().to_str().map(InstanceId::new));
        }
        Ok(held)
    }

    /// The images that instances on this machine run or are about to, by their records.
    ///
    /// # Errors
    /// A record cannot be read: then it is not known what it runs.
    pub fn images_in_use(&self) -> Result<BTreeSet<Digest>, image::Error> {
        let directory = self.machine.layout.instances();
        let read = |source| image::Error::Read { path: directory.clone(), source };
        let mut pins = BTreeSet::new();
        for entry in std::fs::read_dir(&directory).map_err(read)? {
            let path = layout::instance_record(&entry.map_err(read)?.path());
            match record::read::<InstanceRecord>(&Linux, &path) {
                Ok(Some(record)) => pins.extend(record.template.pins.into_values()),
                // Half made or none of ours: nothing of it runs that has no record.
                Ok(None) | Err(record::Error::Malformed { .. }) => {}
                Err(record::Error::Read { path, source } | record::Error::Write { path, source }) => {
                    return Err(image::Error::Read { path, source });
                }
            }
        }
        Ok(pins)
    }

    /// Removes images that are neither among `pinned` nor run here, and what no image needs.
    ///
    /// # Errors
    /// As [`ImageStore::prune`].
    pub fn prune_images(
        &self,
        extent: Extent,
        pinned: impl FnOnce() -> BTreeSet<Digest>,
    ) -> Result<Pruned, image::Error> {
        self.images().prune(extent, || {
            let in_use = self.images_in_use()?;
            Ok(pinned().into_iter().chain(in_use).collect())
        })
    }

    /// What on this machine stands in the way of the pods' traffic, for the operator.
    pub fn obstacles(&self) -> &[String] {
        self.machine.network.obstacles()
    }

    /// Ends every container of a directory and takes away all that its engine made outside of it: control groups and
    /// networks. The directory itself stays.
    ///
    /// # Errors
    /// An engine still works on it, or something would not go; what could go is gone then.
    pub async fn dismantle(dir: &Path, pod_network: Ipv4Net) -> Result<(), OpenError> {
        let (layout, _lock) = take_directory(dir)?;
        let place = Place::of(dir)?;
        let subtree = Subtree::open(Hierarchies::find()?, &place.group)?;
        let removed = subtree.remove();
        let network = Network::open(place.network(&layout, pod_network, None)).await?;
        network.close_all().await?;
        // Empty now; one that is not holds what somebody else put there.
        let _ = std::fs::remove_dir(&place.run_dir);
        Ok(removed?)
    }

    fn raise_epoch(&self, offered: Epoch) -> Result<(), Error> {
        let mut current = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        if offered < *current {
            return Err(Error::StaleEpoch { offered: offered.0, current: current.0 });
        }
        *current = offered;
        Ok(())
    }
}

impl Drop for EmbeddedEngine {
    /// One that was not shut down stops where it is, as if it had crashed: it must not work on without the lock.
    fn drop(&mut self) {
        self.supervisor.abort();
        if let Some(lock) = self.lock.take() {
            Linux.release_lock(lock);
        }
    }
}

impl Engine for EmbeddedEngine {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            pod_addresses: true,
            limits: true,
            starts_at_once: self.at_once,
            pods_at_most: PODS_AT_MOST,
        }
    }

    fn pulls(&self) -> BTreeMap<Digest, PullProgress> {
        self.machine.images.progress()
    }

    async fn converge(&self, wanted: Wanted) -> Result<(), Error> {
        self.raise_epoch(wanted.epoch)?;
        let sent = self.messages.send(Message::Converge(wanted)).await;
        sent.map_err(|_| Error::Unreachable { reason: "it was shut down".to_owned() })
    }

    async fn logs(&self, query: LogQuery) -> Result<Vec<LogLine>, Error> {
        let machine = Arc::clone(&self.machine);
        let read = tokio::task::spawn_blocking(move || read_logs(&machine.layout, query)).await;
        read.map_err(|_| Error::Unreachable { reason: "reading the log broke".to_owned() })?
    }

    async fn exec(&self, order: ExecOrder) -> Result<Execution, Error> {
        exec::begin(Arc::clone(&self.machine), order).await
    }

    async fn shut_down(&self) {
        let (stopped, has_stopped) = oneshot::channel();
        if self.messages.send(Message::ShutDown(stopped)).await.is_ok() {
            // An error means that the loop ended before: that is what was asked for.
            let _ = has_stopped.await;
        }
    }
}

fn read_logs(layout: &Layout, query: LogQuery) -> Result<Vec<LogLine>, Error> {
    let pod = PodKey::new(query.instance.clone(), query.workload, query.index);
    let key = ContainerKey { pod, container: query.container };
    let live = layout.container(&key);
    let kept =
        || keep::find(&Linux, layout, &key).map_err(|error| Error::Unreachable { reason: error.sentence() });
    let directory = if live.path().is_dir() { Some(live) } else { kept()? };
    let directory = directory.ok_or(Error::NoLogs { instance: query.instance })?;
    logs::read(&directory, query.since, query.tail)
        .map_err(|source| Error::Read { path: directory.log().display().to_string(), source })
}

fn take_directory(dir: &Path) -> Result<(Layout, File), OpenError> {
    let layout = Layout::new(dir);
    for path in [dir.to_owned(), layout.instances(), layout.released(), layout.network()] {
        std::fs::create_dir_all(&path).map_err(|source| OpenError::Directory { path, source })?;
    }
    let lock = take_lock(&layout)?.ok_or_else(|| OpenError::InUse { path: dir.to_owned() })?;
    rootfs::can_hold_upper(dir)?;
    Ok((layout, lock))
}

/// Waits a little: what an engine forked just before it was killed has a copy of its lock until it executes.
fn take_lock(layout: &Layout) -> Result<Option<File>, OpenError> {
    const TRIES: usize = 100;
    const PAUSE: Duration = Duration::from_millis(10);
    for _ in 1..TRIES {
        match Linux.take_lock(&layout.lock()) {
            Ok(None) => std::thread::sleep(PAUSE),
            Ok(lock) => return Ok(lock),
            Err(source) => return Err(OpenError::Directory { path: layout.lock(), source }),
        }
    }
    Ok(None)
}

/// What the engine of one directory has outside of it, named after the directory.
struct Place {
    identity: PathBuf,
    /// Of its control groups.
    group: String,
    run_dir: PathBuf,
}

impl Place {
    fn of(dir: &Path) -> Result<Self, OpenError> {
        let identity = std::fs::canonicalize(dir)
            .map_err(|source| OpenError::Directory { path: dir.to_owned(), source })?;
        let group = format!("ensemble-{}", tag(&identity));
        let run_dir = Path::new("/run").join(&group);
        Ok(Self { identity, group, run_dir })
    }

    fn network(&self, layout: &Layout, pod_network: Ipv4Net, control_port: Option<u16>) -> NetworkConfig {
        NetworkConfig {
            state_dir: layout.network(),
            run_dir: self.run_dir.clone(),
            data_dir_identity: self.identity.display().to_string(),
            pod_network,
            control_port,
        }
    }
}

/// What tells this directory's control groups from another's on the same machine.
fn tag(identity: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let digest = digest::digest(&digest::SHA256, identity.as_os_str().as_bytes());
    digest.as_ref().iter().take(5).fold(String::new(), |mut tag, byte| {
        write!(tag, "{byte:02x}").expect("writing to a string cannot fail");
        tag
    })
}
