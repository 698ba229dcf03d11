//! `ensemble serve`: starts the control plane. Stdout gets exactly one line, `ready http://HOST:PORT`; what people
//! read goes to stderr.

mod emulator;

use crate::configured;
use crate::context::{Context, Outcome};
use crate::failure::{Exit, Failure};
use crate::output;
use clap::{Args, ValueEnum};
use ensemble_server::check::{self, Checked};
use ensemble_server::configuration::{self, Effective, Problem, Sources};
use ensemble_server::ephemeral::Ephemeral;
use ensemble_server::{Options, Ready, Supervision, logging};
use serde_json::json;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Instant;

/// Start the control plane on this machine
///
/// Each setting comes from its flag, else its environment variable, else the configuration file, else its default:
/// `ensemble config show --effective` says which. The file is --config FILE, else $ENSEMBLE_CONFIG, else
/// /etc/ensemble/ensemble.toml if it is there.
///
/// The first start creates the account and its access key, from ENSEMBLE_ACCESS_KEY_ID and
/// ENSEMBLE_ACCESS_KEY_SECRET if both are set, else at random, and keeps them in DIR/credentials.toml (0600).
/// SIGTERM drains requests and stops, a second one stops at once; containers stay, and the next start takes them over.
/// SIGHUP reads the configuration again: what is wrong keeps the old one, and the log says so.
///
/// Unsigned, for probes and Prometheus: GET /livez, /readyz, and from this machine /metrics.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble serve
  ensemble serve --config /etc/ensemble/ensemble.toml
  ensemble serve --check
  ensemble serve --data-dir /var/lib/ensemble --listen 127.0.0.1:8420 --fleet fleet.toml
  ensemble serve --engine simulated --listen 127.0.0.1:0
  ensemble serve --engine simulated --ephemeral --listen 127.0.0.1:0 --fault '*:ready=2s' --clock manual")]
pub(crate) struct Arguments {
    #[command(flatten)]
    sources: SourceArguments,
    /// Check the configuration and the files it names; start and change nothing
    ///
    /// Exits 0 when all is sound, 2 when the configuration has mistakes, 1 when something that it names has.
    #[arg(long)]
    check: bool,
    /// Start although the log ends before what was answered; what is missing is lost for good
    #[arg(long)]
    accept_truncated_log: bool,
    #[command(flatten)]
    emulator: emulator::EmulatorArguments,
}

/// What decides about the configuration, for every command that reads it.
#[derive(Debug, Default, Args)]
pub(crate) struct SourceArguments {
    /// The configuration file [env: ENSEMBLE_CONFIG] [default: /etc/ensemble/ensemble.toml if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen; port 0 picks a free one [env: ENSEMBLE_LISTEN] [default: 127.0.0.1:8420]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// `builtin`: 70 edge nodes known from ENS; or a TOML file [env: ENSEMBLE_FLEET] [default: builtin]
    #[arg(long, value_name = "FILE|builtin")]
    fleet: Option<String>,
    /// What runs the containers of the built-in fleet [env: ENSEMBLE_ENGINE] [default: embedded]
    #[arg(long, value_enum)]
    engine: Option<Engine>,
    /// The address range of pods [env: ENSEMBLE_POD_NETWORK] [default: 10.80.0.0/16]
    #[arg(long, value_name = "CIDR")]
    pod_network: Option<String>,
    /// For exercises: a file that lists edge nodes to cut off, read as it changes [env: ENSEMBLE_FAULTS]
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// What is logged: `info`, `debug`, `info,ensemble_engine=debug` [env: ENSEMBLE_LOG] [default: info]
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// Real containers on this machine
    Embedded,
    /// No containers; everything else is real
    Simulated,
}

impl SourceArguments {
    /// As if `--config` were the only flag.
    pub(crate) fn of_file(config: Option<PathBuf>) -> Self {
        Self { config, ..Self::default() }
    }

    pub(crate) fn sources(&self, context: &Context) -> Sources {
        let data_dir = context.data_dir_flag().map(|path| path.to_string_lossy().into_owned());
        self.sources_on(context, data_dir, self.listen.clone())
    }

    /// Of a server that keeps nothing: any free port will do where nobody names one.
    fn sources_in(&self, context: &Context, directory: &Ephemeral) -> Sources {
        let data_dir = directory.path().to_string_lossy().into_owned();
        let is_free = self.listen.is_none() && std::env::var_os("ENSEMBLE_LISTEN").is_none();
        let listen = if is_free { Some("127.0.0.1:0".to_owned()) } else { self.listen.clone() };
        self.sources_on(context, Some(data_dir), listen)
    }

    fn sources_on(&self, context: &Context, data_dir: Option<String>, listen: Option<String>) -> Sources {
        let engine = self.engine.map(|engine| match engine {
            Engine::Embedded => "embedded".to_owned(),
            Engine::Simulated => "simulated".to_owned(),
        });
        let flags = [
            ("data_dir", data_dir),
            ("listen", listen),
            ("fleet", self.fleet.clone()),
            ("engine", engine),
            ("pod_network", self.pod_network.clone()),
            ("faults", self.faults.as_ref().map(|path| path.to_string_lossy().into_owned())),
            ("log.level", self.log.clone()),
        ];
        let flags = flags.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        configured::sources(self.config.clone(), flags, context.usual_data_dir())
    }
}

/// Reads the configuration; everything that is wrong with it is told at once.
pub(crate) fn read(sources: &Sources) -> Result<Effective, Failure> {
    sources.read().map_err(|configuration::Error(problems)| mistaken(&problems))
}

fn mistaken(problems: &[Problem]) -> Failure {
    with_causes(Failure::usage("the configuration has mistakes"), problems)
}

fn with_causes(failure: Failure, problems: &[Problem]) -> Failure {
    problems.iter().fold(failure, |failure, problem| match &problem.hint {
        Some(hint) => failure.cause(format!("{problem}; {hint}")),
        None => failure.cause(problem),
    })
}

fn check(context: &Context, sources: &Sources) -> Outcome {
    match check::check(sources) {
        Checked::Sound(effective) => {
            if context.form().is_json() {
                let file = effective.file.map(|path| path.display().to_string());
                output::print_document(context.form(), &json!({"sound": true, "file": file}));
            } else {
                output::line("configuration is sound");
            }
            Ok(Exit::Done)
        }
        Checked::Mistaken(problems) => Err(mistaken(&problems)),
        Checked::Unfit(problems) => {
            let failure = Failure::new(Exit::Failed, "the server would not start, or not work as configured");
            Err(with_causes(failure, &problems))
        }
    }
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Outcome {
    let started = Instant::now();
    let ephemeral = arguments.emulator.directory(context)?;
    let sources = match &ephemeral {
        Some(directory) => arguments.sources.sources_in(context, directory),
        None => arguments.sources.sources(context),
    };
    if arguments.check {
        return check(context, &sources);
    }
    let Effective { settings, entries, .. } = read(&sources)?;
    let options = Options {
        log: Some(logging::install(&settings.log)),
        settings,
        entries,
        sources,
        supervision: Supervision::from_environment(|name| std::env::var_os(name), std::process::id()),
        shim_command: shim_command()?,
        accept_truncated_log: arguments.accept_truncated_log,
        emulation: arguments.emulator.emulation(),
    };
    let quiet = context.is_quiet() || !io::stderr().is_terminal();
    let is_ephemeral = ephemeral.is_some();
    let served = ensemble_server::serve(options, move |ready| {
        if is_ephemeral {
            emulator::print_ready(ready);
        } else {
            output::line(&format!("ready {}", ready.url));
        }
        if !quiet {
            banner(ready, started);
        }
    })
    .await;
    served.map(|()| Exit::Done).map_err(|error| {
        let hint = error.hint();
        let failure = Failure::from_error("the server stopped", &error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

/// The supervisor of a container is this very binary, also after it was replaced on disk.
fn shim_command() -> Result<Vec<OsString>, Failure> {
    let own = std::env::current_exe()
        .map_err(|error| Failure::from_error("could not find this program's own file", &error))?;
    Ok(vec![own.into_os_string(), OsString::from("shim")])
}

fn banner(ready: &Ready, started: Instant) {
    let took = started.elapsed().as_secs_f64();
    output::say(&format!("Ensemble {}  ready in {took:.2} s", env!("CARGO_PKG_VERSION")));
    output::say(&format!("  API      {}      (Alibaba Cloud ENS 2017-11-10)", ready.url));
    output::say(&format!("  Data     {}    {}", ready.data_dir.display(), ready.data_note));
    output::say(&format!("  Fleet    {}", ready.fleet_note));
    if let Some(note) = &ready.restore_note {
        output::say(&format!("  Restore  {note}"));
        return;
    }
    output::say("Next, in another terminal:");
    output::say("  ensemble app create --image oci:target/hello-edge.oci --name hello");
}
