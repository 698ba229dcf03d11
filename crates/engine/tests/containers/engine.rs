//! The whole embedded engine on this machine: wishes in, containers and observations out, across crashes.

use crate::fixture::machine::Machine;
use crate::need_root;
use ensemble_engine::Error;
use ensemble_model::application::Container;
use ensemble_model::id::InstanceId;
use ensemble_model::instance::PodStatus;
use ensemble_model::observation::{InstanceObservation, Presence};
use ensemble_model::wanted::Epoch;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn instances_come_and_go_as_wanted() {
    need_root!("instances_come_and_go_as_wanted");
    let mut machine = Machine::new().await;

    machine.converge(vec![machine.cell(&["polite"], &["i-a", "i-b", "i-c"])]).await;
    machine.until_ready(3).await;
    assert_eq!(machine.group_names(), ["i-a", "i-b", "i-c"]);

    machine.converge(vec![machine.cell(&["polite"], &["i-b"])]).await;
    machine.until_gone(&["i-a", "i-c"]).await;
    assert_eq!(machine.group_names(), ["i-b"]);
    assert_eq!(machine.wholes, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_ends_is_failed_and_started_again() {
    need_root!("a_container_that_ends_is_failed_and_started_again");
    let mut machine = Machine::new().await;

    machine.converge(vec![machine.cell(&["exit-after", "20"], &["i-a"])]).await;
    machine.until_pod("a second restart", |pod| pod.status == PodStatus::Failed && pod.restarts == 2).await;

    let pod = machine.pods()[0].clone();
    assert_eq!(pod.message, "exited 3");
    assert!(pod.address.is_some(), "the pod keeps its address over restarts of its containers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_not_in_the_image_is_hopeless() {
    need_root!("a_program_that_is_not_in_the_image_is_hopeless");
    let mut machine = Machine::new().await;
    let mut cell = machine.cell(&[], &["i-a"]);
    Arc::make_mut(&mut cell.template).workloads[0].containers[0].command = vec!["/absent".to_owned()];

    machine.converge(vec![cell]).await;
    let hopeless =
        |one: &InstanceObservation| matches!(&one.presence, Presence::Here { hopeless: Some(_), .. });
    machine.until("a hopeless instance", |seen| seen.values().any(hopeless)).await;

    assert!(
        machine.pods()[0].message.contains("the image has no executable `/absent`"),
        "{:?}",
        machine.pods()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_specs_memory_bounds_the_instance() {
    need_root!("the_specs_memory_bounds_the_instance");
    let mut machine = Machine::new().await;

    machine.converge(vec![machine.cell(&["eat", "300"], &["i-a"])]).await;
    machine.until_pod("its end", |pod| pod.status == PodStatus::Failed).await;

    assert_eq!(machine.pods()[0].message, "killed by signal 9 (out of memory)");
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_of_a_pod_share_its_network_and_nothing_else() {
    need_root!("containers_of_a_pod_share_its_network_and_nothing_else");
    let mut machine = Machine::new().await;
    let mut cell = machine.cell(&["polite"], &["i-a"]);
    let containers = &mut Arc::make_mut(&mut cell.template).workloads[0].containers;
    let second = Container { name: "second".to_owned(), ..containers[0].clone() };
    containers.push(second);

    machine.converge(vec![cell]).await;
    machine.until_ready(1).await;

    let programs = machine.programs();
    let namespace = |pid: &i32, kind: &str| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
    assert_eq!(programs.len(), 2);
    assert_eq!(namespace(&programs[0], "net"), namespace(&programs[1], "net"));
    for kind in ["mnt", "pid", "ipc", "uts", "cgroup"] {
        assert_ne!(namespace(&programs[0], kind), namespace(&programs[1], kind), "{kind}");
    }
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    assert_ne!(namespace(&programs[0], "net"), own);
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_can_be_read_after_the_instance_is_gone() {
    need_root!("logs_can_be_read_after_the_instance_is_gone");
    let mut machine = Machine::new().await;
    machine.converge(vec![machine.cell(&["polite"], &["i-a"])]).await;
    machine.until_ready(1).await;

    let while_it_runs = machine.log_of("i-a").await;
    machine.converge(vec![machine.cell(&["polite"], &[])]).await;
    machine.until_gone(&["i-a"]).await;
    let afterwards = machine.log_of("i-a").await;

    assert_eq!(while_it_runs.unwrap(), ["ready"]);
    assert_eq!(afterwards.unwrap(), ["ready"]);
    assert!(matches!(machine.log_of("i-never").await, Err(Error::NoLogs { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn releasing_what_never_was_is_confirmed() {
    need_root!("releasing_what_never_was_is_confirmed");
    let mut machine = Machine::new().await;
    let mut cell = machine.cell(&["polite"], &[]);
    cell.release = vec![InstanceId::new("i-never")];

    machine.converge(vec![cell.clone()]).await;
    machine.until_gone(&["i-never"]).await;
    machine.seen.clear();
    machine.converge(vec![cell]).await;

    machine.until_gone(&["i-never"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_leader_is_refused() {
    need_root!("an_older_leader_is_refused");
    let machine = Machine::new().await;

    let refused = machine.converge_as(Epoch(0), vec![]).await;

    assert!(matches!(refused, Err(Error::StaleEpoch { offered: 0, current: 1 })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_leader_is_told_everything_anew() {
    need_root!("a_later_leader_is_told_everything_anew");
    let mut machine = Machine::new().await;
    let cells = vec![machine.cell(&["polite"], &["i-a"])];
    machine.converge(cells.clone()).await;
    machine.until_ready(1).await;
    machine.seen.clear();

    machine.converge_as(Epoch(2), cells).await.unwrap();
    machine.until_ready(1).await;

    assert_eq!(machine.wholes, 2);
}
