//! What goes wrong in a run, at random moments: servers are killed, supervisors and containers are killed, the disk is
//! full, the registry lies. Counts what it did. Judges nothing but a server that ends by itself without a reason.

use super::clients::Ledger;
use super::dice::Dice;
use super::evidence::{Process, Witness, identity_of};
use super::house::{Door, House, READY_AT_MOST, Tenant, Waited, signal};
use super::liar::{Liar, Mood};
use super::verdict::{Fault, Finding};
use anyhow::{Result, bail};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const LONGEST_FULL: Duration = Duration::from_millis(1_500);
/// A lie is told for at least so long, and until somebody has heard it, but no longer than the second.
const MOOD_AT_LEAST: Duration = Duration::from_millis(1_500);
const MOOD_AT_MOST: Duration = Duration::from_secs(8);
const MOOD_PACE: Duration = Duration::from_millis(100);
/// Between two attempts at a server that a full disk keeps away.
const FULL_PAUSE: Duration = Duration::from_millis(200);
/// A server that was told of a full disk a moment ago may end of it now.
const AFTERMATH: Duration = Duration::from_secs(5);

/// What was done.
#[derive(Default)]
pub struct Tally {
    pub killed_starting: AtomicU64,
    pub killed_serving: AtomicU64,
    pub ended_of_full_disk: AtomicU64,
    pub killed_supervisors: AtomicU64,
    pub killed_containers: AtomicU64,
    pub full_disks: AtomicU64,
    pub refused_seconds: AtomicU64,
    /// First servers, after they woke.
    pub fenced_by_epoch: AtomicU64,
    pub fenced_by_lock: AtomicU64,
}

impl Tally {
    pub fn kills(&self) -> u64 {
        self.killed_starting.load(Ordering::Relaxed) + self.killed_serving.load(Ordering::Relaxed)
    }
}

pub struct Adversary<'a> {
    pub house: &'a House,
    pub ledger: &'a Arc<Ledger>,
    pub witness: &'a Witness,
    pub liar: &'a Liar,
    pub tally: Tally,
    /// How long a first server is stopped while a second one serves, at most.
    sleeps: Duration,
    is_over: AtomicBool,
    /// Held while the disk is full, and while two servers must be able to start.
    disk: tokio::sync::Mutex<()>,
    /// When the disk was last seen full.
    full: std::sync::Mutex<Option<Instant>>,
}

impl<'a> Adversary<'a> {
    pub fn new(
        house: &'a House,
        ledger: &'a Arc<Ledger>,
        witness: &'a Witness,
        liar: &'a Liar,
        sleeps: Duration,
    ) -> Self {
        let (tally, is_over) = (Tally::default(), AtomicBool::new(false));
        let (disk, full) = (tokio::sync::Mutex::default(), std::sync::Mutex::default());
        Self { house, ledger, witness, liar, tally, sleeps, is_over, disk, full }
    }

    /// Ends the tasks beside the hunt, each at its next pause.
    pub fn stop(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    /// One life of a server: it is killed at a random moment within `at_most`, be it ready or not. Long enough lives
    /// among them let clients see what came of their writes.
    ///
    /// # Errors
    /// When no server can be started at all.
    pub async fn one_life(&self, dice: &mut Dice, at_most: Duration) -> Result<()> {
        let account = dice.below(super::house::ACCOUNTS as u64) as usize;
        let mut tenant = self.house.start(account)?;
        let life = dice.duration(at_most);
        // One in five does not live to be ready, whatever a start takes here.
        let waited = if dice.chance(20) {
            tenant.wait(life.min(at_most / 8)).await?
        } else {
            tenant.wait(READY_AT_MOST).await?
        };
        match waited {
            Waited::Ready(url) => {
                self.house.open(Some(Door { url, account: tenant.account }));
                self.end_of(tenant, life).await?;
            }
            Waited::Starting => self.kill(tenant, &self.tally.killed_starting).await?,
            Waited::Ended(status) => self.ended(&tenant, &format!("{status}")).await,
        }
        Ok(())
    }

    /// Kills a server that serves after `life`, unless it ended before.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn end_of(&self, mut tenant: Tenant, life: Duration) -> Result<()> {
        let ended = tenant.ended(life).await?;
        self.house.open(None);
        match ended {
            Some(status) => self.ended(&tenant, &format!("{status}")).await,
            None => self.kill(tenant, &self.tally.killed_serving).await?,
        }
        Ok(())
    }

    async fn kill(&self, tenant: Tenant, counter: &AtomicU64) -> Result<()> {
        self.ledger.history.announce("server killed", json!({"pid": tenant.pid}));
        counter.fetch_add(1, Ordering::Relaxed);
        tenant.kill().await
    }

    /// Only a full disk is a reason.
    async fn ended(&self, tenant: &Tenant, status: &str) {
        let words = self.house.last_words(4);
        self.ledger
            .history
            .announce("server ended", json!({"pid": tenant.pid, "status": status, "said": words}));
        let full = *self.full.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if full.is_some_and(|full| full.elapsed() < AFTERMATH) {
            self.tally.ended_of_full_disk.fetch_add(1, Ordering::Relaxed);
        } else {
            let text = format!("it ended by itself with {status}: {}", words.join(" | "));
            self.ledger.find(Finding::new(Fault::Broken, "the server", text));
        }
        tokio::time::sleep(FULL_PAUSE).await;
    }

    /// Kills supervisors and containers, until it is stopped.
    ///
    /// # Errors
    /// When the kernel cannot be read.
    pub async fn shoot(&self, mut dice: Dice, pace: Duration) -> Result<()> {
        while self.goes_on() {
            tokio::time::sleep(dice.duration(pace)).await;
            let (word, counter, targets) = if dice.chance(40) {
                ("supervisor", &self.tally.killed_supervisors, self.witness.supervisors()?)
            } else {
                let containers = self.witness.containers()?;
                let processes = containers.iter().map(|container| container.process).collect();
                ("container", &self.tally.killed_containers, processes)
            };
            let Some(target) = dice.pick(&targets) else { continue };
            if self.goes_on() && shot(*target) {
                counter.fetch_add(1, Ordering::Relaxed);
                self.ledger.history.announce("process killed", json!({"pid": target.pid, "kind": word}));
            }
        }
        Ok(())
    }

    /// Fills the disk and frees it again, until it is stopped.
    ///
    /// # Errors
    /// When the disk does anything else than being full.
    pub async fn flood(&self, mut dice: Dice, pace: Duration) -> Result<()> {
        while self.goes_on() {
            tokio::time::sleep(dice.duration(pace)).await;
            let _taken = self.disk.lock().await;
            self.ledger.history.announce("disk full", json!({}));
            let began = Instant::now();
            let lasts = dice.duration(LONGEST_FULL);
            loop {
                self.mark_full();
                self.house.disk().fill()?;
                if began.elapsed() >= lasts {
                    break;
                }
                // What is freed meanwhile is taken as well.
                tokio::time::sleep(FULL_PAUSE.min(lasts)).await;
            }
            self.house.disk().free()?;
            self.mark_full();
            self.tally.full_disks.fetch_add(1, Ordering::Relaxed);
            self.ledger.history.announce("disk freed", json!({}));
        }
        Ok(())
    }

    fn mark_full(&self) {
        *self.full.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Instant::now());
    }

    /// Lets the registry lie in one way after the other, until it is stopped.
    pub async fn deceive(&self, mut dice: Dice) {
        while self.goes_on() {
            let mood = dice.pick(&Mood::ALL).copied().unwrap_or(Mood::Honest);
            let heard = self.liar.answered(mood);
            self.liar.set(mood);
            self.ledger.history.announce("registry", json!({"mood": mood.word()}));
            let began = Instant::now();
            while self.goes_on()
                && began.elapsed() < MOOD_AT_MOST
                && (began.elapsed() < MOOD_AT_LEAST || self.liar.answered(mood) == heard)
            {
                tokio::time::sleep(MOOD_PACE).await;
            }
        }
        self.liar.set(Mood::Honest);
        self.ledger.history.announce("registry", json!({"mood": Mood::Honest.word()}));
    }

    /// A second server beside one that sleeps. While the first has its locks the second is refused by a clear word;
    /// when the locks were taken away from under it, the second serves, and the first must end when it wakes, without
    /// having answered one more write. Returns the server that serves then.
    ///
    /// # Errors
    /// When a server cannot be started or stopped.
    pub async fn second_server(&self, dice: &mut Dice) -> Result<Tenant> {
        let _at_rest = self.disk.lock().await;
        let account = dice.below(super::house::ACCOUNTS as u64) as usize;
        let mut first = self.house.start_in_peace(account).await?;
        let door = self.house.doors().borrow().clone();
        let Some(door) = door else { bail!("an undisturbed server has a door") };
        // Clients are at it, so that it is stopped in the middle of something.
        tokio::time::sleep(dice.duration(Duration::from_millis(300))).await;
        self.house.open(None);
        signal("STOP", first.pid)?;
        self.ledger.history.announce("server stopped", json!({"pid": first.pid}));

        let refused = self.house.start(account)?;
        self.must_be_refused(refused, first.pid).await?;

        take_locks_away(&self.house.data_dir())?;
        self.ledger.history.announce("locks removed", json!({}));
        let second = self.house.start(account)?;
        let second = match self.takes_over(second).await? {
            Some(second) => second,
            None => {
                // It slept in the middle of an append, and keeps the log to itself: no second one can come.
                first.kill().await?;
                return self.house.start_in_peace(account).await;
            }
        };
        let taken = self.house.doors().borrow().clone();
        if let Some(taken) = &taken
            && !self.ledger.create_at(taken, dice).await?
        {
            self.ledger.find(Finding::new(Fault::Broken, "the second server", "it takes no write"));
        }
        // Clients go on with the second one, and what the first believes becomes old.
        tokio::time::sleep(if dice.chance(25) { self.sleeps } else { self.sleeps / 20 }).await;

        signal("CONT", first.pid)?;
        self.ledger.history.announce("server woken", json!({"pid": first.pid}));
        // One that nobody asks for anything has to find out by itself.
        if dice.chance(70) && self.ledger.create_at(&door, dice).await? {
            let text = "it was fenced out, and answered a write";
            self.ledger.find(Finding::new(Fault::Broken, "the first server", text));
        }
        self.must_end_fenced(&mut first).await?;
        self.endpoint_must_be(taken.as_ref());
        Ok(second)
    }

    async fn must_be_refused(&self, mut refused: Tenant, holder: u32) -> Result<()> {
        let waited = refused.wait(READY_AT_MOST).await?;
        let words = self.house.last_words(3).join(" | ");
        let is_clear = words.contains("in use by another server") && words.contains(&holder.to_string());
        self.ledger.history.announce("second server refused", json!({"said": words}));
        if !matches!(waited, Waited::Ended(_)) || !is_clear {
            let text =
                format!("it was not refused beside the first, which has the lock: {waited:?}, {words}");
            self.ledger.find(Finding::new(Fault::Broken, "the second server", text));
        } else {
            self.tally.refused_seconds.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn takes_over(&self, mut second: Tenant) -> Result<Option<Tenant>> {
        match second.wait(READY_AT_MOST * 2).await? {
            Waited::Ready(url) => {
                self.house.open(Some(Door { url, account: second.account }));
                Ok(Some(second))
            }
            Waited::Ended(_) | Waited::Starting => {
                let words = self.house.last_words(3).join(" | ");
                self.ledger.history.announce("second server cannot come", json!({"said": words}));
                Ok(None)
            }
        }
    }

    async fn must_end_fenced(&self, first: &mut Tenant) -> Result<()> {
        let ended = first.ended(READY_AT_MOST).await?;
        let words = self.house.last_words(40);
        let says = |text: &str| words.iter().any(|line| line.contains(text));
        let (by_epoch, by_lock) = (says("another server writes this log"), says("was taken away"));
        self.tally.fenced_by_epoch.fetch_add(u64::from(by_epoch), Ordering::Relaxed);
        self.tally.fenced_by_lock.fetch_add(u64::from(by_lock), Ordering::Relaxed);
        let is_fenced = by_epoch || by_lock;
        self.ledger
            .history
            .announce("first server", json!({"ended": format!("{ended:?}"), "fenced": is_fenced}));
        if ended.is_none_or(|status| status.success()) || !is_fenced {
            let text = format!("fenced out, it ended with {ended:?}: {}", words.join(" | "));
            self.ledger.find(Finding::new(Fault::Broken, "the first server", text));
        }
        Ok(())
    }

    /// What the first one wrote was its own to take back, and this is not.
    fn endpoint_must_be(&self, door: Option<&Door>) {
        let found = std::fs::read_to_string(self.house.data_dir().join("endpoint")).unwrap_or_default();
        if door.is_some_and(|door| door.url != found.trim_end()) {
            let text = format!("it left `{found}` as the endpoint of {door:?}");
            self.ledger.find(Finding::new(Fault::Broken, "the first server", text));
        }
    }

    /// For the report.
    pub fn done(&self) -> BTreeMap<&'static str, u64> {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut done = BTreeMap::from([
            ("servers killed while they started", load(&self.tally.killed_starting)),
            ("servers killed while they served", load(&self.tally.killed_serving)),
            ("servers that ended of a full disk", load(&self.tally.ended_of_full_disk)),
            ("supervisors killed", load(&self.tally.killed_supervisors)),
            ("containers killed", load(&self.tally.killed_containers)),
            ("times the disk was full", load(&self.tally.full_disks)),
            ("second servers refused beside a stopped one", load(&self.tally.refused_seconds)),
            ("first servers fenced out by the epoch", load(&self.tally.fenced_by_epoch)),
            ("first servers fenced out by a lost lock", load(&self.tally.fenced_by_lock)),
        ]);
        for mood in Mood::ALL {
            let word = match mood {
                Mood::Honest => "registry answers: honest",
                Mood::WrongDigest => "registry answers: wrong digest",
                Mood::CutBody => "registry answers: cut body",
                Mood::EndlessBody => "registry answers: endless body",
                Mood::ServerError => "registry answers: 500",
                Mood::Slow => "registry answers: slow",
            };
            done.insert(word, self.liar.answered(mood));
        }
        done
    }
}

/// What an operator does who believes that the other server is dead.
fn take_locks_away(data_dir: &std::path::Path) -> Result<()> {
    std::fs::remove_file(data_dir.join("lock"))?;
    for engine in std::fs::read_dir(data_dir.join("engine"))? {
        std::fs::remove_file(engine?.path().join("lock"))?;
    }
    Ok(())
}

/// Kills a process that is still the one that was seen.
fn shot(target: Process) -> bool {
    identity_of(target.pid) == Some(target) && signal("KILL", target.pid).is_ok()
}
