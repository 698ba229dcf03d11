//! The container's root file system and the parts of its spec that only the mounted root can tell, and the removal
//! of all of it. Cleaning up is idempotent: the engine does the same for a supervisor that could not.

use super::Error;
use super::order::Order;
use crate::embedded::image;
use crate::embedded::rootfs;
use ensemble_supervision::directory::Directory;
use ensemble_supervision::record::Prospect;
use ensemble_supervision::shim::Enclosure;
use oci_spec::runtime::{Spec, User};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

/// Mounts the layers with the container's own directory on top, in the supervisor's mount namespace.
pub(super) fn mount_root(directory: &Directory, order: &Order) -> Result<(), Error> {
    fs::create_dir_all(directory.work()).map_err(Error::step("make the working directory"))?;
    Ok(rootfs::mount(&order.layers, &directory.upper(), &directory.scratch(), &directory.root())?)
}

/// Puts into the spec what depends on the image's files: who the program runs as; and makes its working directory.
pub(super) fn complete_spec(spec: &mut Spec, directory: &Directory, order: &Order) -> Result<(), Error> {
    let identity = image::lookup_user(&directory.root(), &order.user)?;
    let Some(process) = spec.process_mut() else { return Ok(()) };
    let mut user = User::default();
    user.set_uid(identity.uid).set_gid(identity.gid).set_additional_gids(Some(identity.groups));
    process.set_user(user);
    let mut environment = process.env().clone().unwrap_or_default();
    if !environment.iter().any(|variable| variable.starts_with("HOME=")) {
        environment.push(format!("HOME={}", identity.home));
        process.set_env(Some(environment));
    }
    make_inside(&directory.root(), process.cwd()).map_err(|error| Error::Program {
        reason: format!("the working directory `{}` cannot be made: {error}", process.cwd().display()),
        prospect: Prospect::Hopeless,
    })
}

/// Makes a directory and those above it in the image, as root's, without ever leaving the image by a link.
fn make_inside(root: &Path, path: &Path) -> io::Result<()> {
    let open = |parent: &OwnedFd, path: &Path| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat2(
            parent,
            path,
            flags,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        )
    };
    let root = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut parent = root.try_clone()?;
    let mut prefix = PathBuf::new();
    for component in path.components() {
        let Component::Normal(name) = component else { continue };
        prefix.push(name);
        parent = match open(&root, &prefix) {
            Ok(found) => found,
            Err(Errno::NOENT) => {
                rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
                open(&root, &prefix)?
            }
            Err(error) => return Err(error.into()),
        };
    }
    Ok(())
}

/// What a supervisor takes away of its container beside files.
pub(super) struct Surroundings<'a> {
    pub(super) directory: &'a Directory,
    pub(super) order: &'a Order,
}

impl Enclosure for Surroundings<'_> {
    fn remove_group(&self) -> io::Result<()> {
        Ok(self.order.group.kill_and_remove()?)
    }

    fn unmount_root(&self) -> io::Result<()> {
        Ok(rustix::mount::unmount(self.directory.root(), UnmountFlags::DETACH)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_working_directory_is_made_inside_the_image_whatever_its_links_say() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().join("root");
        fs::create_dir_all(root.join("there")).unwrap();
        std::os::unix::fs::symlink("/there", root.join("link")).unwrap();
        std::os::unix::fs::symlink("../../..", root.join("out")).unwrap();
        std::os::unix::fs::symlink("/nowhere", root.join("dangling")).unwrap();
        fs::write(root.join("file"), b"").unwrap();
        let check = |path: &str, expected: Option<&str>| match expected {
            Some(made) => {
                make_inside(&root, Path::new(path)).unwrap();
                assert!(root.join(made).is_dir(), "{path}");
            }
            None => assert!(make_inside(&root, Path::new(path)).is_err(), "{path}"),
        };
        check("/", Some(""));
        check("/a/b/c", Some("a/b/c"));
        check("/link/below", Some("there/below"));
        check("/out/inside", Some("inside"));
        check("/file/x", None);
        check("/dangling/x", None);

        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 1, "nothing was made outside");
    }
}
