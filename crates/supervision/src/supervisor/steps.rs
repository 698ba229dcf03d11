//! Does single actions on a machine over the kernel seam: directories, control groups, signals to supervisors. Every one
//! may be repeated and may have been cut short before. Decides nothing; `start` is the longest of them, and the actions
//! on networks and images are elsewhere.

use super::keep;
use crate::directory::Directory;
use crate::host::Host;
use crate::kernel::{EntryKind, Groups, Kernel, ProcessIdentity, Signal, open_process};
use crate::layout::{self, ContainerKey};
use crate::network;
use crate::reconcile::state::Loss;
use crate::record::{self, Attempt, End, Exit, InstanceRecord, Prospect, Running};
use ensemble_model::id::{Digest, InstanceId};
use std::io;
use std::path::{Path, PathBuf};

/// Directories below a stray one that are looked through for living supervisors.
const STRAY_DEPTH: usize = 3;

/// Why an action did not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Record(#[from] record::Error),
    #[error(transparent)]
    Group(io::Error),
    #[error("image `{image}`")]
    Image {
        image: String,
        prospect: Prospect,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
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
    pub fn file(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { step, path, source }
    }

    /// Whether trying the action again can help.
    pub fn prospect(&self) -> Prospect {
        match self {
            Self::Image { prospect, .. } => *prospect,
            Self::Template { .. } => Prospect::Hopeless,
            Self::ImageLost { .. }
            | Self::Record(_)
            | Self::Group(_)
            | Self::Network(_)
            | Self::File { .. }
            | Self::Spawn(_)
            | Self::NoSupervisor { .. }
            | Self::Signal(_)
            | Self::Cut => Prospect::Retry,
        }
    }

    /// The whole chain on one line.
    pub fn sentence(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }
}

impl<K: Kernel, G: Groups> Host<'_, K, G> {
    /// The record comes first: whatever else is there can then be found by it.
    ///
    /// # Errors
    /// What was made up to then stays.
    pub fn prepare(self, record: &InstanceRecord) -> Result<(), Error> {
        let Self { kernel, groups, layout } = self;
        let directory = layout.instance(&record.id);
        kernel.make_directory(&directory).map_err(Error::file("make", &directory))?;
        let path = layout::instance_record(&directory);
        if record::read::<InstanceRecord>(kernel, &path)?.as_ref() != Some(record) {
            record::write(kernel, &path, record)?;
        }
        let group = layout::instance_group(&record.id);
        groups.make_instance(&group, record.template.limits).map_err(Error::Group)
    }

    /// Writes down that an attempt was lost, under the supervisor's lock: one that was started late finds itself given
    /// up, or is left alone.
    ///
    /// # Errors
    /// Without a record the attempt is not over; what was emptied stays so.
    pub fn collect(self, key: &ContainerKey, attempt: Attempt, loss: Loss) -> Result<(), Error> {
        let path = self.layout.container(key).lock();
        let lock = self.kernel.take_lock(&path).map_err(Error::file("lock", &path))?;
        let Some(lock) = lock else { return Ok(()) };
        let given_up = self.give_up(key, attempt, loss);
        self.kernel.release_lock(lock);
        given_up
    }

    fn give_up(self, key: &ContainerKey, attempt: Attempt, loss: Loss) -> Result<(), Error> {
        let kernel = self.kernel;
        let directory = self.layout.container(key);
        self.remove_group(key)?;
        let boot_id = kernel.boot_id().map_err(Error::file("read", Path::new("the boot id")))?;
        let now = kernel.clocks();
        let running = record::read::<Running>(kernel, &directory.running()).unwrap_or_default();
        let same_boot = running.filter(|running| running.process.boot_id == boot_id);
        if let Some(running) = &same_boot
            && let Ok(Some(process)) = open_process(kernel, &running.process)
        {
            // Its parent is dead: where we are process 1, we are its parent now.
            kernel.reap(&process);
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
        record::write_of_process(kernel, &directory.exit(), &exit)?;
        remove_directory(kernel, &directory.work())
    }

    /// Asks the supervisor to stop its container.
    ///
    /// # Errors
    /// [`Error::NoSupervisor`] where none can be asked: then the container was killed.
    pub fn stop(self, key: &ContainerKey) -> Result<(), Error> {
        match self.supervisor(key)? {
            Some(process) => self.kernel.signal(&process, Signal::Terminate).map_err(Error::Signal),
            None => {
                // A supervisor that cannot be asked (its lock names nobody) ends by itself once its container has.
                self.kill_group(key)?;
                Err(Error::NoSupervisor { container: key.clone() })
            }
        }
    }

    /// The container first: a supervisor whose container is gone ends by itself and still writes how.
    ///
    /// # Errors
    /// Some of it lives.
    pub fn kill(self, key: &ContainerKey) -> Result<(), Error> {
        self.kill_group(key)?;
        match self.supervisor(key)? {
            Some(process) => self.kernel.signal(&process, Signal::Kill).map_err(Error::Signal),
            None => Ok(()),
        }
    }

    /// Removes an instance of which nothing runs, and keeps what may still be asked for.
    ///
    /// # Errors
    /// What could not be removed stays with its record.
    pub fn retire(self, id: &InstanceId) -> Result<(), Error> {
        self.groups.remove_instance(&layout::instance_group(id)).map_err(Error::Group)?;
        keep::keep(self, id)?;
        keep::forget_old(self)
    }

    /// Removes a directory among the instances' that has no record, and ends what is supervised in it.
    ///
    /// # Errors
    /// Some of it is still there.
    pub fn sweep_directory(self, name: &str) -> Result<(), Error> {
        let path = self.layout.instances().join(name);
        kill_supervisors(self.kernel, &path, 0)?;
        remove_directory(self.kernel, &path)
    }

    /// Removes an instance's group that no record names, and ends what is in it.
    ///
    /// # Errors
    /// Some of it is still there.
    pub fn sweep_group(self, name: &str) -> Result<(), Error> {
        self.groups.remove_instance(name).map_err(Error::Group)
    }

    /// The supervisor that holds the container's lock, checked.
    fn supervisor(self, key: &ContainerKey) -> Result<Option<K::Process>, Error> {
        supervisor_of(self.kernel, &self.layout.container(key))
    }

    fn kill_group(self, key: &ContainerKey) -> Result<(), Error> {
        let instance = layout::instance_group(&key.pod.instance);
        self.groups.kill_container(&instance, &layout::container_group(key)).map_err(Error::Group)
    }

    pub(super) fn remove_group(self, key: &ContainerKey) -> Result<(), Error> {
        let instance = layout::instance_group(&key.pod.instance);
        self.groups.remove_container(&instance, &layout::container_group(key)).map_err(Error::Group)
    }
}

/// Who holds the lock of this directory: written into it, and believed only if the process is that one. A lock that
/// makes no sense names nobody.
fn supervisor_of<K: Kernel>(kernel: &K, directory: &Directory) -> Result<Option<K::Process>, Error> {
    let identity = match record::read::<ProcessIdentity>(kernel, &directory.lock()) {
        Err(record::Error::Malformed { .. }) => None,
        read => read?,
    };
    let Some(identity) = identity else { return Ok(None) };
    open_process(kernel, &identity).map_err(Error::Signal)
}

/// Ends every supervisor in a directory that nobody knows, so that it can be removed.
fn kill_supervisors(kernel: &impl Kernel, path: &Path, depth: usize) -> Result<(), Error> {
    let directory = Directory::new(path);
    // One that lives on would write how it ended into what is made here anew: not to know is no reason to go on.
    let supervisor = match supervisor_of(kernel, &directory) {
        Err(Error::Record(record::Error::Read { source, .. }))
            if source.kind() == io::ErrorKind::IsADirectory =>
        {
            None
        }
        found => found?,
    };
    if let Some(process) = supervisor {
        kernel.signal(&process, Signal::Kill).map_err(Error::Signal)?;
    }
    if depth < STRAY_DEPTH {
        let entries = match kernel.list(path) {
            // Swept before, and nobody heard of it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            listed => listed.map_err(Error::file("list", path))?,
        };
        for entry in entries {
            if entry.kind == EntryKind::Directory {
                kill_supervisors(kernel, &path.join(&entry.name), depth + 1)?;
            }
        }
    }
    Ok(())
}

/// One that is not there is no error.
pub(super) fn remove_directory(kernel: &impl Kernel, path: &Path) -> Result<(), Error> {
    kernel.remove_tree(path).map_err(Error::file("remove", path))
}
