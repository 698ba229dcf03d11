//! The supervisor of one container: a process of its own, one thread, no runtime, no log subscriber (libcontainer's
//! log lines would land in the container's output). It outlives the control plane: creates the container, drains
//! its output, waits, writes down how it ended, cleans up.
//! It takes orders only from files and signals, and never touches another container's directory.

mod create;
mod executor;
mod finish;
pub mod order;
pub mod output;
mod stage;
mod watch;

use super::image;
use super::kernel::{self, Linux, clocks};
use super::rootfs;
use ensemble_supervision::directory::Directory;
use ensemble_supervision::record::{self, End, Exit, Prospect};
use order::Order;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// How often, and how long apart, an exit record is tried again when the disk is full.
const RECORD_TRIES: usize = 10;
const RECORD_PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("there is no order in `{directory}`")]
    NoOrder { directory: String },
    #[error(transparent)]
    Record(#[from] record::Error),
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
    #[error("could not mount the root file system")]
    Root(#[from] rootfs::Error),
    #[error("the image cannot be run")]
    Image(#[from] image::Error),
    #[error("{reason}")]
    Program { reason: String, prospect: Prospect },
}

impl Error {
    fn step(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Step { step, source }
    }

    fn prospect(&self) -> Prospect {
        match self {
            Self::Program { prospect, .. } => *prospect,
            Self::Image(error) if error.is_hopeless() => Prospect::Hopeless,
            Self::Image(_)
            | Self::NoOrder { .. }
            | Self::Record(_)
            | Self::Locked
            | Self::GivenUp
            | Self::Step { .. }
            | Self::Root(_) => Prospect::Retry,
        }
    }

    /// The whole chain on one line.
    fn sentence(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }
}

/// Supervises the container whose directory this is, until it has ended and is cleaned up.
///
/// Returns failure only when it was not allowed to begin: another supervisor is there, or no order is. Everything
/// later is told by the exit record.
pub fn main(directory: &Path) -> ExitCode {
    let directory = Directory::new(std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned()));
    match supervise(&directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Read by whoever starts it by hand; the engine gives it nowhere to write.
            eprintln!("error: {}", error.sentence());
            ExitCode::FAILURE
        }
    }
}

fn supervise(directory: &Directory) -> Result<(), Error> {
    let missing = || Error::NoOrder { directory: directory.path().display().to_string() };
    let order: Order = record::read(&Linux, &directory.order())?.ok_or_else(missing)?;
    let lock = stage::take_lock(directory)?;
    // Started so late that the engine has given this attempt up: the next one is not ours to begin.
    if matches!(record::read::<Exit>(&Linux, &directory.exit()), Ok(Some(exit)) if exit.attempt == order.attempt)
    {
        return Err(Error::GivenUp);
    }
    let mut session = stage::leave_session()?;

    let ended = watch::run(directory, &order, &mut session);

    write_exit(directory, &order, &ended);
    drop(session);
    finish::clean_up(directory, &order);
    drop(lock);
    Ok(())
}

/// How an attempt ended, and how long the program ran.
struct Ended {
    end: End,
    up_ms: u64,
}

impl Ended {
    fn not_started(error: &Error) -> Self {
        Self { end: End::NotStarted { reason: error.sentence(), prospect: error.prospect() }, up_ms: 0 }
    }
}

/// The record comes before any cleaning up. On a full disk the container's own files go first, since they may be
/// what fills it, and then the record is tried again; without it the engine says "lost".
fn write_exit(directory: &Directory, order: &Order, ended: &Ended) {
    let now = clocks();
    let exit = Exit {
        attempt: order.attempt,
        end: ended.end.clone(),
        at: now.wall,
        boot_id: kernel::boot_id().unwrap_or_default(),
        at_boot_ms: now.boot_ms,
        up_ms: ended.up_ms,
    };
    for _ in 0..RECORD_TRIES {
        if record::write_of_process(&Linux, &directory.exit(), &exit).is_ok() {
            return;
        }
        finish::clean_up(directory, order);
        std::thread::sleep(RECORD_PAUSE);
    }
}
