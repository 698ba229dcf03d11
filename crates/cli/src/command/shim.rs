//! `ensemble shim DIR`, hidden: the supervisor of one container, started by the embedded engine.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) fn run(mut words: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(dir) = words.next() else {
        eprintln!("error: `ensemble shim` is started by `ensemble serve`, with a container's directory");
        return ExitCode::from(2);
    };
    ensemble_engine::embedded::shim::main(&PathBuf::from(dir))
}
