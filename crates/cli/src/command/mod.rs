//! The tree of commands: one file each, holding its arguments and what it does.

mod app;
mod call;
mod dismantle;
mod doctor;
mod env;
mod fleet;
mod instances;
mod log;
mod logs;
mod operation;
mod plan;
mod rescale;
mod scaling;
mod serve;
pub(crate) mod shim;
mod version;
mod watch;

use crate::context::{Context, Outcome};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the control plane on this machine
    Serve(serve::Arguments),
    /// Create, list, show and delete applications
    #[command(subcommand)]
    App(app::Command),
    /// Add or release instances of an application
    Rescale(rescale::Arguments),
    /// Show where instances would go or be taken from, and why; nothing changes
    Plan(plan::Arguments),
    /// List the instances of an application
    #[command(alias = "instance")]
    Instances(instances::Arguments),
    /// Show what containers wrote
    Logs(logs::Arguments),
    /// Follow an application or an operation as it changes
    Watch(watch::Arguments),
    /// List and show operations
    #[command(subcommand)]
    Operation(operation::Command),
    /// List and show edge nodes; check a fleet file
    #[command(subcommand)]
    Fleet(fleet::Command),
    /// Call any action of the API, signed
    Call(call::Arguments),
    /// Print exports that point official SDKs at this server
    Env(env::Arguments),
    /// Check what this machine lacks for real containers, and the command that mends it
    Doctor(doctor::Arguments),
    /// Read the durable log
    #[command(subcommand)]
    Log(log::Command),
    /// End the containers of a stopped server and remove their networks and control groups
    Dismantle(dismantle::Arguments),
    /// Print the version
    Version,
}

impl Command {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Serve(arguments) => serve::run(context, arguments).await,
            Self::App(command) => app::run(context, command).await,
            Self::Rescale(arguments) => rescale::run(context, arguments).await,
            Self::Plan(arguments) => plan::run(context, arguments).await,
            Self::Instances(arguments) => instances::run(context, arguments).await,
            Self::Logs(arguments) => logs::run(context, arguments).await,
            Self::Watch(arguments) => watch::run(context, arguments).await,
            Self::Operation(command) => operation::run(context, command).await,
            Self::Fleet(command) => fleet::run(context, command).await,
            Self::Call(arguments) => call::run(context, arguments).await,
            Self::Env(arguments) => env::run(context, &arguments),
            Self::Doctor(arguments) => doctor::run(context, arguments).await,
            Self::Log(command) => log::run(context, command).await,
            Self::Dismantle(arguments) => dismantle::run(context, arguments).await,
            Self::Version => version::run(context),
        }
    }
}
