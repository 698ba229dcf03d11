//! Views of one made-up history: the golden files of DescribeApplication at every Level, and what the others show.

use super::Selection;
use super::application::{Frame, described, listed};
use super::operation::{Steps, operation};
use super::pulls::Pulls;
use ensemble_model::application::{ApplicationMeta, Container, ResourceAttribute, Strategy, Workload};
use ensemble_model::event::{
    AcceptedOperation, Entry, Event, NewApplication, PlannedInstance, PlannedPlacement, ReleaseCause,
    ReleasedInstance,
};
use ensemble_model::fleet::{EngineKind, builtin::builtin};
use ensemble_model::id::{
    AccountId, AppId, EdgeNodeId, EngineName, InstanceId, Isp, OperationId, SpecName, VersionName,
};
use ensemble_model::instance::{Origin, Pod, PodStatus, Scope};
use ensemble_model::operation::{AskedItem, Caller, OnTimeout, OperationKind, Subject as Of};
use ensemble_model::permit::{Permit, Principal, authorize};
use ensemble_model::spec::Resources;
use ensemble_model::state::State;
use ensemble_model::time::{LogTime, Now, WallTime};
use ensemble_model::wanted::Epoch;
use ensemble_wire::action::{Level, Parts, Versions};
use ensemble_wire::payload::application::Application;
use ensemble_wire::selector::FilterItem;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const APP: &str = "474bdef0-d149-4695-abfb-52912d9143f0";
const OPERATION: &str = "AAE90880-4970-4D81-A534-A6C0F3631F74";
const ACCOUNT: &str = "1234567890123456";

/// 2026-03-27 08:00:00 UTC.
const START: i64 = 1_774_598_400_000;

const ALL: Parts = Parts {
    app_info: true,
    detail_stat: true,
    app_version_stat: true,
    district_stat: true,
    instance_stat: true,
    pod_count_stat: true,
};

fn permit() -> Permit {
    authorize(&Principal::owner(AccountId::new(ACCOUNT), "key"), "ens:DescribeApplication").unwrap()
}

/// A state and the entries that led to it.
struct Told {
    state: State,
    entries: Vec<Arc<Entry>>,
}

impl Told {
    fn new() -> Self {
        let fleet = Arc::new(builtin(EngineKind::Simulated, EngineName::new("here")));
        let mut history = Self { state: State::default(), entries: Vec::new() };
        history.add(vec![Event::FleetInstalled { fleet }]);
        history
    }

    fn add(&mut self, events: Vec<Event>) -> Arc<Entry> {
        let sequence = self.state.sequence() + 1;
        let at = (sequence as i64) * 1_000;
        let now = Now { log: LogTime(at), wall: WallTime(START + at) };
        let entry = Arc::new(Entry { sequence, now, epoch: Epoch(1), events });
        self.state.apply(&entry);
        self.entries.push(Arc::clone(&entry));
        entry
    }
}

fn workload(name: &str, pod_count: u32, service_config: Option<Value>) -> Workload {
    let container = Container {
        name: name.into(),
        image: "oci:/images/hello".into(),
        command: Vec::new(),
        args: Vec::new(),
        env: Vec::new(),
        working_dir: None,
        readiness: None,
        ports: Vec::new(),
    };
    Workload { name: name.into(), pod_count, service_config, ports: Vec::new(), containers: vec![container] }
}

fn new_application() -> NewApplication {
    let ports = json!([{ "protocol": "TCP", "bindType": "PassThrough", "startNodePorts": "80-80", "containerPorts": "80-80" }]);
    let config = json!({ "portsBindConfig": { "netServiceContainer": "web", "ports": ports } });
    NewApplication {
        app: AppId::new(APP),
        account: AccountId::new(ACCOUNT),
        meta: ApplicationMeta {
            name: "hello".into(),
            cluster: "poc".into(),
            app_type: "Common".into(),
            description: "a test".into(),
        },
        resources: ResourceAttribute {
            resource_type: "Ens".into(),
            resource_agent: "Linux".into(),
            instance_spec: SpecName::new("ens.sn1.tiny"),
            system_disk_gb: 20,
            data_disk_gb: 0,
            bandwidth_out_mbit: 10,
            area_level: "National".into(),
            strategy: Strategy::Disperse,
            ip_type: "PublicIP".into(),
            image_id: None,
            net_security_strategy: None,
            init_config: None,
            min_ready: 0,
        },
        version: VersionName::new("v1"),
        workloads: vec![workload("web", 2, Some(config)), workload("side", 1, None)],
        pins: BTreeMap::new(),
    }
}

fn accepted(kind: OperationKind, id: &str) -> Event {
    let operation = AcceptedOperation {
        id: OperationId::new(id),
        account: AccountId::new(ACCOUNT),
        subject: Of::Application(AppId::new(APP)),
        kind,
        action: "RescaleApplication".into(),
        caller: Caller { principal: ACCOUNT.into(), key_id: "key".into(), source: "127.0.0.1".into() },
        parameters: Arc::new(json!({})),
        client_token: None,
        nonce: None,
        timeout_s: 300,
        on_timeout: OnTimeout::Keep,
        deadline: LogTime(300_000),
        deadline_at: WallTime(START + 300_000),
        items: vec![AskedItem { item: 0, region_code: None, isp: None, wanted: 4, by_name: false }],
        skipped: Vec::new(),
        description: "adding 4 instances".into(),
    };
    Event::OperationAccepted { operation: Box::new(operation) }
}

fn placement(node: &str, isp: &str, ids: &[&str]) -> PlannedPlacement {
    PlannedPlacement {
        item: 0,
        scope: Scope { region_code: String::new(), isp: None },
        origin: Origin::Created,
        node: EdgeNodeId::new(node),
        isp: Isp::new(isp),
        instances: ids
            .iter()
            .map(|id| PlannedInstance {
                id: InstanceId::new(*id),
                deployment: format!("deploym{}", &id[id.len() - 1..]),
                host: None,
                replaces: None,
            })
            .collect(),
    }
}

fn pod(workload: &str, index: u32, status: PodStatus, address: Option<&str>) -> Pod {
    Pod {
        workload: workload.into(),
        index,
        status,
        address: address.map(|address| address.parse().unwrap()),
        exposed_at: None,
        restarts: 0,
        message: String::new(),
    }
}

fn observed(id: &str, ready: bool, pods: Vec<Pod>) -> Event {
    Event::InstanceObserved { instance: InstanceId::new(id), ready, pods }
}

fn all_running(id: &str, net: u8) -> Event {
    let pods = vec![
        pod("web", 0, PodStatus::Running, Some(&format!("10.80.{net}.2"))),
        pod("web", 1, PodStatus::Running, Some(&format!("10.80.{net}.3"))),
        pod("side", 0, PodStatus::Running, Some(&format!("10.80.{net}.4"))),
    ];
    observed(id, true, pods)
}

/// Four instances: one runs, one starts, one abroad waits, one is being released again.
fn scaled() -> Told {
    let mut history = Told::new();
    history.add(vec![
        Event::ApplicationCreated { application: Box::new(new_application()) },
        accepted(OperationKind::Add, OPERATION),
        Event::InstancesPlanned {
            operation: OperationId::new(OPERATION),
            app: AppId::new(APP),
            version: VersionName::new("v1"),
            spec: SpecName::new("ens.sn1.tiny"),
            resources: Resources { vcpu: 2, memory_mib: 4096 },
            placements: vec![
                placement("cn-shanghai-cmcc", "cmcc", &["i-a", "i-d"]),
                placement("cn-wuxi-telecom_unicom_cmcc-3", "telecom", &["i-b"]),
                placement("sg-singapore-9", "", &["i-c"]),
            ],
        },
    ]);
    let failed = Pod { restarts: 3, message: "exited 1".into(), ..pod("web", 1, PodStatus::Failed, None) };
    let starting = vec![pod("web", 0, PodStatus::Running, Some("10.80.1.2")), failed];
    history.add(vec![
        all_running("i-a", 0),
        observed("i-b", false, starting),
        all_running("i-d", 3),
        Event::InstancesReleasing {
            operation: OperationId::new(OPERATION),
            app: AppId::new(APP),
            cause: ReleaseCause::Deadline,
            instances: vec![ReleasedInstance { id: InstanceId::new("i-d"), item: 0 }],
        },
    ]);
    history
}

fn shown(state: &State, level: Level, parts: Parts, selection: &Selection) -> Application {
    let permit = permit();
    let account = state.account(&permit);
    let app = AppId::new(APP);
    let frame = Frame { fleet: state.fleet(), selection, level, parts };
    described(account.application(&app).unwrap(), &account.instances(&app), &frame)
}

fn at(level: Level) -> Application {
    shown(&scaled().state, level, ALL, &Selection::new(Versions::Stable))
}

#[test]
fn an_application_at_national() {
    insta::assert_json_snapshot!(at(Level::National));
}

#[test]
fn an_application_at_big() {
    insta::assert_json_snapshot!(at(Level::Big));
}

#[test]
fn an_application_at_middle() {
    insta::assert_json_snapshot!(at(Level::Middle));
}

#[test]
fn an_application_at_small() {
    insta::assert_json_snapshot!(at(Level::Small));
}

#[test]
fn an_application_at_region_id() {
    insta::assert_json_snapshot!(at(Level::RegionId));
}

#[test]
fn an_application_in_a_list() {
    let state = scaled().state;
    let permit = permit();
    let account = state.account(&permit);
    let app = AppId::new(APP);
    let selection = Selection::new(Versions::All);
    let parts = Parts { app_version_stat: false, ..ALL };
    let frame = Frame { fleet: state.fleet(), selection: &selection, level: Level::National, parts };

    insta::assert_json_snapshot!(listed(
        account.application(&app).unwrap(),
        &account.instances(&app),
        &frame
    ));
}

#[test]
fn a_part_left_out_takes_its_children_along_and_leaves_null() {
    let state = scaled().state;
    let stable = Selection::new(Versions::Stable);
    let shown = |parts| serde_json::to_value(shown(&state, Level::National, parts, &stable)).unwrap();

    let no_info = shown(Parts { app_info: false, ..ALL });
    let no_detail = shown(Parts { detail_stat: false, ..ALL });
    let no_versions = shown(Parts { app_version_stat: false, ..ALL });
    let no_districts = shown(Parts { district_stat: false, ..ALL });
    let no_instances = shown(Parts { instance_stat: false, ..ALL });
    let no_pods = shown(Parts { pod_count_stat: false, ..ALL });

    for member in ["AppMetaData", "ResourceAttribute", "WorkloadAttribute"] {
        assert_eq!(no_info.get(member), Some(&Value::Null), "{member}");
    }
    assert_eq!(no_info["AppStatus"]["Phase"], "UPDATING");
    assert_eq!(no_detail.get("DetailStat"), Some(&Value::Null));
    assert_eq!(no_versions["DetailStat"].get("AppVersionStat"), Some(&Value::Null));
    let version = |shown: &Value| shown["DetailStat"]["AppVersionStat"][0].clone();
    assert_eq!(version(&no_districts).get("DistrictStat"), Some(&Value::Null));
    assert_eq!(version(&no_instances)["DistrictStat"][0].get("InstanceStat"), Some(&Value::Null));
    assert_eq!(no_pods["DetailStat"].get("PodCountStat"), Some(&Value::Null));
    let instance = &version(&no_pods)["DistrictStat"][0]["InstanceStat"][0];
    assert_eq!(instance.get("PodCountStat"), Some(&Value::Null));
}

#[test]
fn a_filter_keeps_what_matches_any_item() {
    let state = scaled().state;
    let item = |code: Option<&str>, isp: Option<&str>| FilterItem {
        region_code: code.map(str::to_owned),
        isp_code: isp.map(str::to_owned),
    };
    for (items, total) in [
        (vec![item(Some("310100"), None)], 1),
        (vec![item(Some("310100"), Some("telecom"))], 0),
        (vec![item(None, Some("telecom"))], 1),
        (vec![item(Some("cn-shanghai-cmcc"), None), item(Some("sg-singapore-9"), None)], 2),
        (vec![item(Some("100000"), None)], 2),
        (vec![item(None, None)], 3),
    ] {
        let selection =
            Selection::new(Versions::Stable).filtered(state.fleet(), Some(items.clone())).unwrap();
        let detail = shown(&state, Level::National, ALL, &selection).detail_stat.unwrap();
        assert_eq!(detail.instance_total_count, total, "{items:?}");
    }
}

#[test]
fn a_filter_by_an_unknown_code_is_refused_with_the_nearest() {
    let state = scaled().state;
    let item = FilterItem { region_code: Some("cn-shanghai-cmc".into()), isp_code: None };

    let error = Selection::new(Versions::All).filtered(state.fleet(), Some(vec![item])).unwrap_err();

    assert!(error.message.contains("did you mean `cn-shanghai-cmcc`?"), "{}", error.message);
}

#[test]
fn an_operation_counts_by_node_and_says_how_its_instances_are() {
    let state = scaled().state;
    let permit = permit();
    let account = state.account(&permit);
    let found = account.operation(&OperationId::new(OPERATION)).unwrap();

    insta::assert_json_snapshot!(operation(account, found, Steps::Shown, &Pulls::new()));
}

#[test]
fn an_instance_tells_what_placed_it_for_which_item_and_why_it_goes() {
    let state = scaled().state;
    let permit = permit();
    let account = state.account(&permit);
    let why = |id: &str| super::why::instance(account, &InstanceId::new(id), &Pulls::new());

    insta::assert_json_snapshot!(why("i-d").unwrap());
    assert_eq!(why("i-none"), None);
}

#[test]
fn a_node_out_of_reach_shows_its_devices_as_unknown() {
    let mut history = scaled();

    history.add(vec![Event::NodesUnreachable { nodes: vec![EdgeNodeId::new("cn-shanghai-cmcc")] }]);

    let shown =
        serde_json::to_value(shown(&history.state, Level::RegionId, ALL, &Selection::new(Versions::Stable)))
            .unwrap();
    let district = &shown["DetailStat"]["AppVersionStat"][0]["DistrictStat"][0];
    assert_eq!(district["RegionCode"], "cn-shanghai-cmcc");
    assert_eq!(district["InstanceRunningCount"], 0);
    assert_eq!(district["InstanceStat"][0]["PodCountStat"][0]["Devices"][0]["Status"], "Unknown");
}
