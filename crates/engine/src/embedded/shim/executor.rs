//! The last step inside the container: find the program, put signals back, apply the system call filters, execute.
//! Runs in the container's first process after namespaces, root and capabilities are set; says what went wrong
//! through a pipe that the program never inherits.

use crate::embedded::seccomp::Filters;
use crate::exec::{WindowSize, set_size};
use ensemble_supervision::record::Prospect;
use libcontainer::workload::{Executor, ExecutorError, ExecutorValidationError};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use oci_spec::runtime::Spec;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::ffi::CString;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Executes the spec's program under our filters.
#[derive(Clone)]
pub(super) struct FilteredExecutor {
    filters: Filters,
    report: Rc<std::fs::File>,
    entrance: Option<Rc<Entrance>>,
}

/// What a command passes that joins a container which runs already.
pub(super) struct Entrance {
    /// `cgroup.procs` of a group for it and all it begins, opened outside.
    pub(super) members: Option<std::fs::File>,
    /// The container's first process: were it gone, what was joined could be a stranger's.
    pub(super) container: OwnedFd,
    /// Its terminal's size, before it can ask.
    pub(super) window: Option<WindowSize>,
}

impl Entrance {
    fn pass(&self) -> io::Result<()> {
        let mut polled = [PollFd::new(&self.container, PollFlags::IN)];
        poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
        if !polled[0].revents().is_empty() {
            return Err(io::Error::other("the container has ended"));
        }
        if let Some(window) = self.window {
            set_size(rustix::stdio::stdin(), window)?;
        }
        match &self.members {
            Some(members) => (&*members).write_all(b"0"),
            None => Ok(()),
        }
    }
}

/// Why a program cannot be executed, as sent through the pipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProgramFault {
    pub(super) prospect: Prospect,
    pub(super) reason: String,
}

impl ProgramFault {
    fn encode(&self) -> Vec<u8> {
        let mark = match self.prospect {
            Prospect::Retry => b'R',
            Prospect::Hopeless => b'H',
        };
        [&[mark], self.reason.as_bytes()].concat()
    }

    /// What stands in the pipe; `None` when nothing was written, which is what a good start looks like.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (mark, reason) = bytes.split_first()?;
        let prospect = if *mark == b'H' { Prospect::Hopeless } else { Prospect::Retry };
        Some(Self { prospect, reason: String::from_utf8_lossy(reason).into_owned() })
    }
}

impl FilteredExecutor {
    /// `report` must be close-on-exec: its end of file says that the program runs.
    pub(super) fn new(filters: Filters, report: std::fs::File) -> Self {
        Self { filters, report: Rc::new(report), entrance: None }
    }

    /// For a command in a container that runs already.
    pub(super) fn through(self, entrance: Entrance) -> Self {
        Self { entrance: Some(Rc::new(entrance)), ..self }
    }

    fn tell(&self, fault: ProgramFault) -> String {
        // Best effort: without it the supervisor still tells that the start failed, only not why.
        let _ = (&*self.report).write_all(&fault.encode());
        fault.reason
    }

    fn execute(&self, spec: &Spec) -> Result<(), ProgramFault> {
        let arguments = arguments(spec);
        let program = find(arguments, search_path(spec))?;
        let failed = |prospect, reason: String| ProgramFault { prospect, reason };
        let nul = |_| failed(Prospect::Hopeless, "an argument or variable holds a NUL character".to_owned());
        let path = CString::new(program.as_os_str().as_bytes()).map_err(nul)?;
        let arguments = arguments
            .iter()
            .map(|one| CString::new(one.as_bytes()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(nul)?;
        let environment = std::env::vars_os()
            .map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(nul)?;
        if let Some(entrance) = &self.entrance {
            entrance.pass().map_err(|error| failed(Prospect::Retry, error.to_string()))?;
        }
        restore_signals()
            .map_err(|error| failed(Prospect::Retry, format!("could not restore signals: {error}")))?;
        self.filters.apply().map_err(|error| failed(Prospect::Retry, error.to_string()))?;
        let Err(error) = nix::unistd::execve(&path, &arguments, &environment);
        let reason = format!("`{}` could not be executed: {}", program.display(), error.desc());
        Err(failed(prospect(error), reason))
    }
}

impl Executor for FilteredExecutor {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        self.execute(spec).map_err(|fault| ExecutorError::Other(self.tell(fault)))
    }

    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        match find(arguments(spec), search_path(spec)) {
            Ok(_) => Ok(()),
            Err(fault) => Err(ExecutorValidationError::ArgValidationError(self.tell(fault))),
        }
    }
}

fn arguments(spec: &Spec) -> &[String] {
    spec.process().as_ref().and_then(|process| process.args().as_deref()).unwrap_or_default()
}

fn search_path(spec: &Spec) -> &str {
    let environment =
        spec.process().as_ref().and_then(|process| process.env().as_deref()).unwrap_or_default();
    environment.iter().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or("")
}

/// The program file, as `execvp` would find it from inside the container.
fn find(arguments: &[String], search_path: &str) -> Result<PathBuf, ProgramFault> {
    let hopeless = |reason: String| ProgramFault { prospect: Prospect::Hopeless, reason };
    let name =
        arguments.first().ok_or_else(|| hopeless("neither image nor template names a program".to_owned()))?;
    let candidates: Vec<PathBuf> = if name.contains('/') {
        vec![PathBuf::from(name)]
    } else {
        search_path.split(':').map(|directory| Path::new(directory).join(name)).collect()
    };
    let mut not_executable = None;
    for candidate in candidates {
        match candidate.metadata() {
            Ok(metadata) if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 => {
                return Ok(candidate);
            }
            Ok(_) => not_executable = Some(candidate),
            Err(_) => {}
        }
    }
    match not_executable {
        Some(path) => Err(hopeless(format!("`{}` is not an executable file", path.display()))),
        None => Err(hopeless(format!("the image has no executable `{name}`"))),
    }
}

/// What the same image will answer again.
fn prospect(error: Errno) -> Prospect {
    match error {
        Errno::ENOENT | Errno::ENOEXEC | Errno::EACCES | Errno::ENOTDIR | Errno::ELOOP | Errno::EINVAL => {
            Prospect::Hopeless
        }
        _ => Prospect::Retry,
    }
}

/// Blocked and ignored signals are inherited by what is executed: the supervisor blocks some, the Rust runtime ignores
/// SIGPIPE, and whoever started us may have ignored others. Asked of the kernel directly, because the C library keeps
/// 32 and 33 to itself.
fn restore_signals() -> nix::Result<()> {
    const SET_BYTES: usize = 8;
    // Handler, flags, restorer, mask: all zero is the default action.
    let default = [0_u64; 4];
    for signal in 1..=64 {
        if signal != libc::SIGKILL && signal != libc::SIGSTOP {
            // SAFETY: the kernel reads one action, which is as large as any architecture's; the default action runs
            // no code of ours.
            let result = unsafe {
                libc::syscall(
                    libc::SYS_rt_sigaction,
                    signal,
                    default.as_ptr(),
                    std::ptr::null_mut::<u64>(),
                    SET_BYTES,
                )
            };
            Errno::result(result)?;
        }
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_survives_the_pipe() {
        for prospect in [Prospect::Retry, Prospect::Hopeless] {
            let fault = ProgramFault { prospect, reason: "no such program".to_owned() };
            assert_eq!(ProgramFault::decode(&fault.encode()), Some(fault));
        }
        assert_eq!(ProgramFault::decode(b""), None);
    }

    #[test]
    fn programs_are_found_as_a_shell_finds_them() {
        let directory = tempfile::tempdir().unwrap();
        let make = |name: &str, mode: u32| {
            let path = directory.path().join(name);
            std::fs::write(&path, b"").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let program = make("program", 0o755);
        make("text", 0o644);
        let search_path = format!("/nowhere:{}", directory.path().display());
        let find = |name: &str| find(&[name.to_owned()], &search_path);

        assert_eq!(find("program"), Ok(program.clone()));
        assert_eq!(find(program.to_str().unwrap()), Ok(program));
        assert!(find("text").unwrap_err().reason.contains("is not an executable file"));
        assert_eq!(find("absent").unwrap_err().reason, "the image has no executable `absent`");
        assert_eq!(super::find(&[], "/bin").unwrap_err().prospect, Prospect::Hopeless);
    }
}
