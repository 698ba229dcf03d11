//! Starts one container: finds its image, writes order and spec, writes down the attempt, starts the supervisor and
//! waits until that says that the program runs. What went wrong inside is in the exit record.

use super::machine::{Error, Machine, remove_directory};
use crate::embedded::container_spec::{ContainerSpec, OwnLimits};
use crate::embedded::image::{self, Image, working_dir};
use crate::embedded::kernel::Linux;
use crate::embedded::network::{self, PodNetwork};
use crate::embedded::shim::order::Order;
use ensemble_model::application::Container;
use ensemble_supervision::directory::Directory;
use ensemble_supervision::layout::{self, ContainerKey};
use ensemble_supervision::record::{self, Attempt, InstanceRecord};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

/// From the stop signal to the kill (`decisions.md` §2.6).
const GRACE_MS: u64 = 10_000;

/// The supervisor gives up by itself after 60 s; then it still has to write that down.
const START_PATIENCE: Timespec = Timespec { tv_sec: 90, tv_nsec: 0 };

/// What a host name may have.
const HOSTNAME_CHARS: usize = 63;

pub(super) struct Start {
    pub(super) record: InstanceRecord,
    pub(super) container: ContainerKey,
    pub(super) attempt: Attempt,
    pub(super) pod: PodNetwork,
}

impl Start {
    /// Returns the supervisor, our child: it may have ended already.
    pub(super) fn run(&self, machine: &Machine) -> Result<OwnedFd, Error> {
        let template = self.template()?;
        let image = self.image(machine, template)?;
        let directory = machine.layout.container(&self.container);
        self.clear(machine, &directory)?;
        let files = self.write_pod_files(machine)?;
        let spec = self.spec(machine, template, &image, files)?.build();
        let spec = spec.map_err(|error| Error::Template { reason: error.to_string() })?;
        write_plain(&directory.order(), &self.order(machine, &image))?;
        write_plain(&directory.spec(), &spec)?;
        // From here on the attempt counts: without an exit record it was lost.
        record::write_of_process(&Linux, &directory.attempt(), &self.attempt)?;
        spawn(machine, &directory)
    }

    fn template(&self) -> Result<&Container, Error> {
        let workloads = &self.record.template.workloads;
        let workload = workloads.iter().find(|workload| workload.name == self.container.pod.workload);
        let mut containers = workload.into_iter().flat_map(|workload| &workload.containers);
        let found = containers.find(|container| container.name == self.container.container);
        found.ok_or_else(|| Error::Template { reason: format!("it has no container `{}`", self.container) })
    }

    /// The pinned image, which was seen to before.
    fn image(&self, machine: &Machine, container: &Container) -> Result<Image, Error> {
        let name = &container.image;
        let pin = self.record.template.pins.get(name).ok_or(Error::Cut)?;
        let image = machine.images.store().image(pin).map_err(|source| match source {
            image::Error::NotInStore { .. } => Error::ImageLost { image: name.clone(), pin: pin.clone() },
            source => Error::Image { image: name.clone(), source },
        })?;
        machine.images.store().touch(pin, name);
        Ok(image)
    }

    /// Nothing of the attempt before may be met by this one.
    fn clear(&self, machine: &Machine, directory: &Directory) -> Result<(), Error> {
        machine.group(&self.container).kill_and_remove()?;
        remove_directory(&directory.work())?;
        std::fs::create_dir_all(directory.work()).map_err(Error::file("make", &directory.work()))
    }

    fn hostname(&self) -> String {
        let pod = &self.container.pod;
        let cell = &self.record.cell;
        let name =
            self.record.template.pod_name(&cell.version, &self.record.deployment, &pod.workload, pod.index);
        hostname(&name)
    }

    /// `resolv.conf`, `hosts` and `hostname` of the pod, shared by its containers.
    fn write_pod_files(&self, machine: &Machine) -> Result<Vec<(PathBuf, String)>, Error> {
        let pod = machine.layout.pod(&self.container.pod);
        let hostname = self.hostname();
        let contents = [
            ("resolv.conf", network::resolv_conf()),
            ("hosts", hosts(self.pod.address, &hostname)),
            ("hostname", format!("{hostname}\n")),
        ];
        let mut files = Vec::new();
        for (name, content) in contents {
            let path = pod.join(name);
            // Written in place: containers that run have this very file mounted.
            if std::fs::read(&path).ok().as_deref() != Some(content.as_bytes()) {
                std::fs::write(&path, content).map_err(Error::file("write", &path))?;
            }
            files.push((path, format!("/etc/{name}")));
        }
        Ok(files)
    }

    fn spec(
        &self,
        machine: &Machine,
        container: &Container,
        image: &Image,
        files: Vec<(PathBuf, String)>,
    ) -> Result<ContainerSpec, Error> {
        let config = &image.config;
        let dir = container.working_dir.as_ref().unwrap_or(&config.working_dir);
        let working_dir = working_dir(dir).map_err(|reason| Error::Template { reason: reason.to_owned() })?;
        let instance = layout::instance_group(&self.record.id);
        let mut environment = config.env.clone();
        environment.extend(container.env.iter().cloned());
        environment.extend(self.own_environment());
        Ok(ContainerSpec {
            program: program(container, &config.entrypoint, &config.cmd),
            environment,
            working_dir,
            hostname: self.hostname(),
            group: machine.subtree.container_path(&instance, &layout::container_group(&self.container)),
            view: machine.subtree.view(self.record.template.limits),
            files,
            own: OwnLimits::read(),
        })
    }

    /// What every container is told about itself (`decisions.md` §6.2).
    fn own_environment(&self) -> Vec<(String, String)> {
        let cell = &self.record.cell;
        let pod = &self.container.pod;
        let template = &self.record.template;
        let pod_name = template.pod_name(&cell.version, &self.record.deployment, &pod.workload, pod.index);
        let named = [
            ("ENS_APP_ID", cell.app.as_str()),
            ("ENS_APP_NAME", &template.app_name),
            ("ENS_APP_VERSION", cell.version.as_str()),
            ("ENS_REGION_ID", cell.node.as_str()),
            ("ENS_ISP", cell.isp.as_str()),
            ("ENS_INSTANCE_ID", self.record.id.as_str()),
            ("ENS_POD_NAME", &pod_name),
        ];
        named.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn order(&self, machine: &Machine, image: &Image) -> Order {
        Order {
            id: layout::container_group(&self.container),
            attempt: self.attempt.number,
            layers: image.layers.clone(),
            user: image.config.user.clone(),
            network_namespace: Some(self.pod.netns.clone()),
            network_run_dir: Some(machine.network_run_dir.clone()),
            group: machine.group(&self.container),
            supervisor_groups: machine.subtree.supervisor_files(),
            stop_signal: image.config.stop_signal,
            grace_ms: GRACE_MS,
            log: machine.log,
        }
    }
}

/// The template's command replaces the image's entrypoint and with it the image's arguments; its arguments replace
/// the image's alone.
fn program(container: &Container, entrypoint: &[String], cmd: &[String]) -> Vec<String> {
    match (container.command.is_empty(), container.args.is_empty()) {
        (true, true) => [entrypoint, cmd].concat(),
        (true, false) => [entrypoint, &container.args].concat(),
        (false, _) => [&container.command[..], &container.args].concat(),
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
fn write_plain(path: &Path, content: &impl serde::Serialize) -> Result<(), Error> {
    let bytes = serde_json::to_vec(content)
        .map_err(|source| record::Error::Malformed { path: path.to_owned(), source })?;
    std::fs::write(path, bytes).map_err(Error::file("write", path))
}

fn spawn(machine: &Machine, directory: &Directory) -> Result<OwnedFd, Error> {
    let mut supervisor = machine
        .shim
        .command()
        .arg(directory.path())
        // Nothing of ours is the container's business; and the runtime cannot read variables that are not text.
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(Error::Spawn)?;
    let starting = supervisor.stdout.take();
    let process = open_child(supervisor).map_err(Error::Spawn)?;
    if let Some(starting) = starting {
        // The end of the pipe says: it runs, or it has written why not. Reaping is the watcher's.
        let mut polled = [PollFd::new(&starting, PollFlags::HUP)];
        let _ = poll(&mut polled, Some(&START_PATIENCE));
    }
    Ok(process)
}

/// A child that nobody has asked for yet has its pid for itself.
fn open_child(mut child: Child) -> io::Result<OwnedFd> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
    pidfd_open(pid, PidfdFlags::empty()).map_err(|errno| {
        // No descriptor is left to watch it by.
        let _ = child.kill().and_then(|()| child.wait());
        errno.into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_and_arguments_replace_what_the_image_says() {
        let check = |command: &[&str], args: &[&str], expected: &[&str]| {
            let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
            let container = Container {
                name: "main".to_owned(),
                image: "oci:/x".to_owned(),
                command: owned(command),
                args: owned(args),
                env: Vec::new(),
                working_dir: None,
                ports: Vec::new(),
            };
            assert_eq!(program(&container, &owned(&["/entry"]), &owned(&["cmd"])), owned(expected));
        };
        check(&[], &[], &["/entry", "cmd"]);
        check(&[], &["mine"], &["/entry", "mine"]);
        check(&["/other"], &[], &["/other"]);
        check(&["/other"], &["mine"], &["/other", "mine"]);
    }

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
