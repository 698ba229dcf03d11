//! `ensemble backup`: one file of a data directory, also while its server runs.

use super::serve::{SourceArguments, read};
use crate::context::{Context, Outcome};
use crate::failure::{Exit, Failure};
use crate::output;
use crate::words::{counted, size};
use clap::Args;
use ensemble_server::backup::{self, Extra, Manifest, Step};
use ensemble_server::configuration::settings::FleetChoice;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

/// Write everything that a server cannot be made again without into one file
///
/// The file holds the log, the account and its access key (so it has mode 0600: keep it as safe as the key), the images
/// that came from files (`oci:`), and, to look at, the configuration and the fleet file. Images of a registry, its
/// credentials and what containers wrote are not in it. The server may run meanwhile: whatever it answered before is in
/// the file. The file appears whole or not at all, and replaces one of its name.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble backup /backup/ensemble-$(date +%F).backup
  ensemble backup ensemble.backup --data-dir /var/lib/ensemble
  ensemble restore ensemble.backup --data-dir /var/lib/ensemble        brings it back")]
pub(crate) struct Arguments {
    /// The file to write
    file: PathBuf,
    /// The configuration that the server is started with [env: ENSEMBLE_CONFIG] [default: /etc/ensemble/ensemble.toml if
    /// it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Outcome {
    let effective = read(&SourceArguments::of_file(arguments.config).sources(context))?;
    let data_dir = effective.settings.data_dir;
    let mut extras: Vec<Extra> =
        effective.file.into_iter().map(|path| Extra { name: "ensemble.toml", path }).collect();
    if let FleetChoice::File(path) = effective.settings.fleet {
        extras.push(Extra { name: "fleet.toml", path });
    }
    let file = &arguments.file;
    let made = backup::write(&data_dir, file, &extras, |step| tell(context, &step)).await;
    let manifest = made.map_err(|error| {
        let failure = Failure::from_error(format!("`{}` could not be backed up", data_dir.display()), &error);
        match error {
            backup::Error::NoServer { .. } => failure.hint("--data-dir DIR names the server's directory"),
            _ => failure,
        }
    })?;
    let bytes = fs::metadata(file).map_or(0, |found| found.len());
    if context.form().is_json() {
        let mut document = to_json(&manifest);
        document["file"] = json!(file);
        document["bytes"] = json!(bytes);
        output::print_document(context.form(), &document);
    } else {
        context.say(&format!(
            "{}: {}, {}, up to sequence {}, {}",
            file.display(),
            counted(manifest.applications as u64, "application"),
            counted(manifest.instances as u64, "instance"),
            manifest.sequence,
            size(bytes)
        ));
    }
    Ok(Exit::Done)
}

/// What both commands print of a backup where JSON is asked for.
pub(super) fn to_json(manifest: &Manifest) -> Value {
    serde_json::to_value(manifest).expect("names, numbers and times always serialize")
}

/// Progress, one line a step; bytes only where a terminal may be drawn on.
pub(super) fn tell(context: &Context, step: &Step) {
    match step {
        Step::CopyingLog => context.say("copying the log"),
        Step::Image { number, of } => context.say(&format!("image {number} of {of}")),
        Step::Writing { .. } | Step::Verifying { .. } if !context.draws() => {}
        Step::Writing { bytes } => context.redraw(&format!("written: {}", size(*bytes))),
        Step::Verifying { bytes } => context.redraw(&format!("verified: {}", size(*bytes))),
        Step::Placing => {
            if context.draws() {
                context.redraw("");
            }
        }
    }
}
