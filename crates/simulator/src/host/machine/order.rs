//! What the simulated engine hands a supervisor as files, and how it is made: the simulated machine in the place of
//! images, OCI specs and forks. A program is what its spec says, whoever wrote that.

use super::ground::Identity;
use super::images::Images;
use super::kernel::SimulatedKernel;
use super::processes::{ProcessKey, Role};
use ensemble_model::application::Container;
use ensemble_model::id::Digest;
use ensemble_supervision::directory::Directory;
use ensemble_supervision::layout;
use ensemble_supervision::supervisor::start::{Containers, GRACE_MS, Start};
use ensemble_supervision::supervisor::steps::Error;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::io;
use std::path::PathBuf;

/// `order.json`, as the supervisor reads it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) attempt: u32,
    pub(crate) identity: Identity,
    pub(crate) instance_group: String,
    pub(crate) container_group: String,
    pub(crate) network_namespace: String,
    pub(crate) grace_ms: i64,
}

/// `spec.json`, as the process that makes the container reads it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) identity: Identity,
}

/// How containers are made on a simulated machine.
pub(crate) struct Maker<'a> {
    pub(crate) kernel: &'a SimulatedKernel,
    pub(crate) images: &'a Images,
    /// The supervisors that were started.
    pub(crate) spawned: RefCell<Vec<(ProcessKey, Directory)>>,
}

impl Containers for Maker<'_> {
    type Image = ();
    type Order = Order;
    type Spec = Spec;
    type Process = ProcessKey;

    fn image(&self, name: &str, pin: &Digest) -> Result<(), Error> {
        if self.images.has(pin) {
            Ok(())
        } else {
            Err(Error::ImageLost { image: name.to_owned(), pin: pin.clone() })
        }
    }

    fn spec(
        &self,
        start: &Start,
        _container: &Container,
        (): &(),
        _files: Vec<(PathBuf, String)>,
    ) -> Result<Spec, Error> {
        Ok(Spec { identity: identity(start) })
    }

    fn order(&self, start: &Start, (): &()) -> Order {
        let namespace = start.pod.netns.file_name().map(|name| name.to_string_lossy().into_owned());
        Order {
            attempt: start.attempt.number,
            identity: identity(start),
            instance_group: layout::instance_group(&start.record.id),
            container_group: layout::container_group(&start.container),
            network_namespace: namespace.unwrap_or_default(),
            grace_ms: i64::try_from(GRACE_MS).unwrap_or(i64::MAX),
        }
    }

    fn resolv_conf(&self) -> String {
        "nameserver 192.0.2.53\n".to_owned()
    }

    fn spawn(&self, directory: &Directory) -> io::Result<ProcessKey> {
        let mut ground = self.kernel.0.borrow_mut();
        ground.pass_whole()?;
        let (caller, boot_ms) = (ground.caller()?, ground.boot_ms());
        let process = ground.processes.spawn(Role::Supervisor, Some(caller), boot_ms);
        self.spawned.borrow_mut().push((process, directory.clone()));
        Ok(process)
    }
}

/// What a container is told about itself.
fn identity(start: &Start) -> Identity {
    let pod = &start.container.pod;
    Identity {
        instance: start.record.id.clone(),
        workload: pod.workload.clone(),
        index: pod.index,
        container: start.container.container.clone(),
        name: start.pod_name(),
    }
}
