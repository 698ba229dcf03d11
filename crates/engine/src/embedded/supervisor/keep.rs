//! What stays of a released instance: logs and exit records, readable for a day, bounded in number
//! (`decisions.md` §2.3). Everything else of it is removed.

use super::machine::{Error, remove_directory};
use crate::embedded::kernel::{Linux, clocks};
use ensemble_model::id::InstanceId;
use ensemble_supervision::directory::Directory;
use ensemble_supervision::layout::{self, ContainerKey, Layout};
use ensemble_supervision::reconcile::state::containers;
use ensemble_supervision::record::{self, InstanceRecord};
use std::io;
use std::path::{Path, PathBuf};

const KEPT_MS: i64 = 24 * 60 * 60 * 1_000;

/// Beyond this the oldest go first.
const KEPT_AT_MOST: usize = 1_000;

/// Moves the instance's directory to the kept ones, without what only a running container needs.
pub(super) fn keep(layout: &Layout, id: &InstanceId) -> Result<(), Error> {
    let directory = layout.instance(id);
    let record = match record::read::<InstanceRecord>(&Linux, &layout::instance_record(&directory)) {
        Ok(Some(record)) => record,
        // Nothing there to keep, or nothing by which it could be found again.
        Ok(None) | Err(record::Error::Malformed { .. }) => return remove_directory(&directory),
        Err(error) => return Err(error.into()),
    };
    for key in containers(&record.id, &record.template) {
        strip(&layout.container(&key))?;
    }
    let released = layout.released();
    std::fs::create_dir_all(&released).map_err(Error::file("make", &released))?;
    let kept = released.join(format!("{}.{}", layout::name(id.as_str()), clocks().wall.0));
    std::fs::rename(&directory, &kept).map_err(Error::file("move", &directory))
}

fn strip(directory: &Directory) -> Result<(), Error> {
    remove_directory(&directory.work())?;
    for path in
        [directory.order(), directory.spec(), directory.lock(), directory.attempt(), directory.running()]
    {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::file("remove", &path)(error));
            }
            Err(_) | Ok(()) => {}
        }
    }
    Ok(())
}

/// Removes what is older than a day or too much.
pub(super) fn forget_old(layout: &Layout) -> Result<(), Error> {
    let mut kept = list(&layout.released())?;
    kept.sort();
    let oldest = clocks().wall.0 - KEPT_MS;
    let surplus = kept.len().saturating_sub(KEPT_AT_MOST);
    for (index, (at, path)) in kept.iter().enumerate() {
        if index < surplus || *at < oldest {
            remove_directory(path)?;
        }
    }
    Ok(())
}

/// The newest kept directory of a released instance that had this container.
pub(crate) fn find(layout: &Layout, key: &ContainerKey) -> Result<Option<Directory>, Error> {
    let prefix = format!("{}.", layout::name(key.pod.instance.as_str()));
    let mut kept = list(&layout.released())?;
    kept.retain(|(_, path)| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&prefix))
    });
    kept.sort();
    let directories =
        kept.iter().rev().map(|(_, path)| Layout::kept_container(path, &key.pod, &key.container));
    Ok(directories.into_iter().find(|directory| directory.path().is_dir()))
}

/// Kept directories with the wall time at which they were released.
fn list(released: &Path) -> Result<Vec<(i64, PathBuf)>, Error> {
    let entries = match std::fs::read_dir(released) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::file("list", released)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::file("list", released))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // One without a time was not made here; it counts as old.
        let at = name.rsplit_once('.').and_then(|(_, at)| at.parse().ok()).unwrap_or(0);
        found.push((at, path));
    }
    Ok(found)
}
