//! What Ensemble believes and decides: fleet, application, instance, operation; placement; `decide` and `apply`;
//! the control loop's `step`; the log's format and recovery.
//! Must not do I/O, read a clock or draw a random number: times, ids and seeds come in with the command.

pub mod application;
pub mod census;
pub mod command;
pub mod decide;
pub mod document;
pub mod event;
pub mod explain;
pub mod fleet;
pub mod id;
pub mod instance;
pub mod log;
pub mod matching;
pub mod observation;
pub mod operation;
pub mod own_instance;
pub mod permit;
pub mod placement;
pub mod plan;
pub mod port;
pub mod probe;
pub mod refusal;
pub mod rollout;
pub mod selector;
pub mod spec;
pub mod state;
pub mod step;
pub mod suggestion;
pub mod time;
pub mod wanted;
