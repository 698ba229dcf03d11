//! Clients that scale applications at random, and know for each write what came of it: one without an answer is
//! repeated with its ClientToken until there is one. Nothing here looks at the machine.

use super::dice::Dice;
use super::history::History;
use super::house::{Door, House};
use super::verdict::{Fault, Finding, Kind, Outcome, Write};
use crate::client::Client;
use anyhow::Result;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// A server answers within this, or is as good as dead.
const ANSWER_AT_MOST: Duration = Duration::from_secs(5);
const RETRY_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);
/// An instance of these places is asked for by name.
const NODES: [&str; 3] = ["cn-shanghai-cmcc", "cn-beijing-15", "cn-beijing-telecom"];
/// Everywhere, a city, a province, and a part of the country.
const AREAS: [&str; 4] = ["", "310100", "110000", "100102"];

/// What an application runs: the same pods on every instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    pub pods: usize,
    pub containers: BTreeSet<String>,
}

#[derive(Clone, Debug)]
pub struct KnownApplication {
    pub id: String,
    pub account: usize,
    pub shape: Shape,
}

/// How much clients ask for.
#[derive(Clone, Copy, Debug)]
pub struct Appetite {
    pub applications: usize,
    pub instances: u64,
    /// Seconds that a write gives the containers.
    pub timeout_seconds: u32,
}

/// What all clients know together.
pub struct Ledger {
    pub history: Arc<History>,
    pub run: String,
    /// References of images, local and remote.
    pub images: Vec<String>,
    pub appetite: Appetite,
    keys: Vec<PathBuf>,
    doors: watch::Receiver<Option<Door>>,
    writes: Mutex<Vec<Write>>,
    applications: Mutex<Vec<KnownApplication>>,
    findings: Mutex<Vec<Finding>>,
    is_closing: AtomicBool,
    /// Set when nobody waits any more.
    is_over: AtomicBool,
    pub repeated: AtomicU64,
}

/// A write before it is sent.
struct Draft {
    account: usize,
    kind: Kind,
    action: &'static str,
    parameters: Vec<(&'static str, String)>,
    app: String,
    asked: u64,
    /// Of an application that it creates.
    shape: Option<Shape>,
}

impl Ledger {
    pub fn new(
        house: &House,
        history: Arc<History>,
        run: String,
        images: Vec<String>,
        appetite: Appetite,
    ) -> Self {
        Self {
            history,
            run,
            images,
            appetite,
            keys: (0..super::house::ACCOUNTS).map(|account| house.key(account)).collect(),
            doors: house.doors(),
            writes: Mutex::default(),
            applications: Mutex::default(),
            findings: Mutex::default(),
            is_closing: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            repeated: AtomicU64::new(0),
        }
    }

    /// No new writes from now on; those without an answer are still repeated.
    pub fn close(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
    }

    /// Nothing is repeated any more either.
    pub fn give_up(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    pub fn writes(&self) -> Vec<Write> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn applications(&self) -> Vec<KnownApplication> {
        self.applications.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn findings(&self) -> Vec<Finding> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn find(&self, finding: Finding) {
        self.history.announce("found", json!({"finding": finding.to_string()}));
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).push(finding);
    }

    /// A client of the server that answers to this account now; waits for one. None when the run is over.
    pub async fn client(&self, account: usize) -> Result<Option<Client>> {
        let mut doors = self.doors.clone();
        while !self.is_over.load(Ordering::Relaxed) {
            let door = doors.borrow_and_update().clone();
            if let Some(door) = door.filter(|door| door.account == account) {
                return Ok(Some(Client::with_key(&self.keys[account], &door.url)?));
            }
            // Woken now and then to see whether it is over.
            let _ = tokio::time::timeout(LONGEST_PAUSE, doors.changed()).await;
        }
        Ok(None)
    }

    /// One client: writes until the run closes.
    ///
    /// # Errors
    /// When a key cannot be read.
    pub async fn scale(&self, account: usize, mut dice: Dice) -> Result<()> {
        while !self.is_closing.load(Ordering::Relaxed) {
            let Some(draft) = self.draft(account, &mut dice).await? else {
                tokio::time::sleep(RETRY_PAUSE).await;
                continue;
            };
            self.write(draft, &mut dice).await?;
            tokio::time::sleep(dice.duration(LONGEST_PAUSE)).await;
        }
        Ok(())
    }

    /// Deletes what there is of an account.
    ///
    /// # Errors
    /// When a key cannot be read.
    pub async fn delete_all(&self, account: usize, dice: &mut Dice) -> Result<()> {
        for application in self.applications().into_iter().filter(|one| one.account == account) {
            self.write(self.deletion(&application), dice).await?;
        }
        Ok(())
    }

    /// Creates an application without instances at this very server, which may be one that must not take it. Says
    /// whether it was accepted.
    ///
    /// # Errors
    /// When a key cannot be read.
    pub async fn create_at(&self, door: &Door, dice: &mut Dice) -> Result<bool> {
        let draft = self.creation(door.account, 0, dice);
        let client = Client::with_key(&self.keys[door.account], &door.url)?;
        let token = uuid::Uuid::new_v4().to_string();
        let Some(Ok(answer)) = self.ask(&client, &draft, &token).await else { return Ok(false) };
        self.settle(&draft, Some(&answer));
        Ok(true)
    }

    async fn draft(&self, account: usize, dice: &mut Dice) -> Result<Option<Draft>> {
        let mine: Vec<KnownApplication> =
            self.applications().into_iter().filter(|one| one.account == account).collect();
        if mine.len() < self.appetite.applications {
            let count = dice.below(2);
            return Ok(Some(self.creation(account, count, dice)));
        }
        let Some(application) = dice.pick(&mine) else { return Ok(None) };
        if dice.chance(6) {
            return Ok(Some(self.deletion(application)));
        }
        let Some(client) = self.client(account).await? else { return Ok(None) };
        let which = [("AppId", application.id.as_str())];
        let asking = client.call("DescribeDeviceService", &which);
        let Ok(Ok(Ok(shown))) = tokio::time::timeout(ANSWER_AT_MOST, asking).await else { return Ok(None) };
        let there = shown["ResourceInfos"].as_array().map_or(0, Vec::len) as u64;
        let adds = there == 0 || (there < self.appetite.instances && dice.chance(60));
        let most = if adds { self.appetite.instances.saturating_sub(there) } else { there };
        let count = 1 + dice.below(most.min(3));
        let (level, region) = match dice.below(3) {
            0 => ("RegionId", dice.pick(&NODES).copied().unwrap_or_default().to_owned()),
            1 if !adds => {
                let node = shown["ResourceInfos"][0]["RegionId"].as_str().unwrap_or_default().to_owned();
                ("RegionId", node)
            }
            _ => ("AreaIspCode", dice.pick(&AREAS).copied().unwrap_or_default().to_owned()),
        };
        let selector = json!([{"regionCode": region, "count": count}]).to_string();
        let kind = if adds { Kind::Add } else { Kind::Del };
        Ok(Some(Draft {
            account,
            kind,
            action: "RescaleApplication",
            parameters: vec![
                ("AppId", application.id.clone()),
                ("RescaleType", if adds { "Add" } else { "Del" }.to_owned()),
                ("RescaleLevel", level.to_owned()),
                ("ResourceSelector", selector),
                ("Timeout", self.appetite.timeout_seconds.to_string()),
            ],
            app: application.id.clone(),
            asked: count,
            shape: None,
        }))
    }

    fn creation(&self, account: usize, count: u64, dice: &mut Dice) -> Draft {
        let image = dice.pick(&self.images).cloned().unwrap_or_default();
        let (pods, containers) = match dice.below(4) {
            0 => (2, vec!["web"]),
            1 => (1, vec!["web", "side"]),
            _ => (1, vec!["web"]),
        };
        let specs: Vec<Value> = containers
            .iter()
            .enumerate()
            .map(|(index, name)| {
                json!({
                    "name": name,
                    "image": image,
                    "args": ["serve", (8080 + index).to_string()],
                    "env": [
                        {"name": super::evidence::RUN_VARIABLE, "value": self.run},
                        {"name": super::evidence::CONTAINER_VARIABLE, "value": name},
                    ],
                })
            })
            .collect();
        let selector = if count == 0 { json!([]) } else { json!([{"count": count}]) };
        let template = json!({
            "appMetaData": {"appName": format!("chaos-{}", &uuid::Uuid::new_v4().simple().to_string()[..8])},
            "resourceAttribute": {"instanceSpec": "ens.sn1.tiny"},
            "resourceSelector": selector,
            "workload": [{"name": "web", "podCount": pods, "podSpec": {"containers": specs}}],
        });
        Draft {
            account,
            kind: Kind::Create,
            action: "CreateApplication",
            parameters: vec![
                ("Template", template.to_string()),
                ("Timeout", self.appetite.timeout_seconds.to_string()),
            ],
            app: String::new(),
            asked: count,
            shape: Some(Shape { pods, containers: containers.into_iter().map(str::to_owned).collect() }),
        }
    }

    fn deletion(&self, application: &KnownApplication) -> Draft {
        Draft {
            account: application.account,
            kind: Kind::Delete,
            action: "DeleteApplication",
            parameters: vec![
                ("AppId", application.id.clone()),
                ("Timeout", self.appetite.timeout_seconds.to_string()),
            ],
            app: application.id.clone(),
            asked: 0,
            shape: None,
        }
    }

    /// Sends a write until there is an answer, and keeps what came of it.
    async fn write(&self, draft: Draft, dice: &mut Dice) -> Result<()> {
        let token = uuid::Uuid::new_v4().to_string();
        let mut answer = None;
        while answer.is_none() {
            let Some(client) = self.client(draft.account).await? else { break };
            answer = self.ask(&client, &draft, &token).await;
            if answer.is_none() {
                self.repeated.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
        let accepted = match &answer {
            Some(Ok(accepted)) => Some(accepted),
            Some(Err(())) => {
                self.keep(&draft, &draft.app, Outcome::Refused);
                return Ok(());
            }
            None => None,
        };
        self.settle(&draft, accepted);
        if let Some(accepted) = accepted
            && dice.chance(15)
            && let Some(client) = self.client(draft.account).await?
            && let Some(again) = self.ask(&client, &draft, &token).await
            && again.as_ref().ok().map(|again| &again["RequestId"]) != Some(&accepted["RequestId"])
        {
            let text = format!("its ClientToken was answered again with {again:?}");
            let operation = accepted["RequestId"].as_str().unwrap_or_default();
            self.find(Finding::new(Fault::Broken, operation, text));
        }
        Ok(())
    }

    /// One try: an acceptance, a refusal, or nothing that one could rely on.
    async fn ask(&self, client: &Client, draft: &Draft, token: &str) -> Option<Result<Value, ()>> {
        let mut parameters: Vec<(&str, &str)> =
            draft.parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        parameters.push(("ClientToken", token));
        let about =
            json!({"action": draft.action, "account": draft.account, "app": draft.app, "token": token});
        let mut asked = about.clone();
        asked["parameters"] =
            json!(draft.parameters.iter().cloned().collect::<std::collections::BTreeMap<_, _>>());
        self.history.note("asked", asked);
        let answered = tokio::time::timeout(ANSWER_AT_MOST, client.call(draft.action, &parameters)).await;
        let (word, detail, outcome) = match answered {
            Ok(Ok(Ok(body))) => ("accepted", body.clone(), Some(Ok(body))),
            // Busy, or shutting down: it may be taken the next time.
            Ok(Ok(Err(refusal))) if refusal.status >= 500 => ("unavailable", refusal.body, None),
            Ok(Ok(Err(refusal))) => ("refused", refusal.body, Some(Err(()))),
            Ok(Err(error)) => ("unanswered", json!(format!("{error:#}")), None),
            Err(_) => ("unanswered", json!("too slow"), None),
        };
        let mut line = about;
        line["answer"] = detail;
        self.history.note(word, line);
        outcome
    }

    /// Keeps what came of a write, and what it made or removed.
    fn settle(&self, draft: &Draft, answer: Option<&Value>) {
        let Some(answer) = answer else {
            self.keep(draft, &draft.app, Outcome::Unknown);
            return;
        };
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        let app = if draft.kind == Kind::Create { text("AppId") } else { draft.app.clone() };
        self.keep(draft, &app, Outcome::Accepted { operation: text("RequestId") });
        let mut applications = self.applications.lock().unwrap_or_else(PoisonError::into_inner);
        match (draft.kind, &draft.shape) {
            (Kind::Create, Some(shape)) => {
                applications.push(KnownApplication { id: app, account: draft.account, shape: shape.clone() });
            }
            (Kind::Delete, _) => applications.retain(|application| application.id != app),
            (Kind::Create | Kind::Add | Kind::Del, _) => {}
        }
    }

    fn keep(&self, draft: &Draft, app: &str, outcome: Outcome) {
        let write = Write {
            account: draft.account,
            app: app.to_owned(),
            kind: draft.kind,
            asked: draft.asked,
            outcome,
        };
        self.writes.lock().unwrap_or_else(PoisonError::into_inner).push(write);
    }
}
