//! Starts one container: finds its image, empties what an attempt before left, writes order and spec, writes down the
//! attempt, starts the supervisor. What all that is made of is behind [`Containers`]; what goes wrong inside the
//! supervisor is in the exit record.

use super::steps::{Error, remove_directory};
use crate::directory::Directory;
use crate::host::Host;
use crate::kernel::{Durability, Groups, Kernel};
use crate::layout::ContainerKey;
use crate::network::PodNetwork;
use crate::record::{self, Attempt, InstanceRecord};
use ensemble_model::application::Container;
use ensemble_model::id::Digest;
use serde::Serialize;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// From the stop signal to the kill (`decisions.md` §2.6).
pub const GRACE_MS: u64 = 10_000;

/// What a host name may have.
const HOSTNAME_CHARS: usize = 63;

/// No file that pods share is larger.
const POD_FILE_BYTES_AT_MOST: u64 = 1 << 20;

/// How containers are made on one machine: what images hold, what a supervisor is told, the process itself. The order
/// in which that happens is [`Start::run`]'s.
pub trait Containers {
    /// An image that is in the store, as long as a start needs it.
    type Image;
    /// What `order.json` holds, for the supervisor.
    type Order: Serialize;
    /// What `spec.json` holds, for the process that makes the container.
    type Spec: Serialize;
    /// A process, as the kernel has it.
    type Process;

    /// The pinned image that the template calls `name`, which was seen to before.
    ///
    /// # Errors
    /// [`Error::ImageLost`] when it is not in the store any more.
    fn image(&self, name: &str, pin: &Digest) -> Result<Self::Image, Error>;

    /// `container` is the template's; `files` are mounted, each at the path inside that it comes with.
    ///
    /// # Errors
    /// [`Error::Template`] when nothing of that kind can run.
    fn spec(
        &self,
        start: &Start,
        container: &Container,
        image: &Self::Image,
        files: Vec<(PathBuf, String)>,
    ) -> Result<Self::Spec, Error>;

    fn order(&self, start: &Start, image: &Self::Image) -> Self::Order;

    /// The content of the pods' `resolv.conf`.
    fn resolv_conf(&self) -> String;

    /// Starts the supervisor of a directory, a child of ours, and waits until its program runs, it has ended, or it was
    /// waited for long enough: it may have ended already when this returns.
    ///
    /// # Errors
    /// No process was started.
    fn spawn(&self, directory: &Directory) -> io::Result<Self::Process>;
}

/// One start of one container.
#[derive(Clone, Debug)]
pub struct Start {
    pub record: InstanceRecord,
    pub container: ContainerKey,
    pub attempt: Attempt,
    pub pod: PodNetwork,
}

impl Start {
    /// Returns the supervisor, our child: it may have ended already.
    ///
    /// # Errors
    /// Before the attempt is written down nothing has begun; after that it was lost, unless an exit record says more.
    pub fn run<K, G, C>(&self, host: Host<'_, K, G>, containers: &C) -> Result<C::Process, Error>
    where
        K: Kernel,
        G: Groups,
        C: Containers,
    {
        let template = self.template()?;
        // Pinned before it was seen to, and seen to before it is started.
        let pin = self.record.template.pins.get(&template.image).ok_or(Error::Cut)?;
        let image = containers.image(&template.image, pin)?;
        let directory = host.layout.container(&self.container);
        self.clear(host, &directory)?;
        let files = self.write_pod_files(host, &containers.resolv_conf())?;
        let spec = containers.spec(self, template, &image, files)?;
        write_plain(host.kernel, &directory.order(), &containers.order(self, &image))?;
        write_plain(host.kernel, &directory.spec(), &spec)?;
        // From here on the attempt counts: without an exit record it was lost.
        record::write_of_process(host.kernel, &directory.attempt(), &self.attempt)?;
        containers.spawn(&directory).map_err(Error::Spawn)
    }

    fn template(&self) -> Result<&Container, Error> {
        let workloads = &self.record.template.workloads;
        let workload = workloads.iter().find(|workload| workload.name == self.container.pod.workload);
        let mut containers = workload.into_iter().flat_map(|workload| &workload.containers);
        let found = containers.find(|container| container.name == self.container.container);
        found.ok_or_else(|| Error::Template { reason: format!("it has no container `{}`", self.container) })
    }

    /// Nothing of the attempt before may be met by this one.
    fn clear<K: Kernel, G: Groups>(&self, host: Host<'_, K, G>, directory: &Directory) -> Result<(), Error> {
        host.remove_group(&self.container)?;
        remove_directory(host.kernel, &directory.work())?;
        host.kernel.make_directory(&directory.work()).map_err(Error::file("make", &directory.work()))
    }

    /// What the container's own programs find it called.
    pub fn hostname(&self) -> String {
        hostname(&self.pod_name())
    }

    /// What the API calls the pod.
    pub fn pod_name(&self) -> String {
        let pod = &self.container.pod;
        let cell = &self.record.cell;
        self.record.template.pod_name(&cell.version, &self.record.deployment, &pod.workload, pod.index)
    }

    /// `resolv.conf`, `hosts` and `hostname` of the pod, shared by its containers.
    fn write_pod_files<K: Kernel, G: Groups>(
        &self,
        host: Host<'_, K, G>,
        resolv_conf: &str,
    ) -> Result<Vec<(PathBuf, String)>, Error> {
        let pod = host.layout.pod(&self.container.pod);
        let hostname = self.hostname();
        let contents = [
            ("resolv.conf", resolv_conf.to_owned()),
            ("hosts", hosts(self.pod.address, &hostname)),
            ("hostname", format!("{hostname}\n")),
        ];
        let mut files = Vec::new();
        for (name, content) in contents {
            let path = pod.join(name);
            // Written in place: containers that run have this very file mounted.
            let present = host.kernel.read(&path, POD_FILE_BYTES_AT_MOST).ok();
            if present.as_deref() != Some(content.as_bytes()) {
                let written = host.kernel.write(&path, content.as_bytes(), Durability::Unsynced);
                written.map_err(Error::file("write", &path))?;
            }
            files.push((path, format!("/etc/{name}")));
        }
        Ok(files)
    }
}

fn hosts(address: Ipv4Addr, hostname: &str) -> String {
    format!("127.0.0.1 localhost\n{address} {hostname}\n")
}

/// A pod name as a host name: small letters, digits and `-`, at most 63, neither end a `-`.
fn hostname(pod_name: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || character == '-';
    let name: String =
        pod_name.chars().map(|one| if plain(one) { one.to_ascii_lowercase() } else { '-' }).collect();
    // The end tells pods apart: it is what stays of a long name.
    let start = name.len().saturating_sub(HOSTNAME_CHARS);
    let name = name[start..].trim_matches('-');
    if name.is_empty() { "pod".to_owned() } else { name.to_owned() }
}

/// Not synced: after a crash the attempt is over anyway.
fn write_plain(kernel: &impl Kernel, path: &Path, content: &impl Serialize) -> Result<(), Error> {
    let bytes = serde_json::to_vec(content)
        .map_err(|source| record::Error::Malformed { path: path.to_owned(), source })?;
    kernel.write(path, &bytes, Durability::Unsynced).map_err(Error::file("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_pod_name_becomes_a_host_name() {
        let check = |name: &str, expected: &str| assert_eq!(hostname(name), expected);
        check("shop-web-v2-abcdefgh-0", "shop-web-v2-abcdefgh-0");
        check("Shop_1-web-0", "shop-1-web-0");
        check("店-web-0", "web-0");
        check("店", "pod");
        check(&format!("{}-tail-7", "x".repeat(100)), &format!("{}-tail-7", "x".repeat(56)));
    }
}
