//! How containers are made here, for `Start`: images from the store, OCI specs, and a supervisor as a process of its own,
//! executed through a mount that cannot be written to. Holds no order of its own.

use super::machine::Machine;
use crate::embedded::container_spec::{ContainerSpec, OwnLimits};
use crate::embedded::image::{self, Image, working_dir};
use crate::embedded::network;
use crate::embedded::shim::order::Order;
use ensemble_model::application::Container;
use ensemble_model::id::Digest;
use ensemble_supervision::directory::Directory;
use ensemble_supervision::layout;
use ensemble_supervision::record::Prospect;
use ensemble_supervision::supervisor::start::{Containers, GRACE_MS, Start};
use ensemble_supervision::supervisor::steps::Error;
use oci_spec::runtime::Spec;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Stdio};

/// The supervisor gives up by itself after 60 s; then it still has to write that down.
const START_PATIENCE: Timespec = Timespec { tv_sec: 90, tv_nsec: 0 };

impl Containers for Machine {
    type Image = Image;
    type Order = Order;
    type Spec = Spec;
    type Process = OwnedFd;

    fn image(&self, name: &str, pin: &Digest) -> Result<Image, Error> {
        let image = self.images.store().image(pin).map_err(|source| match source {
            image::Error::NotInStore { .. } => Error::ImageLost { image: name.to_owned(), pin: pin.clone() },
            source => image_error(name, source),
        })?;
        self.images.store().touch(pin, name);
        Ok(image)
    }

    fn spec(
        &self,
        start: &Start,
        container: &Container,
        image: &Image,
        files: Vec<(PathBuf, String)>,
    ) -> Result<Spec, Error> {
        let config = &image.config;
        let dir = container.working_dir.as_ref().unwrap_or(&config.working_dir);
        let working_dir = working_dir(dir).map_err(|reason| Error::Template { reason: reason.to_owned() })?;
        let instance = layout::instance_group(&start.record.id);
        let mut environment = config.env.clone();
        environment.extend(container.env.iter().cloned());
        environment.extend(own_environment(start));
        let spec = ContainerSpec {
            program: program(container, &config.entrypoint, &config.cmd),
            environment,
            working_dir,
            hostname: start.hostname(),
            group: self.subtree.container_path(&instance, &layout::container_group(&start.container)),
            view: self.subtree.view(start.record.template.limits),
            files,
            own: OwnLimits::read(),
        };
        spec.build().map_err(|error| Error::Template { reason: error.to_string() })
    }

    fn order(&self, start: &Start, image: &Image) -> Order {
        let id = layout::container_group(&start.container);
        let instance = layout::instance_group(&start.record.id);
        Order {
            attempt: start.attempt.number,
            layers: image.layers.clone(),
            user: image.config.user.clone(),
            network_namespace: Some(start.pod.netns.clone()),
            network_run_dir: Some(self.network_run_dir.clone()),
            group: self.subtree.container(&instance, &id),
            supervisor_groups: self.subtree.supervisor_files(),
            stop_signal: image.config.stop_signal,
            grace_ms: GRACE_MS,
            log: self.log,
            id,
        }
    }

    fn resolv_conf(&self) -> String {
        network::resolv_conf()
    }

    fn spawn(&self, directory: &Directory) -> io::Result<OwnedFd> {
        let mut supervisor = self
            .shim
            .command()
            .arg(directory.path())
            // Nothing of ours is the container's business; and the runtime cannot read variables that are not text.
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let starting = supervisor.stdout.take();
        let process = open_child(supervisor)?;
        if let Some(starting) = starting {
            // The end of the pipe says: it runs, or it has written why not. Reaping is the watcher's.
            let mut polled = [PollFd::new(&starting, PollFlags::HUP)];
            let _ = poll(&mut polled, Some(&START_PATIENCE));
        }
        Ok(process)
    }
}

/// What went wrong with an image, as a step tells it.
pub(super) fn image_error(name: &str, source: image::Error) -> Error {
    let prospect = if source.is_hopeless() { Prospect::Hopeless } else { Prospect::Retry };
    Error::Image { image: name.to_owned(), prospect, source: Box::new(source) }
}

/// What every container is told about itself (`decisions.md` §6.2).
fn own_environment(start: &Start) -> Vec<(String, String)> {
    let record = &start.record;
    let named = [
        ("ENS_APP_ID", record.cell.app.as_str()),
        ("ENS_APP_NAME", &record.template.app_name),
        ("ENS_APP_VERSION", record.cell.version.as_str()),
        ("ENS_REGION_ID", record.cell.node.as_str()),
        ("ENS_ISP", record.cell.isp.as_str()),
        ("ENS_INSTANCE_ID", record.host.as_ref().unwrap_or(&record.id).as_str()),
        ("ENS_POD_NAME", &start.pod_name()),
    ];
    named.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
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
                readiness: None,
                ports: Vec::new(),
            };
            assert_eq!(program(&container, &owned(&["/entry"]), &owned(&["cmd"])), owned(expected));
        };
        check(&[], &[], &["/entry", "cmd"]);
        check(&[], &["mine"], &["/entry", "mine"]);
        check(&["/other"], &[], &["/other"]);
        check(&["/other"], &["mine"], &["/other", "mine"]);
    }
}
