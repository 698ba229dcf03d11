//! The API gateway, the actions, and the shell around the control loop: everything that does I/O for the core.
//! Must not decide: placement and operations are `ensemble_model`'s, containers are `ensemble_engine`'s.

#![forbid(unsafe_code)]

mod action;
pub mod backup;
mod causes;
pub mod check;
mod clock;
pub mod configuration;
pub mod control;
mod courier;
pub mod credentials;
pub mod data_dir;
pub mod dismantle;
pub mod emulation;
pub mod engines;
pub mod ephemeral;
mod exec;
pub mod faults;
mod file_error;
pub mod fleet;
mod gateway;
mod health;
pub mod high_water;
mod images;
pub mod logging;
mod mailbox;
pub mod metrics;
mod named_file;
pub mod notify;
mod open_files;
mod random;
mod read_log;
mod reload;
pub mod restored;
mod signals;
pub mod start;
mod stepper;
pub mod store;
pub mod tls;
mod view;
mod watch;

pub use configuration::settings::{EngineChoice, FleetChoice, Settings};
pub use dismantle::dismantle;
pub use notify::Supervision;
pub use read_log::read_log;
pub use signals::Signals;
pub use start::{Error, Options, Phase, Ready, serve, serve_until};
