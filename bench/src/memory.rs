//! Memory that is resident: of a server without work, of one with real containers, of the supervisor that each
//! container has; and what instances cost a server that simulates them.

use crate::containers::System;
use crate::containers::ensemble::Ensemble;
use crate::containers::observer::Observer;
use crate::report::{Bound, Section, Table, number};
use crate::server::{DISTRICTS, Engine, Fleet, Programs, Server, memory_kib};
use crate::site::Site;
use crate::statistics::median;
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};

/// Until what a start allocates for a moment is given back, or is not.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// An operation takes at most this many in one item here.
const PER_OPERATION: usize = 1_000;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) containers: usize,
    pub(crate) instances: usize,
}

pub(crate) fn run(site: &Site, programs: &Programs, effort: Effort) -> Result<Section> {
    let idle = idle(site, programs)?;
    let (with_containers, mut shims) = with_containers(site, programs, effort.containers)?;
    let (empty, full) = with_instances(site, programs, effort.instances)?;
    let per_thousand = (full - empty) / (effort.instances as f64 / 1000.0);
    shims.sort_by(f64::total_cmp);

    let mut section = Section::default();
    let mut table = Table::new("Resident memory", &["", "MiB"]);
    table.row(["server, idle (built-in fleet, embedded engine)".to_owned(), number(idle)]);
    table.row([format!("server with {} containers", effort.containers), number(with_containers)]);
    table.row([format!("server with {} simulated instances", number(effort.instances as f64)), number(full)]);
    table.row(["— of these, each 1,000 instances".to_owned(), number(per_thousand)]);
    table.row(["a supervisor, private memory, median".to_owned(), number(median(&shims))]);
    let largest = shims.last().copied().unwrap_or_default();
    table.row(["a supervisor, private memory, largest".to_owned(), number(largest)]);
    section.tables.push(table);
    section.aim("server, idle", "MiB", Bound::AtMost(40.0), idle);
    section.aim("each 1,000 instances", "MiB", Bound::AtMost(5.0), per_thousand);
    section.aim("a supervisor, private, largest", "MiB", Bound::AtMost(1.0), largest);
    section.notes.push(
        "Server: `VmRSS` two seconds after the last change. Supervisor: `Private_Clean` and `Private_Dirty` of \
         `smaps_rollup`."
            .into(),
    );
    Ok(section)
}

fn idle(site: &Site, programs: &Programs) -> Result<f64> {
    let server = Server::start(site, programs, "idle", Fleet::built_in(Engine::Embedded))?;
    std::thread::sleep(SETTLED_AFTER);
    let resident = mebibytes(server.resident_kib()?);
    server.stop()?;
    Ok(resident)
}

/// The server, and each supervisor's private memory.
fn with_containers(site: &Site, programs: &Programs, count: usize) -> Result<(f64, Vec<f64>)> {
    let mut ensemble = Ensemble::start(site, programs, "memory")?;
    let mut observer = Observer::new(ensemble.mark(), None);
    ensemble.up(count)?;
    observer.all_answer(count, Instant::now())?;
    ensemble.finish_up()?;
    std::thread::sleep(SETTLED_AFTER);
    let server = mebibytes(ensemble.server.resident_kib()?);
    let private = |pid| memory_kib(pid, "smaps_rollup", &["Private_Clean:", "Private_Dirty:"]).map(mebibytes);
    let shims = ensemble.supervisors()?.into_iter().map(private).collect::<Result<Vec<f64>>>()?;
    ensure!(shims.len() >= count, "{} supervisors for {count} containers", shims.len());
    ensemble.down()?;
    observer.all_gone(Instant::now())?;
    Ok((server, shims))
}

/// Before and after so many simulated instances.
fn with_instances(site: &Site, programs: &Programs, count: usize) -> Result<(f64, f64)> {
    let server = Server::start(site, programs, "instances", Fleet::generated(Engine::Simulated, 100, 2_000))?;
    std::thread::sleep(SETTLED_AFTER);
    let empty = mebibytes(server.resident_kib()?);
    add_instances(&server, count)?;
    std::thread::sleep(SETTLED_AFTER);
    let full = mebibytes(server.resident_kib()?);
    server.stop()?;
    Ok((empty, full))
}

/// Simulated instances, a thousand for each application.
pub(crate) fn add_instances(server: &Server, count: usize) -> Result<Vec<String>> {
    let client = server.client()?;
    let mut applications = Vec::new();
    for index in 0..count.div_ceil(PER_OPERATION) {
        let app = client.create(&format!("shop-{index}"), "hello:v1", &[])?;
        let district = DISTRICTS[index % DISTRICTS.len()];
        let operation = client.rescale(&app, "Add", district, PER_OPERATION.min(count))?;
        client.wait_for(&operation).with_context(|| format!("application {index}"))?;
        applications.push(app);
    }
    Ok(applications)
}

fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}
