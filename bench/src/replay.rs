//! How long a start takes when the log holds a million events and no snapshot: what a server does that was killed. The
//! events are those of few instances, added and released over and over, so that it is reading that is measured.

use crate::client::Client;
use crate::report::{Bound, Section, Table, number};
use crate::server::{DISTRICTS, Engine, Fleet, Programs, Server};
use crate::site::{Group, Site};
use crate::statistics::median;
use anyhow::{Result, ensure};

const NAME: &str = "replay";

/// Rounds of these many in flight at once: each has two operations for each application.
const APPLICATIONS: usize = 10;
const PER_OPERATION: usize = 1_000;

/// From here on the log is cut behind a snapshot, and its beginning is read no more.
const ENTRIES_TO_A_SNAPSHOT: f64 = 10_000.0;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) events: usize,
    pub(crate) runs: usize,
}

pub(crate) fn run(site: &Site, programs: &Programs, effort: Effort) -> Result<Section> {
    let fleet = Fleet::generated(Engine::Simulated, 100, 2_000);
    let server = Server::start(site, programs, NAME, fleet)?;
    let (events, entries) = write_events(&server, effort.events)?;
    // Killed.
    drop(server);
    let (mut times, mut cpu) = (Vec::new(), Vec::new());
    let mut resident_mib = 0.0;
    for _ in 0..effort.runs {
        let before = Group::make(NAME)?.cpu()?;
        let server = Server::start(site, programs, NAME, fleet)?;
        times.push(server.ready_after.as_secs_f64());
        cpu.push(server.cpu()?.saturating_sub(before).as_secs_f64());
        resident_mib = server.resident_kib()? as f64 / 1024.0;
        drop(server);
    }
    let ready_after = median(&times);

    let mut section = Section::default();
    let title = format!("A log of {} events in {} entries", number(events), number(entries));
    let mut table = Table::new(title, &["ready after, s", "its CPU, s", "events/s", "resident, MiB"]);
    table.row([ready_after, median(&cpu), events / ready_after, resident_mib].map(number));
    section.tables.push(table);
    // A log of a few events more or less is not to decide: the time is that of just so many.
    let scaled = ready_after * effort.events as f64 / events;
    let what = format!("ready from a log of {} events", number(effort.events as f64));
    section.aim(what, "s", Bound::AtMost(2.0 * effort.events as f64 / 1e6), scaled);
    section.notes.push(format!(
        "From starting the process to its `ready` line, killed before; median of {}. The files are in the page cache.",
        effort.runs
    ));
    Ok(section)
}

/// Adds and releases until the log has so many events; how many it has, in how many entries.
fn write_events(server: &Server, wanted: usize) -> Result<(f64, f64)> {
    let client = server.client()?;
    let apps: Result<Vec<String>> =
        (0..APPLICATIONS).map(|index| client.create(&format!("shop-{index}"), "hello:v1", &[])).collect();
    let apps = apps?;
    loop {
        for kind in ["Add", "Del"] {
            all(&client, &apps, kind)?;
        }
        let metrics = server.metrics()?;
        let events = metrics.value("ensemble_log_append_events_sum")?;
        let entries = metrics.value("ensemble_log_sequence")?;
        ensure!(
            entries < ENTRIES_TO_A_SNAPSHOT,
            "{events} events took {entries} entries: a snapshot was made"
        );
        if events >= wanted as f64 {
            return Ok((events, entries));
        }
    }
}

fn all(client: &Client, apps: &[String], kind: &str) -> Result<()> {
    let mut operations = Vec::new();
    for (index, app) in apps.iter().enumerate() {
        operations.push(client.rescale(app, kind, DISTRICTS[index % DISTRICTS.len()], PER_OPERATION)?);
    }
    operations.iter().try_for_each(|operation| client.wait_for(operation))
}
