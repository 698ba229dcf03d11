//! The measurements of one size of state, in a process of its own, so that its memory is what the state takes.
//! Prints one line of JSON for the run that started it.

use super::world::{Place, World};
use crate::server::memory_kib;
use crate::statistics::{median, percentile};
use anyhow::{Result, ensure};
use ensemble_model::command::{Change, Command, Direction};
use ensemble_model::decide;
use ensemble_model::id::AppId;
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// For each kind of decision: so many, or as many as there is time for.
const DECISIONS: usize = 400;
const TIME_AT_MOST: Duration = Duration::from_secs(4);

/// In one item: the most that a call may ask for.
const BATCH: usize = 1_000;

/// A spec of one vCPU: twice as many fit as are there.
const ROOM_FOR_EACH: usize = 2;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Found {
    pub(super) nodes: usize,
    pub(super) instances: usize,
    pub(super) decisions: Vec<Timed>,
    pub(super) planned_per_s: f64,
    pub(super) decided_per_s: f64,
    pub(super) bytes_per_instance: f64,
    pub(super) built_s: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Timed {
    pub(super) what: String,
    pub(super) median_us: f64,
    pub(super) p99_us: f64,
}

pub(crate) fn serve(nodes: usize, instances: usize) -> Result<()> {
    let began = Instant::now();
    let mut world = World::empty(nodes, ROOM_FOR_EACH * instances / nodes + BATCH / nodes + 1)?;
    let empty = resident_bytes()?;
    let (owner, small) = world.fill(instances)?;
    let bytes_per_instance = (resident_bytes()? - empty) / instances as f64;
    let built_s = began.elapsed().as_secs_f64();
    let decisions = decisions(&mut world, &owner, &small)?;
    let newcomer = world.create()?;
    let command = world.rescale(&newcomer, Direction::Add, &Place::Country, BATCH);
    let decided = each_us(&mut [command.clone()].into_iter().cycle(), |command| decided(&world, command))?;
    let planned = each_us(&mut [command].into_iter().cycle(), |command| planned(&world, command))?;
    let per_s = |times: &[f64]| BATCH as f64 / (median(times) / 1e6);
    let found = Found {
        nodes,
        instances,
        decisions,
        planned_per_s: per_s(&planned),
        decided_per_s: per_s(&decided),
        bytes_per_instance,
        built_s,
    };
    println!("{}", serde_json::to_string(&found)?);
    Ok(())
}

fn decisions(world: &mut World, owner: &AppId, small: &[(AppId, Place)]) -> Result<Vec<Timed>> {
    let node = world.state.fleet().nodes[0].id.as_str().to_owned();
    let kinds = [
        ("Add 1 to a small application, one node in reach", None, Direction::Add, Some(Place::Node(node))),
        ("Add 1 to a small application, a district in reach", None, Direction::Add, None),
        ("Add 1 to a small application, the country in reach", None, Direction::Add, Some(Place::Country)),
        ("Del 1 of a small application", None, Direction::Del, None),
        ("Add 1 to the application with a tenth of all", Some(owner), Direction::Add, Some(Place::Country)),
        ("Del 1 of the application with a tenth of all", Some(owner), Direction::Del, Some(Place::Country)),
    ];
    let mut timed = Vec::new();
    for (what, app, direction, place) in kinds {
        // Not one application's data over and over: that would all be in the processor's caches.
        let commands: Vec<Command> = (0..DECISIONS)
            .map(|index| {
                let (small, home) = &small[index * 7919 % small.len()];
                world.rescale(app.unwrap_or(small), direction, place.as_ref().unwrap_or(home), 1)
            })
            .collect();
        let mut times = each_us(&mut commands.into_iter(), |command| decided(world, command))?;
        let median_us = median(&times);
        times.sort_by(f64::total_cmp);
        let mut whole: Vec<u32> = times.iter().map(|time| *time as u32).collect();
        timed.push(Timed { what: what.into(), median_us, p99_us: percentile(&mut whole, 0.99).into() });
    }
    Ok(timed)
}

fn decided(world: &World, command: &Command) -> Result<()> {
    black_box(decide::decide(&world.state, command, world.now())?);
    Ok(())
}

fn planned(world: &World, command: &Command) -> Result<()> {
    let Change::Rescale(request) = &command.change else { return Ok(()) };
    let answer = decide::plan(&world.state, world.permit(), request)?;
    ensure!(answer.fits, "there is room for all");
    black_box(answer);
    Ok(())
}

/// How long each takes, in microseconds; what is made in it is dropped in it.
fn each_us(
    commands: &mut dyn Iterator<Item = Command>,
    act: impl Fn(&Command) -> Result<()>,
) -> Result<Vec<f64>> {
    let began = Instant::now();
    let mut times = Vec::new();
    for command in commands.take(DECISIONS) {
        let at = Instant::now();
        act(&command)?;
        times.push(at.elapsed().as_secs_f64() * 1e6);
        if began.elapsed() > TIME_AT_MOST {
            break;
        }
    }
    Ok(times)
}

fn resident_bytes() -> Result<f64> {
    Ok(memory_kib(std::process::id(), "status", &["RssAnon:"])? as f64 * 1024.0)
}
