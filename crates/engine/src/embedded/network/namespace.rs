//! The pods' network namespaces: made on a thread of their own and kept by a bind mount each, so that they live
//! while no process is in them and also when the server ends. Knows nothing of interfaces.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use rustix::fs::statfs;

use super::netlink::Socket;
use super::sysctl;
use ensemble_supervision::network::Error;

const DIRECTORY: &str = "netns";

/// `NSFS_MAGIC` of `linux/magic.h`: the file system that namespaces appear as.
const NSFS_MAGIC: u64 = 0x6e73_6673;

/// Holds nothing but empty files to mount on.
const TMPFS_OPTIONS: &str = "mode=0700,size=1m,nr_inodes=20000";

/// Settings of a pod's namespace, before its interface is made: no IPv6 on it (the rules know IPv4 only), no way
/// past the machine by a redirect; low ports and `ping` for programs that are not root, as they are used to.
const SETTINGS: [(&str, &str); 5] = [
    ("ipv6/conf/default/disable_ipv6", "1"),
    ("ipv4/conf/all/accept_redirects", "0"),
    ("ipv4/conf/default/accept_redirects", "0"),
    ("ipv4/ip_unprivileged_port_start", "0"),
    ("ipv4/ping_group_range", "0\t2147483647"),
];

/// Drops all pods' namespaces from the mount namespace of the calling process, which must be a private one: a shim
/// keeps no pod but its own alive. One that has none of them is no error.
pub fn forget_namespaces(run_dir: &Path) -> io::Result<()> {
    unmount(&run_dir.join(DIRECTORY))
}

/// The directory of the namespaces: a file system of its own, so that one `umount` drops them all.
#[derive(Debug)]
pub(super) struct Namespaces {
    directory: PathBuf,
}

/// A namespace, and a socket that speaks to the kernel inside of it.
pub(super) struct Namespace {
    pub(super) file: OwnedFd,
    pub(super) socket: Socket,
    pub(super) origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Made,
    Found,
}

impl Namespaces {
    /// Mounts the directory, unless it is there from an earlier run.
    pub(super) fn open(run_dir: &Path) -> Result<Self, Error> {
        let directory = run_dir.join(DIRECTORY);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(Error::file("create", &directory))?;
        if !is_mount_point(&directory).map_err(Error::file("read", &directory))? {
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            mount(Some("tmpfs"), &directory, Some("tmpfs"), flags, Some(TMPFS_OPTIONS))
                .map_err(|errno| Error::file("mount", &directory)(errno.into()))?;
        }
        // Else every namespace mounted here later would appear in the mount namespaces of all shims, and stay there.
        mount(None::<&str>, &directory, None::<&str>, MsFlags::MS_PRIVATE, None::<&str>)
            .map_err(|errno| Error::file("mount privately", &directory)(errno.into()))?;
        Ok(Self { directory })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(super) fn is_there(&self, name: &str) -> bool {
        is_namespace(&self.path(name))
    }

    /// The names of all files, with or without a namespace on them.
    pub(super) fn names(&self) -> Result<Vec<String>, Error> {
        let read = Error::file("read", &self.directory);
        let entries = fs::read_dir(&self.directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = entries.map_err(read)?;
        Ok(entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
    }

    /// The namespace of that name, made if it is missing.
    pub(super) fn obtain(&self, name: &str) -> Result<Namespace, Error> {
        let path = self.path(name);
        let origin = if is_namespace(&path) { Origin::Found } else { Origin::Made };
        let on_thread = || match origin {
            Origin::Found => enter(&path),
            Origin::Made => make(&path),
        };
        // The thread ends in the namespace it entered; no other work may ever run on it.
        let (file, socket) = thread::scope(|scope| {
            let entered = thread::Builder::new()
                .name("pod-namespace".to_owned())
                .spawn_scoped(scope, on_thread)
                .map_err(Error::kernel("start a thread"))?;
            entered.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        Ok(Namespace { file, socket, origin })
    }

    /// Lets go of a namespace, which ends with its last process; one that is not there is no error.
    pub(super) fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.path(name);
        unmount(&path).map_err(Error::file("unmount", &path))?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file("remove", &path)(error)),
            _ => Ok(()),
        }
    }

    /// Lets go of all of them, and of the directory.
    pub(super) fn close(&self) -> Result<(), Error> {
        unmount(&self.directory).map_err(Error::file("unmount", &self.directory))?;
        match fs::remove_dir(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::file("remove", &self.directory)(error))
            }
            _ => Ok(()),
        }
    }
}

fn make(path: &Path) -> Result<(OwnedFd, Socket), Error> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(Error::file("create", path))?;
    unshare(CloneFlags::CLONE_NEWNET)
        .map_err(|errno| Error::kernel("make a network namespace")(errno.into()))?;
    for (setting, value) in SETTINGS {
        sysctl::set(setting, value)?;
    }
    let mut socket = Socket::open().map_err(Error::kernel("open a netlink socket"))?;
    socket.raise_loopback().map_err(Error::kernel("raise a pod's loopback interface"))?;
    // Last, so that what is found under the name is complete.
    mount(Some("/proc/thread-self/ns/net"), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .map_err(|errno| Error::file("mount a network namespace on", path)(errno.into()))?;
    let file = File::open(path).map_err(Error::file("open", path))?;
    Ok((file.into(), socket))
}

fn enter(path: &Path) -> Result<(OwnedFd, Socket), Error> {
    let file = File::open(path).map_err(Error::file("open", path))?;
    setns(&file, CloneFlags::CLONE_NEWNET).map_err(|errno| Error::file("enter", path)(errno.into()))?;
    let socket = Socket::open().map_err(Error::kernel("open a netlink socket"))?;
    Ok((file.into(), socket))
}

fn is_namespace(path: &Path) -> bool {
    statfs(path).is_ok_and(|status| u64::try_from(status.f_type).is_ok_and(|magic| magic == NSFS_MAGIC))
}

fn is_mount_point(directory: &Path) -> io::Result<bool> {
    let parent = directory.parent().unwrap_or(Path::new("/"));
    Ok(fs::metadata(directory)?.dev() != fs::metadata(parent)?.dev())
}

/// Unmounts also what is still in use; what is not mounted is no error.
fn unmount(path: &Path) -> io::Result<()> {
    match umount2(path, MntFlags::MNT_DETACH) {
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
