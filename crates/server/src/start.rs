//! From a data directory to a serving control plane, and back down: recover the log, put the fleet in force, start
//! engines and control loop, listen; drain on a signal. Containers stay when the server goes.
//! Must not answer anything before the log is whole and its high-water mark agrees.

mod error;
mod notes;
pub(crate) mod recover;

use crate::action::Services;
use crate::clock::Clock;
use crate::configuration::settings::Settings;
use crate::configuration::{Given, Sources};
use crate::control::{self, Writer};
use crate::credentials::{Credentials, GivenKey, KeyOrigin};
use crate::data_dir::{self, DataDir, Scheme};
use crate::emulation::{Emulation, Keeping, Time};
use crate::engines::{self, Engines, Simulation, Started};
use crate::exec::Commands;
use crate::fleet;
use crate::gateway::Gateway;
use crate::gateway::listen::{self, Terms};
use crate::high_water::{HighWater, OnTruncation};
use crate::images;
use crate::logging::LogLevel;
use crate::metrics::Metrics;
use crate::notify::{Notifier, Supervision};
use crate::random::{self, Seeds};
use crate::reload::Reloader;
use crate::restored::Restoration;
use crate::signals::{self, Signals};
use crate::stepper::Stepper;
use crate::store::LogStore;
use crate::store::sqlite::SqliteStore;
use crate::tls;
use ensemble_engine::simulated;
use ensemble_model::fleet::Fleet;
use ensemble_model::log::recovery::Recovered;
use ensemble_model::step::{self, ControlLoop, Mode};
use ensemble_model::time::Now;
use ensemble_model::wanted::Epoch;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time;

pub use crate::gateway::listen::Phase;
pub use error::Error;

/// How long requests may take to say that the server stops, once it cannot go on.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(1);

/// How to serve.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is in force at start.
    pub settings: Settings,
    /// Each value and where it came from, to tell what a reload cannot change.
    pub entries: Vec<Given>,
    /// Where the settings come from, to be read again at a reload.
    pub sources: Sources,
    /// The level of the log, where this process has one that can be changed.
    pub log: Option<LogLevel>,
    /// What the service manager asked for, where there is one.
    pub supervision: Supervision,
    /// How the embedded engine starts the supervisor of a container: program and first arguments.
    pub shim_command: Vec<OsString>,
    /// Go on with a log that ends before what was durable once.
    pub accept_truncated_log: bool,
    /// What makes it an emulator for tests.
    pub emulation: Emulation,
}

/// What a person wants to know once the server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// `http://127.0.0.1:8420`.
    pub url: String,
    /// The address really bound.
    pub address: SocketAddr,
    pub data_dir: PathBuf,
    /// `new; access key LTAI…7Q2x in credentials.toml (0600)`.
    pub data_note: String,
    /// `built-in, 70 edge nodes    engine embedded: real containers on this machine`.
    pub fleet_note: String,
    /// Only where a backup was restored and waits to be confirmed.
    pub restore_note: Option<String>,
}

/// Serves until a signal says to stop. `on_ready` is told once requests are answered.
///
/// SIGTERM and SIGINT let requests finish for 10 seconds; a second one ends at once. SIGHUP reads the configuration
/// again. Containers stay.
///
/// # Errors
/// What kept the server from starting, or made it stop by itself.
pub async fn serve(options: Options, on_ready: impl FnOnce(&Ready)) -> Result<(), Error> {
    let (signals, _listening) = signals::catch().map_err(Error::Signals)?;
    serve_until(options, on_ready, signals, |store| store).await
}

/// As [`serve`], but whoever holds the other ends of `signals` says when to stop or reload, and `wrap` may put
/// something around the log store: the seams for tests.
///
/// # Errors
/// As for [`serve`].
pub async fn serve_until<S: LogStore>(
    options: Options,
    on_ready: impl FnOnce(&Ready),
    signals: Signals,
    wrap: impl FnOnce(SqliteStore) -> S,
) -> Result<(), Error> {
    let settings = &options.settings;
    let mut data_dir = DataDir::open(&settings.data_dir)?;
    let (credentials, origin) = load_key(&data_dir)?;
    let fleet = Arc::new(fleet::load(settings)?);
    options.emulation.check(settings, &fleet)?;
    let tls = settings.tls.as_ref().map(tls::load).transpose()?;
    let (listener, address) = bind(settings.listen).await?;
    let Opened { sqlite, store, epoch, recovered, high_water } = open_log(&data_dir, &options, wrap).await?;

    let Emulator { clock, stepper, seeds, simulation } =
        emulator(&options.emulation, recovered.state.last(), &fleet);
    let restoration = Restoration::open(data_dir.path())?;
    let mode = if restoration.is_observing() { Mode::Observing } else { Mode::Deciding };
    let core_settings = step::Settings { mode, ..step::Settings::new(epoch) };
    let mut core = ControlLoop::new(recovered, core_settings, clock.now());
    let first = core.start(clock.now(), &fleet).map_err(Error::FleetInUse)?;
    let Started { engines, wishes, observations, couriers } =
        start_engines(&options, &data_dir, (&fleet, &simulation), address.port(), epoch).await?;
    let metrics = Arc::new(Metrics::new());
    let start = control::Start {
        core,
        first,
        clock: clock.clone(),
        epoch,
        store,
        high_water,
        wishes,
        observations,
        metrics: Arc::clone(&metrics),
    };
    let (mut writer, control) = Writer::new(start);
    writer.begin().await?;

    let scheme = if tls.is_some() { Scheme::Https } else { Scheme::Http };
    data_dir.write_endpoint(scheme, address)?;
    let ready = ready(&data_dir, settings, (&credentials, origin), &fleet, &restoration, (scheme, address));
    let phase = signals.phase.subscribe();
    let services = Arc::new(Services {
        control,
        engines,
        restoration,
        owner: credentials.account.clone(),
        cache_bytes: AtomicU64::new(settings.images.cache_bytes),
        commands: Commands::new(settings.limits.commands),
        phase,
        metrics,
        log: data_dir.path().join(data_dir::LOG_FILE),
        clock,
        stepper,
        seeds,
    });
    let gateway = Arc::new(Gateway::new(credentials, Arc::clone(&services)));
    let terms = Terms { limits: settings.limits.clone(), metrics: settings.metrics, tls };
    let (terms, heard) = watch::channel(Arc::new(terms));
    let Signals { phase, reloads } = signals;
    let notifier = Arc::new(Notifier::new(&options.supervision));
    let _attendants = attend(&options, &services, &notifier, terms, reloads);
    on_ready(&ready);
    notifier.ready(&format!("serving on {}", ready.url));
    let serving = listen::serve(listener, gateway, phase.subscribe(), heard);
    let ended = run(serving, writer, &phase, data_dir.lock_lost()).await;
    services.engines.shut_down().await;
    drop(couriers);
    sqlite.close().await;
    ended
}

fn ready(
    data_dir: &DataDir,
    settings: &Settings,
    (credentials, origin): (&Credentials, KeyOrigin),
    fleet: &Fleet,
    restoration: &Restoration,
    (scheme, address): (Scheme, SocketAddr),
) -> Ready {
    let ready = Ready {
        url: format!("{scheme}://{address}"),
        address,
        data_dir: data_dir.path().to_owned(),
        data_note: notes::data_note(data_dir.freshness(), credentials, origin),
        fleet_note: notes::fleet_note(&settings.fleet, fleet),
        restore_note: restoration.record().as_ref().and_then(notes::restore_note),
    };
    if let Some(note) = &ready.restore_note {
        tracing::warn!("{note}");
    }
    ready
}

/// What goes on beside serving, until the set is dropped: reloads, and what the service manager wants to hear.
fn attend(
    options: &Options,
    services: &Arc<Services>,
    notifier: &Arc<Notifier>,
    terms: watch::Sender<Arc<Terms>>,
    reloads: mpsc::Receiver<()>,
) -> JoinSet<()> {
    let mut attendants = JoinSet::new();
    let reloader = Reloader {
        sources: options.sources.clone(),
        settings: options.settings.clone(),
        started_with: options.entries.clone(),
        log: options.log.clone(),
        services: Arc::clone(services),
        terms,
        notifier: Arc::clone(notifier),
    };
    attendants.spawn(reloader.run(reloads));
    attendants.spawn(images::keep_within_bounds(Arc::clone(services)));
    let (teller, phase) = (Arc::clone(notifier), services.phase.clone());
    attendants.spawn(async move { teller.tell_stop(phase).await });
    if let Some(watchdog) = options.supervision.watchdog {
        let (feeder, control) = (Arc::clone(notifier), services.control.clone());
        attendants.spawn(async move { feeder.feed(watchdog, &control).await });
    }
    attendants
}

/// Serves until the listener has drained, or the writer cannot go on; then lets the writer finish. A server whose lock
/// is lost ends where it is.
async fn run<S: LogStore>(
    serving: impl Future<Output = ()>,
    writer: Writer<S>,
    phase: &watch::Sender<Phase>,
    lock_lost: impl Future<Output = data_dir::Error>,
) -> Result<(), Error> {
    let (stop, stopped) = oneshot::channel();
    // In a set, so that it ends with this future however that ends.
    let mut writers = JoinSet::new();
    writers.spawn(writer.run(stopped));
    let mut serving = pin!(serving);
    let writer_ended = tokio::select! {
        ended = writers.join_next() => {
            // Whoever waits for an answer is told that there will be none.
            listen::raise(phase, Phase::Draining);
            let _ = time::timeout(LAST_WORDS_WITHIN, serving).await;
            ended
        }
        () = &mut serving => {
            drop(stop);
            writers.join_next().await
        }
        lost = lock_lost => {
            listen::raise(phase, Phase::Draining);
            let _ = time::timeout(LAST_WORDS_WITHIN, serving).await;
            return Err(lost.into());
        }
    };
    let ended = writer_ended.expect("the writer was spawned above");
    Ok(ended.expect("the writer does not panic, and nobody aborts it")?)
}

/// The time and the chance of a server.
struct Emulator {
    clock: Clock,
    stepper: Option<Stepper>,
    seeds: Seeds,
    simulation: Simulation,
}

fn emulator(asked: &Emulation, last: Now, fleet: &Fleet) -> Emulator {
    let stepper = (asked.time == Time::Manual).then(Stepper::new);
    let seed = asked.seed.unwrap_or_else(random::seed);
    if !asked.faults.is_empty() {
        tracing::info!(seed, "faults are drawn from seed {seed}; `--seed {seed}` draws the same ones again");
    }
    let seeds = match asked.keeping {
        Keeping::DataDir => Seeds::Random,
        Keeping::Nothing => Seeds::From(AtomicU64::new(seed)),
    };
    let passed = stepper.as_ref().map(Stepper::clock);
    let clock = match &passed {
        Some(passed) => Clock::resume_by(last, passed.clone()),
        None => Clock::resume(last),
    };
    let passed = passed.unwrap_or_else(simulated::Clock::running);
    let simulation = Simulation::new(asked.faults.clone(), seed, passed, fleet);
    Emulator { clock, stepper, seeds, simulation }
}

async fn start_engines(
    options: &Options,
    data_dir: &DataDir,
    (fleet, simulated): (&Fleet, &Simulation),
    control_port: u16,
    epoch: Epoch,
) -> Result<Started, Error> {
    let configuration = engines::Configuration {
        data_dir: data_dir.path(),
        shim_command: &options.shim_command,
        pod_network: options.settings.pod_network,
        registries: options.settings.registry_settings(),
        control_port,
        epoch,
        faults: options.settings.faults.as_deref(),
        simulated,
    };
    Ok(Engines::start(&fleet.engines, &configuration).await?)
}

fn load_key(data_dir: &DataDir) -> Result<(Credentials, KeyOrigin), Error> {
    let given = GivenKey::from_environment(|name| std::env::var(name).ok())?;
    Ok(Credentials::load_or_create(&data_dir.path().join("credentials.toml"), given.as_ref())?)
}

/// The log as it was found, and shut to everybody else.
struct Opened<S> {
    sqlite: SqliteStore,
    store: Arc<S>,
    epoch: Epoch,
    recovered: Recovered,
    high_water: HighWater,
}

async fn open_log<S: LogStore>(
    data_dir: &DataDir,
    options: &Options,
    wrap: impl FnOnce(SqliteStore) -> S,
) -> Result<Opened<S>, Error> {
    let sqlite = SqliteStore::open(&data_dir.path().join(data_dir::LOG_FILE)).await?;
    let store = Arc::new(wrap(sqlite.clone()));
    // Before the log is read: nobody may append behind what is read.
    let epoch = store.fence().await?;
    let recovered = recover::recover(store.as_ref(), data_dir.path()).await?;
    let mark = data_dir.path().join("high-water");
    let on_truncation =
        if options.accept_truncated_log { OnTruncation::Accept } else { OnTruncation::Refuse };
    let high_water = HighWater::open(&mark, recovered.state.sequence(), on_truncation)?;
    Ok(Opened { sqlite, store, epoch, recovered, high_water })
}

/// The listener, and the address that it really has.
async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let failed = |source| Error::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
