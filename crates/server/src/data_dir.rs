//! The data directory: private to its owner, one server at a time, and where a client finds the bound address.
//! Must not touch a directory that is not ours: what holds other people's files is refused, not tightened.

use crate::file_error::FileError;
use rustix::fs::{FlockOperation, flock};
use std::fmt;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) const LOCK_FILE: &str = "lock";

/// A second server is refused after this, all tries together: one second.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// How often a server looks whether its lock is still the one.
const LOCK_PACE: Duration = Duration::from_millis(500);

/// The durable log's file in a data directory.
pub(crate) const LOG_FILE: &str = "log.sqlite";

/// A locked data directory; dropping it gives the lock up and takes the endpoint back.
pub struct DataDir {
    path: PathBuf,
    /// Holds the advisory lock for as long as it is open.
    lock: File,
    freshness: Freshness,
    /// What was written to `endpoint`, to be taken back.
    endpoint: Option<String>,
}

/// How a server is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

impl fmt::Display for Scheme {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// Whether a server ran here before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    New,
    Known,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("data directory `{path}` is in use by another server{holder}")]
    InUse {
        path: PathBuf,
        /// ` (process 4711)`, or nothing.
        holder: String,
    },
    #[error("the lock of data directory `{path}` was taken away; another server may work on it now")]
    LockLost { path: PathBuf },
    #[error(
        "`{path}` holds files that are not Ensemble's and can be read by others; \
         name a directory of its own, or `chmod 700` it"
    )]
    NotOurs { path: PathBuf },
}

impl DataDir {
    /// Makes the directory if need be (mode 0700) and locks it.
    ///
    /// # Errors
    /// [`Error::InUse`] while another server has it, [`Error::NotOurs`] for a directory with other files in it
    /// that its group or others may enter.
    pub fn open(path: &Path) -> Result<Self, Error> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(FileError::on("create", path))?;
        // Absolute from here on: shims and configuration outlive this process's working directory.
        let path = path.canonicalize().map_err(FileError::on("open", path))?;
        let freshness = keep_private(&path)?;
        let lock_path = path.join(LOCK_FILE);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(FileError::on("open", &lock_path))?;
        match take(&lock) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(Error::InUse { path, holder: holder(&mut lock) });
            }
            Err(errno) => return Err(FileError::on("lock", &lock_path)(errno.into()).into()),
        }
        lock.set_len(0).map_err(FileError::on("write", &lock_path))?;
        writeln!(lock, "{}", std::process::id()).map_err(FileError::on("write", &lock_path))?;
        Ok(Self { path, lock, freshness, endpoint: None })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// Writes where the server listens to `endpoint` (`http://127.0.0.1:8420`), replacing what a killed server
    /// left there. An address that means "every interface" is written as the loopback one, which can be called.
    ///
    /// # Errors
    /// [`Error::File`] when the file cannot be written.
    pub fn write_endpoint(&mut self, scheme: Scheme, bound: SocketAddr) -> Result<(), Error> {
        let path = self.endpoint_path();
        let line = format!("{scheme}://{}\n", callable(bound));
        replace(&path, line.as_bytes()).map_err(FileError::on("write", &path))?;
        self.endpoint = Some(line);
        Ok(())
    }

    /// Returns once the file that is locked is no longer the one that another server would lock: somebody removed or
    /// replaced it, as one does who takes a server that only sleeps for dead. The epoch keeps such a server from
    /// writing; this keeps it from answering out of an old state, and from working on containers, until then.
    pub(crate) async fn lock_lost(&self) -> Error {
        loop {
            tokio::time::sleep(LOCK_PACE).await;
            let (held, found) = (self.lock.metadata(), fs::metadata(self.path.join(LOCK_FILE)));
            let is_same =
                |held: &Metadata, found: &Metadata| (held.dev(), held.ino()) == (found.dev(), found.ino());
            match (held, found) {
                (Ok(held), Ok(found)) if is_same(&held, &found) => {}
                (_, Err(error)) if error.kind() != io::ErrorKind::NotFound => {
                    // A disk that cannot be read says nothing about the lock.
                    tracing::debug!("could not look at the lock: {error}");
                }
                (_, _) => return Error::LockLost { path: self.path.clone() },
            }
        }
    }

    fn endpoint_path(&self) -> PathBuf {
        self.path.join("endpoint")
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // Another server's, once the lock was taken away from this one, stays.
        let path = self.endpoint_path();
        if let Some(written) = &self.endpoint
            && fs::read_to_string(&path).is_ok_and(|found| found == *written)
        {
            // Nothing can be done about a failure here, and a client finds out at its first call.
            let _ = fs::remove_file(path);
        }
    }
}

/// Waits a little: what a server forked just before it was killed has a copy of its lock until it executes.
fn take(lock: &File) -> rustix::io::Result<()> {
    for _ in 1..LOCK_TRIES {
        match flock(lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(LOCK_PAUSE),
            taken => return taken,
        }
    }
    flock(lock, FlockOperation::NonBlockingLockExclusive)
}

/// Writes a file so that a reader, or a crash, finds the old content or the new one, never half of either.
/// Mode 0600.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    let Some(parent) = path.parent() else { return Ok(()) };
    File::open(parent)?.sync_all()
}

/// Refuses a directory that is open to others and not ours; closes one that is ours or empty.
fn keep_private(path: &Path) -> Result<Freshness, Error> {
    if refuse_foreign(path)? == Privacy::Open {
        fs::set_permissions(path, Permissions::from_mode(0o700))
            .map_err(FileError::on("close to others", path))?;
    }
    Ok(if is_ours(path) { Freshness::Known } else { Freshness::New })
}

/// Whether others may enter a directory of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privacy {
    Closed,
    Open,
}

/// Looks at a directory without changing it.
///
/// # Errors
/// [`Error::NotOurs`] for one that is open to others and holds what is not ours.
pub(crate) fn refuse_foreign(path: &Path) -> Result<Privacy, Error> {
    let mode = fs::metadata(path).map_err(FileError::on("open", path))?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(Privacy::Closed);
    }
    let mut entries = fs::read_dir(path).map_err(FileError::on("read", path))?;
    if !is_ours(path) && entries.next().is_some() {
        return Err(Error::NotOurs { path: path.to_owned() });
    }
    Ok(Privacy::Open)
}

fn is_ours(path: &Path) -> bool {
    [LOCK_FILE, "credentials.toml"].iter().any(|name| path.join(name).exists())
}

fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    match lock.take(16).read_to_string(&mut text).ok().and_then(|_| text.trim().parse::<u32>().ok()) {
        Some(process) => format!(" (process {process})"),
        None => String::new(),
    }
}

fn callable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, bound.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_directory_is_private_and_new_only_once() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");

        let first = DataDir::open(&path).unwrap();

        assert_eq!(mode(&path), 0o700);
        assert_eq!(first.freshness(), Freshness::New);
        drop(first);
        assert_eq!(DataDir::open(&path).unwrap().freshness(), Freshness::Known);
    }

    #[test]
    fn an_empty_open_directory_is_closed() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("empty");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();

        DataDir::open(&path).unwrap();

        assert_eq!(mode(&path), 0o700);
    }

    #[test]
    fn an_open_directory_with_other_files_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        fs::set_permissions(parent.path(), Permissions::from_mode(0o755)).unwrap();
        fs::write(parent.path().join("photo.jpg"), "").unwrap();

        let Err(error) = DataDir::open(parent.path()) else { panic!("opened") };

        assert!(matches!(error, Error::NotOurs { .. }), "{error}");
        assert_eq!(mode(parent.path()), 0o755);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_second_server_is_refused_and_the_first_unharmed() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = DataDir::open(dir.path()).unwrap();
        first.write_endpoint(Scheme::Http, "127.0.0.1:9".parse().unwrap()).unwrap();

        let Err(error) = DataDir::open(dir.path()) else { panic!("opened twice") };

        let process = format!("process {}", std::process::id());
        assert!(error.to_string().contains(&process), "{error}");
        assert!(dir.path().join("endpoint").exists());
        drop(first);
        DataDir::open(dir.path()).unwrap();
    }

    #[test]
    fn the_copy_of_a_killed_servers_lock_in_a_child_that_has_not_executed_yet_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let killed = DataDir::open(dir.path()).unwrap();
        let copy = killed.lock.try_clone().unwrap();
        drop(killed);

        std::thread::scope(|scope| {
            let next = scope.spawn(|| DataDir::open(dir.path()).map(drop));
            std::thread::sleep(LOCK_PAUSE * 5);
            drop(copy);

            next.join().unwrap().unwrap();
        });
    }

    #[tokio::test]
    async fn a_server_whose_lock_was_removed_hears_of_it_and_leaves_the_endpoint_of_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = DataDir::open(dir.path()).unwrap();
        first.write_endpoint(Scheme::Http, "127.0.0.1:9".parse().unwrap()).unwrap();
        let unharmed = tokio::time::timeout(LOCK_PACE * 3, first.lock_lost()).await;
        assert!(unharmed.is_err(), "nothing was taken away");

        fs::remove_file(dir.path().join(LOCK_FILE)).unwrap();
        let mut second = DataDir::open(dir.path()).unwrap();
        second.write_endpoint(Scheme::Http, "127.0.0.1:10".parse().unwrap()).unwrap();
        let lost = first.lock_lost().await;
        drop(first);

        assert!(matches!(lost, Error::LockLost { .. }), "{lost}");
        assert_eq!(fs::read_to_string(dir.path().join("endpoint")).unwrap(), "http://127.0.0.1:10\n");
    }

    #[test]
    fn the_endpoint_can_be_called_and_goes_with_the_server() {
        let dir = tempfile::tempdir().unwrap();
        let mut data_dir = DataDir::open(dir.path()).unwrap();
        fs::write(dir.path().join("endpoint"), "http://127.0.0.1:1, left by a killed server\n").unwrap();

        for (bound, expected) in [
            ("127.0.0.1:8420", "http://127.0.0.1:8420\n"),
            ("0.0.0.0:8420", "http://127.0.0.1:8420\n"),
            ("[::]:8420", "http://[::1]:8420\n"),
            ("192.0.2.7:80", "http://192.0.2.7:80\n"),
        ] {
            data_dir.write_endpoint(Scheme::Http, bound.parse().unwrap()).unwrap();
            assert_eq!(fs::read_to_string(dir.path().join("endpoint")).unwrap(), expected);
        }
        drop(data_dir);
        assert!(!dir.path().join("endpoint").exists());
    }
}
