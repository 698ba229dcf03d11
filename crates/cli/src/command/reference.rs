//! `ensemble reference`, hidden: writes `docs/reference` for `make docs`, and takes away what is no longer a page.

use crate::context::{Context, Outcome};
use crate::document::reference;
use crate::failure::{Exit, Failure};
use crate::words::counted;
use clap::Args;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Write the reference in Markdown into a directory, as the one in docs/reference
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble reference docs/reference")]
pub(crate) struct Arguments {
    /// Where the pages go; other Markdown there is removed
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    let directory = &arguments.directory;
    let pages = write(directory).map_err(|error| {
        Failure::from_error(
            format!("the reference could not be written to `{}`", directory.display()),
            &error,
        )
    })?;
    context.say(&format!("{} in {}", counted(pages as u64, "page"), directory.display()));
    Ok(Exit::Done)
}

fn write(directory: &Path) -> io::Result<usize> {
    let pages = reference::pages();
    let mut written = BTreeSet::new();
    for page in &pages {
        let path = directory.join(&page.file);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, &page.text)?;
        written.insert(path);
    }
    for place in [directory.to_owned(), directory.join("actions")] {
        for entry in fs::read_dir(place)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") && !written.contains(&path) {
                fs::remove_file(path)?;
            }
        }
    }
    Ok(pages.len())
}
