//! Compares what clients were told with what the server says in the end and with what really runs: pure, from values
//! to findings. Lost, doubled and leaked are counted apart; everything else that must hold is `broken`.

use super::evidence::{Container, Evidence, Place};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One write of a client, with all its repetitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub account: usize,
    pub app: String,
    pub kind: Kind,
    /// Instances: asked for, or to be released.
    pub asked: u64,
    pub outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Create,
    Add,
    Del,
    Delete,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Accepted {
        operation: String,
    },
    Refused,
    /// No answer, however often it was repeated.
    Unknown,
}

/// What the server says in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Of each account, in the order of accounts.
    pub accounts: Vec<Account>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    pub operations: BTreeMap<String, Operation>,
    pub applications: BTreeMap<String, Application>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub app: String,
    pub status: String,
    pub wanted: u64,
    pub ready: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Application {
    pub instances: BTreeSet<String>,
    /// The containers of each pod; every instance has all of the pods.
    pub containers: BTreeSet<String>,
    pub pods_of_an_instance: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Lost,
    Doubled,
    Leaked,
    Broken,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub fault: Fault,
    /// Instance, application or operation: what the story is about.
    pub subject: String,
    pub text: String,
}

impl Finding {
    pub fn new(fault: Fault, subject: &str, text: impl Into<String>) -> Self {
        Self { fault, subject: subject.to_owned(), text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = match self.fault {
            Fault::Lost => "LOST",
            Fault::Doubled => "DOUBLED",
            Fault::Leaked => "LEAKED",
            Fault::Broken => "BROKEN",
        };
        write!(formatter, "{fault} {}: {}", self.subject, self.text)
    }
}

/// Everything that does not agree, in a fixed order. Meant for the end, when nothing is under way any more.
pub fn judge(writes: &[Write], told: &Told, seen: &Evidence) -> Vec<Finding> {
    let mut findings = Vec::new();
    promises(writes, told, &mut findings);
    counts(writes, told, &mut findings);
    processes(told, seen, &mut findings);
    belongings(seen, &mut findings);
    leftovers(told, seen, &mut findings);
    findings.sort();
    findings
}

/// Places of which more than one process runs.
pub fn doubled(containers: &[Container]) -> BTreeMap<&Place, Vec<&Container>> {
    let mut by_place: BTreeMap<&Place, Vec<&Container>> = BTreeMap::new();
    for container in containers {
        by_place.entry(&container.place).or_default().push(container);
    }
    by_place.retain(|_, containers| containers.len() > 1);
    by_place
}

/// Every accepted write is an operation, once, that did what was asked; no other operation is there.
fn promises(writes: &[Write], told: &Told, findings: &mut Vec<Finding>) {
    let mut accepted: BTreeMap<&str, &Write> = BTreeMap::new();
    for write in writes {
        let operation = match &write.outcome {
            Outcome::Accepted { operation } => operation,
            Outcome::Refused => continue,
            Outcome::Unknown => {
                let text = format!("a {:?} was never answered, however often it was repeated", write.kind);
                findings.push(Finding::new(Fault::Broken, &write.app, text));
                continue;
            }
        };
        if accepted.insert(operation, write).is_some() {
            let text = "two writes were answered with one RequestId";
            findings.push(Finding::new(Fault::Broken, operation, text));
        }
        let account = told.accounts.get(write.account);
        match account.and_then(|account| account.operations.get(operation)) {
            None => {
                let text = format!("a {:?} of {} was accepted, and is forgotten", write.kind, write.app);
                findings.push(Finding::new(Fault::Lost, operation, text));
            }
            Some(shown) => kept(write, operation, shown, findings),
        }
    }
    for account in &told.accounts {
        for (operation, shown) in &account.operations {
            if !accepted.contains_key(operation.as_str()) {
                let text = format!("nobody was told of this operation of {}", shown.app);
                findings.push(Finding::new(Fault::Doubled, operation, text));
            }
        }
    }
}

fn kept(write: &Write, operation: &str, shown: &Operation, findings: &mut Vec<Finding>) {
    let mut broken = |text: String| findings.push(Finding::new(Fault::Broken, operation, text));
    if shown.app != write.app {
        broken(format!("was accepted for {}, and is shown for {}", write.app, shown.app));
    }
    if shown.status == "Running" {
        broken(format!("a {:?} of {} does not end", write.kind, write.app));
    }
    if write.kind != Kind::Delete && shown.wanted != write.asked {
        broken(format!("{:?}: {} were asked for, {} planned", write.kind, write.asked, shown.wanted));
    }
}

/// What was asked, less what was given up, less what was released, is what is there.
fn counts(writes: &[Write], told: &Told, findings: &mut Vec<Finding>) {
    let mut expected: BTreeMap<(usize, &str), i64> = BTreeMap::new();
    let mut deleted = BTreeSet::new();
    for write in writes {
        let Outcome::Accepted { operation } = &write.outcome else { continue };
        let Some(account) = told.accounts.get(write.account) else { continue };
        let Some(shown) = account.operations.get(operation) else { continue };
        let count = expected.entry((write.account, &write.app)).or_default();
        match write.kind {
            Kind::Create | Kind::Add => *count += shown.ready.cast_signed(),
            Kind::Del => *count -= shown.wanted.cast_signed(),
            Kind::Delete => {
                deleted.insert((write.account, write.app.as_str()));
            }
        }
    }
    for ((account, app), count) in expected {
        let Some(told) = told.accounts.get(account) else { continue };
        let is_deleted = deleted.contains(&(account, app));
        match (told.applications.get(app), is_deleted) {
            (Some(_), true) => {
                findings.push(Finding::new(Fault::Leaked, app, "was deleted, and is still there"));
            }
            (None, true) => {}
            (None, false) => {
                findings.push(Finding::new(Fault::Lost, app, "was created, and the server does not know it"));
            }
            (Some(shown), false) => {
                let is = shown.instances.len() as i64;
                let fault = if is < count { Fault::Lost } else { Fault::Doubled };
                if is != count {
                    let text = format!("its operations leave {count} instances, the server shows {is}");
                    findings.push(Finding::new(fault, app, text));
                }
            }
        }
    }
    for (account, told) in told.accounts.iter().enumerate() {
        let created = |app: &str| {
            writes
                .iter()
                .any(|write| write.account == account && write.app == app && write.kind == Kind::Create)
        };
        for app in told.applications.keys().filter(|app| !created(app)) {
            findings.push(Finding::new(Fault::Doubled, app, "nobody was told of this application"));
        }
    }
}

/// Each container of each instance runs once, and nothing else does.
fn processes(told: &Told, seen: &Evidence, findings: &mut Vec<Finding>) {
    for (place, containers) in doubled(&seen.containers) {
        let pids: Vec<u32> = containers.iter().map(|container| container.process.pid).collect();
        let text = format!("container `{}` of pod {} runs as {pids:?}", place.container, place.pod);
        findings.push(Finding::new(Fault::Doubled, &place.instance, text));
    }
    let mut known: BTreeMap<&str, &str> = BTreeMap::new();
    for (app, application) in told.accounts.iter().flat_map(|account| &account.applications) {
        for instance in &application.instances {
            known.insert(instance, app);
            for container in &application.containers {
                let running = seen.containers.iter().filter(|running| {
                    &running.app == app
                        && running.place.instance == *instance
                        && running.place.container == *container
                });
                let pods: BTreeSet<&str> = running.map(|running| running.place.pod.as_str()).collect();
                if pods.len() != application.pods_of_an_instance {
                    let text = format!(
                        "of {} pods {} run container `{container}`: {pods:?}",
                        application.pods_of_an_instance,
                        pods.len()
                    );
                    let is_less = pods.len() < application.pods_of_an_instance;
                    let fault = if is_less { Fault::Lost } else { Fault::Doubled };
                    findings.push(Finding::new(fault, instance, text));
                }
            }
        }
    }
    for container in &seen.containers {
        if known.get(container.place.instance.as_str()) != Some(&container.app.as_str()) {
            let text = format!(
                "process {} of {} runs, and no application has the instance",
                container.process.pid, container.app
            );
            findings.push(Finding::new(Fault::Leaked, &container.place.instance, text));
        }
    }
}

/// Every container has what it needs: where it seems not to, something was taken from it, or the witness is blind.
fn belongings(seen: &Evidence, findings: &mut Vec<Finding>) {
    for container in &seen.containers {
        let instance = &container.place.instance;
        let mut lacks = |what: String| findings.push(Finding::new(Fault::Broken, instance, what));
        if !seen.groups.contains(instance) {
            lacks("runs, and has no control group".to_owned());
        }
        if !seen.namespaces.contains(&container.namespace) {
            lacks(format!("runs in network namespace {}, which nothing keeps", container.namespace));
        }
        if container.addresses.is_empty() {
            lacks("runs, and has no address".to_owned());
        }
        for address in container.addresses.difference(&seen.elements) {
            lacks(format!("the packet filter does not know its address {address}"));
        }
    }
    let namespaces: BTreeSet<u64> = seen.containers.iter().map(|container| container.namespace).collect();
    if seen.links < namespaces.len() {
        let text = format!("{} interfaces for {} pods", seen.links, namespaces.len());
        findings.push(Finding::new(Fault::Broken, "the network", text));
    }
    if seen.supervisors.len() < seen.containers.len() {
        let text = format!("{} for {} containers", seen.supervisors.len(), seen.containers.len());
        findings.push(Finding::new(Fault::Broken, "the supervisors", text));
    }
}

/// Nothing lies about that no container needs.
fn leftovers(told: &Told, seen: &Evidence, findings: &mut Vec<Finding>) {
    let mut leaked = |subject: &str, text: String| {
        findings.push(Finding::new(Fault::Leaked, subject, text));
    };
    let applications = told.accounts.iter().flat_map(|account| account.applications.values());
    let instances: BTreeSet<&String> = applications.flat_map(|application| &application.instances).collect();
    for group in seen.groups.iter().filter(|group| !instances.contains(group)) {
        leaked(group, "has a control group, and is no instance".to_owned());
    }
    let namespaces: BTreeSet<u64> = seen.containers.iter().map(|container| container.namespace).collect();
    for namespace in seen.namespaces.difference(&namespaces) {
        leaked("the network", format!("nothing runs in network namespace {namespace}"));
    }
    if seen.links > namespaces.len() {
        leaked("the network", format!("{} interfaces for {} pods", seen.links, namespaces.len()));
    }
    let addresses: BTreeSet<String> =
        seen.containers.iter().flat_map(|container| container.addresses.clone()).collect();
    for element in seen.elements.difference(&addresses) {
        leaked("the network", format!("the packet filter lets {element} pass, which nobody has"));
    }
    if seen.supervisors.len() > seen.containers.len() {
        let (supervisors, containers) = (seen.supervisors.len(), seen.containers.len());
        leaked(
            "the supervisors",
            format!("{supervisors} of {containers} containers: {:?}", seen.supervisors),
        );
    }
    for stranger in &seen.strangers {
        leaked("the control groups", format!("process {} is in one, and is nobody's", stranger.pid));
    }
    for mount in &seen.mounts {
        leaked("the mounts", format!("`{mount}` is mounted for all to see"));
    }
}

#[cfg(test)]
mod tests;
