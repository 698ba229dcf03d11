//! `ensemble man`: writes the manual, one page a command.

use crate::context::{Context, Outcome};
use crate::document::man;
use crate::failure::{Exit, Failure};
use crate::words::counted;
use clap::Args;
use std::fs;
use std::path::PathBuf;

/// Write the manual into a directory, one page for each command
///
/// The pages are ensemble.1, ensemble-rescale.1, ensemble-app-create.1 and so on; the directory is made if need be.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble man /usr/local/share/man/man1        then: man ensemble-rescale
  ensemble man /tmp/pages && man -l /tmp/pages/ensemble.1")]
pub(crate) struct Arguments {
    /// Where the pages go: a man1 directory of $MANPATH
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    let directory = &arguments.directory;
    let failed = |error: &std::io::Error| {
        Failure::from_error(format!("the manual could not be written to `{}`", directory.display()), error)
    };
    let pages = man::pages().map_err(|error| failed(&error))?;
    fs::create_dir_all(directory).map_err(|error| failed(&error))?;
    for page in &pages {
        fs::write(directory.join(&page.file), &page.roff).map_err(|error| failed(&error))?;
    }
    context.say(&format!("{} in {}", counted(pages.len() as u64, "page"), directory.display()));
    Ok(Exit::Done)
}
