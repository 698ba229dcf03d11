//! The container's root file system and the parts of its spec that only the mounted root can tell, and the removal
//! of all of it. Cleaning up is idempotent: the engine does the same for a supervisor that could not.

use super::Error;
use super::order::{Directory, Order};
use crate::embedded::record::Prospect;
use crate::embedded::rootfs;
use oci_spec::runtime::Spec;
use rustix::mount::UnmountFlags;
use std::fs;

/// Mounts the layers with the container's own directory on top, in the supervisor's mount namespace.
pub(super) fn mount_root(directory: &Directory, order: &Order) -> Result<(), Error> {
    fs::create_dir_all(directory.work()).map_err(Error::step("make the working directory"))?;
    Ok(rootfs::mount(&order.layers, &directory.upper(), &directory.scratch(), &directory.root())?)
}

/// Puts into the spec what depends on the image's files: the user.
pub(super) fn complete_spec(_spec: &mut Spec, _directory: &Directory, order: &Order) -> Result<(), Error> {
    if order.user.is_empty() || order.user == "0" || order.user == "root" {
        return Ok(());
    }
    Err(Error::Program {
        reason: format!("user `{}` is not supported", order.user),
        prospect: Prospect::Hopeless,
    })
}

/// Removes the container's control groups, its root and its scratch files. Goes on after an error.
pub(super) fn clean_up(directory: &Directory, order: &Order) {
    // Best effort throughout: the engine looks at what is left and does it again.
    let _ = order.group.kill_and_remove();
    let _ = rustix::mount::unmount(directory.root(), UnmountFlags::DETACH);
    let _ = fs::remove_dir_all(directory.work());
}
