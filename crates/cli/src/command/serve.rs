//! `ensemble serve`: starts the control plane. Stdout gets exactly one line, `ready http://HOST:PORT`; what people
//! read goes to stderr.

use crate::context::{Context, Outcome};
use crate::failure::{Exit, Failure};
use crate::output;
use clap::{Args, ValueEnum};
use ensemble_server::{EngineChoice, FleetChoice, Options, Ready};
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;
use tracing_subscriber::EnvFilter;

/// Start the control plane on this machine
///
/// The first start creates the account and its access key, from ENSEMBLE_ACCESS_KEY_ID and
/// ENSEMBLE_ACCESS_KEY_SECRET if both are set, else at random, and keeps them in DIR/credentials.toml (0600).
/// SIGTERM drains requests and stops; containers stay, and the next start takes them over.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble serve
  ensemble serve --data-dir /var/lib/ensemble --listen 127.0.0.1:8420 --fleet fleet.toml
  ensemble serve --engine simulated --listen 127.0.0.1:0")]
pub(crate) struct Arguments {
    /// Where to listen; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:8420", value_name = "HOST:PORT")]
    listen: SocketAddr,
    /// `builtin`: 70 edge nodes known from ENS; or a TOML file
    #[arg(long, default_value = "builtin", value_name = "FILE|builtin")]
    fleet: String,
    /// What runs the containers of the built-in fleet
    #[arg(long, value_enum)]
    engine: Option<Engine>,
    /// The address range of pods
    #[arg(long, value_name = "CIDR", default_value = "10.80.0.0/16")]
    pod_network: String,
    /// Start although the log ends before what was answered; what is missing is lost for good
    #[arg(long)]
    accept_truncated_log: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// Real containers on this machine
    Embedded,
    /// No containers; everything else is real
    Simulated,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Outcome {
    let started = Instant::now();
    let fleet = match (arguments.fleet.as_str(), arguments.engine) {
        ("builtin", _) => FleetChoice::Builtin,
        (_, Some(_)) => {
            return Err(Failure::usage("--engine goes with --fleet builtin only")
                .hint("a fleet file names its own engines: [engines.here] kind = \"embedded\""));
        }
        (file, None) => FleetChoice::File(PathBuf::from(file)),
    };
    let options = Options {
        data_dir: context.data_dir(),
        listen: arguments.listen,
        fleet,
        engine: match arguments.engine {
            Some(Engine::Simulated) => EngineChoice::Simulated,
            Some(Engine::Embedded) | None => EngineChoice::Embedded,
        },
        shim_command: shim_command()?,
        pod_network: arguments.pod_network,
        accept_truncated_log: arguments.accept_truncated_log,
    };
    log_to_stderr();
    let quiet = context.is_quiet() || !io::stderr().is_terminal();
    let served = ensemble_server::serve(options, move |ready| {
        output::line(&format!("ready http://{}", ready.address));
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

/// Text on a terminal, JSON otherwise; `ENSEMBLE_LOG` filters (`info`, `debug`, `ensemble_engine=debug`).
fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("ENSEMBLE_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,libcgroups=error,libcontainer=error"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // Fails only when a subscriber is installed already, and then there is one.
    if io::stderr().is_terminal() {
        let _ = builder.try_init();
    } else {
        let _ = builder.json().try_init();
    }
}

fn banner(ready: &Ready, started: Instant) {
    let took = started.elapsed().as_secs_f64();
    output::say(&format!("Ensemble {}  ready in {took:.2} s", env!("CARGO_PKG_VERSION")));
    output::say(&format!("  API      http://{}      (Alibaba Cloud ENS 2017-11-10)", ready.address));
    output::say(&format!("  Data     {}    {}", ready.data_dir.display(), ready.data_note));
    output::say(&format!("  Fleet    {}", ready.fleet_note));
    output::say("Next, in another terminal:");
    output::say("  ensemble app create --image oci:target/hello-edge.oci --name hello");
}
