//! `ensemble shim [exec] DIR`, hidden: the supervisor of one container, or the process that runs a command in one;
//! started by the embedded engine.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) fn run(mut words: impl Iterator<Item = OsString>) -> ExitCode {
    let mut word = words.next();
    let is_exec = word.as_deref() == Some("exec".as_ref());
    if is_exec {
        word = words.next();
    }
    let Some(dir) = word else {
        eprintln!("error: `ensemble shim` is started by `ensemble serve`, with a container's directory");
        return ExitCode::from(2);
    };
    match is_exec {
        true => ensemble_engine::embedded::shim::exec::main(&PathBuf::from(dir)),
        false => ensemble_engine::embedded::shim::main(&PathBuf::from(dir)),
    }
}
