//! The log on stderr: text on a terminal, JSON otherwise, and a level that can be changed while the server runs.
//! A line that belongs to a request carries its `request_id`. Must never be given a secret or a raw body.

use crate::configuration::settings::{LogFormat, LogSettings};
use std::io::{self, IsTerminal};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

/// What two crates of the embedded engine say of every container, and nobody can act on. A level that names them
/// comes later and wins.
const QUIETER: &str = "libcgroups=error,libcontainer=error";

/// The level of an installed log.
#[derive(Clone, Debug)]
pub struct LogLevel(reload::Handle<EnvFilter, Registry>);

impl LogLevel {
    /// Changes what is logged from now on.
    pub fn set(&self, level: &str) {
        if let Err(error) = self.0.reload(filter(level)) {
            tracing::warn!("the log level stays as it is: {error}");
        }
    }
}

/// Installs the log of this process. One that is installed already stays, and then the level given here has no effect.
pub fn install(settings: &LogSettings) -> LogLevel {
    let (filter, handle) = reload::Layer::new(filter(&settings.level));
    let as_text = match settings.format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let lines = match as_text {
        true => fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).boxed(),
        false => {
            fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(io::stderr).boxed()
        }
    };
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    LogLevel(handle)
}

fn filter(level: &str) -> EnvFilter {
    // The level was checked when the configuration was read.
    EnvFilter::new(format!("{QUIETER},{level}"))
}
