//! Versions: upgrades at once, by canary and by and by, what stops them, and the way back.

use super::house::*;
use ensemble_model::application::{Container, Phase, Workload};
use ensemble_model::command::{
    AutoUpgrade, CancelOperation, Change, DeleteAppVersion, ModifyApplication, RollbackApplication,
    UpgradeApplication, WorkloadPatch,
};
use ensemble_model::id::{InstanceId, VersionName};
use ensemble_model::instance::PodStatus;
use ensemble_model::matching::{Condition, MatchKey, Operator};
use ensemble_model::observation::{PodObservation, Presence};
use ensemble_model::operation::{OnTimeout, OperationStatus};
use ensemble_model::rollout::{Rule, Schedule, UnitLevel};
use ensemble_model::time::LogTime;
use std::collections::BTreeMap;

fn upgrade(to: &str) -> UpgradeApplication {
    UpgradeApplication {
        app: app(),
        to: VersionName::new(to),
        description: "next".into(),
        workloads: Vec::new(),
        pins: BTreeMap::new(),
        from: None,
        only: Vec::new(),
        auto: None,
        task: "task".into(),
        timeout_s: 300,
        on_timeout: OnTimeout::Keep,
        if_revision: None,
    }
}

fn run(house: &mut House, request: UpgradeApplication) -> Result<(), String> {
    house.change(Change::Upgrade(Box::new(request))).map(|_| ()).map_err(|refusal| refusal.to_string())
}

fn only(key: MatchKey, values: &[&str]) -> Condition {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    Condition { key, operator: Operator::In, values }
}

/// At most `at_once` of all at the same time.
fn by_and_by(count: u32, check_s: u32, hours: (u8, u8)) -> Option<AutoUpgrade> {
    let rule = Rule { region_codes: vec!["All".into()], busy_at_most: 100, ratio: 100, count: Some(count) };
    let schedule = Schedule {
        from: None,
        until: None,
        start_hour: hours.0,
        end_hour: hours.1,
        offset_s: 0,
        check_s,
        next_check: LogTime(0),
    };
    Some(AutoUpgrade { schedule, level: UnitLevel::National, rules: vec![rule] })
}

/// How many held instances run each version.
fn versions(house: &House) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for id in house.held() {
        *found.entry(house.instance(&id).version.to_string()).or_default() += 1;
    }
    found
}

fn on(house: &House, version: &str) -> Vec<InstanceId> {
    house.held().into_iter().filter(|id| house.instance(id).version.as_str() == version).collect()
}

fn unready(house: &House) -> Vec<InstanceId> {
    house.held().into_iter().filter(|id| !house.instance(id).ready).collect()
}

fn stable(house: &House) -> String {
    let permit = permit();
    house.state().account(&permit).application(&app()).expect("it is there").stable_version.to_string()
}

/// A house with `count` ready instances, none of which anybody doubts.
fn ready_house(count: u32) -> House {
    let mut house = House::with_ready(count);
    house.back();
    house
}

#[test]
fn an_upgrade_keeps_ids_and_moves_the_stable_version() {
    let mut house = ready_house(3);
    let before = house.held();
    let deployments: Vec<String> = before.iter().map(|id| house.instance(id).deployment.clone()).collect();

    run(&mut house, upgrade("v2")).unwrap();

    assert_eq!((house.held(), house.phase()), (before.clone(), Some(Phase::Updating)));
    assert_eq!((versions(&house), stable(&house)), (BTreeMap::from([("v2".into(), 3)]), "v1".into()));
    let told = house.told.last().unwrap();
    let cells: Vec<(&str, usize)> =
        told.cells.iter().map(|cell| (cell.key.version.as_str(), cell.run.len())).collect();
    assert_eq!(cells, [("v1", 0), ("v2", 3)]);
    assert!(before.iter().zip(&deployments).all(|(id, old)| house.instance(id).deployment != *old));

    house.ready(&before);

    assert_eq!(house.status(), "UPDATE_SUCCESS/DONE/update to version:v2 success: 3 of 3 instances");
    assert_eq!((house.phase(), stable(&house)), (Some(Phase::Running), "v2".into()));
}

#[test]
fn what_is_told_of_the_old_deployment_makes_nothing_ready() {
    let mut house = ready_house(1);
    let id = house.held()[0].clone();
    let old = house.instance(&id).deployment.clone();
    run(&mut house, upgrade("v2")).unwrap();

    house.report(std::slice::from_ref(&id), || match ready() {
        Presence::Here { pods, ready, hopeless, .. } => {
            Presence::Here { deployment: old.clone(), pods, ready, hopeless }
        }
        Presence::Gone => Presence::Gone,
    });

    assert!(!house.instance(&id).ready);
    assert_eq!(house.phase(), Some(Phase::Updating));
}

#[test]
fn a_canary_leaves_the_stable_version_and_the_next_step_moves_it() {
    let mut house = ready_house(2);
    house.add(vec![item(WUXI, None, 1)]).unwrap();
    house.ready(&house.held());

    run(&mut house, UpgradeApplication { only: vec![only(MatchKey::RegionId, &[WUXI])], ..upgrade("v2") })
        .unwrap();
    house.ready(&house.held());

    assert_eq!(versions(&house), BTreeMap::from([("v1".into(), 2), ("v2".into(), 1)]));
    assert_eq!((house.phase(), stable(&house)), (Some(Phase::Running), "v1".into()));

    run(&mut house, upgrade("v2")).unwrap();
    house.ready(&house.held());

    assert_eq!((versions(&house), stable(&house)), (BTreeMap::from([("v2".into(), 3)]), "v2".into()));
}

#[test]
fn no_more_go_at_once_than_the_cap_says() {
    let mut house = ready_house(5);

    run(&mut house, UpgradeApplication { auto: by_and_by(2, 60, (0, 24)), ..upgrade("v2") }).unwrap();
    assert_eq!(unready(&house).len(), 2);

    house.ready(&unready(&house));
    assert_eq!(unready(&house).len(), 0, "nobody goes before it is looked at again");
    house.pass(60);
    assert_eq!(on(&house, "v2").len(), 4);
    house.pass(60);
    assert_eq!(on(&house, "v2").len(), 4, "those under way are not ready yet");
    house.ready(&unready(&house));
    house.pass(60);
    house.ready(&unready(&house));

    assert_eq!((versions(&house), house.phase()), (BTreeMap::from([("v2".into(), 5)]), Some(Phase::Running)));
}

#[test]
fn outside_of_its_hours_nothing_begins_and_the_time_stands_still() {
    // The house begins at midnight UTC.
    let mut house = ready_house(1);

    run(&mut house, UpgradeApplication { auto: by_and_by(1, 600, (2, 4)), timeout_s: 600, ..upgrade("v2") })
        .unwrap();
    for _ in 0..11 {
        house.pass(600);
    }
    assert_eq!((on(&house, "v1").len(), house.phase()), (1, Some(Phase::Updating)), "it is 1:50");

    house.pass(600);
    assert_eq!(on(&house, "v2").len(), 1);
    house.pass(600);
    assert_eq!(house.phase(), Some(Phase::UpdateFailed), "its ten minutes are over at 2:10");
}

#[test]
fn a_version_that_cannot_run_stops_the_roll_and_the_rest_keeps_the_old_one() {
    let mut house = ready_house(3);
    run(&mut house, UpgradeApplication { auto: by_and_by(1, 60, (0, 24)), ..upgrade("v2") }).unwrap();

    house.report(&unready(&house), hopeless);

    assert_eq!(versions(&house), BTreeMap::from([("v1".into(), 2), ("v2".into(), 1)]));
    let id = &on(&house, "v2")[0];
    assert_eq!(
        house.status(),
        format!(
            "UPDATE_FAILED/DEPLOY_CONTAINER/stopped: `{id}` does not become ready with version v2 (no executable \
             `/nothing` in the image): 0 of 3 run the new version; item 0 (100000): 0/3"
        )
    );
    assert_eq!(stable(&house), "v1");
}

#[test]
fn a_crash_loop_stops_the_roll_after_a_few_restarts() {
    let mut house = ready_house(2);
    run(&mut house, UpgradeApplication { auto: by_and_by(1, 60, (0, 24)), ..upgrade("v2") }).unwrap();
    let crashed = |restarts| {
        let (message, status) = ("exited 3".to_owned(), PodStatus::Failed);
        let pod = PodObservation {
            workload: "web".into(),
            index: 0,
            status,
            address: None,
            exposed_at: None,
            restarts,
            message,
        };
        Presence::Here { deployment: String::new(), pods: vec![pod], ready: false, hopeless: None }
    };

    house.report(&unready(&house), || crashed(2));
    assert_eq!(house.phase(), Some(Phase::Updating));
    house.report(&unready(&house), || crashed(3));

    assert_eq!((house.phase(), on(&house, "v1").len()), (Some(Phase::UpdateFailed), 1));
    assert!(house.status().contains("3 restarts, exited 3"), "{}", house.status());
}

#[test]
fn an_upgrade_that_is_taken_back_brings_back_what_had_begun() {
    let mut house = ready_house(3);
    run(&mut house, UpgradeApplication { auto: by_and_by(1, 60, (0, 24)), ..upgrade("v2") }).unwrap();
    house.ready(&unready(&house));
    house.pass(60);
    assert_eq!(on(&house, "v2").len(), 2);
    let operation = house.operation_of_app();

    house.change(Change::Cancel(CancelOperation { operation, mode: OnTimeout::Undo })).unwrap();
    assert_eq!(
        on(&house, "v1").len(),
        2,
        "the one that was not ready goes back first, and no other beside it"
    );
    house.ready(&unready(&house));
    house.ready(&unready(&house));

    assert_eq!(
        (versions(&house), house.phase()),
        (BTreeMap::from([("v1".into(), 3)]), Some(Phase::UpdateFailed))
    );
    let ended = house.state().account(&permit()).operations(None)[1].clone();
    assert_eq!(
        (ended.status, ended.outcome.clone().unwrap()),
        (OperationStatus::Canceled, "canceled and undone: 2 instances back, 1 kept".to_owned())
    );
}

#[test]
fn at_the_deadline_what_has_not_begun_keeps_its_version() {
    let mut house = ready_house(3);
    run(&mut house, UpgradeApplication { auto: by_and_by(1, 60, (0, 24)), ..upgrade("v2") }).unwrap();
    house.ready(&unready(&house));

    house.pass(301);

    assert_eq!(house.phase(), Some(Phase::UpdateFailed));
    assert_eq!(house.held().len(), 3, "an upgrade releases nothing");
    assert_eq!(stable(&house), "v1");
}

#[test]
fn the_floor_is_kept_in_place() {
    let mut house = ready_house(3);
    let modify = |min_ready| Change::Modify(ModifyApplication { app: app(), min_ready, if_revision: None });
    house.change(modify(2)).unwrap();

    run(&mut house, upgrade("v2")).unwrap();
    assert_eq!(unready(&house).len(), 1);
    house.ready(&unready(&house));
    assert_eq!((unready(&house).len(), on(&house, "v2").len()), (1, 2));
    house.ready(&unready(&house));
    house.ready(&unready(&house));
    assert_eq!((house.phase(), stable(&house)), (Some(Phase::Running), "v2".into()));

    house.change(modify(3)).unwrap();
    let refusal = run(&mut house, upgrade("v3")).unwrap_err();
    assert!(refusal.contains("keeps 3 ready on `cn-shanghai-cmcc`, which is all there are"), "{refusal}");
}

#[test]
fn what_cannot_be_reached_is_left_out_and_does_not_hold_the_stable_version() {
    let mut house = ready_house(1);
    house.add(vec![item(WUXI, None, 1)]).unwrap();
    house.ready(&house.held());
    house.unreachable(WUXI);

    run(&mut house, upgrade("v2")).unwrap();
    house.ready(&on(&house, "v2"));

    assert_eq!((house.phase(), stable(&house)), (Some(Phase::Running), "v2".into()));
    assert_eq!(versions(&house), BTreeMap::from([("v1".into(), 1), ("v2".into(), 1)]));
    let steps: Vec<String> = house.last_operation().steps.iter().map(|step| step.text.clone()).collect();
    assert!(steps.iter().any(|step| step.contains("left out: unreachable since")), "{steps:?}");
}

#[test]
fn a_rollback_brings_all_of_a_version_back_and_the_stable_version_with_it() {
    let mut house = ready_house(2);
    run(&mut house, upgrade("v2")).unwrap();
    house.ready(&house.held());
    assert_eq!(stable(&house), "v2");
    let rollback = |from: &str, to: Option<&str>| {
        Change::Rollback(RollbackApplication {
            app: app(),
            from: VersionName::new(from),
            to: to.map(VersionName::new),
            timeout_s: 300,
            on_timeout: OnTimeout::Keep,
            if_revision: None,
        })
    };
    assert!(house.refused(rollback("v2", Some("v2"))).contains("version to go back from"));
    assert!(house.refused(rollback("v1", None)).contains("no version was made before"));
    assert!(house.refused(rollback("v9", None)).contains("no version `v9`"));

    house.change(rollback("v2", None)).unwrap();
    house.ready(&house.held());

    assert_eq!((versions(&house), stable(&house)), (BTreeMap::from([("v1".into(), 2)]), "v1".into()));
    house.change(rollback("v2", None)).unwrap();
    assert_eq!(house.phase(), Some(Phase::Running), "no instance on it: success without work");
}

#[test]
fn a_version_is_deleted_when_nothing_needs_it_and_its_name_is_not_used_again() {
    let mut house = ready_house(1);
    let delete = |name: &str| {
        Change::DeleteVersion(DeleteAppVersion {
            app: app(),
            version: VersionName::new(name),
            if_revision: None,
        })
    };
    run(&mut house, upgrade("v2")).unwrap();
    house.ready(&house.held());
    assert!(house.refused(delete("v2")).contains("is the stable version"));
    run(&mut house, UpgradeApplication { only: vec![only(MatchKey::Isp, &["cmcc"])], ..upgrade("v3") })
        .unwrap();
    house.ready(&house.held());

    house.change(delete("v1")).unwrap();

    assert_eq!(house.status(), "UPDATE_SUCCESS/DONE/delVersion success");
    let refusal = run(&mut house, upgrade("v1")).unwrap_err();
    assert!(refusal.contains("name of a deleted version"), "{refusal}");
    let mut house = house.restarted();
    assert!(house.refused(delete("v1")).contains("no version `v1`"));
}

fn workload(name: &str, image: &str) -> Workload {
    let container = Container {
        name: name.into(),
        image: image.into(),
        command: Vec::new(),
        args: Vec::new(),
        env: Vec::new(),
        working_dir: None,
        readiness: None,
        ports: Vec::new(),
    };
    Workload {
        name: name.into(),
        pod_count: 1,
        service_config: None,
        ports: Vec::new(),
        containers: vec![container],
    }
}

#[test]
fn workloads_are_merged_by_name() {
    let mut house = ready_house(1);
    let patch = |workload, pods, spec| WorkloadPatch {
        workload,
        gives_pod_count: pods,
        gives_service_config: false,
        gives_pod_spec: spec,
    };
    let more = Workload { pod_count: 3, ..workload("web", "unread") };
    let new = UpgradeApplication {
        workloads: vec![patch(more, true, false), patch(workload("side", "oci:/side"), false, true)],
        ..upgrade("v2")
    };

    run(&mut house, new).unwrap();

    let permit = permit();
    let found = house.state().account(&permit).application(&app()).unwrap().clone();
    let made = found.version(&VersionName::new("v2")).unwrap();
    let told: Vec<(&str, u32, &str)> = made
        .workloads
        .iter()
        .map(|workload| (workload.name.as_str(), workload.pod_count, workload.containers[0].image.as_str()))
        .collect();
    assert_eq!(told, [("web", 3, "oci:/image"), ("side", 1, "oci:/side")]);
    assert_eq!(house.instance(&house.held()[0]).pods.len(), 4);

    house.report(&house.held(), || {
        let pod = |workload: &str, index| PodObservation {
            workload: workload.into(),
            index,
            status: PodStatus::Running,
            address: None,
            exposed_at: None,
            restarts: 0,
            message: String::new(),
        };
        let pods = vec![pod("web", 0), pod("web", 1), pod("web", 2), pod("side", 0)];
        Presence::Here { deployment: String::new(), pods, ready: true, hopeless: None }
    });
    let other = UpgradeApplication {
        workloads: vec![patch(workload("web", "oci:/other"), false, true)],
        ..upgrade("v2")
    };
    assert!(run(&mut house, other).unwrap_err().contains("versions never change"));
    let unknown =
        UpgradeApplication { workloads: vec![patch(workload("db", "x"), true, false)], ..upgrade("v3") };
    assert!(run(&mut house, unknown).unwrap_err().contains("`db` is new and has no podSpec"));
}

#[test]
fn names_of_what_is_not_there_are_refused_and_change_nothing() {
    let mut house = ready_house(1);
    let records = house.records.len();

    let node =
        UpgradeApplication { only: vec![only(MatchKey::RegionId, &["cn-shanghai-cmc"])], ..upgrade("v2") };
    assert!(run(&mut house, node).unwrap_err().contains("did you mean `cn-shanghai-cmcc`"));
    let from = UpgradeApplication { from: Some(only(MatchKey::AppVersion, &["v7"])), ..upgrade("v2") };
    assert!(run(&mut house, from).unwrap_err().contains("unknown version `v7`"));

    assert_eq!(house.records.len(), records);
}

#[test]
fn a_restart_in_the_middle_goes_on_where_it_was() {
    let mut house = ready_house(3);
    run(&mut house, UpgradeApplication { auto: by_and_by(1, 60, (0, 24)), ..upgrade("v2") }).unwrap();

    let mut house = house.restarted();
    house.ready(&house.held());
    house.pass(60);
    house.ready(&house.held());
    house.pass(60);
    house.ready(&house.held());

    assert_eq!((versions(&house), stable(&house)), (BTreeMap::from([("v2".into(), 3)]), "v2".into()));
    // An Add goes to the stable version.
    house.add(vec![item(SHANGHAI, None, 1)]).unwrap();
    assert_eq!(on(&house, "v2").len(), 4);
}
