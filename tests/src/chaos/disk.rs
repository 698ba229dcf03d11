//! A small disk of our own under the data directory, that can be filled to the last byte and freed: a `tmpfs`, mounted
//! for the run and taken off again. Touches no other mount.

use anyhow::{Result, ensure};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const BALLAST: &str = "ballast";
/// Written at a time while the disk is filled; the last pieces are single bytes.
const PIECE: usize = 1 << 20;

/// A mount that somebody still looks into goes a moment later.
const UNMOUNTS: usize = 50;
const PAUSE: Duration = Duration::from_millis(100);

pub struct Disk {
    path: PathBuf,
}

impl Disk {
    /// # Errors
    /// When `mount` refuses.
    pub fn mount(path: PathBuf, size_mib: u32) -> Result<Self> {
        std::fs::create_dir_all(&path)?;
        let options = format!("size={size_mib}m,mode=0700");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "ensemble-chaos"])
            .arg(&path)
            .status()?;
        ensure!(status.success(), "no disk could be mounted on `{}`", path.display());
        Ok(Self { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves no byte free. Whoever frees something meanwhile has that much.
    ///
    /// # Errors
    /// For any other reason than a full disk.
    pub fn fill(&self) -> Result<()> {
        let mut ballast = File::options().create(true).append(true).open(self.path.join(BALLAST))?;
        let mut piece = vec![0_u8; PIECE];
        while !piece.is_empty() {
            match ballast.write(&piece) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                    piece.truncate(piece.len() / 2);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Takes away what filled it.
    ///
    /// # Errors
    /// When the ballast cannot be removed.
    pub fn free(&self) -> Result<()> {
        match std::fs::remove_file(self.path.join(BALLAST)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            Err(_) | Ok(()) => Ok(()),
        }
    }

    /// Takes the disk off the machine.
    ///
    /// # Errors
    /// When something still uses it after five seconds.
    pub fn unmount(&self) -> Result<()> {
        for _ in 0..UNMOUNTS {
            if !is_mounted(&self.path)? {
                return Ok(());
            }
            let _ = Command::new("umount").arg(&self.path).output()?;
            if !is_mounted(&self.path)? {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
        anyhow::bail!("`{}` is still in use", self.path.display())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = self.unmount() {
            eprintln!("could not clean up: {error:#}");
        }
    }
}

fn is_mounted(path: &Path) -> Result<bool> {
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    Ok(mounts.lines().filter_map(|line| line.split(' ').nth(1)).any(|point| Path::new(point) == path))
}
