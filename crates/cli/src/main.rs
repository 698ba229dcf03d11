//! The binary `ensemble`: server, client and, hidden, the supervisor of one container.
//! Owns start-up and the exit code; each command has its file in `command/`.

mod client;
mod command;
mod configured;
mod context;
mod document;
mod endpoint;
mod events;
mod failure;
mod following;
mod operation_progress;
mod output;
mod plan_difference;
mod plan_file;
mod selection;
mod words;

use clap::{CommandFactory, Parser};
use command::Command;
use context::{Context, Global};
use failure::{Exit, Failure};
use std::ffi::OsStr;
use std::process::ExitCode;

/// Scales containerised applications over edge nodes, with the API of Alibaba Cloud ENS (2017-11-10).
#[derive(Debug, Parser)]
#[command(name = "ensemble", version, max_term_width = 110)]
#[command(before_help = EXAMPLES, after_help = after_help(), subcommand_required = true, arg_required_else_help = true)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  ensemble serve                                            start the control plane here
  ensemble app create --image oci:target/hello-edge.oci --name hello
  ensemble rescale hello --add cn-shanghai-cmcc=4 --add cn-wuxi-telecom_unicom_cmcc-3/telecom=2
  ensemble plan hello --add 310100/cmcc=5                   where it would go, and why
  ensemble instances hello                                  what runs, and where
  ensemble call DescribeApplication AppId=… Level=RegionId  any action of the API, signed";

const SOURCES: &str = "\
Endpoint and key come from one source that has both, in this order:
  --profile NAME of ~/.aliyun/config.json
  --endpoint URL, then ENSEMBLE_ENDPOINT, with ENSEMBLE_ACCESS_KEY_ID and _SECRET
  the data directory of a server that runs here (--data-dir, ENSEMBLE_DATA_DIR)
  ALIBABA_CLOUD_ENDPOINT with ALIBABA_CLOUD_ACCESS_KEY_ID and _SECRET
  the current profile of ~/.aliyun/config.json";

fn after_help() -> String {
    let codes: String =
        Exit::ALL.iter().map(|exit| format!("  {:<4} {}\n", exit.number(), exit.meaning())).collect();
    format!("Exit codes:\n{codes}\n{SOURCES}")
}

/// The tree of commands, for whoever describes it.
fn tree() -> clap::Command {
    Arguments::command()
}

fn main() -> ExitCode {
    // The supervisor of a container must start no runtime and no thread: it is dispatched before anything else.
    let mut words = std::env::args_os().skip(1);
    if words.next().as_deref() == Some(OsStr::new("shim")) {
        return command::shim::run(words);
    }
    let arguments = Arguments::parse();
    let context = Context::new(arguments.global);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return context.end(Err(Failure::from_error("could not start the runtime", &error)));
        }
    };
    let outcome = runtime.block_on(arguments.command.run(&context));
    // A blocked write to a terminal or a lingering connection must not keep the process.
    runtime.shutdown_background();
    context.end(outcome)
}
