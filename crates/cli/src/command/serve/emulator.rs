//! What makes `ensemble serve` an emulator for somebody's tests: its flags, the directory that goes with it, and the
//! lines that tell a test where it is. What of it goes together, the server checks.

use crate::command::env;
use crate::context::Context;
use crate::endpoint;
use crate::failure::Failure;
use crate::output;
use clap::{Args, ValueEnum};
use ensemble_server::Ready;
use ensemble_server::emulation::{Emulation, Fault, Keeping, Time};
use ensemble_server::ephemeral::Ephemeral;

const HEADING: &str = "For tests, with --engine simulated";

#[derive(Debug, Args)]
pub(super) struct EmulatorArguments {
    /// Keep nothing: no data directory, a free port, and after the ready line what `ensemble env` prints
    #[arg(long, help_heading = HEADING)]
    ephemeral: bool,
    /// A fault: KIND is pull, start, ready, crash or unreachable; how much is a probability or a duration
    ///
    /// NODE is an edge node or `*`, and one that is named comes first; the last of several counts. For an instance a
    /// probability says whether it is hit: its image cannot be pulled, its program cannot be started, it never becomes
    /// ready, or it exits whenever it would be ready. A duration is how long pulling, starting or becoming ready takes,
    /// or how long it is ready before it exits. A node is unreachable from the start, for good or for so long. Which
    /// ones are hit is drawn from the seed, by node and by the order in which instances come to it.
    #[arg(long, value_name = "NODE:KIND=HOW-MUCH", help_heading = HEADING)]
    fault: Vec<Fault>,
    /// Draws the same chances again; with --ephemeral also the same ids
    #[arg(long, value_name = "NUMBER", help_heading = HEADING)]
    seed: Option<u64>,
    /// Whose time passes: the machine's, or one that stands still until AdvanceClock steps it
    #[arg(long, value_enum, default_value_t, help_heading = HEADING)]
    clock: Clock,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Clock {
    #[default]
    Real,
    /// `ensemble call AdvanceClock Seconds=300`; with --ephemeral
    Manual,
}

impl EmulatorArguments {
    /// The directory of a server that keeps nothing.
    pub(super) fn directory(&self, context: &Context) -> Result<Option<Ephemeral>, Failure> {
        if !self.ephemeral {
            return Ok(None);
        }
        if context.data_dir_flag().is_some() {
            return Err(Failure::usage("--ephemeral keeps nothing, so there is no --data-dir to name"));
        }
        let made = Ephemeral::create();
        made.map(Some)
            .map_err(|error| Failure::from_error("no directory could be made for the server", &error))
    }

    pub(super) fn emulation(&self) -> Emulation {
        Emulation {
            faults: self.fault.clone(),
            seed: self.seed,
            time: match self.clock {
                Clock::Real => Time::Real,
                Clock::Manual => Time::Manual,
            },
            keeping: if self.ephemeral { Keeping::Nothing } else { Keeping::DataDir },
        }
    }
}

/// The ready line and the exports, in one go: whoever reads the first has the others.
pub(super) fn print_ready(ready: &Ready) {
    let mut text = format!("ready {}", ready.url);
    if let Some(endpoint) = endpoint::of_server_in(&ready.data_dir) {
        for line in env::exports(&endpoint) {
            text.push('\n');
            text.push_str(&line);
        }
    }
    output::line(&text);
}
