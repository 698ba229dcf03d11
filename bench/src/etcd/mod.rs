//! Durable writes a second, of Ensemble and of `etcd`: as many bytes for each, the same connections, one generator for
//! both, the same disk; and how often each of the two syncs for a write.

mod daemon;
mod generator;
mod syncs;

use crate::load::{self, Plan};
use crate::report::{Bound, Section, Table, number};
use crate::server::{DISTRICTS, Engine, Fleet, Programs, Server};
use crate::signing::Signer;
use crate::site::Site;
use crate::statistics::median;
use crate::traffic::Creations;
use anyhow::{Context, Result, ensure};
use daemon::Daemon;
use generator::{Outcome, Target};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use syncs::Syncs;

const CONNECTIONS: [usize; 2] = [16, 64];
const APPLICATIONS: usize = 5_000;

/// So many entries of the log say how many bytes a write has.
const ENTRIES_LOOKED_AT: usize = 2_000;

/// Of a record beside its payload: its line with sequence, length, two digests and a checksum.
const RECORD_HEAD_BYTES: usize = 176;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) runs: usize,
    pub(crate) measured: Duration,
}

pub(crate) fn run(site: &Site, programs: &Programs, effort: Effort) -> Result<Section> {
    let mut ensemble = Ensemble::start(site, programs, "durable", &[])?;
    ensemble.load(CONNECTIONS[0], effort.measured)?;
    let bytes = ensemble.bytes_of_a_write(programs)?;
    let etcd = Daemon::start(site, "etcd", &[])?;
    let puts = json!({"kind": "etcd", "address": etcd.address, "bytes": bytes, "keys": APPLICATIONS});

    let mut rows: Vec<Row> = CONNECTIONS.into_iter().flat_map(Row::pair).collect();
    for run in 1..=effort.runs {
        eprintln!("etcd: run {run} of {}", effort.runs);
        for row in &mut rows {
            let outcome = match row.system {
                System::Ensemble => {
                    let before = ensemble.server.cpu()?;
                    let outcome = ensemble.load(row.connections, effort.measured)?;
                    (outcome, ensemble.server.cpu()?.saturating_sub(before))
                }
                System::Etcd => {
                    let before = etcd.cpu()?;
                    let outcome = generator::run(&Target(&puts), row.connections, effort.measured)?;
                    (outcome, etcd.cpu()?.saturating_sub(before))
                }
            };
            row.runs.push(outcome);
        }
    }
    ensemble.server.stop()?;
    drop(etcd);
    for row in &mut rows {
        row.syncs = Some(match row.system {
            System::Ensemble => syncs_of_ensemble(site, programs, row.connections, effort.measured)?,
            System::Etcd => syncs_of_etcd(site, bytes, row.connections, effort.measured)?,
        });
    }
    section(&rows, bytes, effort)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum System {
    Ensemble,
    Etcd,
}

struct Row {
    system: System,
    connections: usize,
    /// With the processor time of the system, its warm-up included.
    runs: Vec<(Outcome, Duration)>,
    syncs: Option<Counted>,
}

/// What a run under `strace` counted.
#[derive(Clone, Copy, Debug)]
struct Counted {
    syncs: usize,
    writes: usize,
}

impl Row {
    fn pair(connections: usize) -> [Self; 2] {
        let row = |system| Self { system, connections, runs: Vec::new(), syncs: None };
        [row(System::Ensemble), row(System::Etcd)]
    }

    fn median(&self, of: impl Fn(&Outcome) -> f64) -> f64 {
        median(&self.runs.iter().map(|(outcome, _)| of(outcome)).collect::<Vec<f64>>())
    }

    fn rate(&self) -> f64 {
        self.median(Outcome::rate)
    }

    fn cells(&self) -> Vec<String> {
        let name = match self.system {
            System::Ensemble => "Ensemble, RescaleApplication",
            System::Etcd => "`etcd`, put",
        };
        let of_system: Vec<f64> = self
            .runs
            .iter()
            .map(|(outcome, spent)| spent.as_secs_f64() * 1e6 / outcome.with_warm_up())
            .collect();
        let syncs =
            self.syncs.map_or(f64::NAN, |counted| 1000.0 * counted.syncs as f64 / counted.writes as f64);
        let numbers = [
            self.rate(),
            self.median(|outcome| f64::from(outcome.median_us) / 1000.0),
            self.median(|outcome| f64::from(outcome.p99_us) / 1000.0),
            median(&of_system),
            self.median(|outcome| outcome.cpu_s * 1e6 / outcome.writes.max(1) as f64),
            self.median(|outcome| 100.0 * outcome.cpu_s / outcome.elapsed_s),
            syncs,
        ];
        [vec![name.to_owned(), self.connections.to_string()], numbers.map(number).to_vec()].concat()
    }
}

fn section(rows: &[Row], bytes: usize, effort: Effort) -> Result<Section> {
    let mut section = Section::default();
    let head = [
        &format!("{} bytes a write", number(bytes as f64)),
        "connections",
        "writes/s",
        "median, ms",
        "p99, ms",
        "its CPU, µs a write",
        "generator's CPU, µs a write",
        "generator, % of a core",
        "syncs for 1,000 writes",
    ];
    let mut table = Table::new("Durable writes", &head.map(|name: &str| name));
    rows.iter().for_each(|row| table.row(row.cells()));
    section.tables.push(table);
    for pair in rows.chunks(2) {
        let [ensemble, etcd] = pair else { continue };
        let what = format!("{} connections, Ensemble's writes to `etcd`'s puts", ensemble.connections);
        section.aim(what, "", Bound::AtLeast(1.0), ensemble.rate() / etcd.rate());
    }
    let refused: usize = rows.iter().flat_map(|row| &row.runs).map(|(outcome, _)| outcome.refused).sum();
    section.notes.push(format!(
        "Medians of {} runs of {:.0} s for each row after a second of warm-up, the rows in turn; {APPLICATIONS} \
         applications or keys. {refused} writes were refused; they are not counted. A write of Ensemble's is what it \
         logs until the operation has ended: acceptance, the instance's reports, the outcome.",
        effort.runs,
        effort.measured.as_secs_f64()
    ));
    section
        .notes
        .push("Syncs: `fsync` and `fdatasync`, counted by `strace` in one run more for each row.".into());
    Ok(section)
}

/// The server with its applications, as the generator is told of it.
struct Ensemble {
    server: Server,
    plan: Value,
    data_dir: PathBuf,
}

impl Ensemble {
    fn start(site: &Site, programs: &Programs, name: &str, under: &[String]) -> Result<Self> {
        let fleet = Fleet::generated(Engine::Simulated, 100, 100);
        let server = Server::start_under(under, site, programs, name, fleet)?;
        let client = server.client()?;
        let mut creations = Creations::new(Signer::new(&client), APPLICATIONS);
        let plan = Plan { connections: 64, warm_up: Duration::ZERO, measured: Duration::from_secs(300) };
        load::run(&client.address, plan, &mut creations)?;
        let application = |(index, id): (usize, String)| {
            let selector = crate::client::selector(DISTRICTS[index % DISTRICTS.len()], 1);
            json!({"id": id, "selector": selector, "has_instance": false})
        };
        let applications: Vec<Value> = creations.finish()?.into_iter().enumerate().map(application).collect();
        let plan = json!({
            "kind": "ensemble",
            "address": client.address,
            "key_id": client.key_id,
            "secret": client.secret,
            "applications": applications,
        });
        let data_dir = server.data_dir();
        Ok(Self { server, plan, data_dir })
    }

    fn load(&mut self, connections: usize, measured: Duration) -> Result<Outcome> {
        let outcome = generator::run(&Target(&self.plan), connections, measured)?;
        // Who has an instance now is the generator's to know: it says so, in the order of the plan.
        let applications = self.plan["applications"].as_array_mut().context("the plan has applications")?;
        for (application, has_instance) in applications.iter_mut().zip(&outcome.has_instance) {
            application["has_instance"] = json!(has_instance);
        }
        Ok(outcome)
    }

    /// What the log's newest entries have in bytes, for each write that was accepted in them.
    fn bytes_of_a_write(&self, programs: &Programs) -> Result<usize> {
        let metrics = self.server.metrics()?;
        let newest = metrics.value("ensemble_log_sequence")? as usize;
        let from = newest.saturating_sub(ENTRIES_LOOKED_AT).max(1).to_string();
        let output = Command::new(&programs.ensemble)
            .arg("--data-dir")
            .arg(&self.data_dir)
            .args(["log", "show", "-o", "ndjson", "--from", &from])
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout)?;
        let bytes: usize = text.lines().map(|line| line.len() + RECORD_HEAD_BYTES).sum();
        let writes = text.matches("\"operation_accepted\"").count();
        ensure!(writes > 0, "no write in the newest {ENTRIES_LOOKED_AT} entries");
        Ok(bytes / writes)
    }
}

fn syncs_of_ensemble(
    site: &Site,
    programs: &Programs,
    connections: usize,
    measured: Duration,
) -> Result<Counted> {
    let name = format!("syncs-{connections}");
    let syncs = Syncs::of(site, &name)?;
    let mut ensemble = Ensemble::start(site, programs, &name, &syncs.wrapper())?;
    let before = syncs.count()?;
    let outcome = ensemble.load(connections, measured)?;
    let counted = Counted { syncs: syncs.count()? - before, writes: outcome.with_warm_up() as usize };
    ensemble.server.stop()?;
    Ok(counted)
}

fn syncs_of_etcd(site: &Site, bytes: usize, connections: usize, measured: Duration) -> Result<Counted> {
    let name = format!("etcd-syncs-{connections}");
    let syncs = Syncs::of(site, &name)?;
    let etcd = Daemon::start(site, &name, &syncs.wrapper())?;
    let puts = json!({"kind": "etcd", "address": etcd.address, "bytes": bytes, "keys": APPLICATIONS});
    let before = syncs.count()?;
    let outcome = generator::run(&Target(&puts), connections, measured)?;
    Ok(Counted { syncs: syncs.count()? - before, writes: outcome.with_warm_up() as usize })
}
