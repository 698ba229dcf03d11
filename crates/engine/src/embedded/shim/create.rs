//! Makes the container, in a process forked for this alone: libcontainer changes process-wide state and touches much
//! memory, none of which the supervisor should keep. The container's first process becomes the supervisor's child
//! when this one ends, because the supervisor is a subreaper.

use super::executor::FilteredExecutor;
use super::order::Order;
use super::{Error, finish};
use crate::embedded::kernel::Linux;
use crate::embedded::seccomp::Filters;
use ensemble_supervision::directory::Directory;
use ensemble_supervision::record::{self, Prospect};
use libcontainer::container::Container;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use oci_spec::runtime::{LinuxNamespaceBuilder, LinuxNamespaceType, Root, Spec};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};

/// What the creating process tells the supervisor, one JSON line each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Progress {
    /// All is made, the program waits for the go.
    Created {
        pid: i32,
    },
    /// The go was passed on.
    Started,
    Failed {
        reason: String,
        prospect: Prospect,
    },
}

/// The creating process's ends of all pipes.
pub(super) struct Ends {
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    pub(super) progress: File,
    pub(super) go: File,
    /// Close-on-exec: says when, or why not, the program was executed.
    pub(super) report: File,
}

/// The body of the creating process; returns its exit code.
pub(super) fn main(directory: &Directory, order: &Order, network: Option<&OwnedFd>, ends: Ends) -> i32 {
    let Ends { stdout, stderr, mut progress, mut go, report } = ends;
    let steps = || -> Result<(), Error> {
        let mut container = create(directory, order, network, stdout, stderr, report)?;
        let pid = container.pid().ok_or_else(|| fault("the container has no first process".to_owned()))?;
        tell(&mut progress, &Progress::Created { pid: pid.as_raw() })?;
        go.read_exact(&mut [0]).map_err(Error::step("wait for the go"))?;
        container.start().map_err(|error| fault(chain(&error)))?;
        tell(&mut progress, &Progress::Started)
    };
    match steps() {
        Ok(()) => 0,
        Err(error) => {
            let failed = Progress::Failed { reason: error.sentence(), prospect: error.prospect() };
            // Best effort: an end of file without a word is a failure for the supervisor too.
            let _ = tell(&mut progress, &failed);
            1
        }
    }
}

fn create(
    directory: &Directory,
    order: &Order,
    network: Option<&OwnedFd>,
    stdout: OwnedFd,
    stderr: OwnedFd,
    report: File,
) -> Result<Container, Error> {
    let missing = || Error::NoOrder { directory: directory.spec().display().to_string() };
    let mut spec: Spec = record::read(&Linux, &directory.spec())?.ok_or_else(missing)?;
    finish::complete_spec(&mut spec, directory, order)?;
    set_root(&mut spec, directory);
    set_network(&mut spec, network)?;

    let bundle = directory.bundle();
    let state = bundle.join("state");
    fs::create_dir_all(&state).map_err(Error::step("make the bundle"))?;
    spec.save(bundle.join("config.json")).map_err(|error| fault(chain(&error)))?;
    let filters = Filters::compile().map_err(|error| fault(chain(&error)))?;
    let built = ContainerBuilder::new(order.id.clone(), SyscallType::default())
        .with_executor(FilteredExecutor::new(filters, report))
        .with_root_path(state)
        .and_then(ContainerBuilder::validate_id)
        .and_then(|builder| {
            builder
                .with_stdout(stdout)
                .with_stderr(stderr)
                .as_init(bundle)
                .with_systemd(false)
                .with_detach(true)
                .build()
        });
    built.map_err(|error| fault(chain(&error)))
}

fn set_root(spec: &mut Spec, directory: &Directory) {
    let mut root = Root::default();
    root.set_path(directory.root()).set_readonly(Some(false));
    spec.set_root(Some(root));
}

/// The pod's namespace is entered through our descriptor of it: the path it was opened by is no longer mounted here.
fn set_network(spec: &mut Spec, network: Option<&OwnedFd>) -> Result<(), Error> {
    let mut builder = LinuxNamespaceBuilder::default().typ(LinuxNamespaceType::Network);
    if let Some(network) = network {
        builder = builder.path(format!("/proc/self/fd/{}", network.as_raw_fd()));
    }
    let namespace = builder.build().map_err(|error| fault(chain(&error)))?;
    if let Some(linux) = spec.linux_mut() {
        let mut namespaces = linux.namespaces().clone().unwrap_or_default();
        namespaces.retain(|other| other.typ() != LinuxNamespaceType::Network);
        namespaces.push(namespace);
        linux.set_namespaces(Some(namespaces));
    }
    Ok(())
}

fn tell(progress: &mut File, word: &Progress) -> Result<(), Error> {
    let mut line = serde_json::to_vec(word).map_err(|error| fault(error.to_string()))?;
    line.push(b'\n');
    progress.write_all(&line).map_err(Error::step("tell the supervisor"))
}

fn fault(reason: String) -> Error {
    Error::Program { reason, prospect: Prospect::Retry }
}

/// libcontainer's errors say nothing at their top; the causes do.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Reads one line of progress; `None` at the end of the pipe.
pub(super) fn parse_progress(line: &[u8]) -> io::Result<Progress> {
    serde_json::from_slice(line).map_err(io::Error::from)
}
