//! States for tests of placement and of its words, built by hand: what `apply` would have made of a history.

use super::{Excluded, PlaceRequest, ReleaseRequest};
use crate::application::{
    Application, ApplicationMeta, Phase, ResourceAttribute, StatusDescription, Strategy,
};
use crate::event::Event;
use crate::fleet::builtin::builtin;
use crate::fleet::{EngineKind, Fleet};
use crate::id::{
    AccountId, AppId, EdgeNodeId, EngineName, InstanceId, Isp, OperationId, SpecName, VersionName,
};
use crate::instance::{Allocation, Instance, Origin, Pod, PodStatus, Scope};
use crate::selector::{Level, SelectorItem};
use crate::spec::Resources;
use crate::state::{State, cell_of};
use crate::time::{Now, WallTime};
use std::sync::Arc;

pub(crate) const TINY: Resources = Resources { vcpu: 2, memory_mib: 4096 };

pub(crate) fn builtin_state() -> State {
    with_fleet(builtin(EngineKind::Simulated, EngineName::new("here")))
}

pub(crate) fn with_fleet(fleet: Fleet) -> State {
    let mut state = State::default();
    state.apply_event(Now::default(), &Event::FleetInstalled { fleet: Arc::new(fleet) });
    state
}

pub(crate) fn account() -> AccountId {
    AccountId::new("1234567890123456")
}

pub(crate) fn app(name: &str) -> AppId {
    AppId::new(name)
}

pub(crate) fn item(region: &str, isp: Option<&str>, count: u32) -> SelectorItem {
    SelectorItem {
        region_code: Some(region.to_owned()),
        isp: isp.map(Isp::new),
        count,
        instances: Vec::new(),
    }
}

pub(crate) fn adding<'a>(
    app: Option<&'a AppId>,
    items: &'a [SelectorItem],
    excluded: &'a Excluded,
) -> PlaceRequest<'a> {
    let strategy = Strategy::Disperse;
    PlaceRequest { app, spec: TINY, strategy, level: Level::AreaIspCode, items, excluded }
}

pub(crate) fn releasing<'a>(
    app: &'a AppId,
    stable_version: &'a VersionName,
    items: &'a [SelectorItem],
    excluded: &'a Excluded,
) -> ReleaseRequest<'a> {
    ReleaseRequest { app, stable_version, level: Level::AreaIspCode, items, excluded }
}

/// A sound, ready instance of version `v1`, created at second `number`.
pub(crate) fn instance(app: &AppId, number: usize, node: &str, isp: &str) -> Instance {
    let pod = Pod {
        workload: "web".into(),
        index: 0,
        status: PodStatus::Running,
        address: None,
        exposed_at: None,
        restarts: 0,
        message: String::new(),
    };
    Instance {
        id: InstanceId::new(format!("i-{app}-{number:06}")),
        host: None,
        account: account(),
        app: app.clone(),
        version: VersionName::new("v1"),
        node: EdgeNodeId::new(node),
        isp: Isp::new(isp),
        spec: SpecName::new("ens.sn1.tiny"),
        resources: TINY,
        origin: Origin::Created,
        scope: Scope { region_code: node.to_owned(), isp: None },
        operation: OperationId::new("O"),
        deployment: "abcdefgh".into(),
        created_at: WallTime(i64::try_from(number).expect("small") * 1000),
        allocation: Allocation::Held,
        cause: None,
        untold: false,
        protected: false,
        unknown: false,
        ready: true,
        pods: vec![pod],
    }
}

pub(crate) fn put(state: &mut State, instance: Instance) {
    let used = state.used(&instance.node).plus(instance.resources);
    state.used.insert(instance.node.clone(), used);
    state.cells.insert((cell_of(&instance), instance.id.clone()));
    if instance.is_held() {
        let key = (instance.app.clone(), instance.node.clone(), instance.isp.clone());
        *state.held.entry(key).or_default() += 1;
    }
    state.instances_by_node.insert((instance.node.clone(), instance.id.clone()));
    state.instances.insert(instance.id.clone(), Arc::new(instance));
}

/// `count` sound instances of `app` on `node`, numbered from `first`.
pub(crate) fn put_many(state: &mut State, app: &AppId, first: usize, count: usize, node: &str, isp: &str) {
    for number in first..first + count {
        put(state, instance(app, number, node, isp));
    }
}

/// Makes `app` known as an application of [`account`] under its own id as name.
pub(crate) fn put_application(state: &mut State, app: &AppId) {
    let application = Application {
        id: app.clone(),
        account: account(),
        meta: Arc::new(ApplicationMeta {
            name: app.as_str().to_owned(),
            cluster: "default".into(),
            app_type: "Common".into(),
            description: String::new(),
        }),
        resources: Arc::new(ResourceAttribute {
            resource_type: "Instance".into(),
            resource_agent: "Agent".into(),
            instance_spec: SpecName::new("ens.sn1.tiny"),
            system_disk_gb: 20,
            data_disk_gb: 0,
            bandwidth_out_mbit: 10,
            area_level: "National".into(),
            strategy: Strategy::Disperse,
            ip_type: "ipv4".into(),
            image_id: None,
            net_security_strategy: None,
            init_config: None,
            min_ready: 0,
        }),
        versions: Arc::default(),
        stable_version: VersionName::new("v1"),
        deleted_versions: std::collections::BTreeSet::new(),
        phase: Phase::Running,
        status: StatusDescription {
            status: "UPDATE_SUCCESS".into(),
            step: "DONE".into(),
            description: String::new(),
            started_at: WallTime::default(),
        },
        created_at: WallTime::default(),
        updated_at: WallTime::default(),
        revision: 1,
        operation: None,
    };
    state.applications.insert(app.clone(), Arc::new(application));
}
