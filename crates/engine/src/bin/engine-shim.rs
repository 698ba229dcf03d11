//! The supervisor by itself, for this crate's own tests: what `ensemble shim [exec] DIRECTORY` runs.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    match words.as_slice() {
        [word, directory] if word.as_os_str() == "exec" => {
            ensemble_engine::embedded::shim::exec::main(directory)
        }
        [directory] => ensemble_engine::embedded::shim::main(directory),
        _ => ExitCode::FAILURE,
    }
}
