//! The real server with real containers under everything that goes wrong, and the question afterwards: is anything
//! lost, doubled or leaked? One run: a house is built, clients scale, an adversary kills; then all faults stop, things
//! get a bounded time to converge, and what was promised is compared with what the kernel shows.
//! `tests/tests/chaos` and `scripts/chaos` run it; nothing here knows a server's insides.

pub mod adversary;
pub mod clients;
mod course;
pub mod dice;
pub mod disk;
pub mod evidence;
pub mod history;
pub mod house;
pub mod liar;
pub mod told;
pub mod verdict;
pub mod watchman;

use crate::image::{Built, Form, hello_edge};
use crate::server;
use adversary::Adversary;
use anyhow::{Context, Result};
use clients::{Appetite, Ledger};
use evidence::Witness;
use history::History;
use house::House;
use liar::Liar;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use verdict::{Fault, Finding};

/// Images that a registry has: each is pulled anew.
const REMOTE_IMAGES: usize = 8;

/// How large a run is.
#[derive(Clone, Debug)]
pub struct Settings {
    pub seed: u64,
    pub lasts: Duration,
    /// Servers that are killed within that time; a run goes on until it has killed so many.
    pub kills: u64,
    pub second_servers: u64,
    /// How long a first server is stopped while a second one serves, at most.
    pub sleeps: Duration,
    pub disk_mib: u32,
    pub appetite: Appetite,
    /// Between two shots at containers and supervisors, at most.
    pub shots: Duration,
    /// Between two full disks, at most.
    pub floods: Duration,
    /// How long things may take to converge, once all faults have stopped.
    pub converges_within: Duration,
    /// Where history and logs are kept.
    pub directory: PathBuf,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    pub findings: Vec<Finding>,
    pub done: BTreeMap<&'static str, u64>,
    pub kills: u64,
    pub lasted: Duration,
    pub converged_after: Duration,
    /// The history around each finding.
    pub stories: Vec<String>,
}

impl Outcome {
    pub fn count(&self, fault: Fault) -> usize {
        self.findings.iter().filter(|finding| finding.fault == fault).count()
    }
}

/// One whole run. Leaves nothing on the machine but its directory.
///
/// # Errors
/// When the run itself could not be made; what it found is in the outcome.
pub async fn run(settings: &Settings) -> Result<Outcome> {
    let began = Instant::now();
    let _ = std::fs::remove_dir_all(&settings.directory);
    std::fs::create_dir_all(&settings.directory)?;
    let history = Arc::new(History::begin(&settings.directory.join("history.jsonl"))?);
    history.announce("seed", json!({"seed": settings.seed}));
    let liar = Liar::start(&remote_images()?).await?;
    let house = House::build(&settings.directory, settings.disk_mib, Arc::clone(&history))?;
    let name = format!("{}-{}", settings.seed, std::process::id());
    let witness = Witness::new(&name, &house.data_dir());
    let ledger = Arc::new(Ledger::new(&house, Arc::clone(&history), name, images(&liar), settings.appetite));
    let adversary = Adversary::new(&house, &ledger, &witness, &liar, settings.sleeps);

    let converged = course::run(settings, &adversary).await;
    house.open(None);
    house.disk().free()?;
    let dismantled = house.dismantle();
    let mut findings = ledger.findings();
    let converged_after = converged.context("the run broke off")?;
    dismantled?;
    for left in witness.left_behind() {
        findings.push(Finding::new(
            Fault::Leaked,
            "the machine",
            format!("{left} is left after `dismantle`"),
        ));
    }
    if !witness.saw_containers() {
        findings.push(Finding::new(Fault::Broken, "the run", "no container ever ran"));
    }
    let stories = findings.iter().map(|finding| story(&history, &house, finding)).collect();
    let mut done = adversary.done();
    done.extend(course::written(&ledger));
    done.insert("lines of history", history.length() as u64);
    let kills = adversary.tally.kills();
    Ok(Outcome { findings, done, kills, lasted: began.elapsed(), converged_after, stories })
}

/// The local image, and those of the registry.
fn images(liar: &Liar) -> Vec<String> {
    let local = format!("oci:{}", server::image().display());
    let remote = (0..REMOTE_IMAGES).map(|index| liar.reference(&format!("v{index}")));
    // Half of the applications run without the registry.
    let locals = std::iter::repeat_n(local, REMOTE_IMAGES);
    locals.chain(remote).collect()
}

/// Each is another one: what was pulled for one does not help the next.
fn remote_images() -> Result<Vec<(String, Built)>> {
    (0..REMOTE_IMAGES)
        .map(|index| Ok((format!("v{index}"), hello_edge(Form::OciGzip, (64 << 10) * (index + 1))?)))
        .collect()
}

/// The history around one finding, and the last words of the server.
fn story(history: &History, house: &House, finding: &Finding) -> String {
    let mut text = format!("{finding}\n");
    for line in history.story(&[&finding.subject]) {
        text.push_str(&format!("  {line}\n"));
    }
    for line in house.last_words(5) {
        text.push_str(&format!("  server: {line}\n"));
    }
    text
}
