//! What a watcher sees: the objects as they are, then every change, entry by entry of the log (`decisions.md` §5).
//! [`as_they_are`] and [`changes`] choose, without I/O; [`stream`] frames and sends. A watcher that falls too far
//! behind starts over; nothing waits for it.

use crate::control::{Control, Published};
use crate::gateway::listen::{Phase, reached};
use crate::view;
use crate::view::operation::Steps;
use crate::view::pulls::Pulls;
use bytes::Bytes;
use ensemble_model::event::Event;
use ensemble_model::id::{AppId, InstanceId, OperationId};
use ensemble_model::permit::Permit;
use ensemble_model::state::{AccountView, State};
use ensemble_wire::payload::event::{self as payload, Event as Shown};
use futures_util::Stream;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::{self, MissedTickBehavior};

/// A quiet stream says that it is still there.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);

/// Pulls are looked at this often; what has not moved is not told.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Application(AppId),
    Operation(OperationId),
}

/// What one entry of the log, or the beginning of a stream, says.
#[derive(Debug, PartialEq)]
pub(crate) struct News {
    events: Vec<Shown>,
    /// Goes with the last event; progress, which is in no log, has none.
    sequence: Option<u64>,
    more: More,
}

/// Whether anything can follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum More {
    Follows,
    /// The operation has ended, or the application is gone.
    Never,
}

/// The frames of one stream, until its subject has ended, the server drains or the client goes.
pub(crate) fn stream(
    control: Control,
    permit: Permit,
    subject: Subject,
    since: Option<u64>,
    mut phase: watch::Receiver<Phase>,
    pulls: impl Fn() -> Pulls + Send + Sync + 'static,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    async_stream::stream! {
        // In this order: what is durable between the two lines is in both, and the second copy is skipped.
        let mut published = control.subscribe();
        let mut seen = control.state();
        for news in beginning(&control, &seen, (&permit, &subject), since, &pulls()) {
            yield Ok(frames(&news));
            if news.more == More::Never {
                return;
            }
        }
        // One that comes back after the end has nothing to wait for.
        if follows(seen.account(&permit), &subject) == More::Never {
            return;
        }
        let mut heartbeat = time::interval(HEARTBEAT_EVERY);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.reset();
        let mut look = time::interval(PROGRESS_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = Pulls::new();
        loop {
            let news = tokio::select! {
                () = reached(&mut phase, Phase::Draining) => {
                    yield Ok(closing());
                    return;
                }
                _ = heartbeat.tick() => {
                    yield Ok(Bytes::from_static(payload::HEARTBEAT.as_bytes()));
                    continue;
                }
                _ = look.tick() => {
                    let now = pulls();
                    if now == known {
                        continue;
                    }
                    known = now;
                    progress(&control.state(), &permit, &subject, &known)
                }
                received = published.recv() => match received {
                    Ok(published) if published.entry.sequence <= seen.sequence() => continue,
                    Ok(published) => changes(&published, &permit, &subject, &pulls()),
                    Err(RecvError::Lagged(_)) => {
                        seen = control.state();
                        Some(resync(&seen, (&permit, &subject), seen.sequence(), &pulls()))
                    }
                    Err(RecvError::Closed) => {
                        yield Ok(closing());
                        return;
                    }
                },
            };
            let Some(news) = news else { continue };
            yield Ok(frames(&news));
            if news.more == More::Never {
                return;
            }
        }
    }
}

/// How a stream begins: with what is, or with what happened after `since`.
fn beginning(
    control: &Control,
    state: &State,
    (permit, subject): (&Permit, &Subject),
    since: Option<u64>,
    pulls: &Pulls,
) -> Vec<News> {
    let Some(since) = since else { return vec![as_they_are(state, permit, subject, pulls)] };
    match control.published_since(since, state.sequence()) {
        Ok(published) => {
            published.iter().filter_map(|published| changes(published, permit, subject, pulls)).collect()
        }
        Err(oldest) => vec![resync(state, (permit, subject), oldest, pulls)],
    }
}

fn resync(state: &State, (permit, subject): (&Permit, &Subject), oldest: u64, pulls: &Pulls) -> News {
    let mut news = as_they_are(state, permit, subject, pulls);
    news.events.insert(0, Shown::Resync(payload::Resync { oldest }));
    news
}

/// The subject and everything that belongs to it.
pub(crate) fn as_they_are(state: &State, permit: &Permit, subject: &Subject, pulls: &Pulls) -> News {
    let account = state.account(permit);
    let touched = match subject {
        Subject::Application(app) => Touched {
            instances: account.instances(app).iter().map(|instance| instance.id.clone()).collect(),
            operations: account
                .application(app)
                .and_then(|found| found.operation.clone())
                .into_iter()
                .collect(),
        },
        Subject::Operation(id) => Touched {
            instances: targets(account, id).filter(|target| account.instance(target).is_some()).collect(),
            operations: BTreeSet::from([id.clone()]),
        },
    };
    news(account, subject, &touched, pulls)
}

/// What one entry means for the subject; nothing when it is about others.
pub(crate) fn changes(
    published: &Published,
    permit: &Permit,
    subject: &Subject,
    pulls: &Pulls,
) -> Option<News> {
    let account = published.state.account(permit);
    let mut touched = Touched::default();
    for event in &published.entry.events {
        touched.add(account, event);
    }
    let mut concerned = touched.keep(account, subject);
    if let Subject::Application(app) = subject {
        concerned |= published.entry.events.contains(&Event::ApplicationDeleted { app: app.clone() });
    }
    concerned.then(|| news(account, subject, &touched, pulls))
}

/// How far pulls are for the subject; nothing when none of its instances waits for one.
fn progress(state: &State, permit: &Permit, subject: &Subject, pulls: &Pulls) -> Option<News> {
    let whole = as_they_are(state, permit, subject, pulls);
    let is_pulling = |event: &Shown| match event {
        Shown::Instance(instance) => instance.pods.iter().any(|pod| pod.pulled.is_some()),
        Shown::Operation(operation) => operation.nodes.iter().any(|node| node.pulled.is_some()),
        Shown::Application(_) | Shown::Resync(_) | Shown::Closing(_) => false,
    };
    let events: Vec<Shown> = whole.events.into_iter().filter(is_pulling).collect();
    (!events.is_empty()).then_some(News { events, sequence: None, more: More::Follows })
}

/// Objects of which an entry says something.
#[derive(Debug, Default)]
struct Touched {
    instances: BTreeSet<InstanceId>,
    operations: BTreeSet<OperationId>,
}

impl Touched {
    fn add(&mut self, account: AccountView<'_>, event: &Event) {
        match event {
            Event::OperationAccepted { operation } => {
                self.operations.insert(operation.id.clone());
            }
            Event::OperationEnded { operation, .. } | Event::OperationUndoing { operation, .. } => {
                self.operations.insert(operation.clone());
            }
            Event::InstancesPlanned { operation, placements, .. } => {
                let planned = placements.iter().flat_map(|placement| &placement.instances);
                self.instances.extend(planned.map(|instance| instance.id.clone()));
                self.operations.insert(operation.clone());
            }
            Event::InstancesRedeployed { operation, instances, .. } => {
                self.instances.extend(instances.iter().map(|redeployed| redeployed.id.clone()));
                self.operations.insert(operation.clone());
            }
            Event::RolloutPlanned { operation, .. } => {
                self.operations.insert(operation.clone());
            }
            Event::InstancesReleasing { operation, instances, .. } => {
                self.instances.extend(instances.iter().map(|released| released.id.clone()));
                self.operations.insert(operation.clone());
            }
            Event::InstanceObserved { instance, .. } | Event::InstanceGone { instance } => {
                self.instances.insert(instance.clone());
            }
            Event::InstancesRevived { operation, instances, .. } => {
                self.instances.extend(instances.iter().cloned());
                self.operations.insert(operation.clone());
            }
            Event::InstancesProtected { instances, .. } => self.instances.extend(instances.iter().cloned()),
            Event::NodesUnreachable { nodes } | Event::NodesReachable { nodes } => {
                let there = account
                    .applications()
                    .flat_map(|application| account.instances(&application.id))
                    .filter(|instance| nodes.contains(&instance.node));
                self.instances.extend(there.map(|instance| instance.id.clone()));
            }
            // What an application gains or loses by these comes with an operation or an instance.
            Event::FleetInstalled { .. }
            | Event::ImagePinned { .. }
            | Event::ApplicationCreated { .. }
            | Event::ApplicationModified { .. }
            | Event::VersionCreated { .. }
            | Event::VersionDeleted { .. }
            | Event::StableVersionMoved { .. }
            | Event::RolloutChecked { .. }
            | Event::OwnInstancesCreated { .. }
            | Event::OwnInstanceReleased { .. }
            | Event::NodeDraining { .. }
            | Event::NodeResumed { .. }
            | Event::ApplicationDeleted { .. } => {}
        }
    }

    /// Drops what does not belong to the subject, and says whether anything is left.
    fn keep(&mut self, account: AccountView<'_>, subject: &Subject) -> bool {
        match subject {
            Subject::Application(app) => {
                self.instances.retain(|id| app_of(account, id) == Some(app));
                self.operations.retain(|id| operation_app(account, id) == Some(app));
                // Progress of its instances is progress of its operation.
                if !self.instances.is_empty() {
                    self.operations
                        .extend(account.application(app).and_then(|found| found.operation.clone()));
                }
            }
            Subject::Operation(id) => {
                let targets: BTreeSet<InstanceId> = targets(account, id).collect();
                self.instances.retain(|instance| targets.contains(instance));
                self.operations.retain(|operation| operation == id);
                if !self.instances.is_empty() {
                    self.operations.insert(id.clone());
                }
            }
        }
        !self.instances.is_empty() || !self.operations.is_empty()
    }
}

fn news(account: AccountView<'_>, subject: &Subject, touched: &Touched, pulls: &Pulls) -> News {
    let mut events: Vec<Shown> = touched
        .instances
        .iter()
        .filter_map(|id| view::event::instance(account, id, pulls))
        .map(Shown::Instance)
        .collect();
    for id in &touched.operations {
        if let Some(operation) = account.operation(id) {
            let shown = view::operation::operation(account, operation, Steps::LeftOut, pulls);
            events.push(Shown::Operation(Box::new(shown)));
        }
    }
    if let Subject::Application(app) = subject {
        events.push(Shown::Application(match account.application(app) {
            Some(application) => view::event::application(account, application),
            None => view::event::gone_application(app),
        }));
    }
    let more = follows(account, subject);
    News { events, sequence: Some(account.state().sequence()), more }
}

fn follows(account: AccountView<'_>, subject: &Subject) -> More {
    let lives = match subject {
        Subject::Application(app) => account.application(app).is_some(),
        Subject::Operation(id) => account.operation(id).is_some_and(|operation| operation.is_running()),
    };
    if lives { More::Follows } else { More::Never }
}

fn targets<'a>(account: AccountView<'a>, id: &OperationId) -> impl Iterator<Item = InstanceId> + use<'a> {
    account
        .operation(id)
        .into_iter()
        .flat_map(|operation| &operation.targets)
        .map(|target| target.instance.clone())
}

/// The application of an instance that is, or was until a while ago.
fn app_of<'a>(account: AccountView<'a>, id: &InstanceId) -> Option<&'a AppId> {
    let here = account.instance(id).map(|instance| &instance.app);
    here.or_else(|| account.gone(id).map(|gone| &gone.instance.app))
}

fn operation_app<'a>(account: AccountView<'a>, id: &OperationId) -> Option<&'a AppId> {
    account.operation(id)?.subject.app()
}

/// The id stands only on the last event of an entry, so that a resumed stream loses nothing. Progress, which has none,
/// is marked: nothing comes behind it that belongs to it.
fn frames(news: &News) -> Bytes {
    let last = news.events.len().saturating_sub(1);
    let frame = |(index, event): (usize, &Shown)| match news.sequence {
        Some(sequence) => {
            payload::frame(event.name(), &event.data(), Some(sequence).filter(|_| index == last))
        }
        None => payload::progress_frame(event.name(), &event.data()),
    };
    news.events.iter().enumerate().map(frame).collect::<String>().into()
}

fn closing() -> Bytes {
    let event = Shown::Closing(payload::Closing { reason: "the server is stopping".into() });
    payload::frame(event.name(), &event.data(), None).into()
}
