//! The life of a supervisor process, as far as it is an order of writes: take the lock and name the holder, find out
//! whether the attempt was given up, write down that the program was made, how it ended, clean up, let the lock go.
//! Called phase by phase, since the process lives long and may die between any two; what makes a container is the
//! engine's.

use crate::directory::Directory;
use crate::kernel::{Kernel, ProcessIdentity};
use crate::record::{self, End, Exit, Running};
use std::io;
use std::ops::Deref;
use std::time::Duration;

/// The engine asks for the lock by taking it for a moment; longer than this, and it is a supervisor.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(2);
pub const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// How often, and how long apart, an exit record is tried again when the disk is full.
const RECORD_TRIES: usize = 10;
const RECORD_PAUSE: Duration = Duration::from_millis(500);

/// Why a supervisor must not or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Perhaps only for a moment: worth another try within [`LOCK_PATIENCE`].
    #[error("another supervisor holds the lock")]
    Locked,
    #[error("the engine has given this attempt up")]
    GivenUp,
    #[error("could not {step}")]
    Step {
        step: &'static str,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Record(#[from] record::Error),
}

impl Error {
    fn step(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Step { step, source }
    }
}

/// What the supervisor has around its container beside files.
pub trait Enclosure {
    /// Kills what is left in the container's control group and removes it; what is not there is no error.
    ///
    /// # Errors
    /// Something lives or is still there.
    fn remove_group(&self) -> io::Result<()>;

    /// Takes the mount of the root file system away; what is not mounted may be an error.
    ///
    /// # Errors
    /// It is still mounted, or never was.
    fn unmount_root(&self) -> io::Result<()>;
}

/// A supervisor that holds its directory's lock: while it does, nobody else begins or ends an attempt there.
///
/// `R` is how it has the kernel: by reference, or counted where it outlives whoever made it.
pub struct Shim<R: Deref<Target: Kernel + Sized>> {
    kernel: R,
    directory: Directory,
    attempt: u32,
    lock: <R::Target as Kernel>::Lock,
}

/// How an attempt ended, and how long the program ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub end: End,
    pub up_ms: u64,
}

/// An exit record that is to be written.
#[derive(Clone, Debug)]
pub struct LastWord {
    exit: Exit,
    tries: usize,
}

/// What came of one try to write the exit record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    Written,
    /// The container's own files are gone now; there may be room after this pause.
    Again(Duration),
    /// Without it the engine says "lost".
    GivenUp,
}

impl<R: Deref<Target: Kernel + Sized>> Shim<R> {
    /// Takes the directory's lock, writes into it who holds it, and makes sure that the attempt is still ours to begin.
    ///
    /// # Errors
    /// [`Error::Locked`] where another holds the lock this moment, [`Error::GivenUp`] where the engine has written that
    /// the attempt was lost: the next one is not ours to begin.
    pub fn begin(kernel: R, directory: &Directory, attempt: u32) -> Result<Self, Error> {
        let lock = kernel.take_lock(&directory.lock()).map_err(Error::step("take the lock"))?;
        let shim = Self { kernel, directory: directory.clone(), attempt, lock: lock.ok_or(Error::Locked)? };
        match shim.name_holder().map_err(Error::step("write into the lock")) {
            Ok(()) if shim.is_given_up() => {
                shim.let_go();
                Err(Error::GivenUp)
            }
            Ok(()) => Ok(shim),
            Err(error) => {
                shim.let_go();
                Err(error)
            }
        }
    }

    fn name_holder(&self) -> io::Result<()> {
        let identity = serde_json::to_vec(&self.kernel.own_process()?)?;
        self.kernel.write_lock(&self.lock, &identity)
    }

    fn is_given_up(&self) -> bool {
        let exit = record::read::<Exit>(&*self.kernel, &self.directory.exit());
        matches!(exit, Ok(Some(exit)) if exit.attempt == self.attempt)
    }

    /// Writes down that the container's first process is there, before the program in it may start.
    ///
    /// # Errors
    /// Then the program must not start: nobody could tell whose it is.
    pub fn made(&self, pid: i32) -> Result<Running, Error> {
        let running = self.describe(pid).map_err(Error::step("describe the container's process"))?;
        record::write_of_process(&*self.kernel, &self.directory.running(), &running)?;
        Ok(running)
    }

    fn describe(&self, pid: i32) -> io::Result<Running> {
        let start_ticks = self.kernel.start_ticks(pid)?.ok_or_else(|| io::Error::other("it is gone"))?;
        let now = self.kernel.clocks();
        let process = ProcessIdentity { pid, start_ticks, boot_id: self.kernel.boot_id()? };
        Ok(Running { attempt: self.attempt, process, started_at: now.wall, started_boot_ms: now.boot_ms })
    }

    /// What is to be written now that the attempt has ended.
    pub fn last_word(&self, ended: Ended) -> LastWord {
        let now = self.kernel.clocks();
        let exit = Exit {
            attempt: self.attempt,
            end: ended.end,
            at: now.wall,
            boot_id: self.kernel.boot_id().unwrap_or_default(),
            at_boot_ms: now.boot_ms,
            up_ms: ended.up_ms,
        };
        LastWord { exit, tries: 0 }
    }

    /// Writes how it ended, which comes before any cleaning up. On a full disk the container's own files go first, since
    /// they may be what fills it, and then the record is to be tried again.
    pub fn write(&self, word: &mut LastWord, enclosure: &impl Enclosure) -> Tried {
        if record::write_of_process(&*self.kernel, &self.directory.exit(), &word.exit).is_ok() {
            return Tried::Written;
        }
        self.clean_up(enclosure);
        word.tries += 1;
        if word.tries < RECORD_TRIES { Tried::Again(RECORD_PAUSE) } else { Tried::GivenUp }
    }

    /// Removes the container's control groups, its root and its scratch files. Goes on after an error.
    pub fn clean_up(&self, enclosure: &impl Enclosure) {
        // Best effort throughout: the engine looks at what is left and does it again.
        let _ = enclosure.remove_group();
        let _ = enclosure.unmount_root();
        let _ = self.kernel.remove_tree(&self.directory.work());
    }

    /// The last deed: whoever finds the lock free finds everything as it will stay.
    pub fn let_go(self) {
        self.kernel.release_lock(self.lock);
    }
}

#[cfg(test)]
mod tests;
