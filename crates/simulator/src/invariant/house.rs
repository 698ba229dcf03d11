//! A small world that tests are about, told by hand: two accounts, three nodes, an application with instances in every
//! standing. Each invariant is shown a wrong thing in it, and has to say so.

use crate::request::{Outcome, Request, Requests};
use crate::shadow::{Read, Shadow};
use ensemble_model::application::{ApplicationMeta, ResourceAttribute, Strategy, Workload};
use ensemble_model::command::{
    Change, ClientToken, Command, Direction, Nonce, Partial, RequestFacts, RescaleApplication,
};
use ensemble_model::event::{
    AcceptedOperation, Entry, Event, NewApplication, PlannedInstance, PlannedPlacement, ReleaseCause,
    ReleasedInstance,
};
use ensemble_model::fleet::builtin::builtin;
use ensemble_model::fleet::{EdgeNode, EngineKind, Fleet};
use ensemble_model::id::{
    AccountId, AppId, Digest, EdgeNodeId, EngineName, InstanceId, Isp, OperationId, SpecName, VersionName,
};
use ensemble_model::instance::{Origin, Scope};
use ensemble_model::operation::{AskedItem, Caller, OnTimeout, OperationKind, OperationStatus, Subject};
use ensemble_model::own_instance::OwnInstance;
use ensemble_model::permit::{Permit, Principal, authorize};
use ensemble_model::selector::{Level, SelectorItem};
use ensemble_model::spec::Resources;
use ensemble_model::time::{LogTime, Now, WallTime};
use ensemble_model::wanted::Epoch;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const NODE: &str = "cn-shanghai-cmcc";
pub(crate) const OTHER_NODE: &str = "cn-shanghai-unicom";
pub(crate) const LOST_NODE: &str = "cn-wuxi-telecom_unicom_cmcc-3";
pub(crate) const APP: &str = "11111111-0000-4000-8000-000000000001";
pub(crate) const APP_OF_ANOTHER: &str = "22222222-0000-4000-8000-000000000002";
pub(crate) const ACCOUNT: &str = "1000000000000001";
pub(crate) const ANOTHER_ACCOUNT: &str = "1000000000000002";
/// Held and ready, on [`NODE`].
pub(crate) const HELD: &str = "i-held";
/// Held and not ready, on [`NODE`].
pub(crate) const UNREADY: &str = "i-unready";
/// Held and ready, on [`OTHER_NODE`].
pub(crate) const ELSEWHERE: &str = "i-elsewhere";
/// Held, on [`LOST_NODE`], which is out of reach.
pub(crate) const LOST: &str = "i-lost";
/// Being released, on [`NODE`].
pub(crate) const LEAVING: &str = "i-leaving";
/// The instance of [`APP_OF_ANOTHER`], on [`NODE`].
pub(crate) const OF_ANOTHER: &str = "i-of-another";
/// The Add that everything of [`APP`] came from, ended.
pub(crate) const ENDED: &str = "OP-ENDED";

/// What each instance takes; a node has room for six.
pub(crate) const SPEC: Resources = Resources { vcpu: 2, memory_mib: 4_096 };

const SPEC_NAME: &str = "ens.sn1.tiny";

/// The time of everything that happened so far.
pub(crate) const NOW: Now = Now { log: LogTime(1_000_000), wall: WallTime(1_767_225_600_000) };

pub(crate) fn fleet() -> Arc<Fleet> {
    let engine = EngineName::new("host-0");
    let table = builtin(EngineKind::Simulated, engine);
    let nodes = [NODE, OTHER_NODE, LOST_NODE].iter().map(|id| {
        let known = table.node(id).expect("the node is built in");
        EdgeNode { capacity: Resources { vcpu: 12, memory_mib: 24_576 }, ..known.clone() }
    });
    Arc::new(Fleet { nodes: nodes.collect(), ..table })
}

/// The house, with nothing under way.
pub(crate) fn house() -> Shadow {
    let mut shadow = Shadow::default();
    shadow.fold(&first_entry());
    shadow
}

/// How the house came to be.
pub(crate) fn first_entry() -> Entry {
    let mut events = vec![Event::FleetInstalled { fleet: fleet() }];
    events.extend([created(APP, ACCOUNT), accepted(ENDED, OperationKind::Add, &[(NODE, 5)])]);
    events.push(planned(ENDED, &[(NODE, "cmcc", &[HELD, UNREADY, LEAVING])]));
    events.push(planned(ENDED, &[(OTHER_NODE, "unicom", &[ELSEWHERE]), (LOST_NODE, "cmcc", &[LOST])]));
    for ready in [HELD, ELSEWHERE, LOST, LEAVING] {
        events.push(Event::InstanceObserved {
            instance: InstanceId::new(ready),
            ready: true,
            pods: Vec::new(),
        });
    }
    events.push(released(ENDED, ReleaseCause::Deadline, &[(LEAVING, 0)]));
    events.push(ended(ENDED, OperationStatus::Failed));
    events.push(created(APP_OF_ANOTHER, ANOTHER_ACCOUNT));
    let mut others = accepted("OP-OTHER", OperationKind::Add, &[(NODE, 1)]);
    if let Event::OperationAccepted { operation } = &mut others {
        operation.account = AccountId::new(ANOTHER_ACCOUNT);
        operation.subject = Subject::Application(AppId::new(APP_OF_ANOTHER));
    }
    events.push(others);
    events.push(match planned("OP-OTHER", &[(NODE, "cmcc", &[OF_ANOTHER])]) {
        Event::InstancesPlanned { operation, version, spec, resources, placements, .. } => {
            let app = AppId::new(APP_OF_ANOTHER);
            Event::InstancesPlanned { operation, app, version, spec, resources, placements }
        }
        other => other,
    });
    events.push(ended("OP-OTHER", OperationStatus::Failed));
    events.push(Event::NodesUnreachable { nodes: vec![EdgeNodeId::new(LOST_NODE)] });
    entry(1, events)
}

/// An entry that follows `shadow` a moment later.
pub(crate) fn next(shadow: &Shadow, events: Vec<Event>) -> Entry {
    let mut entry = entry(shadow.sequence + 1, events);
    entry.now.log = LogTime(NOW.log.0 + 1_000);
    entry
}

fn entry(sequence: u64, events: Vec<Event>) -> Entry {
    Entry { sequence, now: NOW, epoch: Epoch(3), events }
}

/// The shadow after `entry`, and what was read.
pub(crate) fn read(before: &Shadow, entry: Entry) -> (Shadow, Read) {
    let mut after = before.clone();
    let moments = after.fold(&entry);
    (after, Read { entry, moments })
}

pub(crate) fn permit(account: &str) -> Permit {
    let principal = Principal::owner(AccountId::new(account), "key");
    authorize(&principal, "ens:*").expect("an owner may do everything")
}

pub(crate) fn created(app: &str, account: &str) -> Event {
    let resources = ResourceAttribute {
        resource_type: "Instance".into(),
        resource_agent: "Container".into(),
        instance_spec: SpecName::new(SPEC_NAME),
        system_disk_gb: 20,
        data_disk_gb: 20,
        bandwidth_out_mbit: 10,
        area_level: "National".into(),
        strategy: Strategy::Disperse,
        ip_type: "Static".into(),
        image_id: None,
        net_security_strategy: None,
        init_config: None,
        min_ready: 0,
    };
    let meta = ApplicationMeta {
        name: format!("app-of-{account}"),
        cluster: "poc".into(),
        app_type: "Common".into(),
        description: String::new(),
    };
    Event::ApplicationCreated {
        application: Box::new(NewApplication {
            app: AppId::new(app),
            account: AccountId::new(account),
            meta,
            resources,
            version: VersionName::new("v1"),
            workloads: vec![Workload {
                name: "web".into(),
                pod_count: 1,
                service_config: None,
                ports: Vec::new(),
                containers: Vec::new(),
            }],
            pins: BTreeMap::new(),
        }),
    }
}

/// The acceptance of a write on [`APP`] by [`ACCOUNT`], for a minute.
pub(crate) fn accepted(id: &str, kind: OperationKind, items: &[(&str, u32)]) -> Event {
    let item = |(index, (code, wanted)): (usize, &(&str, u32))| AskedItem {
        item: index,
        region_code: Some((*code).to_owned()),
        isp: None,
        wanted: *wanted,
        by_name: false,
    };
    let caller = Caller { principal: ACCOUNT.into(), key_id: "key".into(), source: "192.0.2.1".into() };
    Event::OperationAccepted {
        operation: Box::new(AcceptedOperation {
            id: OperationId::new(id),
            account: AccountId::new(ACCOUNT),
            subject: Subject::Application(AppId::new(APP)),
            kind,
            action: "RescaleApplication".into(),
            caller,
            parameters: Arc::new(json!({})),
            client_token: Some(token(id)),
            nonce: Some(nonce(id)),
            timeout_s: 60,
            on_timeout: OnTimeout::Keep,
            deadline: LogTime(NOW.log.0 + 61_000),
            deadline_at: NOW.wall,
            items: items.iter().enumerate().map(item).collect(),
            skipped: Vec::new(),
            description: String::new(),
        }),
    }
}

pub(crate) fn token(of: &str) -> ClientToken {
    ClientToken { token: format!("token-{of}"), fingerprint: Digest::new("sha256:00") }
}

pub(crate) fn nonce(of: &str) -> Nonce {
    Nonce { key_id: "key".into(), nonce: format!("nonce-{of}"), stamp: NOW.wall }
}

/// Instances of [`APP`], by node and carrier, all for item 0.
pub(crate) fn planned(operation: &str, placements: &[(&str, &str, &[&str])]) -> Event {
    let placement = |(node, isp, ids): &(&str, &str, &[&str])| PlannedPlacement {
        item: 0,
        scope: Scope { region_code: String::new(), isp: None },
        origin: Origin::Created,
        node: EdgeNodeId::new(*node),
        isp: Isp::new(*isp),
        instances: ids
            .iter()
            .map(|id| PlannedInstance {
                id: InstanceId::new(*id),
                deployment: format!("of-{id}"),
                host: None,
                replaces: None,
            })
            .collect(),
    };
    Event::InstancesPlanned {
        operation: OperationId::new(operation),
        app: AppId::new(APP),
        version: VersionName::new("v1"),
        spec: SpecName::new(SPEC_NAME),
        resources: SPEC,
        placements: placements.iter().map(placement).collect(),
    }
}

/// Instances and the items that they go for.
pub(crate) fn released(operation: &str, cause: ReleaseCause, instances: &[(&str, usize)]) -> Event {
    let released = |(id, item): &(&str, usize)| ReleasedInstance { id: InstanceId::new(*id), item: *item };
    Event::InstancesReleasing {
        operation: OperationId::new(operation),
        app: AppId::new(APP),
        cause,
        instances: instances.iter().map(released).collect(),
    }
}

pub(crate) fn gone(instance: &str) -> Event {
    Event::InstanceGone { instance: InstanceId::new(instance) }
}

pub(crate) fn ended(operation: &str, status: OperationStatus) -> Event {
    Event::OperationEnded {
        operation: OperationId::new(operation),
        status,
        outcome: String::new(),
        description: String::new(),
    }
}

/// An instance of [`ACCOUNT`] by itself.
pub(crate) fn own(id: &str, node: &str, isp: &str) -> OwnInstance {
    OwnInstance {
        id: InstanceId::new(id),
        account: AccountId::new(ACCOUNT),
        name: String::new(),
        spec: SpecName::new(SPEC_NAME),
        resources: SPEC,
        node: EdgeNodeId::new(node),
        isp: Isp::new(isp),
        tags: Vec::new(),
        echoed: json!(null),
        created_at: NOW.wall,
        operation: OperationId::new("OP-NEW"),
        hosted_by: None,
        runs: None,
        hostings: Vec::new(),
    }
}

/// One instance of [`APP`], hosted, or instead of another.
pub(crate) fn planned_on(operation: &str, (id, node, isp): (&str, &str, &str), on: On<'_>) -> Event {
    let mut event = planned(operation, &[(node, isp, &[id])]);
    if let Event::InstancesPlanned { placements, .. } = &mut event {
        for placement in placements {
            if let On::Host(_) = on {
                placement.origin = Origin::Hosted;
            }
            for planned in &mut placement.instances {
                match on {
                    On::Host(host) => planned.host = Some(InstanceId::new(host)),
                    On::PlaceOf(old) => planned.replaces = Some(InstanceId::new(old)),
                }
            }
        }
    }
    event
}

#[derive(Clone, Copy)]
pub(crate) enum On<'a> {
    Host(&'a str),
    PlaceOf(&'a str),
}

/// The acceptance of something of [`ACCOUNT`] that is done at once.
pub(crate) fn at_once(id: &str, action: &str, subject: Subject) -> Event {
    let mut event = accepted(id, OperationKind::Immediate, &[]);
    if let Event::OperationAccepted { operation } = &mut event {
        (operation.action, operation.subject) = (action.to_owned(), subject);
        (operation.timeout_s, operation.deadline) = (0, LogTime(NOW.log.0 + 1_000));
    }
    event
}

pub(crate) fn observed(instance: &str, ready: bool) -> Event {
    Event::InstanceObserved { instance: InstanceId::new(instance), ready, pods: Vec::new() }
}

/// A request of [`ACCOUNT`].
pub(crate) fn request(id: &str, change: Change) -> Request {
    let mut request = asked(id, Direction::Add, &[]);
    request.command.request.action = change.action().to_owned();
    request.command.change = change;
    request
}

/// A rescale of [`APP`] by [`ACCOUNT`], for a minute.
pub(crate) fn asked(id: &str, direction: Direction, items: &[(&str, u32)]) -> Request {
    let selector = items.iter().map(|(code, count)| SelectorItem {
        region_code: Some((*code).to_owned()),
        isp: None,
        count: *count,
        instances: Vec::new(),
    });
    let change = Change::Rescale(RescaleApplication {
        app: AppId::new(APP),
        direction,
        level: Level::AreaIspCode,
        selector: selector.collect(),
        to_version: None,
        timeout_s: 60,
        on_timeout: OnTimeout::Keep,
        partial: Partial::Refused,
        if_revision: None,
        if_plan: None,
    });
    let request = RequestFacts {
        request_id: OperationId::new(id),
        action: "RescaleApplication".into(),
        source: "192.0.2.1".into(),
        parameters: json!({}),
        client_token: Some(token(id)),
        nonce: Some(nonce(id)),
    };
    let command = Command { permit: permit(ACCOUNT), request, seed: 1, change };
    Request {
        client: 0,
        command,
        outcome: Outcome::Unknown,
        plan: None,
        move_plan: None,
        ruling: None,
        foretold: None,
        foretold_moves: None,
        is_doubled: false,
    }
}

pub(crate) fn rescale_of(request: &mut Request) -> &mut RescaleApplication {
    match &mut request.command.change {
        Change::Rescale(rescale) => rescale,
        _ => panic!("the house's requests are rescales"),
    }
}

pub(crate) fn requests(request: Request) -> Requests {
    let mut requests = Requests::default();
    requests.add(request);
    requests
}
