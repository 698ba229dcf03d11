//! Instances by themselves: made where there is room, hosted when they are free, given back, given up by their owner.

use super::Seen;
use crate::invariant::Verdict;
use crate::reference;
use crate::shadow::Shadow;
use ensemble_model::command::Change;
use ensemble_model::event::Event;
use ensemble_model::id::{AppId, EdgeNodeId, Isp};
use ensemble_model::instance::Origin;
use ensemble_model::own_instance::OwnInstance;
use ensemble_model::spec::{self, Resources};
use std::collections::BTreeMap;

/// Only an instance of the same account that nothing runs on is hosted, where it is, at least as large as it has to be; and
/// nothing else is called hosted.
pub(super) fn a_host_is_free_and_large_enough(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, event) in seen.steps() {
        let Event::InstancesPlanned { app, placements, .. } = event else { continue };
        let mut once = std::collections::BTreeSet::new();
        for placement in placements {
            for planned in &placement.instances {
                let host = match (placement.origin, &planned.host) {
                    (Origin::Created, None) => continue,
                    (Origin::Hosted, Some(host)) => host,
                    (origin, host) => return Err(format!("{} is {origin:?} on {host:?}", planned.id)),
                };
                looked += 1;
                let is_right = before.owned.get(host).zip(before.apps.get(app)).is_some_and(|(own, app)| {
                    own.account == app.account
                        && own.runs.is_none()
                        && (&own.node, &own.isp) == (&placement.node, &placement.isp)
                        && own.resources.vcpu >= app.resources.vcpu
                        && own.resources.memory_mib >= app.resources.memory_mib
                });
                if !is_right || !once.insert(host) {
                    return Err(format!("{app} is hosted on {host}, which is not for it"));
                }
            }
        }
    }
    Ok(looked)
}

/// What is released is given back and not destroyed, also where its node is lost: its host stays, and takes what it took.
pub(super) fn what_was_hosted_is_given_back(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (place, event) in seen.entry.events.iter().enumerate() {
        let Event::InstanceGone { instance } = event else { continue };
        let before = &seen.moments[place];
        let host = before.instances.get(instance).and_then(|gone| gone.host.as_ref());
        let Some((host, own)) = host.map(|host| (host, before.owned.get(host))) else { continue };
        looked += 1;
        let then = seen.moments.get(place + 1).unwrap_or(seen.after);
        let is_back = then.owned.get(host).is_some_and(|own| own.runs.is_none());
        if !is_back || own.is_none_or(|own| then.used(&own.node) != before.used(&own.node)) {
            return Err(format!("{instance} is gone and {host} is not given back"));
        }
    }
    Ok(looked)
}

/// An instance by itself goes when its owner gives it up, and nothing runs on it then.
pub(super) fn an_own_instance_goes_by_its_owners_word(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, event) in seen.steps() {
        let Event::OwnInstanceReleased { instance } = event else { continue };
        looked += 1;
        let Some(own) = before.owned.get(instance) else {
            return Err(format!("{instance} is given up and is not there"));
        };
        let is_asked = seen.accepted().any(|(_, accepted)| {
            let request = seen.requests.of(&accepted.id).map(|request| &request.command.change);
            accepted.account == own.account
                && matches!(request, Some(Change::ReleaseInstance(asked)) if asked.instance == *instance)
        });
        if !is_asked || own.runs.is_some() {
            return Err(format!("{instance} is given up: asked for {is_asked}, runs {:?}", own.runs));
        }
    }
    Ok(looked)
}

/// Instances by themselves are made for whoever asked, as many, where the rules put them, and fit beside what is there.
pub(super) fn own_instances_are_made_as_asked(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, event) in seen.steps() {
        let Event::OwnInstancesCreated { instances } = event else { continue };
        let Some(first) = instances.first() else { return Err("nothing is made".to_owned()) };
        let request = seen.requests.of(&first.operation).map(|request| &request.command);
        let Some((command, Change::RunInstances(asked))) = request.map(|command| (command, &command.change))
        else {
            return Err(format!("nobody asked for {}", first.id));
        };
        looked += instances.len() as u64;
        let size = spec::resources(&asked.spec).unwrap_or_default();
        let mut done: BTreeMap<(EdgeNodeId, Isp), u32> = BTreeMap::new();
        for own in instances {
            let is_theirs = own.account == *command.permit.account() && own.operation == first.operation;
            if !is_theirs || own.resources != size || own.hosted_by.is_some() || before.ever.contains(&own.id)
            {
                return Err(format!("{own:?} is not what was asked for"));
            }
            *done.entry((own.node.clone(), own.isp.clone())).or_default() += 1;
        }
        fit(before, instances)?;
        let items = std::slice::from_ref(&asked.item);
        let ruled = reference::add(before, &AppId::default(), (asked.strategy, size), asked.level, items);
        let ruled = ruled.map_err(|why| format!("{} is to be refused: {why:?}", first.operation))?;
        let ruled = reference::as_done(&ruled).into_iter();
        let said: BTreeMap<_, _> = ruled.map(|((_, node, isp), (count, _))| ((node, isp), count)).collect();
        if said != done {
            return Err(format!("{} is to make {said:?} and makes {done:?}", first.operation));
        }
    }
    Ok(looked)
}

fn fit(before: &Shadow, instances: &[OwnInstance]) -> Result<(), String> {
    let mut coming: BTreeMap<&EdgeNodeId, Resources> = BTreeMap::new();
    for own in instances {
        let then = coming.entry(&own.node).or_insert_with(|| before.used(&own.node));
        then.vcpu += own.resources.vcpu;
        then.memory_mib += own.resources.memory_mib;
    }
    for (node, then) in coming {
        let is_room = before.fleet.node(node.as_str()).is_some_and(|found| {
            then.vcpu <= found.capacity.vcpu && then.memory_mib <= found.capacity.memory_mib
        });
        if !is_room {
            return Err(format!("{node} is to carry {then:?}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::Shown;
    use super::*;
    use crate::invariant::house::*;
    use ensemble_model::application::Strategy;
    use ensemble_model::command::{InstanceNames, ReleaseInstance, RunInstances};
    use ensemble_model::event::ReleaseCause;
    use ensemble_model::id::{InstanceId, SpecName};
    use ensemble_model::operation::{OperationKind, Subject};
    use ensemble_model::selector::{Level, SelectorItem};

    const NEW: &str = "OP-NEW";
    const HOST: &str = "i-host";

    /// The account has an instance by itself, on the second node.
    fn with_host() -> Shadow {
        let mut house = house();
        let instances = vec![own(HOST, OTHER_NODE, "unicom")];
        let made = vec![
            at_once("OP-RUN", "RunInstances", Subject::Account),
            Event::OwnInstancesCreated { instances },
        ];
        house.fold(&next(&house.clone(), made));
        house
    }

    fn hosts(host: &str, node: &str) -> Vec<Event> {
        let hosted = planned_on(NEW, ("i-hosted", node, "unicom"), On::Host(host));
        vec![accepted(NEW, OperationKind::Add, &[]), hosted]
    }

    #[test]
    fn only_what_is_free_large_and_there_is_hosted_on() {
        let before = with_host();
        let mut taken = before.clone();
        taken.fold(&next(&before, hosts(HOST, OTHER_NODE)));
        let mut small = before.clone();
        small.owned.get_mut(&InstanceId::new(HOST)).expect("it was made").resources.vcpu = 1;
        let rule = a_host_is_free_and_large_enough;

        assert_eq!(Shown::new(&before, hosts(HOST, OTHER_NODE)).to(rule), Ok(1));
        for (before, events) in [
            (&taken, hosts(HOST, OTHER_NODE)),
            (&small, hosts(HOST, OTHER_NODE)),
            (&before, hosts(HOST, NODE)),
            (&before, hosts("i-nobodys", OTHER_NODE)),
        ] {
            assert!(Shown::new(before, events).to(rule).is_err());
        }
    }

    #[test]
    fn what_was_hosted_leaves_its_host_as_it_was() {
        let mut before = with_host();
        before.fold(&next(&before.clone(), hosts(HOST, OTHER_NODE)));
        let goes = || vec![released(NEW, ReleaseCause::Undone, &[("i-hosted", 0)]), gone("i-hosted")];
        let mut destroyed = before.clone();
        destroyed.owned.remove(&InstanceId::new(HOST));

        assert_eq!(Shown::new(&before, goes()).to(what_was_hosted_is_given_back), Ok(1));
        assert!(Shown::new(&destroyed, goes()).to(what_was_hosted_is_given_back).is_err());
    }

    #[test]
    fn nobody_but_its_owner_gives_up_what_is_free() {
        let free = with_host();
        let mut taken = free.clone();
        taken.fold(&next(&free, hosts(HOST, OTHER_NODE)));
        let events = || {
            let instance = InstanceId::new(HOST);
            let accepted = at_once("OP-GIVE", "ReleaseInstance", Subject::Account);
            vec![accepted, Event::OwnInstanceReleased { instance }]
        };
        let gives_up = |id: &str| {
            let instance = InstanceId::new(id);
            request("OP-GIVE", Change::ReleaseInstance(ReleaseInstance { instance }))
        };
        let rule = an_own_instance_goes_by_its_owners_word;

        assert_eq!(Shown::new(&free, events()).asked(gives_up(HOST)).to(rule), Ok(1));
        assert!(Shown::new(&taken, events()).asked(gives_up(HOST)).to(rule).is_err());
        assert!(Shown::new(&free, events()).asked(gives_up("i-other")).to(rule).is_err());
        assert!(Shown::new(&free, events()).to(rule).is_err());
    }

    #[test]
    fn what_is_made_is_what_was_asked_for_and_fits() {
        let runs = |spec: &str, count| {
            let region_code = Some(OTHER_NODE.to_owned());
            request(
                NEW,
                Change::RunInstances(Box::new(RunInstances {
                    spec: SpecName::new(spec),
                    level: Level::RegionId,
                    item: SelectorItem { region_code, isp: None, count, instances: Vec::new() },
                    strategy: Strategy::Disperse,
                    names: InstanceNames::Same(String::new()),
                    tags: Vec::new(),
                    echoed: serde_json::json!(null),
                })),
            )
        };
        let made = |node: &str, count: usize| {
            let ids = (0..count).map(|index| format!("i-{index}"));
            let instances = ids.map(|id| own(&id, node, "unicom")).collect();
            vec![at_once(NEW, "RunInstances", Subject::Account), Event::OwnInstancesCreated { instances }]
        };
        let verdict =
            |events, request| Shown::new(&house(), events).asked(request).to(own_instances_are_made_as_asked);

        assert_eq!(verdict(made(OTHER_NODE, 2), runs("ens.sn1.tiny", 2)), Ok(2));
        assert!(verdict(made(OTHER_NODE, 1), runs("ens.sn1.tiny", 2)).is_err());
        assert!(verdict(made(NODE, 2), runs("ens.sn1.tiny", 2)).is_err());
        assert!(verdict(made(OTHER_NODE, 2), runs("ens.sn1.small", 2)).is_err());
        // One of six places is taken.
        assert!(verdict(made(OTHER_NODE, 6), runs("ens.sn1.tiny", 6)).is_err());
    }
}
