//! How long a start takes when the log holds many instances: once from records alone, then from a snapshot and the
//! records after it, as a server finds them that was killed.

use crate::http::Answer;
use crate::load::{self, Next, Plan, Traffic, Verdict};
use crate::memory::add_instances;
use crate::report::{Bound, Section, Table, number};
use crate::server::{Engine, Fleet, Programs, Server};
use crate::signing::Signer;
use crate::site::Site;
use crate::statistics::median;
use anyhow::Result;
use ensemble_wire::parameters::encode_pairs;
use std::path::Path;
use std::time::Duration;

const NAME: &str = "start";

/// A snapshot is written after so many entries of the log; so many more make a tail behind it.
const ENTRIES_TO_A_SNAPSHOT: usize = 10_000;
const TAIL: usize = 2_000;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) instances: usize,
    pub(crate) runs: usize,
}

pub(crate) fn run(site: &Site, programs: &Programs, effort: Effort) -> Result<Section> {
    let fleet = Fleet::generated(Engine::Simulated, 100, 2_000);
    let server = Server::start(site, programs, NAME, fleet)?;
    let empty = server.ready_after;
    let data_dir = server.data_dir();
    add_instances(&server, effort.instances)?;
    drop(server);
    let from_records = starts(site, programs, fleet, 1)?;
    let records = log_bytes(&data_dir)?;

    let server = Server::start(site, programs, NAME, fleet)?;
    let client = server.client()?;
    let apps: Result<Vec<String>> =
        (0..10).map(|index| client.create(&format!("small-{index}"), "hello:v1", &[])).collect();
    let mut writes =
        Writes { signer: Signer::new(&client), apps: apps?, sent: 0, left: ENTRIES_TO_A_SNAPSHOT + TAIL };
    // One connection: an entry for each.
    let plan = Plan { connections: 1, warm_up: Duration::ZERO, measured: Duration::from_secs(120) };
    load::run(&client.address, plan, &mut writes)?;
    drop(server);
    let (median_s, resident) = starts(site, programs, fleet, effort.runs)?;

    let mut section = Section::default();
    let mut table = Table::new(
        format!("Start with {} instances", number(effort.instances as f64)),
        &["", "ready after, s", "resident, MiB"],
    );
    table.row(["nothing in the log".to_owned(), number(empty.as_secs_f64()), String::new()]);
    table.row([
        format!("records alone ({:.0} MiB)", mebibytes(records)),
        number(from_records.0),
        number(from_records.1),
    ]);
    table.row(["a snapshot and the records after it".to_owned(), number(median_s), number(resident)]);
    section.tables.push(table);
    section.aim("ready from snapshot and records", "s", Bound::AtMost(1.0), median_s);
    section.notes.push(format!(
        "From starting the process to its `ready` line, killed before; median of {} for the snapshot. The files are in \
         the page cache.",
        effort.runs
    ));
    Ok(section)
}

/// The median time, and the memory at the end of the last, in MiB.
fn starts(site: &Site, programs: &Programs, fleet: Fleet, runs: usize) -> Result<(f64, f64)> {
    let mut times = Vec::new();
    let mut resident = 0.0;
    for _ in 0..runs {
        let server = Server::start(site, programs, NAME, fleet)?;
        times.push(server.ready_after.as_secs_f64());
        resident = server.resident_kib()? as f64 / 1024.0;
        // Killed when dropped.
        drop(server);
    }
    Ok((median(&times), resident))
}

fn log_bytes(data_dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(data_dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().contains(".sqlite") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Adds and releases one instance of a few applications, so many times.
struct Writes {
    signer: Signer,
    apps: Vec<String>,
    sent: usize,
    left: usize,
}

impl Traffic for Writes {
    fn next(&mut self, _connection: usize, request: &mut Vec<u8>) -> Next {
        if self.left == 0 {
            return Next::Nothing;
        }
        self.left -= 1;
        let app = &self.apps[self.sent % self.apps.len()];
        let kind = if (self.sent / self.apps.len()).is_multiple_of(2) { "Add" } else { "Del" };
        self.sent += 1;
        let selector = crate::client::selector("310100", 1);
        let query =
            encode_pairs([("AppId", app.as_str()), ("RescaleType", kind), ("ResourceSelector", &selector)]);
        self.signer.write("RescaleApplication", &query, request);
        Next::Send
    }

    fn answered(&mut self, _connection: usize, answer: Answer<'_>) -> Verdict {
        if answer.status == 200 { Verdict::AsWanted } else { Verdict::NotAsWanted }
    }
}
