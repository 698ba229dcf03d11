//! A month of failures in seconds, from a number: the real core, control loop, log format and recovery, and the real
//! supervision of containers, in a world where clock, store, kernel and link are simulated (`decisions.md` §8).
//! The world keeps its own truth and never looks into the core; the same seed gives the same run to the byte.

mod agenda;
mod dice;
mod faults;

pub use agenda::{Agenda, Moment};
pub use dice::Dice;
pub use faults::{Choice, Fault, Faults, Group, UnknownFault};
