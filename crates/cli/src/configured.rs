//! What the machine's configuration says to every command: the same file and variables that `ensemble serve` goes by, so
//! that a client finds the packaged server without being told where it keeps its data.
//! Only `serve` and `config` complain about a configuration; to the others one with mistakes says nothing.

use ensemble_server::configuration::settings::Settings;
use ensemble_server::configuration::{FILE_VARIABLE, File, Sources, USUAL_FILE};
use std::path::PathBuf;

/// All sources of a configuration: what flags say, over the process's variables, over the file that a flag, a variable
/// or nobody names.
pub(crate) fn sources(
    file: Option<PathBuf>,
    flags: Vec<(&'static str, String)>,
    usual_data_dir: PathBuf,
) -> Sources {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let named = file.or_else(|| variable(FILE_VARIABLE).map(PathBuf::from));
    Sources {
        file: match named {
            Some(path) => File::Named(path),
            None => File::Usual(PathBuf::from(USUAL_FILE)),
        },
        flags,
        // Variables that are no text cannot be any of ours.
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with("ENSEMBLE_"))
            .collect(),
        data_dir: usual_data_dir,
    }
}

/// The configuration as a server started now without flags would have it.
pub(crate) fn settings(usual_data_dir: PathBuf) -> Option<Settings> {
    sources(None, Vec::new(), usual_data_dir).read().ok().map(|effective| effective.settings)
}
