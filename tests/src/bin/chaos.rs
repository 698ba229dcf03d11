//! `chaos`: one long run of the real server under everything that goes wrong, for `make chaos`. Prints the seed first
//! and the figures last; exit code 1 where anything was lost, doubled, leaked or broken.

use anyhow::{Context, Result};
use ensemble_tests::chaos::clients::Appetite;
use ensemble_tests::chaos::verdict::Fault;
use ensemble_tests::chaos::{Settings, run};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "usage: chaos SEED SECONDS KILLS DIRECTORY";

#[tokio::main]
async fn main() -> ExitCode {
    match tell().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn tell() -> Result<ExitCode> {
    let settings = settings()?;
    println!(
        "seed {}: {} s, {} kills of the server; the history goes to {}",
        settings.seed,
        settings.lasts.as_secs(),
        settings.kills,
        settings.directory.join("history.jsonl").display()
    );
    let outcome = run(&settings).await?;
    for story in &outcome.stories {
        println!("\n{story}");
    }
    for (what, count) in &outcome.done {
        println!("{count:>8} {what}");
    }
    println!(
        "seed {}: {} kills of the server in {} s, converged {} s after the faults stopped: \
         lost {}, doubled {}, leaked {}, broken {}",
        settings.seed,
        outcome.kills,
        outcome.lasted.as_secs(),
        outcome.converged_after.as_secs(),
        outcome.count(Fault::Lost),
        outcome.count(Fault::Doubled),
        outcome.count(Fault::Leaked),
        outcome.count(Fault::Broken),
    );
    Ok(if outcome.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn settings() -> Result<Settings> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [seed, seconds, kills, directory] = arguments.as_slice() else { anyhow::bail!(USAGE) };
    let number = |text: &str| text.parse::<u64>().with_context(|| format!("`{text}` is no number; {USAGE}"));
    let kills = number(kills)?;
    Ok(Settings {
        seed: number(seed)?,
        lasts: Duration::from_secs(number(seconds)?),
        kills,
        second_servers: (kills / 50).clamp(1, 20),
        // Longer than an engine goes without looking at everything again.
        sleeps: Duration::from_secs(65),
        disk_mib: 512,
        appetite: Appetite { applications: 4, instances: 5, timeout_seconds: 20 },
        shots: Duration::from_secs(2),
        floods: Duration::from_secs(25),
        converges_within: Duration::from_secs(180),
        directory: PathBuf::from(directory),
    })
}
