//! The values the server works with, and how each key of the configuration gets into them. A setter checks one value
//! as far as text can be checked; what needs a look at the machine is `check`'s.

use super::{Fault, Given, value};
use ensemble_engine::embedded::image;
use ensemble_model::suggestion::{nearest, quoted};
use ipnet::Ipv4Net;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The configuration in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub data_dir: PathBuf,
    /// Port 0 picks a free one.
    pub listen: SocketAddr,
    pub fleet: FleetChoice,
    /// What runs the built-in fleet; a fleet file names its own engines.
    pub engine: EngineChoice,
    /// The address range of pods.
    pub pod_network: Ipv4Net,
    /// For exercises: the file that names edge nodes which are cut off.
    pub faults: Option<PathBuf>,
    pub log: LogSettings,
    pub images: ImageSettings,
    /// By `host` or `host:port`.
    pub registries: BTreeMap<String, RegistrySettings>,
    /// HTTP without.
    pub tls: Option<TlsFiles>,
    pub metrics: Audience,
    pub limits: Limits,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FleetChoice {
    Builtin,
    File(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineChoice {
    Embedded,
    Simulated,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// `info`, or with parts: `info,ensemble_engine=debug`.
    pub level: String,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    Text,
    Json,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSettings {
    /// Bound of the cache; pinned images do not count as prunable.
    pub cache_bytes: u64,
    /// `host` or `host:port` of registries that are asked over plain HTTP, besides those on loopback.
    pub plain_http: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrySettings {
    /// A file of mode 0600 with `username` and `password`.
    pub credentials: PathBuf,
}

/// The files that HTTPS is served with, PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Who may read the metrics, which are not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    Loopback,
    All,
    Nobody,
}

/// Bounds of what clients may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    pub connections: usize,
    pub headers_within: Duration,
    pub body_within: Duration,
    pub idle_within: Duration,
    /// Commands that run in containers at the same time.
    pub commands: usize,
    pub command_idle_within: Duration,
}

impl Settings {
    /// The defaults, on this data directory.
    pub fn of(data_dir: &Path) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8420)),
            fleet: FleetChoice::Builtin,
            engine: EngineChoice::Embedded,
            pod_network: Ipv4Net::new_assert(Ipv4Addr::new(10, 80, 0, 0), 16),
            faults: None,
            log: LogSettings { level: "info".into(), format: LogFormat::Auto },
            images: ImageSettings { cache_bytes: 10 << 30, plain_http: Vec::new() },
            registries: BTreeMap::new(),
            tls: None,
            metrics: Audience::Loopback,
            limits: Limits {
                connections: 1_024,
                headers_within: Duration::from_secs(10),
                body_within: Duration::from_secs(30),
                idle_within: Duration::from_secs(75),
                commands: 32,
                command_idle_within: Duration::from_secs(3_600),
            },
        }
    }
}

impl Settings {
    /// What the engine is told of registries.
    pub(crate) fn registry_settings(&self) -> image::RegistrySettings {
        let credentials = self.registries.iter();
        let credentials = credentials.map(|(registry, given)| (registry.clone(), given.credentials.clone()));
        image::RegistrySettings {
            plain_http: self.images.plain_http.clone(),
            credentials: credentials.collect(),
        }
    }
}

pub(super) fn data_dir(settings: &mut Settings, given: &Given) -> Result<(), Fault> {
    settings.data_dir = PathBuf::from(given.text());
    Ok(())
}

pub(super) fn listen(settings: &mut Settings, given: &Given) -> Result<(), Fault> {
    let text = given.text();
    let hint = "an address and a port: 127.0.0.1:8420, [::1]:8420, 0.0.0.0:0";
    settings.listen = text
        .parse()
        .map_err(|_| Fault::new(format!("{} is no address to listen on", quoted(text))).hint(hint))?;
    Ok(())
}

pub(super) fn fleet(settings: &mut Settings, given: &Given) -> Result<(), Fault> {
    settings.fleet = match given.text() {
        "builtin" => FleetChoice::Builtin,
        path => FleetChoice::File(PathBuf::from(path)),
    };
    Ok(())
}

pub(super) fn engine(settings: &mut Settings, given: &Given) -> Result<(), Fault> {
    let choices = [("embedded", EngineChoice::Embedded), ("simulated", EngineChoice::Simulated)];
    settings.engine = choice(given.text(), &choices)?;
    Ok(())
}

pub(super) fn pod_network(settings: &mut Settings, given: &Given) -> Result<(), Fault> {
    let text = given.text();
    settings.pod_network = text.parse().map_err(|_| {
        Fault::new(format!("{} is no address range", quoted(text))).hint("such as 10.80.0.0/16")
    })?;
    Ok(())
}

pub(super) fn faults(settings: &mut Settings, given: &Given) -> Result<(), Fault> {
    settings.faults = Some(PathBuf::from(given.text()));
    Ok(())
}

pub(super) fn log_level(settings: &mut Settings, given: &Given) -> Result<(), Fault> {
    let text = given.text();
    value::check_log_level(text)?;
    settings.log.level = text.to_owned();
    Ok(())
}

pub(super) fn log_format(settings: &mut Settings, given: &Given) -> Result<(), Fault> {
    let choices = [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];
    settings.log.format = choice(given.text(), &choices)?;
    Ok(())
}

pub(super) fn cache_size(settings: &mut Settings, given: &Given) -> Result<(), Fault> {
    settings.images.cache_bytes = value::size(given.text())?;
    Ok(())
}

pub(super) fn plain_http(settings: &mut Settings, given: &Given) -> Result<(), Fault> {
    let hosts = given.list();
    for host in hosts {
        value::check_registry(host)?;
    }
    settings.images.plain_http = hosts.to_vec();
    Ok(())
}

pub(super) fn registry(settings: &mut Settings, given: &Given) -> Result<(), Fault> {
    let host = given.subject.clone().unwrap_or_default();
    value::check_registry(&host)?;
    settings.registries.insert(host, RegistrySettings { credentials: PathBuf::from(given.text()) });
    Ok(())
}

pub(super) fn tls_certificate(settings: &mut Settings, given: &Given) -> Result<(), Fault> {
    settings.tls.get_or_insert_default().certificate = PathBuf::from(given.text());
    Ok(())
}

pub(super) fn tls_key(settings: &mut Settings, given: &Given) -> Result<(), Fault> {
    settings.tls.get_or_insert_default().key = PathBuf::from(given.text());
    Ok(())
}

pub(super) fn metrics_serve_to(settings: &mut Settings, given: &Given) -> Result<(), Fault> {
    let choices = [("loopback", Audience::Loopback), ("all", Audience::All), ("nobody", Audience::Nobody)];
    settings.metrics = choice(given.text(), &choices)?;
    Ok(())
}

pub(super) fn connections(settings: &mut Settings, given: &Given) -> Result<(), Fault> {
    settings.limits.connections = value::count(given.text(), 1_000_000)?;
    Ok(())
}

pub(super) fn headers_within(settings: &mut Settings, given: &Given) -> Result<(), Fault> {
    settings.limits.headers_within = value::duration(given.text())?;
    Ok(())
}

pub(super) fn body_within(settings: &mut Settings, given: &Given) -> Result<(), Fault> {
    settings.limits.body_within = value::duration(given.text())?;
    Ok(())
}

pub(super) fn idle_within(settings: &mut Settings, given: &Given) -> Result<(), Fault> {
    settings.limits.idle_within = value::duration(given.text())?;
    Ok(())
}

pub(super) fn commands(settings: &mut Settings, given: &Given) -> Result<(), Fault> {
    settings.limits.commands = value::count(given.text(), 10_000)?;
    Ok(())
}

pub(super) fn command_idle_within(settings: &mut Settings, given: &Given) -> Result<(), Fault> {
    settings.limits.command_idle_within = value::duration(given.text())?;
    Ok(())
}

fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, Fault> {
    if let Some((_, chosen)) = choices.iter().find(|(word, _)| *word == text) {
        return Ok(*chosen);
    }
    let words = || choices.iter().map(|(word, _)| *word);
    let hint = match nearest(text, words()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("one of {}", words().collect::<Vec<_>>().join(", ")),
    };
    Err(Fault::new(format!("{} is not known here", quoted(text))).hint(hint))
}
