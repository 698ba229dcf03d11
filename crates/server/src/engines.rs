//! The engines of the fleet: started, told what is wanted, asked for logs, shut down. One courier per engine takes
//! wishes to it, so that an engine that cannot be reached holds up nobody.
//! Must not decide what is wanted, nor know one engine from another outside of `start`.

mod simulation;

use crate::courier::deliver;
use crate::faults::{self, Driver};
use crate::mailbox::Mailbox;
use ensemble_engine::any::AnyEngine;
use ensemble_engine::embedded::image::{
    Claim, Error as ImageError, Extent, OciReference, PullProgress, RegistryError, RegistrySettings,
    StoredImage,
};
use ensemble_engine::embedded::preflight::{self, Finding, PreflightInput, Severity};
use ensemble_engine::embedded::{self, EmbeddedConfig, EmbeddedEngine};
use ensemble_engine::exec::{ExecOrder, Execution};
use ensemble_engine::faults::{FaultSwitch, Faulty};
use ensemble_engine::simulated::Simulated;
use ensemble_engine::{Engine, Error, LogLine, LogQuery};
use ensemble_model::fleet::EngineKind;
use ensemble_model::id::{Digest, EngineName, InstanceId};
use ensemble_model::observation::Observation;
use ensemble_model::wanted::{Epoch, Wanted};
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub(crate) use simulation::Simulation;

/// Observations that wait for the control loop; an engine waits when there are more.
const OBSERVATIONS_AT_MOST: usize = 1_024;

/// Why an engine could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("engine `{engine}` cannot run containers on this machine: {}", listed(missing))]
    Lacking {
        engine: EngineName,
        /// What the preflight found missing; not empty.
        missing: Vec<Finding>,
    },
    #[error(transparent)]
    Registries(#[from] RegistryError),
    #[error("engine `{engine}` cannot run containers here")]
    Embedded {
        engine: EngineName,
        #[source]
        source: embedded::OpenError,
    },
}

fn listed(missing: &[Finding]) -> String {
    let texts: Vec<&str> = missing.iter().map(|finding| finding.text.as_str()).collect();
    texts.join("; ")
}

/// What engines are started with.
pub(crate) struct Configuration<'a> {
    pub(crate) data_dir: &'a Path,
    pub(crate) shim_command: &'a [OsString],
    pub(crate) pod_network: Ipv4Net,
    /// Which no pod may reach.
    pub(crate) control_port: u16,
    pub(crate) registries: RegistrySettings,
    pub(crate) epoch: Epoch,
    /// Where faults stand that are put around every engine.
    pub(crate) faults: Option<&'a Path>,
    /// Those of engines that run nothing.
    pub(crate) simulated: &'a Simulation,
}

/// All engines of the fleet.
pub(crate) struct Engines {
    by_name: BTreeMap<EngineName, Arc<AnyEngine>>,
    /// What is between the control loop and each of them.
    drivers: BTreeMap<EngineName, Driver>,
    mailboxes: BTreeMap<EngineName, Arc<Mailbox>>,
    /// To see whether something waits there.
    reports: mpsc::WeakSender<Observation>,
}

/// An image of one engine's store.
pub(crate) struct Stored {
    pub(crate) engine: EngineName,
    pub(crate) image: StoredImage,
    /// A container of the engine runs it.
    pub(crate) in_use: bool,
}

/// What pruning all stores did.
#[derive(Default)]
pub(crate) struct Pruned {
    pub(crate) images: Vec<Stored>,
    pub(crate) freed_bytes: u64,
    pub(crate) left_bytes: u64,
}

/// Where the control loop leaves its wishes.
#[derive(Default)]
pub(crate) struct Wishes {
    mailboxes: BTreeMap<EngineName, Arc<Mailbox>>,
}

/// What starting the engines gives.
pub(crate) struct Started {
    pub(crate) engines: Engines,
    pub(crate) wishes: Wishes,
    pub(crate) observations: mpsc::Receiver<Observation>,
    /// End with the server, not by themselves.
    pub(crate) couriers: JoinSet<()>,
}

impl Engines {
    /// Starts every engine of the fleet.
    ///
    /// # Errors
    /// [`StartError`] for the first one that cannot work here.
    pub(crate) async fn start(
        kinds: &BTreeMap<EngineName, EngineKind>,
        configuration: &Configuration<'_>,
    ) -> Result<Started, StartError> {
        let (report, observations) = mpsc::channel(OBSERVATIONS_AT_MOST);
        let reports = report.downgrade();
        let (mut by_name, mut drivers) = (BTreeMap::new(), BTreeMap::new());
        let (mut mailboxes, mut couriers, mut switches) = (BTreeMap::new(), JoinSet::new(), Vec::new());
        for (name, kind) in kinds {
            let (engine, driver) = configuration.drive(name, *kind, report.clone(), &mut switches).await?;
            let mailbox = Arc::new(Mailbox::default());
            couriers.spawn(deliver(name.clone(), driver.clone(), Arc::clone(&mailbox)));
            by_name.insert(name.clone(), engine);
            drivers.insert(name.clone(), driver);
            mailboxes.insert(name.clone(), mailbox);
        }
        if let Some(path) = configuration.faults {
            couriers.spawn(faults::follow(path.to_owned(), switches));
        }
        let wishes = Wishes { mailboxes: mailboxes.clone() };
        let engines = Self { by_name, drivers, mailboxes, reports };
        Ok(Started { engines, wishes, observations, couriers })
    }

    /// The last lines that a container wrote.
    ///
    /// # Errors
    /// [`Error::Unreachable`] for an engine that the fleet no longer has, and what the engine says.
    pub(crate) async fn logs(&self, name: &EngineName, query: LogQuery) -> Result<Vec<LogLine>, Error> {
        match self.drivers.get(name) {
            Some(driver) => driver.logs(query).await,
            None => Err(Error::Unreachable { reason: format!("the fleet has no engine `{name}`") }),
        }
    }

    /// Runs a command in a container; returns once it runs.
    ///
    /// # Errors
    /// As for [`Self::logs`].
    pub(crate) async fn exec(&self, name: &EngineName, order: ExecOrder) -> Result<Execution, Error> {
        match self.drivers.get(name) {
            Some(driver) => driver.exec(order).await,
            None => Err(Error::Unreachable { reason: format!("the fleet has no engine `{name}`") }),
        }
    }

    /// The instances that any engine has something of, whoever wants them. Reads directories.
    ///
    /// # Errors
    /// What the first engine says that cannot look.
    pub(crate) fn held(&self) -> Result<BTreeSet<InstanceId>, Error> {
        let mut all = BTreeSet::new();
        for engine in self.by_name.values() {
            all.extend(engine.held()?);
        }
        Ok(all)
    }

    /// Whether any engine runs images, so that they must be pinned before a version is created.
    pub(crate) fn run_images(&self) -> bool {
        self.by_name.values().any(|engine| match &**engine {
            AnyEngine::Embedded(_) => true,
            AnyEngine::Simulated(_) => false,
        })
    }

    /// What the stores of all engines keep, and what they take on disk.
    ///
    /// # Errors
    /// When a store cannot be read.
    pub(crate) async fn images(&self) -> Result<(Vec<Stored>, u64), ImageError> {
        let (mut images, mut bytes) = (Vec::new(), 0);
        for (name, engine) in self.embedded() {
            let listed = blocking(&engine, |engine| {
                let (in_use, listed) = (engine.images_in_use()?, engine.images().list()?);
                Ok((in_use, listed, engine.images().bytes()?))
            });
            let (in_use, listed, taken) = listed.await?;
            bytes += taken;
            images.extend(listed.into_iter().map(|image| Stored {
                engine: name.clone(),
                in_use: in_use.contains(&image.manifest),
                image,
            }));
        }
        Ok((images, bytes))
    }

    /// Removes images that are neither among `pinned` nor run by a container, and what no image needs.
    ///
    /// # Errors
    /// When a store cannot be read or written; what could go is gone then.
    pub(crate) async fn prune_images(
        &self,
        extent: Extent,
        pinned: impl Fn() -> BTreeSet<Digest> + Clone + Send + 'static,
    ) -> Result<Pruned, ImageError> {
        let mut all = Pruned::default();
        for (name, engine) in self.embedded() {
            let pinned = pinned.clone();
            let pruned = blocking(&engine, move |engine| engine.prune_images(extent, pinned)).await?;
            all.freed_bytes += pruned.bytes;
            all.left_bytes += pruned.left_bytes;
            all.images.extend(pruned.images.into_iter().map(|image| Stored {
                engine: name.clone(),
                in_use: false,
                image,
            }));
        }
        Ok(all)
    }

    fn embedded(&self) -> Vec<(EngineName, Arc<AnyEngine>)> {
        let engines = self.by_name.iter().filter(|(_, engine)| match &***engine {
            AnyEngine::Embedded(_) => true,
            AnyEngine::Simulated(_) => false,
        });
        engines.map(|(name, engine)| (name.clone(), Arc::clone(engine))).collect()
    }

    /// How far images that are being pulled are, by their digest, on all engines.
    pub(crate) fn pulls(&self) -> BTreeMap<Digest, PullProgress> {
        self.by_name.values().flat_map(|engine| engine.pulls()).collect()
    }

    /// Takes an image into the store of every engine that runs images, and says which one it is. It is not pruned for as
    /// long as the claims are held.
    ///
    /// # Errors
    /// Those of the image; nothing when no engine runs images.
    pub(crate) async fn import(
        &self,
        reference: &OciReference,
    ) -> Result<(Option<Digest>, Vec<Claim>), ImageError> {
        let (mut pinned, mut claims) = (None, Vec::new());
        for engine in self.by_name.values() {
            let (engine, reference) = (Arc::clone(engine), reference.clone());
            // Reads and writes whole layers.
            let import = move || match &*engine {
                AnyEngine::Embedded(engine) => engine.images().import_claimed(&reference).map(Some),
                AnyEngine::Simulated(_) => Ok(None),
            };
            let imported = tokio::task::spawn_blocking(import).await;
            if let Some((digest, claim)) = imported.expect("an import does not panic")? {
                pinned = Some(digest);
                claims.push(claim);
            }
        }
        Ok((pinned, claims))
    }

    /// Bytes that came from registries since the start.
    pub(crate) fn pulled_bytes(&self) -> u64 {
        let of = |engine: &Arc<AnyEngine>| match &**engine {
            AnyEngine::Embedded(engine) => engine.pulled_bytes(),
            AnyEngine::Simulated(_) => 0,
        };
        self.by_name.values().map(of).sum()
    }

    /// Lets every engine that pulls images ask registries by other settings.
    pub(crate) fn change_registries(&self, settings: &RegistrySettings) {
        for engine in self.by_name.values() {
            match &**engine {
                AnyEngine::Embedded(engine) => engine.change_registries(settings.clone()),
                AnyEngine::Simulated(_) => {}
            }
        }
    }

    /// Stops converging and reporting; containers stay.
    pub(crate) async fn shut_down(&self) {
        for driver in self.drivers.values() {
            driver.shut_down().await;
        }
    }
}

/// Reads and writes a store away from the threads that answer.
async fn blocking<T: Default + Send + 'static>(
    engine: &Arc<AnyEngine>,
    work: impl FnOnce(&EmbeddedEngine) -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    let engine = Arc::clone(engine);
    let worked = tokio::task::spawn_blocking(move || match &*engine {
        AnyEngine::Embedded(engine) => work(engine),
        AnyEngine::Simulated(_) => Ok(T::default()),
    });
    worked.await.expect("looking at a store does not panic")
}

impl Wishes {
    pub(crate) fn put(&self, engine: &EngineName, wanted: Wanted) {
        match self.mailboxes.get(engine) {
            Some(mailbox) => mailbox.put(wanted),
            None => tracing::error!("the fleet has no engine `{engine}` to tell what is wanted"),
        }
    }
}

impl Configuration<'_> {
    /// Starts an engine, with faults around it where that is asked for.
    async fn drive(
        &self,
        name: &EngineName,
        kind: EngineKind,
        report: mpsc::Sender<Observation>,
        switches: &mut Vec<FaultSwitch>,
    ) -> Result<(Arc<AnyEngine>, Driver), StartError> {
        if self.faults.is_none() {
            let engine = Arc::new(self.start(name, kind, report).await?);
            return Ok((Arc::clone(&engine), Driver::Plain(engine)));
        }
        let (engine_report, reports) = mpsc::channel(OBSERVATIONS_AT_MOST);
        let engine = Arc::new(self.start(name, kind, engine_report).await?);
        let faulty = Faulty::start(name.clone(), Arc::clone(&engine), reports, report);
        switches.push(faulty.switch());
        Ok((engine, Driver::Faulty(Arc::new(faulty))))
    }

    async fn start(
        &self,
        name: &EngineName,
        kind: EngineKind,
        report: mpsc::Sender<Observation>,
    ) -> Result<AnyEngine, StartError> {
        match kind {
            EngineKind::Simulated => {
                let options = self.simulated.options(name);
                Ok(AnyEngine::Simulated(Simulated::start(name.clone(), options, report)))
            }
            EngineKind::Embedded => {
                self.registries.check()?;
                let config = self.embedded(name, report);
                examine(&config).await?;
                let opened = EmbeddedEngine::open(config).await;
                let engine =
                    opened.map_err(|source| StartError::Embedded { engine: name.clone(), source })?;
                for obstacle in engine.obstacles() {
                    tracing::warn!(engine = %name, "engine `{name}`: {obstacle}");
                }
                Ok(AnyEngine::Embedded(engine))
            }
        }
    }

    fn embedded(&self, name: &EngineName, observations: mpsc::Sender<Observation>) -> EmbeddedConfig {
        EmbeddedConfig {
            name: name.clone(),
            dir: self.data_dir.join("engine").join(name.as_str()),
            shim_command: self.shim_command.to_vec(),
            pod_network: self.pod_network,
            control_port: Some(self.control_port),
            registries: self.registries.clone(),
            epoch: self.epoch,
            observations,
        }
    }
}

/// Refuses a machine that lacks something, saying all of it at once, and warns of the rest (`decisions.md` §6.8).
async fn examine(config: &EmbeddedConfig) -> Result<(), StartError> {
    let input = PreflightInput { data_dir: config.dir.clone(), pod_network: config.pod_network };
    let found = tokio::task::spawn_blocking(move || preflight::check(&input)).await;
    let (mut missing, engine) = (Vec::new(), &config.name);
    for finding in found.expect("a check that cannot be made is a finding, not a panic") {
        match finding.severity {
            Severity::Fine => {}
            Severity::Warning => {
                tracing::warn!(%engine, "engine `{engine}`: {}: {}", finding.name, finding.text);
            }
            Severity::Missing => missing.push(finding),
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(StartError::Lacking { engine: engine.clone(), missing }) }
}
