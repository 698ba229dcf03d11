//! Whether the data directory can hold images and containers. Where it does not exist yet, the nearest directory
//! above it is asked: it will be on the same file system.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;
use rustix::fs::Access;
use rustix::mount::MountPropagationFlags;

use super::{Finding, apart, chain};
use crate::embedded::rootfs;

const NAME: &str = "data directory";
const ROOM: &str = "room";
const OVERLAY: &str = "overlay";

/// Bytes below which the first image may not fit.
const ROOM_NEEDED: u64 = 256 << 20;
/// Bytes below which images and logs soon fill it.
const ROOM_WISHED: u64 = 2 << 30;
/// Files of one average root file system.
const FILES_WISHED: u64 = 20_000;

pub(super) fn check(data_dir: &Path, are_rights_there: bool) -> Vec<Finding> {
    let Some(place) = nearest_directory(data_dir) else {
        return vec![Finding::missing(NAME, "no directory leads to it", make_command(data_dir))];
    };
    let mut findings = vec![check_directory(data_dir, &place), check_room(data_dir, &place)];
    findings.push(if are_rights_there { check_overlay(&place) } else { Finding::untried(OVERLAY) });
    findings
}

/// The directory itself, or the first one above it that is there.
fn nearest_directory(data_dir: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(data_dir).ok()?;
    absolute.ancestors().find(|path| path.symlink_metadata().is_ok()).map(Path::to_owned)
}

fn make_command(data_dir: &Path) -> String {
    format!("mkdir -p '{0}' && chmod 700 '{0}'", data_dir.display())
}

fn check_directory(data_dir: &Path, place: &Path) -> Finding {
    let shown = data_dir.display();
    if !place.is_dir() {
        let text = format!("`{}` is in the way of `{shown}`: it is no directory", place.display());
        return Finding::missing(NAME, text, other_place());
    }
    if let Err(errno) = rustix::fs::access(place, Access::WRITE_OK | Access::EXEC_OK) {
        let text = format!("`{}` cannot be written to: {}", place.display(), io::Error::from(errno));
        return Finding::missing(NAME, text, other_place());
    }
    // Some file systems, like /proc, say yes until one tries.
    if let Err(error) = tempfile::Builder::new().prefix(".ensemble-trial-").tempdir_in(place) {
        let text = format!("nothing can be made in `{}`: {error}", place.display());
        return Finding::missing(NAME, text, other_place());
    }
    if place == data_dir {
        Finding::fine(NAME, format!("`{shown}` is there and can be written to"))
    } else {
        Finding::fine(NAME, format!("`{shown}` will be made"))
    }
}

/// Whether the directory holds images already, so that a server has run on it.
#[derive(Clone, Copy)]
enum Uses {
    None,
    Some,
}

fn check_room(data_dir: &Path, place: &Path) -> Finding {
    let uses = if data_dir.join("images").is_dir() { Uses::Some } else { Uses::None };
    match rustix::fs::statvfs(place) {
        Ok(stat) => {
            let files = if stat.f_files == 0 { u64::MAX } else { stat.f_favail };
            judge_room(stat.f_bavail.saturating_mul(stat.f_frsize), files, uses)
        }
        Err(errno) => {
            let text = format!(
                "`{}` does not say how much room it has: {}",
                place.display(),
                io::Error::from(errno)
            );
            Finding::warning(ROOM, text, format!("df -h '{}'", place.display()))
        }
    }
}

fn judge_room(bytes: u64, files: u64, uses: Uses) -> Finding {
    let text = format!("{} MiB are free for images, containers and logs", bytes >> 20);
    if bytes < ROOM_NEEDED {
        return match uses {
            Uses::None => Finding::missing(ROOM, text, other_place()),
            // What runs must be taken over, and images can only be pruned by a server.
            Uses::Some => Finding::warning(ROOM, format!("only {text}"), "ensemble image prune".to_owned()),
        };
    }
    if bytes < ROOM_WISHED {
        return Finding::warning(ROOM, format!("only {text}"), other_place());
    }
    if files < FILES_WISHED {
        return Finding::warning(ROOM, format!("only {files} more files fit"), other_place());
    }
    Finding::fine(ROOM, text)
}

fn other_place() -> String {
    "ensemble serve --data-dir DIR, with DIR on a local ext4 or xfs with more room".to_owned()
}

/// Mounts one, in a mount namespace of its own, and writes through it.
fn check_overlay(place: &Path) -> Finding {
    let directory = match tempfile::Builder::new().prefix(".ensemble-trial-").tempdir_in(place) {
        Ok(directory) => directory,
        Err(_) => return Finding::untried(OVERLAY),
    };
    let tried = apart(CloneFlags::CLONE_NEWNS, || try_overlay(directory.path()));
    match tried {
        Ok(Ok(())) => Finding::fine(OVERLAY, "images can be stacked on the data directory's file system"),
        Ok(Err(error)) => {
            let mend = match &error {
                Trial::Mount(rootfs::Error::NoOverlay) => "modprobe overlay".to_owned(),
                _ => other_place(),
            };
            Finding::missing(OVERLAY, chain(&error), mend)
        }
        Err(error) => Finding::missing(
            OVERLAY,
            format!("a mount namespace could not be made: {error}"),
            "docker run --privileged --cgroupns host IMAGE ensemble serve",
        ),
    }
}

#[derive(Debug, thiserror::Error)]
enum Trial {
    #[error(transparent)]
    Mount(rootfs::Error),
    #[error("a mounted overlay does not work")]
    Use(#[source] io::Error),
}

fn try_overlay(directory: &Path) -> Result<(), Trial> {
    let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
    rustix::mount::mount_change("/", private).map_err(|errno| Trial::Use(errno.into()))?;
    let (layer, target) = (directory.join("layer"), directory.join("target"));
    fs::create_dir(&layer)
        .and_then(|()| fs::set_permissions(&layer, fs::Permissions::from_mode(0o755)))
        .and_then(|()| fs::write(layer.join("file"), "below"))
        .map_err(Trial::Use)?;
    rootfs::mount(&[layer], &directory.join("upper"), &directory.join("work"), &target)
        .map_err(Trial::Mount)?;
    let used = fs::write(target.join("file"), "above").and_then(|()| fs::remove_file(target.join("file")));
    used.map_err(Trial::Use)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::image::sample::is_root_or_skipped;
    use crate::embedded::preflight::Severity;

    #[test]
    fn room_is_judged_by_bytes_and_files() {
        for (bytes, files, severity) in [
            (10 << 30, 1_000_000, Severity::Fine),
            (10 << 30, u64::MAX, Severity::Fine),
            (10 << 30, 10, Severity::Warning),
            (1 << 30, 1_000_000, Severity::Warning),
            (1 << 20, 1_000_000, Severity::Missing),
            (0, 0, Severity::Missing),
        ] {
            assert_eq!(judge_room(bytes, files, Uses::None).severity, severity, "{bytes} {files}");
        }
    }

    #[test]
    fn a_full_disk_keeps_no_server_from_what_runs_on_it_already() {
        assert_eq!(judge_room(0, 0, Uses::Some).severity, Severity::Warning);
    }

    #[test]
    fn a_directory_that_cannot_be_is_said_to_be() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();

        for (path, severity, word) in [
            (directory.path().to_owned(), Severity::Fine, "is there"),
            (directory.path().join("a/b"), Severity::Fine, "will be made"),
            (file.clone(), Severity::Missing, "no directory"),
            (file.join("below"), Severity::Missing, "no directory"),
            (PathBuf::from("/proc/ensemble"), Severity::Missing, "/proc"),
        ] {
            let finding = check_directory(&path, &nearest_directory(&path).unwrap());

            assert_eq!(finding.severity, severity, "{finding:?}");
            assert!(finding.text.contains(word), "{finding:?}");
        }
    }

    #[test]
    fn a_data_directory_on_an_overlay_is_refused_by_its_name() {
        if !is_root_or_skipped("a_data_directory_on_an_overlay_is_refused_by_its_name") {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let finding = apart(CloneFlags::CLONE_NEWNS, || {
            try_overlay(directory.path()).unwrap();
            check_overlay(&directory.path().join("target"))
        });

        let finding = finding.unwrap();
        assert_eq!(finding.severity, Severity::Missing);
        assert!(finding.text.contains("another overlay"), "{finding:?}");
    }
}
