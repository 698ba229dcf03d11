//! How many calls a second the server answers, and how fast: signed reads, durable writes, and beside them an `axum`
//! server that answers as many bytes to the same requests and does nothing else. Then the same reads beside hostile
//! requests. The engine is simulated: what is measured is the API, the control loop and the log.

use crate::client::Client;
use crate::load::{self, Outcome, Plan};
use crate::report::{Bound, Section, Table, number};
use crate::server::{Engine, Fleet, Programs, Server};
use crate::signing::Signer;
use crate::site::{Group, Site};
use crate::statistics::{median, percentile};
use crate::traffic::{Creations, Hostile, Reads, Rescales};
use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

const CONNECTIONS: usize = 64;

/// Of those, when good and bad requests share them.
const GOOD_CONNECTIONS: usize = 16;

const APPLICATIONS: usize = 5_000;
const NODES: usize = 100;
const VCPU_PER_NODE: usize = 100;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) runs: usize,
    pub(crate) measured: Duration,
}

pub(crate) fn run(site: &Site, programs: &Programs, effort: Effort) -> Result<Section> {
    let fleet = Fleet::generated(Engine::Simulated, NODES, VCPU_PER_NODE);
    let server = Server::start(site, programs, "api", fleet)?;
    let client = server.client()?;
    let mut creations = Creations::new(Signer::new(&client), APPLICATIONS);
    let plan = Plan { connections: CONNECTIONS, warm_up: Duration::ZERO, measured: Duration::from_secs(300) };
    load::run(&client.address, plan, &mut creations)?;
    let applications = creations.finish()?;
    let answer_bytes = client.ask("DescribeApplication", &[("AppId", &applications[0])])?.to_string().len();
    let hello = Hello::start(answer_bytes)?;

    let mut samples = Samples::default();
    let mut rescales = Rescales::new(Signer::new(&client), &applications);
    for run in 1..=effort.runs {
        eprintln!("api: run {run} of {}", effort.runs);
        let mut reads = Reads::new(Signer::new(&client), &applications);
        samples.hello.measure(effort, &hello.address, || hello.group.cpu(), &mut reads)?;
        samples.reads.measure(effort, &client.address, || server.cpu(), &mut reads)?;
        samples.writes.measure(effort, &client.address, || server.cpu(), &mut rescales)?;
        samples.shared(effort, &client, &applications)?;
    }
    let refused = samples.writes.refused + samples.reads.refused;
    let mut section = samples.section(effort);
    if refused > 0 {
        section.notes.push(format!("{refused} calls were refused; they are not counted."));
    }
    server.stop()?;
    Ok(section)
}

/// The measurements of one kind of traffic, one of each per run.
#[derive(Default)]
struct Kind {
    rates: Vec<f64>,
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
    /// Of the server, a call.
    cpu_us: Vec<f64>,
    refused: u64,
}

impl Kind {
    fn measure(
        &mut self,
        effort: Effort,
        address: &str,
        cpu: impl Fn() -> Result<Duration>,
        traffic: &mut impl load::Traffic,
    ) -> Result<()> {
        let warm_up = Duration::from_millis(500);
        // Processor time is read around a stretch that has no warm-up, so that both count the same calls.
        let plan = |warm_up, measured| Plan { connections: CONNECTIONS, warm_up, measured };
        load::run(address, plan(Duration::ZERO, warm_up), traffic)?;
        let before = cpu()?;
        let outcome = load::run(address, plan(Duration::ZERO, effort.measured), traffic)?;
        let spent = cpu()?.saturating_sub(before);
        self.cpu_us.push(spent.as_micros() as f64 / outcome.latencies_us.len().max(1) as f64);
        self.take(outcome);
        Ok(())
    }

    fn take(&mut self, mut outcome: Outcome) {
        self.rates.push(outcome.rate());
        self.p50_ms.push(f64::from(percentile(&mut outcome.latencies_us, 0.5)) / 1000.0);
        self.p99_ms.push(f64::from(percentile(&mut outcome.latencies_us, 0.99)) / 1000.0);
        self.refused += outcome.not_as_wanted;
    }

    fn cells(&self, name: &str, beside: &Self) -> Vec<String> {
        vec![
            name.to_owned(),
            number(median(&self.rates)),
            number(median(&self.p50_ms)),
            number(median(&self.p99_ms)),
            number(median(&self.cpu_us)),
            format!("{:.0} %", 100.0 * median(&self.rates) / median(&beside.rates)),
        ]
    }
}

#[derive(Default)]
struct Samples {
    hello: Kind,
    reads: Kind,
    writes: Kind,
    /// Good requests on a quarter of the connections: nobody else, as many good ones on the rest, bad ones there.
    alone: Kind,
    beside_good: Kind,
    beside_bad: Kind,
    bad_rates: Vec<f64>,
}

impl Samples {
    /// Good requests, and beside them nothing, good ones, bad ones.
    fn shared(&mut self, effort: Effort, client: &Client, applications: &[String]) -> Result<()> {
        let others = CONNECTIONS - GOOD_CONNECTIONS;
        let plan = |connections| Plan {
            connections,
            warm_up: Duration::from_millis(300),
            measured: effort.measured,
        };
        let reads = || Reads::new(Signer::new(client), applications);
        self.alone.take(load::run(&client.address, plan(GOOD_CONNECTIONS), &mut reads())?);
        let (good, _) = beside(
            || load::run(&client.address, plan(GOOD_CONNECTIONS), &mut reads()),
            || load::run(&client.address, plan(others), &mut reads()),
        )?;
        self.beside_good.take(good);
        let (good, bad) = beside(
            || load::run(&client.address, plan(GOOD_CONNECTIONS), &mut reads()),
            || load::run(&client.address, plan(others), &mut Hostile::new(client, &applications[0])),
        )?;
        ensure!(bad.latencies_us.is_empty(), "{} bad requests were accepted", bad.latencies_us.len());
        self.bad_rates.push(bad.not_as_wanted as f64 / bad.elapsed.as_secs_f64());
        self.beside_bad.take(good);
        Ok(())
    }

    fn section(&self, effort: Effort) -> Section {
        let mut section = Section::default();
        let head =
            ["64 connections", "calls/s", "median, ms", "p99, ms", "server CPU, µs a call", "of the hello"];
        let mut table = Table::new("Calls", &head);
        table.row(self.hello.cells("`axum` hello, unsigned, as many bytes", &self.hello));
        table.row(self.reads.cells("DescribeApplication, signed (V3)", &self.hello));
        table.row(self.writes.cells("RescaleApplication, durable", &self.hello));
        section.tables.push(table);

        let head = [
            "16 connections of good DescribeApplication",
            "good calls/s",
            "median, ms",
            "p99, ms",
            "others/s",
        ];
        let mut table = Table::new("Good requests beside bad ones", &head);
        for (name, kind, others) in [
            ("alone", &self.alone, String::new()),
            ("beside 48 connections of the same", &self.beside_good, String::new()),
            ("beside 48 connections of bad requests", &self.beside_bad, number(median(&self.bad_rates))),
        ] {
            let [rate, p50, p99] =
                [&kind.rates, &kind.p50_ms, &kind.p99_ms].map(|values| number(median(values)));
            table.row([name.to_owned(), rate, p50, p99, others]);
        }
        section.tables.push(table);

        section.aim("DescribeApplication", "calls/s", Bound::AtLeast(20_000.0), median(&self.reads.rates));
        section.aim("its p99", "ms", Bound::AtMost(20.0), median(&self.reads.p99_ms));
        section.aim(
            "RescaleApplication, durable",
            "calls/s",
            Bound::AtLeast(10_000.0),
            median(&self.writes.rates),
        );
        section.aim("its p99", "ms", Bound::AtMost(20.0), median(&self.writes.p99_ms));
        let ratio = median(&self.beside_bad.rates) / median(&self.beside_good.rates);
        section.notes.push(format!(
            "Bad requests cost good ones {} what as many good ones do: the rate of good requests is {ratio:.2} times \
             the one beside good requests.",
            if ratio >= 1.0 { "less than" } else { "more than" }
        ));
        section.notes.push(format!(
            "Medians of {} runs of {:.0} s for each row, the rows in turn; {APPLICATIONS} applications on {NODES} \
             generated edge nodes; Add and Del in turn, one item of count 1 a call. The load generator is one thread \
             on the same cores.",
            effort.runs,
            effort.measured.as_secs_f64()
        ));
        section
    }
}

/// Two loads at once.
fn beside(
    one: impl FnOnce() -> Result<Outcome>,
    other: impl FnOnce() -> Result<Outcome> + Send,
) -> Result<(Outcome, Outcome)> {
    std::thread::scope(|scope| {
        let other = scope.spawn(other);
        let one = one()?;
        let other = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((one, other))
    })
}

/// The server to compare with, in a process of its own.
struct Hello {
    process: Child,
    address: String,
    group: Group,
}

impl Hello {
    fn start(answer_bytes: usize) -> Result<Self> {
        let group = Group::make("hello")?;
        let own = std::env::current_exe()?;
        let mut process = group
            .command(own)?
            .args(["hello", &answer_bytes.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        BufReader::new(process.stdout.take().context("stdout is piped")?).read_line(&mut address)?;
        Ok(Self { process, address: address.trim().to_owned(), group })
    }
}

impl Drop for Hello {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
