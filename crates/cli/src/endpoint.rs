//! Finds the endpoint and the key to sign with: both from one source, in the order of decisions.md §7.2, so that
//! a key never goes to a server it was not meant for. Calls nothing but the local server's port.

use crate::configured;
use crate::failure::{Exit, Failure};
use serde_json::Value;
use std::env;
use std::fmt;
use std::fs;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the port of the local server may take to accept.
const LOCAL_ANSWER: Duration = Duration::from_millis(500);

/// Where to call and what to sign with.
#[derive(Clone)]
pub(crate) struct Endpoint {
    /// With scheme, without a trailing slash.
    pub(crate) url: String,
    pub(crate) key_id: String,
    pub(crate) secret: String,
    pub(crate) security_token: Option<String>,
    /// Which source gave it, for people.
    pub(crate) source: String,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} with {} from {}", self.url, self.key_id, self.source)
    }
}

/// What the command line says about it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) profile: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) data_dir: Option<PathBuf>,
}

/// Finds endpoint and key; notes about half-set sources go to `note`.
pub(crate) fn find(asked: &Asked, note: &mut dyn FnMut(String)) -> Result<Endpoint, Failure> {
    if let Some(name) = &asked.profile {
        return profile(Some(name))?.ok_or_else(|| {
            Failure::new(Exit::Credentials, format!("profile `{name}` has no endpoint with an access key"))
                .hint("set `endpoint`, `access_key_id` and `access_key_secret` of the profile in ~/.aliyun/config.json")
        });
    }
    let ensemble_key = key_of("ENSEMBLE");
    if let Some(url) = &asked.endpoint {
        return explicit(url, ensemble_key, asked);
    }
    match (variable("ENSEMBLE_ENDPOINT"), ensemble_key) {
        (Some(url), Some(key)) => return Ok(endpoint(&url, key, "ENSEMBLE_ENDPOINT")),
        (Some(_), None) => {
            note("ENSEMBLE_ENDPOINT is set without ENSEMBLE_ACCESS_KEY_ID and _SECRET: skipped".into());
        }
        (None, _) => {}
    }
    if let Some(found) = local(&data_dir(asked), note) {
        return Ok(found);
    }
    match (variable("ALIBABA_CLOUD_ENDPOINT"), key_of("ALIBABA_CLOUD")) {
        (Some(url), Some(key)) => return refuse_production(endpoint(&url, key, "ALIBABA_CLOUD_ENDPOINT")),
        (None, None) => {}
        (Some(_), None) => note("ALIBABA_CLOUD_ENDPOINT is set without an access key: skipped".into()),
        (None, Some(_)) => {
            note("ALIBABA_CLOUD_ACCESS_KEY_ID is set without ALIBABA_CLOUD_ENDPOINT: skipped".into());
        }
    }
    if let Some(found) = profile(None)? {
        return refuse_production(found);
    }
    Err(nothing_found(&data_dir(asked)))
}

/// A data directory with a key has a server that does not run just now, which is another matter than having none.
fn nothing_found(dir: &Path) -> Failure {
    let known = dir.join("credentials.toml").exists();
    let (exit, message) = match known {
        true => (Exit::Unreachable, "the local server does not run"),
        false => (Exit::Credentials, "no server and key to call were found"),
    };
    Failure::new(exit, message)
        .cause(format!("no server answers for the data directory `{}`", dir.display()))
        .hint("start one with `ensemble serve`, or name one with --data-dir DIR, --profile NAME or --endpoint URL")
}

/// The directory of the local server: the flag, else what the configuration says, else the user's own data directory.
pub(crate) fn data_dir(asked: &Asked) -> PathBuf {
    if let Some(dir) = &asked.data_dir {
        return dir.clone();
    }
    if let Some(dir) = variable("ENSEMBLE_DATA_DIR") {
        return PathBuf::from(dir);
    }
    configured::settings(usual_data_dir()).map_or_else(usual_data_dir, |settings| settings.data_dir)
}

/// The user's own data directory.
pub(crate) fn usual_data_dir() -> PathBuf {
    let home = || PathBuf::from(variable("HOME").unwrap_or_else(|| "/root".into())).join(".local/share");
    variable("XDG_DATA_HOME").map_or_else(home, PathBuf::from).join("ensemble")
}

/// `--endpoint` is never skipped: falling through to another server would surprise.
fn explicit(url: &str, key: Option<(String, String)>, asked: &Asked) -> Result<Endpoint, Failure> {
    if let Some(key) = key {
        return Ok(endpoint(url, key, "--endpoint"));
    }
    let local = local(&data_dir(asked), &mut |_| {});
    if let Some(local) = local.filter(|local| local.url == with_scheme(url)) {
        return Ok(local);
    }
    Err(Failure::new(Exit::Credentials, format!("no access key is set for --endpoint {url}"))
        .hint("set ENSEMBLE_ACCESS_KEY_ID and ENSEMBLE_ACCESS_KEY_SECRET"))
}

/// What the server that runs on this directory is called by; it is taken at its word.
pub(crate) fn of_server_in(dir: &Path) -> Option<Endpoint> {
    named_in(dir, &mut |_| {})
}

fn local(dir: &Path, note: &mut dyn FnMut(String)) -> Option<Endpoint> {
    let found = named_in(dir, note)?;
    if !answers(&found.url) {
        note(format!(
            "no server answers at {}, which `{}` names: skipped",
            found.url,
            dir.join("endpoint").display()
        ));
        return None;
    }
    Some(found)
}

fn named_in(dir: &Path, note: &mut dyn FnMut(String)) -> Option<Endpoint> {
    let url = fs::read_to_string(dir.join("endpoint")).ok()?.trim().to_owned();
    let credentials = match fs::read_to_string(dir.join("credentials.toml")) {
        Ok(text) => text,
        Err(error) => {
            note(format!("`{}` cannot be read ({error}): skipped", dir.join("credentials.toml").display()));
            return None;
        }
    };
    let table: toml::Table = credentials.parse().ok()?;
    let text = |key: &str| table.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    let key = (text("access_key_id")?, text("access_key_secret")?);
    Some(endpoint(&url, key, &format!("the data directory {}", dir.display())))
}

fn answers(url: &str) -> bool {
    let authority = url.split("://").nth(1).unwrap_or(url);
    let Ok(mut addresses) = authority.to_socket_addrs() else { return false };
    addresses.any(|address| TcpStream::connect_timeout(&address, LOCAL_ANSWER).is_ok())
}

/// A profile of ~/.aliyun/config.json: the named one, or the current one.
fn profile(name: Option<&str>) -> Result<Option<Endpoint>, Failure> {
    if name.is_none()
        && variable("ALIBABA_CLOUD_IGNORE_PROFILE").is_some_and(|value| value.eq_ignore_ascii_case("true"))
    {
        return Ok(None);
    }
    let Some(home) = variable("HOME") else { return Ok(None) };
    let path = Path::new(&home).join(".aliyun/config.json");
    let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
    let config: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::from_error(format!("`{}` is not JSON", path.display()), &error))?;
    let current = variable("ALIBABA_CLOUD_PROFILE");
    let wanted = name.or(current.as_deref()).or(config["current"].as_str()).unwrap_or("default");
    let profiles = config["profiles"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(profile) = profiles.iter().find(|profile| profile["name"] == wanted) else {
        return match name {
            None => Ok(None),
            Some(name) => {
                Err(Failure::new(Exit::Credentials, format!("no profile `{name}` in `{}`", path.display())))
            }
        };
    };
    let text = |key: &str| profile[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let (Some(url), Some(id), Some(secret)) =
        (text("endpoint"), text("access_key_id"), text("access_key_secret"))
    else {
        return Ok(None);
    };
    let mut found = endpoint(&url, (id, secret), &format!("profile {wanted}"));
    found.security_token = text("sts_token");
    Ok(Some(found))
}

/// Nobody scales production by accident: Alibaba's own endpoints need `--endpoint` or `--profile`.
fn refuse_production(found: Endpoint) -> Result<Endpoint, Failure> {
    let authority = found.url.split("://").nth(1).unwrap_or(&found.url);
    let host = authority.split([':', '/']).next().unwrap_or(authority);
    if host == "aliyuncs.com" || host.ends_with(".aliyuncs.com") {
        let message = format!("{} comes from {} and is Alibaba Cloud itself", found.url, found.source);
        return Err(Failure::new(Exit::Credentials, message)
            .hint("name it with --endpoint or --profile if you really mean production"));
    }
    Ok(found)
}

fn endpoint(url: &str, (key_id, secret): (String, String), source: &str) -> Endpoint {
    Endpoint { url: with_scheme(url), key_id, secret, security_token: None, source: source.to_owned() }
}

fn with_scheme(url: &str) -> String {
    let url = url.trim_end_matches('/');
    if url.contains("://") {
        url.to_owned()
    } else if url.split(':').next().is_some_and(|host| host.ends_with("aliyuncs.com")) {
        format!("https://{url}")
    } else {
        format!("http://{url}")
    }
}

fn key_of(prefix: &str) -> Option<(String, String)> {
    Some((variable(&format!("{prefix}_ACCESS_KEY_ID"))?, variable(&format!("{prefix}_ACCESS_KEY_SECRET"))?))
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_is_added_where_there_is_none() {
        for (given, expected) in [
            ("127.0.0.1:8420", "http://127.0.0.1:8420"),
            ("http://a:1/", "http://a:1"),
            ("ens.aliyuncs.com", "https://ens.aliyuncs.com"),
        ] {
            assert_eq!(with_scheme(given), expected);
        }
    }

    #[test]
    fn production_needs_to_be_named() {
        let key = || ("id".to_owned(), "secret".to_owned());
        for (url, allowed) in [
            ("ens.aliyuncs.com", false),
            ("https://ens-vpc.cn-zhangjiakou.aliyuncs.com", false),
            ("127.0.0.1:8420", true),
            ("https://aliyuncs.com.example.org", true),
        ] {
            assert_eq!(refuse_production(endpoint(url, key(), "test")).is_ok(), allowed, "{url}");
        }
    }

    #[test]
    fn a_local_server_that_does_not_run_is_not_a_missing_key() {
        let dir = tempfile::tempdir().unwrap();

        let without_key = nothing_found(dir.path()).exit;
        fs::write(dir.path().join("credentials.toml"), "").unwrap();
        let with_key = nothing_found(dir.path()).exit;

        assert_eq!((without_key, with_key), (Exit::Credentials, Exit::Unreachable));
    }

    #[test]
    fn a_secret_is_never_printed() {
        let found = endpoint("a", ("id".into(), "geheim".into()), "test");

        assert!(!format!("{found:?}").contains("geheim"));
    }
}
