//! `ensemble serve --check`: everything that would keep a server from starting, or a part of it from working, found
//! without starting or changing anything. What this machine lacks for containers is `ensemble doctor`'s.

use crate::causes::chain;
use crate::configuration::settings::Settings;
use crate::configuration::{Effective, Problem, Sources};
use crate::credentials::{Credentials, GivenKey};
use crate::{data_dir, fleet, tls};
use ensemble_engine::embedded::image::RegistrySettings;
use rustix::fs::{Access, access};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

/// What a check found.
#[derive(Debug)]
pub enum Checked {
    Sound(Box<Effective>),
    /// The configuration itself says something wrong.
    Mistaken(Vec<Problem>),
    /// The configuration is well-formed, and what it names is not as it must be.
    Unfit(Vec<Problem>),
}

/// Checks the configuration and what it names, all at once.
pub fn check(sources: &Sources) -> Checked {
    let effective = match sources.read() {
        Ok(effective) => effective,
        Err(error) => return Checked::Mistaken(error.0),
    };
    let settings = &effective.settings;
    let mut problems = Vec::new();
    problems.extend(check_fleet(settings));
    problems.extend(check_tls(settings));
    problems.extend(check_registries(settings));
    problems.extend(check_data_dir(&settings.data_dir));
    problems.extend(check_credentials(&settings.data_dir, sources));
    problems.extend(check_address(settings.listen));
    if problems.is_empty() { Checked::Sound(Box::new(effective)) } else { Checked::Unfit(problems) }
}

fn problem(place: impl ToString, message: impl Into<String>) -> Problem {
    Problem { place: place.to_string(), message: message.into(), hint: None }
}

fn check_fleet(settings: &Settings) -> Vec<Problem> {
    match fleet::load(settings) {
        Ok(_) => Vec::new(),
        Err(fleet::Error::Mistakes { path, mistakes }) => {
            let of = |mistake: &String| match mistake.split_once(": ") {
                Some((place, message)) => problem(format!("{}:{place}", path.display()), message),
                None => problem(path.display(), mistake),
            };
            mistakes.iter().map(of).collect()
        }
        Err(error @ fleet::Error::Unreadable { .. }) => vec![problem("fleet", chain(&error))],
    }
}

fn check_tls(settings: &Settings) -> Option<Problem> {
    let error = tls::load(settings.tls.as_ref()?).err()?;
    Some(problem("tls", chain(&error)))
}

/// Each registry by itself, so that all mistakes are told.
fn check_registries(settings: &Settings) -> Vec<Problem> {
    let of = |(host, path): (String, PathBuf)| {
        let place = format!("registries.\"{host}\".credentials");
        let alone = BTreeMap::from([(host, path)]);
        let error = RegistrySettings { plain_http: Vec::new(), credentials: alone }.check().err()?;
        Some(problem(place, chain(&error)))
    };
    settings.registry_settings().credentials.into_iter().filter_map(of).collect()
}

/// The directory, or where it would be made.
fn check_data_dir(path: &Path) -> Option<Problem> {
    let shown = path.display();
    if !path.exists() {
        let parent = path.ancestors().skip(1).find(|parent| parent.exists()).unwrap_or(Path::new("/"));
        // An empty path is the working directory.
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        return access(parent, Access::WRITE_OK | Access::EXEC_OK).err().map(|error| {
            problem("data_dir", format!("`{shown}` cannot be made in `{}`: {error}", parent.display()))
        });
    }
    if !path.is_dir() {
        return Some(problem("data_dir", format!("`{shown}` is no directory")));
    }
    if let Err(error) = access(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
        return Some(problem("data_dir", format!("`{shown}` cannot be written: {error}")));
    }
    let error = data_dir::refuse_foreign(path).err()?;
    Some(problem("data_dir", chain(&error)))
}

/// The access key, where there is one already.
fn check_credentials(data_dir: &Path, sources: &Sources) -> Option<Problem> {
    let given = match GivenKey::from_environment(|name| sources.environment.get(name).cloned()) {
        Ok(given) => given,
        Err(error) => return Some(problem("environment", chain(&error))),
    };
    let path = data_dir.join("credentials.toml");
    if !path.exists() && !path.with_file_name(data_dir::LOG_FILE).exists() {
        return None;
    }
    let error = Credentials::load(&path, given.as_ref()).err()?;
    Some(problem("credentials", chain(&error)))
}

/// Whether this machine has the address. A port that is taken may well be taken by the server that runs.
fn check_address(address: SocketAddr) -> Option<Problem> {
    let error = TcpListener::bind(SocketAddr::new(address.ip(), 0)).err()?;
    Some(problem("listen", format!("this machine cannot listen on {}: {error}", address.ip())))
}
