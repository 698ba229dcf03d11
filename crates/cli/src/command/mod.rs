//! The tree of commands: one file each, holding its arguments and what it does.

mod api;
mod app;
mod backup;
mod call;
mod completion;
mod config;
mod dismantle;
mod doctor;
mod edge_node;
mod env;
mod exec;
mod fleet;
mod image;
mod instance;
mod instances;
mod log;
mod logs;
mod man;
mod operation;
mod plan;
mod rebalance;
mod reference;
mod rescale;
mod restore;
pub(crate) mod scaling;
mod serve;
pub(crate) mod shim;
mod simulate;
mod version;
mod watch;

use crate::context::{Context, Outcome};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    // A command with arguments says what it does beside them: a comment here would hide the longer text there.
    Serve(serve::Arguments),
    /// Create, list, show and delete applications
    #[command(subcommand)]
    App(app::Command),
    Rescale(rescale::Arguments),
    Plan(plan::Arguments),
    Instances(instances::Arguments),
    /// List, show, create, release and protect instances one by one
    #[command(subcommand)]
    Instance(instance::Command),
    Rebalance(rebalance::Arguments),
    Logs(logs::Arguments),
    Exec(exec::Arguments),
    Watch(watch::Arguments),
    /// List, show and cancel operations
    #[command(subcommand)]
    Operation(operation::Command),
    /// List and show edge nodes, drain them or declare them lost; check a fleet file
    #[command(subcommand)]
    Fleet(fleet::Command),
    /// List and remove images on the server's machine
    #[command(subcommand)]
    Image(image::Command),
    Call(call::Arguments),
    /// List the actions of the API, and show what one takes and answers
    #[command(subcommand)]
    Api(api::Command),
    Env(env::Arguments),
    Doctor(doctor::Arguments),
    /// Show what the configuration says, and where it says so
    #[command(subcommand)]
    Config(config::Command),
    /// Read the durable log
    #[command(subcommand)]
    Log(log::Command),
    Backup(backup::Arguments),
    Restore(restore::Arguments),
    Dismantle(dismantle::Arguments),
    Simulate(simulate::Arguments),
    Completion(completion::Arguments),
    Man(man::Arguments),
    #[command(hide = true)]
    Reference(reference::Arguments),
    /// Print the version of the program and of the API
    #[command(after_help = version::EXAMPLES)]
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
            Self::Instance(command) => instance::run(context, command).await,
            Self::Rebalance(arguments) => rebalance::run(context, arguments).await,
            Self::Logs(arguments) => logs::run(context, arguments).await,
            Self::Exec(arguments) => exec::run(context, arguments).await,
            Self::Watch(arguments) => watch::run(context, arguments).await,
            Self::Operation(command) => operation::run(context, command).await,
            Self::Fleet(command) => fleet::run(context, command).await,
            Self::Image(command) => image::run(context, command).await,
            Self::Call(arguments) => call::run(context, arguments).await,
            Self::Api(command) => api::run(context, &command),
            Self::Env(arguments) => env::run(context, &arguments),
            Self::Config(command) => config::run(context, command),
            Self::Doctor(arguments) => doctor::run(context, arguments).await,
            Self::Log(command) => log::run(context, command).await,
            Self::Backup(arguments) => backup::run(context, arguments).await,
            Self::Restore(arguments) => restore::run(context, arguments).await,
            Self::Dismantle(arguments) => dismantle::run(context, arguments).await,
            Self::Simulate(arguments) => simulate::run(context, &arguments),
            Self::Completion(arguments) => completion::run(&arguments),
            Self::Man(arguments) => man::run(context, &arguments),
            Self::Reference(arguments) => reference::run(context, &arguments),
            Self::Version => version::run(context),
        }
    }
}
