//! What must hold of what is believed: of a state after a start, and of the live one, beside the shadow of the log.

use super::{Broken, Exercised, Verdict, check_all};
use crate::request::{Outcome, Requests};
use crate::shadow::{App, Shadow};
use ensemble_model::event::Entry;
use ensemble_model::id::{AppId, OperationId};
use ensemble_model::instance::PodStatus;
use ensemble_model::log::format::Chain;
use ensemble_model::log::recovery::{Recovered, recover};
use ensemble_model::log::snapshot::Snapshot;
use ensemble_model::operation::Operation;
use ensemble_model::permit::Permit;
use ensemble_model::state::State;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A state, and what should be in it.
pub(crate) struct Believed<'a> {
    pub(crate) state: &'a State,
    /// At the same sequence.
    pub(crate) shadow: &'a Shadow,
    /// Of every account.
    pub(crate) permits: &'a [Permit],
    pub(crate) memory: &'a Memory,
}

/// What was believed before, of what never changes or never falls.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    revisions: BTreeMap<AppId, u64>,
    ended: BTreeMap<OperationId, Arc<Operation>>,
}

impl Memory {
    /// Takes note of what a state says.
    pub(crate) fn note(&mut self, state: &State, permits: &[Permit], entry: &Entry) {
        for permit in permits {
            let account = state.account(permit);
            for app in account.applications() {
                self.revisions.insert(app.id.clone(), app.revision);
            }
            for event in &entry.events {
                let ensemble_model::event::Event::OperationEnded { operation, .. } = event else { continue };
                if let Some(ended) = account.operation(operation) {
                    self.ended.entry(operation.clone()).or_insert_with(|| Arc::clone(ended));
                }
            }
        }
    }
}

/// What is cheap enough to be checked of every state that is published.
pub(crate) fn check_published(believed: &Believed<'_>, exercised: &mut Exercised) -> Result<(), Broken> {
    check_all!(believed, exercised; a_revision_never_falls)
}

/// Everything, for states now and then.
pub(crate) fn check(believed: &Believed<'_>, exercised: &mut Exercised) -> Result<(), Broken> {
    check_all!(believed, exercised;
        a_revision_never_falls,
        what_has_ended_stays_as_it_is,
        the_state_is_what_the_log_says,
        nothing_is_counted_twice,
        another_accounts_things_look_like_none,
    )
}

/// The revision of an application is what the log makes it, and never less than it was.
fn a_revision_never_falls(believed: &Believed<'_>) -> Verdict {
    let mut looked = 0;
    for permit in believed.permits {
        for app in believed.state.account(permit).applications() {
            looked += 1;
            let said = believed.shadow.apps.get(&app.id).map(|app| app.revision);
            if said != Some(app.revision) {
                return Err(format!("{} is at revision {}, the log makes it {said:?}", app.id, app.revision));
            }
            if believed.memory.revisions.get(&app.id).is_some_and(|before| app.revision < *before) {
                return Err(format!("{} falls to revision {}", app.id, app.revision));
            }
        }
    }
    Ok(looked)
}

/// An operation that has ended is the same for ever, to its last step.
fn what_has_ended_stays_as_it_is(believed: &Believed<'_>) -> Verdict {
    let mut looked = 0;
    for (id, ended) in &believed.memory.ended {
        let mut found =
            believed.permits.iter().filter_map(|permit| believed.state.account(permit).operation(id));
        // The history is bounded: what is forgotten does not change any more.
        let Some(found) = found.next() else { continue };
        looked += 1;
        if found != ended {
            return Err(format!("{id} has ended as {ended:?} and is now {found:?}"));
        }
    }
    Ok(looked)
}

/// Applications, instances and operations are those of the log, each as the log says.
fn the_state_is_what_the_log_says(believed: &Believed<'_>) -> Verdict {
    let Believed { state, shadow, permits, .. } = believed;
    let mut looked = 0;
    let (mut apps, mut instances, mut owned) = (0, 0, 0_u64);
    for permit in *permits {
        let account = state.account(permit);
        for app in account.applications() {
            apps += 1;
            let said = shadow.apps.get(&app.id).filter(|said| said.account == *permit.account());
            let is_so = |said: &App| {
                said.running == app.operation
                    && said.phase == app.phase
                    && said.min_ready == app.resources.min_ready
            };
            if !said.is_some_and(is_so) {
                return Err(format!("the log says {said:?} of {app:?}"));
            }
            for found in account.instances(&app.id) {
                instances += 1;
                let said = shadow.instances.get(&found.id);
                let failed = found.pods.iter().filter(|pod| pod.status == PodStatus::Failed).count();
                let is_so = said.is_some_and(|said| {
                    said.app == found.app
                        && said.node == found.node
                        && said.isp == found.isp
                        && said.resources == found.resources
                        && said.created_at == found.created_at
                        && said.is_held() == found.is_held()
                        && said.ready == found.ready
                        && said.unknown == found.unknown
                        && said.protected == found.protected
                        && said.untold == found.untold
                        && said.host == found.host
                        && said.scope == found.scope
                        && said.failed_pods.len() == failed
                });
                if !is_so {
                    return Err(format!("the log says {said:?} of {found:?}"));
                }
            }
        }
        let own = own_instances_are_of_the_log(state, shadow, permit)?;
        (looked, owned) = (looked + own, owned + own);
        for operation in account.operations(None) {
            looked += 1;
            let said = shadow.operations.get(&operation.id);
            let is_so = said.is_some_and(|said| {
                said.status == operation.status
                    && said.deadline == operation.deadline
                    && said.revision == operation.revision
                    && said.targets.len() == operation.targets.len()
                    && said.action == operation.action
                    && said.timeout_s == operation.timeout_s
                    && said.on_timeout == operation.on_timeout
                    && said.is_undoing == operation.undoing.is_some()
            });
            if !is_so {
                return Err(format!("the log says {said:?} of {operation:?}"));
            }
        }
    }
    if (apps, instances, owned) != (shadow.apps.len(), shadow.instances.len(), shadow.owned.len() as u64) {
        return Err(format!(
            "{apps} applications and {instances} instances, the log makes {} and {}",
            shadow.apps.len(),
            shadow.instances.len()
        ));
    }
    Ok(looked + instances as u64)
}

/// How many instances an account has asked for by themselves, each as the log says.
fn own_instances_are_of_the_log(state: &State, shadow: &Shadow, permit: &Permit) -> Verdict {
    let mut looked = 0;
    for own in state.account(permit).own_instances() {
        looked += 1;
        let said = shadow.owned.get(&own.id);
        let runs = own.runs.as_ref().filter(|_| own.hosted_by.is_some());
        if said.is_none_or(|said| said.runs.as_ref() != runs || said.node != own.node) {
            return Err(format!("the log says {said:?} of {own:?}"));
        }
    }
    Ok(looked)
}

/// What is taken of each node is the sum over its instances, whoever can be reached.
fn nothing_is_counted_twice(believed: &Believed<'_>) -> Verdict {
    let Believed { state, shadow, .. } = believed;
    let mut looked = 0;
    for node in &shadow.fleet.nodes {
        let (said, used) = (shadow.used(&node.id), state.used(&node.id));
        if said != used {
            return Err(format!("{} is said to carry {used:?}, its instances take {said:?}", node.id));
        }
        if shadow.unreachable.contains(&node.id) == state.is_reachable(&node.id) {
            return Err(format!("whether {} can be reached is not what the log says", node.id));
        }
        looked += u64::from(used.vcpu > 0);
    }
    Ok(looked)
}

/// Nobody sees an application, an instance or an operation of another account.
fn another_accounts_things_look_like_none(believed: &Believed<'_>) -> Verdict {
    let Believed { state, shadow, permits, .. } = believed;
    let mut looked = 0;
    for permit in *permits {
        let account = state.account(permit);
        for (id, app) in &shadow.apps {
            let is_theirs = app.account == *permit.account();
            looked += u64::from(!is_theirs);
            let is_seen = account.application(id).is_some() || !account.instances(id).is_empty();
            if !is_theirs && is_seen {
                return Err(format!("{} sees {id}", permit.account()));
            }
        }
        let others = shadow.instances.iter().filter(|(_, found)| found.account != *permit.account());
        for (id, _) in others {
            looked += 1;
            if account.instance(id).is_some() {
                return Err(format!("{} sees {id}", permit.account()));
            }
        }
    }
    Ok(looked)
}

/// A process that has started and what should be there by then.
pub(crate) struct Started<'a> {
    pub(crate) state: &'a Arc<State>,
    pub(crate) shadow: &'a Shadow,
    /// The state that was live when an entry became durable, if that was seen.
    pub(crate) live: Option<&'a State>,
    /// The last entry of the log, where it was durable and not yet live.
    pub(crate) last: Option<&'a Entry>,
    /// All records, where the log still begins with the first.
    pub(crate) records: Option<Vec<&'a [u8]>>,
    pub(crate) requests: &'a Requests,
}

pub(crate) fn check_started(started: &Started<'_>, exercised: &mut Exercised) -> Result<(), Broken> {
    check_all!(started, exercised;
        the_replayed_state_is_the_live_one,
        a_snapshot_is_the_log_before_it,
        an_acknowledged_write_is_never_lost,
    )
}

/// Reading the log gives the state that wrote it, byte for byte.
fn the_replayed_state_is_the_live_one(started: &Started<'_>) -> Verdict {
    if started.state.sequence() != started.shadow.sequence {
        let (found, wanted) = (started.state.sequence(), started.shadow.sequence);
        return Err(format!("it ends at sequence {found}, {wanted} is durable"));
    }
    let Some(live) = started.live else { return Ok(0) };
    let mut live = live.clone();
    // Durable, and the process that wrote it did not live to show it.
    if let Some(last) = started.last.filter(|last| last.sequence == live.sequence() + 1) {
        live.apply(last);
    }
    if live.sequence() != started.state.sequence() {
        return Ok(0);
    }
    let sequence = live.sequence();
    if live != **started.state {
        return Err(format!(
            "the states at sequence {sequence} differ: {}",
            difference(&live, started.state)
        ));
    }
    let chain = started.shadow.chain;
    if encoded(&Arc::new(live), chain) != encoded(started.state, chain) {
        return Err(format!("the states at sequence {sequence} are not written alike"));
    }
    Ok(1)
}

/// A start from a snapshot gives what reading everything from the first record gives.
fn a_snapshot_is_the_log_before_it(started: &Started<'_>) -> Verdict {
    let Some(records) = &started.records else { return Ok(0) };
    let Recovered { state, chain, .. } =
        recover(None, records).map_err(|fault| format!("the whole log cannot be read: {fault}"))?;
    if chain != started.shadow.chain {
        return Err("the chain of the whole log is another".to_owned());
    }
    if encoded(&Arc::new(state), chain) != encoded(started.state, chain) {
        return Err(format!("the whole log gives another state at {}", started.state.sequence()));
    }
    Ok(1)
}

/// The first line in which two states differ, of the one and of the other.
fn difference(one: &State, other: &State) -> String {
    let (one, other) = (format!("{one:#?}"), format!("{other:#?}"));
    let differ = one.lines().zip(other.lines()).enumerate().find(|(_, (one, other))| one != other);
    match differ {
        Some((line, (one, other))) => format!("line {line}, `{}` and `{}`", one.trim(), other.trim()),
        None => format!("{} lines and {}", one.lines().count(), other.lines().count()),
    }
}

fn encoded(state: &Arc<State>, chain: Chain) -> Vec<u8> {
    Snapshot { state: Arc::clone(state), chain }.encode()
}

/// Whatever was answered with yes is still there.
fn an_acknowledged_write_is_never_lost(started: &Started<'_>) -> Verdict {
    let mut looked = 0;
    for request in started.requests.iter() {
        if let Outcome::Accepted(accepted) = &request.outcome {
            looked += 1;
            if !started.shadow.operations.contains_key(&accepted.operation) {
                return Err(format!("{} was answered and is not in the log", accepted.operation));
            }
        }
    }
    Ok(looked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::house::{self, house, next, permit};
    use ensemble_model::application::Phase;
    use ensemble_model::command::{Accepted, Direction};
    use ensemble_model::event::{Event, ReleaseCause};
    use ensemble_model::id::{AccountId, EdgeNodeId, InstanceId};
    use ensemble_model::log::format;

    fn state() -> State {
        let mut state = State::default();
        state.apply(&house::first_entry());
        state
    }

    fn permits() -> [Permit; 2] {
        [permit(house::ACCOUNT), permit(house::ANOTHER_ACCOUNT)]
    }

    /// Whether `holds` of the house's state beside a shadow that `change` has changed.
    fn holds(holds: fn(&Believed<'_>) -> Verdict, change: impl FnOnce(&mut Shadow, &mut Memory)) -> bool {
        let (state, permits) = (state(), permits());
        let (mut shadow, mut memory) = (house(), Memory::default());
        memory.note(&state, &permits, &house::first_entry());
        change(&mut shadow, &mut memory);
        let believed = Believed { state: &state, shadow: &shadow, permits: &permits, memory: &memory };
        holds(&believed).is_ok_and(|looked| looked > 0)
    }

    #[test]
    fn the_house_is_believed_as_the_log_tells_it() {
        for check in [
            a_revision_never_falls,
            what_has_ended_stays_as_it_is,
            the_state_is_what_the_log_says,
            nothing_is_counted_twice,
            another_accounts_things_look_like_none,
        ] {
            assert!(holds(check, |_, _| {}));
        }
    }

    #[test]
    fn a_revision_that_is_another_or_fell_is_found() {
        let app = AppId::new(house::APP);
        let other = app.clone();
        assert!(!holds(a_revision_never_falls, |shadow, _| {
            shadow.apps.get_mut(&app).unwrap().revision += 1;
        }));
        assert!(!holds(a_revision_never_falls, |_, memory| {
            *memory.revisions.get_mut(&other).unwrap() += 1;
        }));
    }

    #[test]
    fn an_end_that_changes_is_found() {
        let (mut state, permits, mut memory) = (state(), permits(), Memory::default());
        memory.note(&state, &permits, &house::first_entry());
        let shadow = house();
        // Believed, though it should not be: something is given up in the name of what has ended.
        let late = house::released(house::ENDED, ReleaseCause::Deadline, &[(house::HELD, 0)]);
        state.apply(&next(&shadow, vec![late]));

        let believed = Believed { state: &state, shadow: &shadow, permits: &permits, memory: &memory };

        assert!(what_has_ended_stays_as_it_is(&believed).is_err());
    }

    #[test]
    fn what_is_believed_otherwise_is_found() {
        let held = InstanceId::new(house::HELD);
        let (first, second) = (held.clone(), held.clone());
        assert!(!holds(the_state_is_what_the_log_says, |shadow, _| {
            shadow.instances.get_mut(&held).unwrap().ready = false;
        }));
        assert!(!holds(the_state_is_what_the_log_says, |shadow, _| {
            shadow.instances.remove(&first);
        }));
        let of_app = |change: fn(&mut App)| {
            move |shadow: &mut Shadow, _: &mut Memory| {
                change(shadow.apps.get_mut(&AppId::new(house::APP)).unwrap());
            }
        };
        assert!(!holds(the_state_is_what_the_log_says, of_app(|app| app.phase = Phase::Running)));
        assert!(!holds(the_state_is_what_the_log_says, of_app(|app| app.min_ready = 1)));
        for change in [
            (|found| found.protected = true) as fn(&mut crate::shadow::Instance),
            |found| found.untold = true,
            |found| found.host = Some(InstanceId::new("i-host")),
            |found| found.scope.region_code = "310100".to_owned(),
        ] {
            assert!(!holds(the_state_is_what_the_log_says, |shadow, _| {
                change(shadow.instances.get_mut(&held).unwrap());
            }));
        }
        assert!(!holds(the_state_is_what_the_log_says, |shadow, _| {
            let ended = OperationId::new(house::ENDED);
            shadow.operations.get_mut(&ended).unwrap().is_undoing = true;
        }));
        assert!(!holds(nothing_is_counted_twice, |shadow, _| {
            shadow.instances.remove(&second);
        }));
        assert!(!holds(nothing_is_counted_twice, |shadow, _| {
            shadow.unreachable.remove(&EdgeNodeId::new(house::LOST_NODE));
        }));
        assert!(!holds(another_accounts_things_look_like_none, |shadow, _| {
            shadow.apps.get_mut(&AppId::new(house::APP)).unwrap().account = AccountId::new("of nobody");
        }));
    }

    #[test]
    fn a_start_that_forgets_or_reads_otherwise_is_found() {
        let (record, chain) = format::encode(&house::first_entry(), &Chain::default());
        let mut shadow = house();
        shadow.chain = chain;
        let state = Arc::new(state());
        let cut_off = vec![Event::NodesUnreachable { nodes: vec![EdgeNodeId::new(house::NODE)] }];
        let second = next(&shadow, cut_off);
        let mut later = State::clone(&state);
        later.apply(&second);
        let mut other = State::default();
        other.apply(&ensemble_model::event::Entry { events: second.events.clone(), ..house::first_entry() });
        let (later, other) = (Arc::new(later), Arc::new(other));
        let mut requests = house::requests(house::asked(house::ENDED, Direction::Add, &[]));
        let started = |state, live, last| Started {
            state,
            shadow: &shadow,
            live,
            last,
            records: Some(vec![record.as_slice()]),
            requests: &requests,
        };

        assert_eq!(the_replayed_state_is_the_live_one(&started(&state, Some(&*state), None)), Ok(1));
        assert_eq!(a_snapshot_is_the_log_before_it(&started(&state, None, None)), Ok(1));
        // Another sequence than is durable, another state at that sequence, another one from the first record on.
        assert!(the_replayed_state_is_the_live_one(&started(&later, None, None)).is_err());
        assert!(the_replayed_state_is_the_live_one(&started(&state, Some(&*other), None)).is_err());
        assert!(a_snapshot_is_the_log_before_it(&started(&other, None, None)).is_err());

        let lost = Accepted {
            operation: OperationId::new("OP-LOST"),
            app: Some(AppId::new(house::APP)),
            revision: 1,
        };
        requests.answered(1, Outcome::Accepted(lost));
        let started = Started {
            state: &state,
            shadow: &shadow,
            live: None,
            last: None,
            records: None,
            requests: &requests,
        };
        assert!(an_acknowledged_write_is_never_lost(&started).is_err());
    }
}
