//! `ensemble dismantle`: takes the containers of a stopped server off this machine.

use crate::context::{Context, Outcome};
use crate::failure::{Exit, Failure};
use crate::words::counted;
use clap::Args;

/// End the containers of a stopped server and remove their networks and control groups
///
/// Containers outlive their server on purpose; this takes them away without one. The data directory stays: the
/// next `ensemble serve` starts what is wanted again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble dismantle
  ensemble dismantle --data-dir /var/lib/ensemble --yes")]
pub(crate) struct Arguments {
    /// The address range of pods [default: the configuration's, or 10.80.0.0/16]
    #[arg(long, value_name = "CIDR")]
    pod_network: Option<String>,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Outcome {
    let dir = context.data_dir();
    context.confirm(&format!("end every container of `{}`?", dir.display()))?;
    let pod_network = context.pod_network(arguments.pod_network);
    let engines = ensemble_server::dismantle(&dir, &pod_network).await.map_err(|error| {
        Failure::from_error(format!("the containers of `{}` cannot be taken away", dir.display()), &error)
    })?;
    context.say(&format!(
        "{} taken down; `{}` stays",
        counted(engines.len() as u64, "engine"),
        dir.display()
    ));
    Ok(Exit::Done)
}
