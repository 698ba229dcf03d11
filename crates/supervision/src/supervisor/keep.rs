//! What stays of a released instance: logs and exit records, readable for a day, bounded in number
//! (`decisions.md` §2.3). Everything else of it is removed.

use super::steps::{Error, remove_directory};
use crate::directory::Directory;
use crate::host::Host;
use crate::kernel::{Groups, Kernel};
use crate::layout::{self, ContainerKey, Layout};
use crate::reconcile::state::containers;
use crate::record::{self, InstanceRecord};
use ensemble_model::id::InstanceId;
use std::io;
use std::path::{Path, PathBuf};

const KEPT_MS: i64 = 24 * 60 * 60 * 1_000;

/// Beyond this the oldest go first.
const KEPT_AT_MOST: usize = 1_000;

/// Moves the instance's directory to the kept ones, without what only a running container needs.
pub(super) fn keep<K: Kernel, G: Groups>(host: Host<'_, K, G>, id: &InstanceId) -> Result<(), Error> {
    let Host { kernel, layout, .. } = host;
    let directory = layout.instance(id);
    let record = match record::read::<InstanceRecord>(kernel, &layout::instance_record(&directory)) {
        Ok(Some(record)) => record,
        // Nothing there to keep, or nothing by which it could be found again.
        Ok(None) | Err(record::Error::Malformed { .. }) => return remove_directory(kernel, &directory),
        Err(error) => return Err(error.into()),
    };
    for key in containers(&record.id, &record.template) {
        strip(kernel, &layout.container(&key))?;
    }
    let released = layout.released();
    kernel.make_directory(&released).map_err(Error::file("make", &released))?;
    let kept = released.join(format!("{}.{}", layout::name(id.as_str()), kernel.clocks().wall.0));
    kernel.rename(&directory, &kept).map_err(Error::file("move", &directory))
}

fn strip(kernel: &impl Kernel, directory: &Directory) -> Result<(), Error> {
    remove_directory(kernel, &directory.work())?;
    for path in
        [directory.order(), directory.spec(), directory.lock(), directory.attempt(), directory.running()]
    {
        match kernel.remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::file("remove", &path)(error));
            }
            Err(_) | Ok(()) => {}
        }
    }
    Ok(())
}

/// Removes what is older than a day or too much.
pub(super) fn forget_old<K: Kernel, G: Groups>(host: Host<'_, K, G>) -> Result<(), Error> {
    let Host { kernel, layout, .. } = host;
    let mut kept = list(kernel, &layout.released())?;
    kept.sort();
    let oldest = kernel.clocks().wall.0 - KEPT_MS;
    let surplus = kept.len().saturating_sub(KEPT_AT_MOST);
    for (index, (at, path)) in kept.iter().enumerate() {
        if index < surplus || *at < oldest {
            remove_directory(kernel, path)?;
        }
    }
    Ok(())
}

/// The newest kept directory of a released instance that had this container.
///
/// # Errors
/// The kept ones cannot be listed.
pub fn find(kernel: &impl Kernel, layout: &Layout, key: &ContainerKey) -> Result<Option<Directory>, Error> {
    let prefix = format!("{}.", layout::name(key.pod.instance.as_str()));
    let mut kept = list(kernel, &layout.released())?;
    kept.retain(|(_, path)| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&prefix))
    });
    kept.sort();
    let directories =
        kept.iter().rev().map(|(_, path)| Layout::kept_container(path, &key.pod, &key.container));
    Ok(directories.into_iter().find(|directory| kernel.list(directory.path()).is_ok()))
}

/// Kept directories with the wall time at which they were released.
fn list(kernel: &impl Kernel, released: &Path) -> Result<Vec<(i64, PathBuf)>, Error> {
    let entries = match kernel.list(released) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::file("list", released)(error)),
    };
    let kept = entries.into_iter().map(|entry| {
        let name = entry.name.to_str().unwrap_or_default();
        // One without a time was not made here; it counts as old.
        let at = name.rsplit_once('.').and_then(|(_, at)| at.parse().ok()).unwrap_or(0);
        (at, released.join(&entry.name))
    });
    Ok(kept.collect())
}
