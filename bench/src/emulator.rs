//! A test cycle of the emulator, as somebody's CI does it: start, create, rescale by six, describe, stop. Every cycle has a
//! server of its own, which keeps nothing.

use crate::client::Client;
use crate::report::{Bound, Section, Table, number};
use crate::server::Programs;
use crate::statistics::median;
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The ResourceSelector of RescaleApplication's documentation: six instances on two edge nodes.
const SELECTOR: &str = r#"[{"regionCode":"cn-wuxi-telecom_unicom_cmcc-3","ispCode":"telecom","count":2},{"regionCode":"cn-shanghai-cmcc","count":4}]"#;

const ENDED_WITHIN: Duration = Duration::from_secs(10);

/// Lines after the ready line.
const EXPORTS: usize = 6;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) runs: usize,
}

/// Milliseconds of each step.
#[derive(Clone, Debug)]
struct Cycle {
    start: f64,
    create: f64,
    rescale: f64,
    describe: f64,
    stop: f64,
}

impl Cycle {
    fn whole(&self) -> f64 {
        self.start + self.create + self.rescale + self.describe + self.stop
    }
}

pub(crate) fn run(programs: &Programs, effort: Effort) -> Result<Section> {
    // One before that counts, so that the program is in the page cache, as it is in a suite's second test.
    let first = cycle(programs)?;
    let cycles: Result<Vec<Cycle>> = (0..effort.runs).map(|_| cycle(programs)).collect();
    let cycles = cycles?;
    let of = |step: fn(&Cycle) -> f64| median(&cycles.iter().map(step).collect::<Vec<f64>>());
    let worst = cycles.iter().map(Cycle::whole).fold(first.whole(), f64::max);
    let whole = of(Cycle::whole);
    let start = of(|cycle| cycle.start);

    let mut section = Section::default();
    let mut table = Table::new(
        format!("A test cycle, medians of {} in ms", effort.runs),
        &["start", "create", "rescale by 6 until ready", "describe", "stop", "all of it", "the worst"],
    );
    let middle = [
        start,
        of(|cycle| cycle.create),
        of(|cycle| cycle.rescale),
        of(|cycle| cycle.describe),
        of(|cycle| cycle.stop),
    ];
    table.row(middle.into_iter().chain([whole, worst]).map(number));
    section.tables.push(table);
    section.aim("a test cycle", "ms", Bound::AtMost(1_000.0), whole);
    section.aim("of it the start", "ms", Bound::AtMost(300.0), start);
    section.notes.push(
        "Start: from starting the process to its last line on stdout. Stop: from TERM to the end of the process. The six are \
         asked after every 20 ms until DescribeOperation says that they are ready, which is most of that column where the \
         first answer comes too early; each call has a connection of its own."
            .to_owned(),
    );
    Ok(section)
}

fn cycle(programs: &Programs) -> Result<Cycle> {
    let began = Instant::now();
    let (emulator, client) = Emulator::start(programs)?;
    let start = milliseconds(began);
    let began = Instant::now();
    let app = client.create("shop", "shop:v1", &[])?;
    let create = milliseconds(began);
    let began = Instant::now();
    let parameters = [
        ("AppId", app.as_str()),
        ("RescaleType", "Add"),
        ("RescaleLevel", "RegionId"),
        ("ResourceSelector", SELECTOR),
        ("Timeout", "300"),
    ];
    let answer = client.ask("RescaleApplication", &parameters)?;
    client.wait_for(answer["RequestId"].as_str().context("an operation has an id")?)?;
    let rescale = milliseconds(began);
    let began = Instant::now();
    let described = client.ask("DescribeDeviceService", &[("AppId", &app)])?;
    let describe = milliseconds(began);
    let instances = described["ResourceInfos"].as_array().map_or(0, Vec::len);
    let phase = described["AppStatus"]["Phase"].as_str();
    ensure!(instances == 6 && phase == Some("RUNNING"), "not six instances that run: {described}");
    let began = Instant::now();
    emulator.stop()?;
    Ok(Cycle { start, create, rescale, describe, stop: milliseconds(began) })
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}

/// Killed when dropped.
struct Emulator(Child);

impl Emulator {
    fn start(programs: &Programs) -> Result<(Self, Client)> {
        let mut command = Command::new(&programs.ensemble);
        command.args(["serve", "--engine", "simulated", "--ephemeral"]);
        for (variable, _) in std::env::vars().filter(|(name, _)| name.starts_with("ENSEMBLE_")) {
            command.env_remove(variable);
        }
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut emulator = Self(spawned);
        let stdout = emulator.0.stdout.take().context("stdout is piped")?;
        let mut lines = BufReader::new(stdout).lines();
        let mut line = || lines.next().transpose()?.context("the emulator says where it is");
        let ready = line()?;
        let address = ready.strip_prefix("ready http://").context("the first line says ready")?.to_owned();
        let exports: Vec<String> = (0..EXPORTS).map(|_| line()).collect::<Result<_>>()?;
        let value = |name: &str| {
            let start = format!("export {name}='");
            let found = exports.iter().find_map(|export| export.strip_prefix(&start)?.strip_suffix('\''));
            found.map(str::to_owned).with_context(|| format!("the emulator says its {name}"))
        };
        let key_id = value("ENSEMBLE_ACCESS_KEY_ID")?;
        let secret = value("ENSEMBLE_ACCESS_KEY_SECRET")?;
        Ok((emulator, Client { address, key_id, secret }))
    }

    fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.0), Signal::TERM)?;
        let began = Instant::now();
        while self.0.try_wait()?.is_none() {
            ensure!(began.elapsed() < ENDED_WITHIN, "the emulator does not end");
            std::thread::sleep(Duration::from_micros(500));
        }
        Ok(())
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // Already ended is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
