//! The course of a run: rage, answer what is still open, converge, judge, delete everything, judge again. Owns the
//! order and its bounds; what is done in each step is the others'.

use super::adversary::Adversary;
use super::clients::Ledger;
use super::dice::Dice;
use super::evidence::Evidence;
use super::house::{ACCOUNTS, Tenant};
use super::verdict::{Fault, Finding, Kind, Outcome, Told, judge};
use super::{Settings, told, watchman};
use anyhow::{Context, Result};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const CLIENTS_OF_AN_ACCOUNT: usize = 2;
const PACE: Duration = Duration::from_millis(500);
/// The shortest span that a life is drawn from.
const LIFE_AT_LEAST: Duration = Duration::from_millis(300);
/// More than that says nothing new.
const FINDINGS_AT_MOST: usize = 20;
/// So many times the planned time, a run that does not get its kills done ends.
const OVERTIME: u32 = 4;

type Clients = Vec<JoinSet<Result<()>>>;

/// Returns how long it took to converge, once all faults had stopped.
///
/// # Errors
/// When the run itself could not be made.
pub(super) async fn run(settings: &Settings, adversary: &Adversary<'_>) -> Result<Duration> {
    let mut dice = Dice::new(settings.seed);
    let ledger = adversary.ledger;
    let mut clients = begin(ledger, &mut dice);
    let watching = watchman::watch(adversary.witness, ledger);
    let raging = async {
        rage(settings, adversary, &mut dice).await?;
        adversary.ledger.history.announce("faults stop", json!({}));
        let calm = Instant::now();
        let told = answer(settings, adversary, &mut clients).await?;
        settle(settings, adversary, &told, calm).await?;
        let converged_after = calm.elapsed();
        clear(settings, adversary, &mut dice).await?;
        anyhow::Ok(converged_after)
    };
    let ended = tokio::select! {
        ended = raging => ended,
        watched = watching => watched.and(Err(anyhow::anyhow!("the watchman stopped"))),
    };
    ledger.give_up();
    ended
}

fn begin(ledger: &Arc<Ledger>, dice: &mut Dice) -> Clients {
    let start = |account| {
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS_OF_AN_ACCOUNT {
            let (ledger, dice) = (Arc::clone(ledger), dice.fork());
            clients.spawn(async move { ledger.scale(account, dice).await });
        }
        clients
    };
    (0..ACCOUNTS).map(start).collect()
}

/// Everything that goes wrong, until as many servers were killed as asked for.
async fn rage(settings: &Settings, adversary: &Adversary<'_>, dice: &mut Dice) -> Result<()> {
    let (shots, floods, lies) = (dice.fork(), dice.fork(), dice.fork());
    let hunting = async {
        let hunted = hunt(settings, adversary, dice).await;
        adversary.stop();
        adversary.ledger.close();
        hunted
    };
    let deceiving = async {
        adversary.deceive(lies).await;
        Ok(())
    };
    let (shooting, flooding) =
        (adversary.shoot(shots, settings.shots), adversary.flood(floods, settings.floods));
    tokio::try_join!(hunting, shooting, flooding, deceiving).map(|_| ())
}

async fn hunt(settings: &Settings, adversary: &Adversary<'_>, dice: &mut Dice) -> Result<()> {
    let began = Instant::now();
    let mut second_servers = 0;
    loop {
        let kills = adversary.tally.kills();
        let elapsed = began.elapsed();
        let has_seen_enough = adversary.ledger.findings().len() >= FINDINGS_AT_MOST;
        if has_seen_enough || (kills >= settings.kills && elapsed >= settings.lasts) {
            return Ok(());
        }
        if elapsed > settings.lasts * OVERTIME {
            let text = format!("only {kills} of {} servers were killed in {elapsed:?}", settings.kills);
            adversary.ledger.find(Finding::new(Fault::Broken, "the run", text));
            return Ok(());
        }
        // Spread over the run, the first one after its first part.
        if second_servers < settings.second_servers
            && kills >= settings.kills * (second_servers + 1) / (settings.second_servers + 1)
        {
            second_servers += 1;
            let tenant = adversary.second_server(dice).await?;
            adversary.end_of(tenant, dice.duration(LIFE_AT_LEAST)).await?;
            continue;
        }
        let left = u32::try_from(settings.kills.saturating_sub(kills).max(1)).unwrap_or(u32::MAX);
        let share = settings.lasts.saturating_sub(elapsed) / left;
        adversary.one_life(dice, (share * 2).max(LIFE_AT_LEAST)).await?;
    }
}

/// Lets every client get its last answer, and every operation end; asks what there is.
async fn answer(settings: &Settings, adversary: &Adversary<'_>, clients: &mut Clients) -> Result<Told> {
    for (account, clients) in clients.iter_mut().enumerate() {
        let tenant = adversary.house.start_in_peace(account).await?;
        let answered = async {
            while let Some(client) = clients.join_next().await {
                client??;
            }
            anyhow::Ok(())
        };
        // Whoever is not answered by then keeps a write without an outcome, which is a finding.
        if let Ok(answered) = tokio::time::timeout(settings.converges_within, answered).await {
            answered?;
        }
        leave(adversary, tenant).await?;
    }
    let mut told = Told::default();
    for account in 0..ACCOUNTS {
        let tenant = adversary.house.start_in_peace(account).await?;
        all_ended(settings, adversary, account).await?;
        let client = adversary.ledger.client(account).await?.context("the run is not over")?;
        told.accounts.push(told::account(&client, adversary.ledger).await?);
        leave(adversary, tenant).await?;
    }
    Ok(told)
}

async fn leave(adversary: &Adversary<'_>, tenant: Tenant) -> Result<()> {
    adversary.house.open(None);
    tenant.terminate().await
}

/// Waits until no operation runs; one that does not end is a finding later.
async fn all_ended(settings: &Settings, adversary: &Adversary<'_>, account: usize) -> Result<()> {
    let client = adversary.ledger.client(account).await?.context("the run is not over")?;
    let began = Instant::now();
    while began.elapsed() < settings.converges_within {
        let running = client.ask("ListOperations", &[("Status", "Running")]).await?;
        if running["Operations"].as_array().is_none_or(Vec::is_empty) {
            break;
        }
        tokio::time::sleep(PACE).await;
    }
    Ok(())
}

/// Gives things their time, and keeps what then still does not agree.
async fn settle(settings: &Settings, adversary: &Adversary<'_>, told: &Told, since: Instant) -> Result<()> {
    let tenant = adversary.house.start_in_peace(0).await?;
    let writes = adversary.ledger.writes();
    let findings = agree(settings, adversary, since, |seen| judge(&writes, told, seen)).await?;
    for finding in findings {
        adversary.ledger.find(finding);
    }
    leave(adversary, tenant).await
}

/// Looks again and again until there is nothing to be found, or the time is over.
async fn agree(
    settings: &Settings,
    adversary: &Adversary<'_>,
    since: Instant,
    judge: impl Fn(&Evidence) -> Vec<Finding>,
) -> Result<Vec<Finding>> {
    loop {
        let findings = judge(&adversary.witness.look()?);
        if findings.is_empty() || since.elapsed() > settings.converges_within {
            return Ok(findings);
        }
        tokio::time::sleep(PACE).await;
    }
}

/// Deletes every application through the API: then nothing may be left that belongs to one.
async fn clear(settings: &Settings, adversary: &Adversary<'_>, dice: &mut Dice) -> Result<()> {
    let mut told = Told::default();
    for account in 0..ACCOUNTS {
        let tenant = adversary.house.start_in_peace(account).await?;
        adversary.ledger.delete_all(account, dice).await?;
        all_ended(settings, adversary, account).await?;
        let client = adversary.ledger.client(account).await?.context("the run is not over")?;
        told.accounts.push(told::account(&client, adversary.ledger).await?);
        leave(adversary, tenant).await?;
    }
    let writes = adversary.ledger.writes();
    let known = adversary.ledger.findings();
    let findings = agree(settings, adversary, Instant::now(), |seen| {
        let findings = judge(&writes, &told, seen).into_iter();
        // Said once already.
        findings.filter(|finding| !known.contains(finding)).collect()
    });
    for finding in findings.await? {
        adversary.ledger.find(finding);
    }
    Ok(())
}

/// Of clients' writes, for the report.
pub(super) fn written(ledger: &Ledger) -> [(&'static str, u64); 6] {
    let writes = ledger.writes();
    let accepted = |kind: Kind| {
        let is_accepted = |write: &&super::verdict::Write| {
            write.kind == kind && matches!(write.outcome, Outcome::Accepted { .. })
        };
        writes.iter().filter(is_accepted).count() as u64
    };
    let refused = writes.iter().filter(|write| write.outcome == Outcome::Refused).count() as u64;
    [
        ("writes accepted: create", accepted(Kind::Create)),
        ("writes accepted: add", accepted(Kind::Add)),
        ("writes accepted: del", accepted(Kind::Del)),
        ("writes accepted: delete", accepted(Kind::Delete)),
        ("writes refused", refused),
        ("writes repeated for want of an answer", ledger.repeated.load(Ordering::Relaxed)),
    ]
}
