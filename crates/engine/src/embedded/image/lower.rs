//! Looks things up in the layers below the one being unpacked, as an overlay of them would show them.
//! Reads only; what it opens is found within a layer's directory, without following any link.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::tree::{is_opaque, is_whiteout, join};

/// The directories of the lower layers, topmost first.
pub(super) struct Lower {
    layers: Vec<OwnedFd>,
}

/// What a name is in the uppermost layer that has it.
pub(super) struct Found<'a> {
    layer: &'a OwnedFd,
    path: PathBuf,
    pub(super) stat: Stat,
}

impl Lower {
    /// `layers`: topmost first.
    pub(super) fn open(layers: &[PathBuf]) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = |path: &PathBuf| rustix::fs::open(path, flags, Mode::empty());
        Ok(Self { layers: layers.iter().map(open).collect::<Result<_, _>>()? })
    }

    /// Nothing where no layer has it, or a layer above hides it.
    pub(super) fn find(&self, components: &[Vec<u8>]) -> io::Result<Option<Found<'_>>> {
        let path = join(components);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        for layer in &self.layers {
            match rustix::fs::openat2(layer, &path, flags, Mode::empty(), inside) {
                Ok(opened) => {
                    let stat = rustix::fs::fstat(&opened)?;
                    return Ok((!is_whiteout(&stat)).then_some(Found { layer, path, stat }));
                }
                Err(Errno::NOENT) if hides_below(layer, components)? => return Ok(None),
                Err(Errno::NOENT) => {}
                // A parent is a file, a link or a whiteout here: nothing of the layers below shows.
                Err(Errno::NOTDIR | Errno::LOOP) => return Ok(None),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(None)
    }
}

impl Found<'_> {
    pub(super) fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    pub(super) fn open_regular(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        Ok(File::from(rustix::fs::openat2(self.layer, &self.path, flags, Mode::empty(), inside)?))
    }
}

/// Whether a parent that this layer does have is opaque, or is itself a whiteout.
fn hides_below(layer: &OwnedFd, components: &[Vec<u8>]) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut current = layer.try_clone()?;
    for name in components {
        if is_opaque(&current)? {
            return Ok(true);
        }
        match rustix::fs::statat(&current, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {}
            Ok(_) => return Ok(true),
            Err(Errno::NOENT) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        }
        current = rustix::fs::openat(&current, name.as_slice(), flags, Mode::empty())?;
    }
    Ok(false)
}
