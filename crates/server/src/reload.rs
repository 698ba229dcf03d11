//! A reload (SIGHUP): reads all of the configuration again and puts in force what may change while everything runs.
//! Anything wrong with it keeps all of the old one, and the log says what. What needs a restart is said, too.

use crate::action::Services;
use crate::causes::chain;
use crate::configuration::keys::TakesEffect;
use crate::configuration::settings::Settings;
use crate::configuration::{self, Effective, Given, Sources};
use crate::gateway::listen::{Phase, Terms};
use crate::logging::LogLevel;
use crate::metrics::Reloaded;
use crate::notify::Notifier;
use crate::{fleet, tls};
use ensemble_engine::embedded::image::RegistryError;
use ensemble_model::fleet::{EngineKind, Fleet};
use ensemble_model::id::EngineName;
use ensemble_model::refusal::Refusal;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{mpsc, watch};
use tokio_rustls::rustls::ServerConfig;

/// Why the old configuration stays.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the configuration has mistakes")]
    Configuration(#[from] configuration::Error),
    #[error(transparent)]
    Fleet(#[from] fleet::Error),
    #[error(transparent)]
    Registries(#[from] RegistryError),
    #[error("HTTPS cannot be served so")]
    Tls(#[from] tls::Error),
    #[error("engine `{engine}` of the fleet is new, gone or of another kind: that takes a restart")]
    Engines { engine: EngineName },
    #[error("the fleet cannot be put in force")]
    FleetInUse(#[from] Refusal),
    #[error("the server is stopping")]
    Stopping,
}

/// What can be reloaded, and what it was read from.
pub(crate) struct Reloader {
    pub(crate) sources: Sources,
    pub(crate) settings: Settings,
    /// The values that this process started with.
    pub(crate) started_with: Vec<Given>,
    pub(crate) log: Option<LogLevel>,
    pub(crate) services: Arc<Services>,
    pub(crate) terms: watch::Sender<Arc<Terms>>,
    pub(crate) notifier: Arc<Notifier>,
}

/// A configuration whose files were all read.
struct Prepared {
    settings: Settings,
    entries: Vec<Given>,
    fleet: Fleet,
    tls: Option<Arc<ServerConfig>>,
    /// HTTPS is to be turned on or off.
    turns_tls: bool,
}

impl Reloader {
    /// Reloads each time it is asked to, until nobody can ask any more.
    pub(crate) async fn run(mut self, mut requests: mpsc::Receiver<()>) {
        while requests.recv().await.is_some() && !self.is_stopping() {
            self.notifier.reloading();
            let outcome = self.reload().await;
            let (reloaded, status) = match outcome {
                Ok(()) => (Reloaded::InForce, "serving"),
                Err(refused) => {
                    tracing::error!("the configuration stays as it is: {}", chain(&refused));
                    (Reloaded::Refused, "serving; the last reload was refused, the log says why")
                }
            };
            self.services.metrics.reloaded(reloaded);
            // A manager that hears it behind STOPPING=1 would wait for a server that is going.
            if !self.is_stopping() {
                self.notifier.ready(status);
            }
        }
    }

    fn is_stopping(&self) -> bool {
        *self.services.phase.borrow() >= Phase::Draining
    }

    async fn reload(&mut self) -> Result<(), Refused> {
        let (sources, running) = (self.sources.clone(), self.settings.clone());
        let preparing = tokio::task::spawn_blocking(move || prepare(&sources, &running));
        let Prepared { settings, entries, fleet, tls, turns_tls } =
            preparing.await.expect("reading a configuration does not panic")?;
        let before = Arc::clone(self.services.control.state().fleet());
        if let Some(engine) = differing_engine(&before.engines, &fleet.engines) {
            return Err(Refused::Engines { engine });
        }
        let fleet = Arc::new(fleet);
        let fleet_changes = *fleet != *before;
        let installed = self.services.control.install_fleet(fleet).await;
        installed.map_err(|_| Refused::Stopping)??;
        // From here on nothing can go wrong.
        if let Some(log) = self.log.as_ref().filter(|_| settings.log.level != self.settings.log.level) {
            log.set(&settings.log.level);
        }
        let registries = settings.registry_settings();
        if registries != self.settings.registry_settings() {
            self.services.engines.change_registries(&registries);
        }
        self.services.commands.limit(settings.limits.commands);
        self.services.cache_bytes.store(settings.images.cache_bytes, Ordering::Relaxed);
        let terms = Terms { limits: settings.limits.clone(), metrics: settings.metrics, tls };
        self.terms.send_replace(Arc::new(terms));
        if turns_tls {
            tracing::warn!("turning HTTPS on or off takes effect at the next start");
        }
        self.tell(&entries, fleet_changes);
        self.settings = settings;
        Ok(())
    }

    /// Says what changed, and what will.
    fn tell(&self, entries: &[Given], fleet_changes: bool) {
        for key in changed(&self.started_with, entries) {
            if key.takes_effect == TakesEffect::AtStart {
                tracing::warn!(key = key.name, "`{}` takes effect at the next start", key.name);
            }
        }
        let fleet = if fleet_changes { "; another fleet is in force" } else { "" };
        tracing::info!("the configuration was read again and is in force{fleet}");
    }
}

/// Reads everything, and keeps what a running server cannot change.
fn prepare(sources: &Sources, running: &Settings) -> Result<Prepared, Refused> {
    let Effective { settings, entries, .. } = sources.read()?;
    let settings = Settings {
        data_dir: running.data_dir.clone(),
        listen: running.listen,
        engine: running.engine,
        pod_network: running.pod_network,
        faults: running.faults.clone(),
        ..settings
    };
    let turns_tls = running.tls.is_some() != settings.tls.is_some();
    let files = if turns_tls { running.tls.clone() } else { settings.tls };
    let settings = Settings { tls: files, ..settings };
    let tls = settings.tls.as_ref().map(tls::load).transpose()?;
    settings.registry_settings().check()?;
    let fleet = fleet::load(&settings)?;
    Ok(Prepared { settings, entries, fleet, tls, turns_tls })
}

/// The first engine that is not the same in both.
fn differing_engine(
    before: &BTreeMap<EngineName, EngineKind>,
    after: &BTreeMap<EngineName, EngineKind>,
) -> Option<EngineName> {
    let names = before.keys().chain(after.keys());
    names.into_iter().find(|name| before.get(*name) != after.get(*name)).cloned()
}

/// The keys whose values differ.
fn changed(before: &[Given], after: &[Given]) -> Vec<&'static configuration::keys::Key> {
    let value = |entries: &[Given], name: &str| {
        entries.iter().find(|entry| entry.name() == name).map(|entry| entry.value.clone())
    };
    configuration::keys::KEYS.iter().filter(|key| value(before, key.name) != value(after, key.name)).collect()
}
