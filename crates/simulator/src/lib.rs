//! A month of failures in seconds, from a number: the real core, control loop, log format and recovery, and the real
//! supervision of containers, in a world where clock, store, kernel and link are simulated (`decisions.md` §8).
//! The world keeps its own truth and never looks into the core; the same seed gives the same run to the byte.

mod agenda;
mod clients;
mod clock;
mod dice;
mod disk;
mod faults;
mod host;
mod invariant;
mod link;
mod options;
mod reference;
mod report;
mod request;
mod scenario;
mod server;
mod shadow;
mod shrink;
mod simulation;
mod story;
mod trace;
mod watchers;

pub use agenda::Moment;
pub use faults::{Choice, Fault, Faults, Group, UnknownFault};
pub use invariant::Exercised;
pub use options::{APPLICATIONS, CALM_S, EDGE_NODES, MINUTES, NoRange, Options, Without};
pub use reference::optimum::Regret;
pub use report::{Figures, Report, Violation};
pub use shrink::{Shrunk, shrink};
pub use simulation::run;
pub use trace::Tracing;
