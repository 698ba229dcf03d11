//! The supervisor of one container: a process of its own, one thread, no runtime, no log subscriber (libcontainer's
//! log lines would land in the container's output). It outlives the control plane: creates the container, drains
//! its output, waits. What it writes down, and when, is `ensemble_supervision::shim`.
//! It takes orders only from files and signals, and never touches another container's directory.

mod create;
pub mod exec;
mod executor;
mod finish;
pub mod order;
pub mod output;
mod stage;
mod watch;

use super::image;
use super::kernel::Linux;
use super::rootfs;
use ensemble_supervision::directory::Directory;
use ensemble_supervision::record::{self, End, Prospect};
use ensemble_supervision::shim::{self, Ended, Shim, Tried};
use finish::Surroundings;
use order::Order;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("there is no order in `{directory}`")]
    NoOrder { directory: String },
    #[error(transparent)]
    Record(#[from] record::Error),
    #[error(transparent)]
    Supervision(#[from] shim::Error),
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
            | Self::Supervision(_)
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
    let shim = begin(directory, &order)?;
    let mut session = stage::leave_session()?;

    let ended = watch::run(&shim, directory, &order, &mut session);

    write_exit(&shim, ended, &Surroundings { directory, order: &order });
    drop(session);
    shim.clean_up(&Surroundings { directory, order: &order });
    shim.let_go();
    Ok(())
}

/// The engine asks for the lock by taking it for a moment; then it is tried again.
fn begin(directory: &Directory, order: &Order) -> Result<Shim<&'static Linux>, Error> {
    let patience = Instant::now() + shim::LOCK_PATIENCE;
    loop {
        match Shim::begin(&Linux, directory, order.attempt) {
            Err(shim::Error::Locked) if Instant::now() <= patience => std::thread::sleep(shim::LOCK_PAUSE),
            begun => return Ok(begun?),
        }
    }
}

fn write_exit(shim: &Shim<&Linux>, ended: Ended, surroundings: &Surroundings<'_>) {
    let mut word = shim.last_word(ended);
    while let Tried::Again(pause) = shim.write(&mut word, surroundings) {
        std::thread::sleep(pause);
    }
}

fn not_started(error: &Error) -> Ended {
    Ended { end: End::NotStarted { reason: error.sentence(), prospect: error.prospect() }, up_ms: 0 }
}
