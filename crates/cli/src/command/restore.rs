//! `ensemble restore`: a data directory of a backup, and the confirmation that lets its server act.

use super::backup::{tell, to_json};
use crate::context::{Context, Outcome};
use crate::failure::{Exit, Failure};
use crate::output;
use crate::words::counted;
use clap::Args;
use ensemble_server::{backup, data_dir, restored};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Make a data directory of a backup, and confirm it
///
/// All of the backup is verified before anything is placed, and the directory (--data-dir) must be new or empty. A
/// server that starts on it only observes: it reads, refuses writes, and starts and ends no container, until
/// `ensemble restore --confirm`. Make sure before that the server of the backup does not run any more. The confirmation
/// starts what the log wants and ends containers that the log does not know; --status names those.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble restore ensemble.backup --data-dir /var/lib/ensemble
  ensemble restore --status
  ensemble restore --confirm")]
pub(crate) struct Arguments {
    /// The backup
    #[arg(required_unless_present_any = ["confirm", "status"], conflicts_with_all = ["confirm", "status"])]
    file: Option<PathBuf>,
    /// Let the restored server act
    #[arg(long, conflicts_with = "status")]
    confirm: bool,
    /// Show what was restored, and what a confirmation would do
    #[arg(long)]
    status: bool,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Outcome {
    match &arguments.file {
        Some(file) => restore(context, file).await,
        None if arguments.confirm => confirm(context).await,
        None => status(context).await,
    }
}

async fn restore(context: &Context, file: &Path) -> Outcome {
    let dir = context.data_dir();
    let made = backup::restore(file, &dir, |step| tell(context, &step)).await;
    let manifest = made.map_err(|error| {
        let failure = Failure::from_error(
            format!("`{}` could not be restored; nothing was placed", file.display()),
            &error,
        );
        match error {
            backup::Error::NotEmpty { .. } => failure.hint("name a new directory with --data-dir DIR"),
            backup::Error::Damaged { .. } => failure.hint("take an older backup"),
            _ => failure,
        }
    })?;
    if context.form().is_json() {
        let mut document = to_json(&manifest);
        document["dataDir"] = json!(dir);
        output::print_document(context.form(), &document);
        return Ok(Exit::Done);
    }
    context.say(&format!(
        "{}: {}, {}, up to sequence {}, as of {}",
        dir.display(),
        counted(manifest.applications as u64, "application"),
        counted(manifest.instances as u64, "instance"),
        manifest.sequence,
        manifest.taken_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    ));
    context.say(&format!(
        "next: ensemble serve --data-dir {0}; look around; then ensemble restore --confirm --data-dir {0}",
        dir.display()
    ));
    Ok(Exit::Done)
}

/// By the server where one runs, else in its directory.
async fn confirm(context: &Context) -> Outcome {
    let dir = context.data_dir();
    let offline = restored::confirm_offline(&dir);
    match offline {
        Ok(true) => {
            context.say("confirmed; the next `ensemble serve` acts");
            return Ok(Exit::Done);
        }
        Ok(false) => {
            context.say("nothing waits to be confirmed");
            return Ok(Exit::Done);
        }
        Err(restored::Error::DataDir(data_dir::Error::InUse { .. })) => {}
        Err(error) => return Err(Failure::from_error("the restore could not be confirmed", &error)),
    }
    let client = context.client()?;
    let before = client.call("ConfirmRestore", &vec![("DryRun".to_owned(), "true".to_owned())]).await?;
    if before["Restore"]["Status"] != "Observing" {
        context.say("nothing waits to be confirmed");
        return Ok(Exit::Done);
    }
    let unknown = before["Restore"]["UnknownCount"].as_u64().unwrap_or(0);
    let ends = if unknown > 0 {
        format!(" and end {} that the log does not know", counted(unknown, "instance"))
    } else {
        String::new()
    };
    let wanted = counted(before["Restore"]["Wanted"].as_u64().unwrap_or(0), "instance");
    context.confirm(&format!("run {wanted}{ends}?"))?;
    let after = client.call("ConfirmRestore", &Vec::new()).await?;
    if context.form().is_json() {
        output::print_document(context.form(), &after["Restore"]);
    } else {
        context.say(&format!("confirmed: {wanted} to run. next: ensemble app list"));
    }
    Ok(Exit::Done)
}

async fn status(context: &Context) -> Outcome {
    let client = context.client()?;
    let answer = client.call("ConfirmRestore", &vec![("DryRun".to_owned(), "true".to_owned())]).await?;
    let restore = &answer["Restore"];
    if context.form().is_json() {
        output::print_document(context.form(), restore);
        return Ok(Exit::Done);
    }
    print(restore);
    Ok(Exit::Done)
}

fn print(restore: &Value) {
    let text = |name: &str| restore[name].as_str().unwrap_or_default().to_owned();
    let status = text("Status");
    let line = |name: &str, value: String| output::line(format!("{name:<12} {value}").trim_end());
    line(
        "Restore",
        if status == "None" { "none: this directory did not come from a backup".into() } else { status },
    );
    line("Backup of", text("TakenAt"));
    line("Restored", text("RestoredAt"));
    line("Confirmed", text("ConfirmedAt"));
    line("Wanted", format!("{} by the log", restore["Wanted"]));
    line("Held", format!("{} by this machine's engines", restore["Held"]));
    line("Unknown", format!("{} of these to the log; a confirmation ends them", restore["UnknownCount"]));
    for id in restore["Unknown"].as_array().into_iter().flatten() {
        output::line(&format!("  {}", id.as_str().unwrap_or_default()));
    }
}
