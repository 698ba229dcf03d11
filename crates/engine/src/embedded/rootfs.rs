//! A container's root file system: an overlay of image layers with a layer of its own on top.
//! For the shim's private mount namespace: must not be called where the mount would be seen by others.

use std::ffi::CString;
use std::fmt::Write as _;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::mount::MountFlags;

/// Bytes of mount options that the kernel takes: one page with its end.
const OPTIONS_LIMIT: usize = 4095;
/// Where open descriptors have names of two or three digits.
const DESCRIPTORS: &str = "/proc/self/fd";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a root file system needs at least one layer")]
    NoLayers,
    #[error("`{path}` must be an absolute path")]
    Relative { path: PathBuf },
    #[error("{layers} layers are more than one mount can name")]
    TooManyLayers { layers: usize },
    #[error("layer `{path}` is missing or cannot be opened")]
    Layer {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not prepare `{path}`")]
    Directory {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "`{path}` is on {kind}, which cannot hold the upper layer of an overlay; use ext4, xfs, btrfs or tmpfs"
    )]
    CannotHoldUpper { path: PathBuf, kind: &'static str },
    #[error("`{upper}` and `{work}` are not on one file system")]
    Apart { upper: PathBuf, work: PathBuf },
    #[error(
        "`{work}` was used by an earlier mount; its upper layer may be damaged, so both must be made anew"
    )]
    UsedBefore { work: PathBuf },
    #[error("the kernel has no overlay file system; `modprobe overlay` loads it where it is a module")]
    NoOverlay,
    #[error("mounting needs the capability CAP_SYS_ADMIN; run as root")]
    NotPermitted,
    #[error("could not mount an overlay of {layers} layers at `{target}`")]
    Mount {
        layers: usize,
        target: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Mounts `layers` (**topmost first**) at `target`, with `upper` on top and `work` for the kernel's own use.
/// The last three are made where they are missing; `upper` gets owner and permissions of the topmost layer's
/// root. `upper` and `work` must be new for each mount: the overlay is volatile, nothing in it is synced.
///
/// Only for a process with a single thread and a mount namespace of its own. The working directory is `/`
/// afterwards, whatever the outcome.
///
/// # Errors
/// Each says what is missing or what to change.
pub fn mount(layers: &[PathBuf], upper: &Path, work: &Path, target: &Path) -> Result<(), Error> {
    let top = layers.first().ok_or(Error::NoLayers)?;
    if !target.is_absolute() {
        return Err(Error::Relative { path: target.to_owned() });
    }
    for path in [upper, work, target] {
        make_directory(path)?;
    }
    let lower: Vec<OwnedFd> = layers.iter().map(|path| open_layer(path)).collect::<Result<_, _>>()?;
    let upper_directory = open_directory(upper)?;
    let work_directory = open_directory(work)?;
    can_hold_upper(upper)?;
    check_pair(upper, work, &upper_directory, &work_directory)?;
    take_after(upper, &upper_directory, top, &lower[0])?;
    let options = options(&lower, &upper_directory, &work_directory)?;

    // Names of descriptors are short, so that hundreds of layers fit, and hold no `:` or `,` to be escaped.
    let mounted = rustix::process::chdir(DESCRIPTORS).and_then(|()| {
        rustix::mount::mount("overlay", target, "overlay", MountFlags::NODEV, options.as_c_str())
    });
    let back = rustix::process::chdir("/");
    mounted.and(back).map_err(|errno| match errno {
        Errno::NODEV => Error::NoOverlay,
        Errno::PERM => Error::NotPermitted,
        errno => Error::Mount { layers: layers.len(), target: target.to_owned(), source: errno.into() },
    })
}

/// Checks that a directory is on a file system that can hold upper layers (runtime.md §0.10).
///
/// # Errors
/// [`Error::CannotHoldUpper`] naming the file system, [`Error::Directory`] if it cannot be asked.
pub fn can_hold_upper(path: &Path) -> Result<(), Error> {
    let stat = rustix::fs::statfs(path)
        .map_err(|errno| Error::Directory { path: path.to_owned(), source: errno.into() })?;
    // Those without whiteouts or trusted attributes, by their magic numbers (linux/magic.h).
    let kind = match stat.f_type as u64 & 0xffff_ffff {
        0x794c_7630 => "another overlay",
        0x6969 => "NFS",
        0x6573_5546 => "FUSE",
        0x0102_1997 => "9p",
        0x4d44 | 0x2011_bab0 => "a FAT file system",
        0xff53_4d42 | 0xfe53_4d42 | 0x517b => "SMB",
        0x7371_7368 | 0xe0f5_e1e2 | 0x9660 => "a read-only file system",
        _ => return Ok(()),
    };
    Err(Error::CannotHoldUpper { path: path.to_owned(), kind })
}

fn make_directory(path: &Path) -> Result<(), Error> {
    match DirBuilder::new().mode(0o755).create(path) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(Error::Directory { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn open_layer(path: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .map_err(|errno| Error::Layer { path: path.to_owned(), source: errno.into() })
}

fn open_directory(path: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .map_err(|errno| Error::Directory { path: path.to_owned(), source: errno.into() })
}

/// The kernel answers both of these with a bare "invalid argument".
fn check_pair(upper: &Path, work: &Path, upper_fd: &OwnedFd, work_fd: &OwnedFd) -> Result<(), Error> {
    let fail = |path: &Path, errno: Errno| Error::Directory { path: path.to_owned(), source: errno.into() };
    let upper_stat = rustix::fs::fstat(upper_fd).map_err(|errno| fail(upper, errno))?;
    let work_stat = rustix::fs::fstat(work_fd).map_err(|errno| fail(work, errno))?;
    if upper_stat.st_dev != work_stat.st_dev {
        return Err(Error::Apart { upper: upper.to_owned(), work: work.to_owned() });
    }
    if work.join("work/incompat/volatile").exists() {
        return Err(Error::UsedBefore { work: work.to_owned() });
    }
    Ok(())
}

/// The merged root shows the upper directory's own attributes, so they must be those of the image.
fn take_after(upper: &Path, upper_fd: &OwnedFd, top: &Path, top_fd: &OwnedFd) -> Result<(), Error> {
    let root = rustix::fs::fstat(top_fd)
        .map_err(|errno| Error::Layer { path: top.to_owned(), source: errno.into() })?;
    rustix::fs::fchown(upper_fd, Some(Uid::from_raw(root.st_uid)), Some(Gid::from_raw(root.st_gid)))
        .and_then(|()| rustix::fs::fchmod(upper_fd, Mode::from_raw_mode(root.st_mode & 0o7777)))
        .map_err(|errno| Error::Directory { path: upper.to_owned(), source: errno.into() })
}

fn options(lower: &[OwnedFd], upper: &OwnedFd, work: &OwnedFd) -> Result<CString, Error> {
    let mut text = String::from("volatile,lowerdir=");
    for (index, layer) in lower.iter().enumerate() {
        let colon = if index == 0 { "" } else { ":" };
        let _ = write!(text, "{colon}{}", layer.as_raw_fd());
    }
    let _ = write!(text, ",upperdir={},workdir={}", upper.as_raw_fd(), work.as_raw_fd());
    if text.len() > OPTIONS_LIMIT {
        return Err(Error::TooManyLayers { layers: lower.len() });
    }
    Ok(CString::new(text).expect("digits and words hold no NUL"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::image::sample::is_root_or_skipped;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    /// Runs the body in a thread with a mount namespace and working directory of its own, both gone with it.
    fn in_private_namespace(body: impl FnOnce(&Path) + Send) {
        let directory = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
                let private =
                    rustix::mount::MountPropagationFlags::REC | rustix::mount::MountPropagationFlags::PRIVATE;
                rustix::mount::mount_change("/", private).unwrap();
                body(directory.path());
            });
            thread.join().unwrap();
        });
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(directory.path().to_str().unwrap()), "a mount leaked");
    }

    fn layer(path: PathBuf, file: &str, text: &str) -> PathBuf {
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join(file), text).unwrap();
        path
    }

    #[test]
    fn the_topmost_layer_comes_first_and_writes_go_to_the_upper() {
        if !is_root_or_skipped("the_topmost_layer_comes_first_and_writes_go_to_the_upper") {
            return;
        }
        in_private_namespace(|bench| {
            let base = layer(bench.join("base"), "file", "base");
            let top = layer(bench.join("top"), "file", "top");
            fs::set_permissions(&top, fs::Permissions::from_mode(0o711)).unwrap();
            let (upper, target) = (bench.join("upper"), bench.join("target"));

            mount(&[top.clone(), base], &upper, &bench.join("work"), &target).unwrap();

            assert_eq!(fs::read_to_string(target.join("file")).unwrap(), "top");
            assert_eq!(fs::metadata(&target).unwrap().mode() & 0o7777, 0o711);
            fs::write(target.join("file"), "mine").unwrap();
            assert_eq!(fs::read_to_string(upper.join("file")).unwrap(), "mine");
            assert_eq!(fs::read_to_string(top.join("file")).unwrap(), "top");
            assert_eq!(std::env::current_dir().unwrap(), Path::new("/"));
        });
    }

    #[test]
    fn hundreds_of_layers_with_long_and_strange_names_fit() {
        if !is_root_or_skipped("hundreds_of_layers_with_long_and_strange_names_fit") {
            return;
        }
        in_private_namespace(|bench| {
            let strange = bench.join(format!("a:b,c\\d{}", "x".repeat(150)));
            let layers: Vec<_> = (0..400)
                .map(|number| layer(strange.join(format!("{number}")), &format!("file-{number}"), "data"))
                .collect();
            let target = strange.join("target");

            mount(&layers, &strange.join("upper"), &strange.join("work"), &target).unwrap();

            assert_eq!(fs::read_dir(&target).unwrap().count(), 400);
        });
    }

    #[test]
    fn an_error_says_what_is_missing() {
        if !is_root_or_skipped("an_error_says_what_is_missing") {
            return;
        }
        in_private_namespace(|bench| {
            let base = layer(bench.join("base"), "file", "");
            let at = |name: &str| bench.join(name);
            let missing = at("missing");
            let layers = [base];

            let none = mount(&[], &at("u"), &at("w"), &at("t")).unwrap_err();
            let gone = mount(std::slice::from_ref(&missing), &at("u"), &at("w"), &at("t")).unwrap_err();
            let parentless = mount(&layers, &missing.join("u"), &at("w"), &at("t")).unwrap_err();
            mount(&layers, &at("u"), &at("w"), &at("t")).unwrap();
            let on_overlay = mount(&layers, &at("t/u"), &at("t/w"), &at("t2")).unwrap_err();
            let again = mount(&layers, &at("u"), &at("w"), &at("t3")).unwrap_err();
            let apart = mount(&layers, &at("u"), Path::new("/dev/shm"), &at("t4")).unwrap_err();

            assert!(matches!(none, Error::NoLayers));
            assert!(matches!(gone, Error::Layer { path, .. } if path == missing));
            assert!(matches!(parentless, Error::Directory { .. }));
            assert!(
                matches!(on_overlay, Error::CannotHoldUpper { kind: "another overlay", .. }),
                "{on_overlay}"
            );
            assert!(matches!(again, Error::UsedBefore { .. }), "{again}");
            assert!(matches!(apart, Error::Apart { .. }), "{apart}");
        });
    }
}
