//! `ensemble-bench`: measures the release binary of Ensemble, and its peers on the same work, and writes what came out
//! into `docs/benchmarks.md`. What is measured, and why it is fair, stands in `bench/README.md`.
//! Started by `make bench`, which builds what is measured.

mod api;
mod client;
mod containers;
mod decide;
mod emulator;
mod etcd;
mod hello;
mod http;
mod load;
mod machine;
mod memory;
mod replay;
mod report;
mod server;
mod signing;
mod site;
mod start_up;
mod statistics;
mod traffic;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};
use report::Section;
use server::Programs;
use site::Site;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[derive(Parser)]
#[command(about = "Measures Ensemble and its peers on the same work")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure, print, and write the document
    Run {
        /// Only these parts
        #[arg(long, value_enum, value_delimiter = ',', default_values_t = Part::ALL)]
        part: Vec<Part>,
        /// Few and short runs: to see that it works; the document is left alone
        #[arg(long)]
        quick: bool,
        /// The binary to measure
        #[arg(long, default_value = "target/release/ensemble")]
        ensemble: PathBuf,
        /// The example image
        #[arg(long, default_value = "target/hello-edge.oci")]
        image: PathBuf,
        /// Where the tables go
        #[arg(long, default_value = "docs/benchmarks.md")]
        document: PathBuf,
    },
    /// Remove what a run that was interrupted has left
    Sweep,
    /// Answer every request with so many bytes
    #[command(hide = true)]
    Hello { answer_bytes: usize },
    /// Run containers with a runtime of Debian's, as the plan says
    #[command(hide = true)]
    Loop { plan: PathBuf },
    /// Measure decisions over so many edge nodes and instances
    #[command(hide = true)]
    Decide { nodes: usize, instances: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Containers,
    Api,
    Memory,
    Start,
    Decide,
    Etcd,
    Replay,
    Emulator,
}

impl Part {
    const ALL: [Self; 8] = [
        Self::Containers,
        Self::Api,
        Self::Memory,
        Self::Start,
        Self::Decide,
        Self::Etcd,
        Self::Replay,
        Self::Emulator,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Containers => "containers",
            Self::Api => "api",
            Self::Memory => "memory",
            Self::Start => "start",
            Self::Decide => "decide",
            Self::Etcd => "etcd",
            Self::Replay => "replay",
            Self::Emulator => "emulator",
        }
    }
}

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thoroughness {
    Full,
    Quick,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Run { part, quick, ensemble, image, document } => {
            let programs = Programs { ensemble: ensemble.canonicalize()?, image: image.canonicalize()? };
            let thoroughness = if quick { Thoroughness::Quick } else { Thoroughness::Full };
            run(&part, thoroughness, &programs, &document)
        }
        Command::Sweep => site::sweep(),
        Command::Hello { answer_bytes } => hello::serve(answer_bytes),
        Command::Loop { plan } => containers::runtime_loop::serve(&plan),
        Command::Decide { nodes, instances } => decide::probe::serve(nodes, instances),
    }
}

fn run(parts: &[Part], thoroughness: Thoroughness, programs: &Programs, document: &Path) -> Result<()> {
    let site = Site::claim()?;
    let versions: [(&str, &[&str]); 5] = [
        ("runc", &["--version"]),
        ("crun", &["--version"]),
        ("dockerd", &["--version"]),
        ("containerd", &["--version"]),
        ("etcd", &["--version"]),
    ];
    let mut missed = 0;
    for part in parts {
        let began = Instant::now();
        let section =
            measure(*part, thoroughness, &site, programs).with_context(|| format!("part {}", part.name()))?;
        missed += section.aims.iter().filter(|aim| !aim.is_met()).count();
        let body = format!(
            "{}\n{}- This part took {:.0} s.\n",
            machine::description(&versions),
            section.markdown(),
            began.elapsed().as_secs_f64()
        );
        println!("## {}\n\n{body}", part.name());
        if thoroughness == Thoroughness::Full {
            report::put(document, part.name(), &body)?;
        }
    }
    println!("{missed} aims missed");
    Ok(())
}

fn measure(part: Part, thoroughness: Thoroughness, site: &Site, programs: &Programs) -> Result<Section> {
    let is_full = thoroughness == Thoroughness::Full;
    match part {
        Part::Containers => {
            let (runs, first_runs) = if is_full { (vec![(40, 5), (200, 3)], 11) } else { (vec![(10, 1)], 3) };
            containers::run(site, programs, &containers::Effort { runs, first_runs })
        }
        Part::Api => {
            let (runs, measured_s) = if is_full { (5, 3) } else { (1, 2) };
            api::run(site, programs, api::Effort { runs, measured: Duration::from_secs(measured_s) })
        }
        Part::Memory => {
            let (containers, instances) = if is_full { (200, 20_000) } else { (20, 2_000) };
            memory::run(site, programs, memory::Effort { containers, instances })
        }
        Part::Start => {
            let (instances, runs) = if is_full { (100_000, 5) } else { (10_000, 2) };
            start_up::run(site, programs, start_up::Effort { instances, runs })
        }
        Part::Decide => {
            let (nodes, instances) = if is_full { (10_000, 1_000_000) } else { (1_000, 50_000) };
            decide::run(decide::Effort { nodes, instances })
        }
        Part::Etcd => {
            let (runs, measured_s) = if is_full { (3, 5) } else { (1, 2) };
            etcd::run(site, programs, etcd::Effort { runs, measured: Duration::from_secs(measured_s) })
        }
        Part::Replay => {
            let (events, runs) = if is_full { (1_000_000, 3) } else { (50_000, 2) };
            replay::run(site, programs, replay::Effort { events, runs })
        }
        Part::Emulator => emulator::run(programs, emulator::Effort { runs: if is_full { 51 } else { 5 } }),
    }
}
