//! The supervisor by itself, for this crate's own tests: what `ensemble shim DIRECTORY` runs.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args_os().nth(1).map(PathBuf::from) {
        Some(directory) => ensemble_engine::embedded::shim::main(&directory),
        None => ExitCode::FAILURE,
    }
}
