//! What every command shares: the global options, and how a command ends.

use crate::client::Client;
use crate::configured;
use crate::endpoint::{self, Asked};
use crate::failure::{Exit, Failure};
use crate::output::{self, Form};
use clap::{Args, ValueEnum};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// A profile of ~/.aliyun/config.json that has an endpoint and a key
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global options")]
    profile: Option<String>,
    /// The server to call; the key is ENSEMBLE_ACCESS_KEY_ID and ENSEMBLE_ACCESS_KEY_SECRET
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    endpoint: Option<String>,
    /// Certificates (PEM) to trust an HTTPS server by, instead of the system's [env: ENSEMBLE_CA_FILE]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    ca_file: Option<PathBuf>,
    /// The local server's directory [default: $ENSEMBLE_DATA_DIR, the configuration's, or ~/.local/share/ensemble]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    data_dir: Option<PathBuf>,
    /// The form of what is printed
    #[arg(long, short, global = true, value_enum, default_value_t, help_heading = "Global options")]
    output: Form,
    /// Say only what was asked for
    #[arg(long, short, global = true, help_heading = "Global options")]
    quiet: bool,
    /// Say more: where the endpoint comes from, request ids
    #[arg(long, short, global = true, help_heading = "Global options")]
    verbose: bool,
    /// Colours and bars; NO_COLOR turns them off as well
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "WHEN",
        help_heading = "Global options"
    )]
    color: Color,
    /// Do not ask before something is released
    #[arg(long, short, global = true, help_heading = "Global options")]
    yes: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

/// How a command ends: done, or with a code of its own and nothing more to say, or with a failure.
pub(crate) type Outcome = Result<Exit, Failure>;

#[derive(Clone, Debug)]
pub(crate) struct Context {
    global: Global,
}

impl Context {
    pub(crate) fn new(global: Global) -> Self {
        Self { global }
    }

    pub(crate) fn form(&self) -> Form {
        self.global.output
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        endpoint::data_dir(&self.asked())
    }

    /// The directory that the flag names.
    pub(crate) fn data_dir_flag(&self) -> Option<&Path> {
        self.global.data_dir.as_deref()
    }

    /// The directory when neither flag, environment nor configuration names one.
    pub(crate) fn usual_data_dir(&self) -> PathBuf {
        endpoint::usual_data_dir()
    }

    /// The address range of pods: the flag's, else the configuration's.
    pub(crate) fn pod_network(&self, flag: Option<String>) -> String {
        let configured = || configured::settings(self.usual_data_dir()).map(|settings| settings.pod_network);
        flag.or_else(|| Some(configured()?.to_string())).unwrap_or_else(|| "10.80.0.0/16".to_owned())
    }

    /// Whether a live display may be drawn on stderr.
    pub(crate) fn draws(&self) -> bool {
        let colored = match self.global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        colored && !self.global.quiet && io::stderr().is_terminal()
    }

    /// Whether what is printed on stdout may have colours.
    pub(crate) fn colours_output(&self) -> bool {
        match self.global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let is_forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                !is_forbidden && io::stdout().is_terminal()
            }
        }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.global.quiet
    }

    /// A remark on stderr, unless `--quiet`.
    pub(crate) fn say(&self, text: &str) {
        if !self.global.quiet {
            output::say(text);
        }
    }

    /// Replaces the line on stderr that was drawn before; only where [`Self::draws`].
    pub(crate) fn redraw(&self, text: &str) {
        // Losing it loses nothing.
        let _ = write!(io::stderr(), "\r\x1b[K{text}");
    }

    /// The endpoint and the key to call it with.
    pub(crate) fn endpoint(&self) -> Result<endpoint::Endpoint, Failure> {
        let verbose = self.global.verbose;
        let quiet = self.global.quiet;
        let found = endpoint::find(&self.asked(), &mut |note| {
            if !quiet {
                output::say(&format!("note: {note}"));
            }
        })?;
        if verbose {
            output::say(&format!("endpoint: {found:?}"));
        }
        Ok(found)
    }

    fn authority(&self) -> Option<PathBuf> {
        let variable = || std::env::var_os("ENSEMBLE_CA_FILE").filter(|path| !path.is_empty());
        self.global.ca_file.clone().or_else(|| variable().map(PathBuf::from))
    }

    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Client::new(self.endpoint()?, self.authority().as_deref())
    }

    /// Asks before something is released; without a terminal, or with `--yes`, the answer is yes.
    pub(crate) fn confirm(&self, question: &str) -> Result<(), Failure> {
        if self.global.yes || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Ok(());
        }
        eprint!("{question} [y/N] ");
        let mut answer = String::new();
        let read = io::stdin().read_line(&mut answer);
        match (read, answer.trim().to_ascii_lowercase().as_str()) {
            (Ok(_), "y" | "yes") => Ok(()),
            _ => Err(Failure::new(Exit::Failed, "nothing was changed").hint("-y answers yes")),
        }
    }

    /// Shows a failure and turns the outcome into the process's exit code.
    pub(crate) fn end(&self, outcome: Outcome) -> ExitCode {
        let exit = match outcome {
            Ok(exit) => exit,
            Err(failure) => {
                if self.form().is_json() {
                    output::print_document(self.form(), &failure.to_json());
                } else {
                    output::say(&failure.to_string());
                }
                failure.exit
            }
        };
        ExitCode::from(exit.number())
    }

    fn asked(&self) -> Asked {
        Asked {
            profile: self.global.profile.clone(),
            endpoint: self.global.endpoint.clone(),
            data_dir: self.global.data_dir.clone(),
        }
    }
}
