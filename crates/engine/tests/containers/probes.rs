//! Readiness probes on this machine: real programs that listen late, answer badly, and come and go.

use crate::fixture::machine::Machine;
use crate::need_root;
use ensemble_model::instance::PodStatus;
use ensemble_model::observation::{InstanceObservation, Presence};
use ensemble_model::probe::{Probe, Question};
use ensemble_model::wanted::WantedCell;
use std::sync::Arc;

fn probe(question: Question) -> Probe {
    Probe {
        question,
        initial_delay_s: 0,
        period_s: 1,
        timeout_s: 1,
        success_threshold: 1,
        failure_threshold: 1,
    }
}

/// One instance that does `words` and is asked `question`.
fn probed(machine: &Machine, words: &[&str], question: Question) -> WantedCell {
    let mut cell = machine.cell(words, &["i-a"]);
    Arc::make_mut(&mut cell.template).workloads[0].containers[0].readiness = Some(probe(question));
    cell
}

fn is_ready(one: &InstanceObservation) -> bool {
    matches!(one.presence, Presence::Here { ready: true, .. })
}

/// Until it runs and is held back for this reason.
async fn until_held_back(machine: &mut Machine, reason: &str) {
    machine
        .until(reason, |seen| {
            seen.values().any(|one| match &one.presence {
                Presence::Here { pods, ready: false, .. } => {
                    pods.iter().any(|pod| pod.status == PodStatus::Running && pod.message.contains(reason))
                }
                Presence::Here { .. } | Presence::Gone => false,
            })
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_ready_when_its_port_takes_connections_and_not_before() {
    need_root!("an_instance_is_ready_when_its_port_takes_connections_and_not_before");
    let mut machine = Machine::new().await;

    let cell = probed(&machine, &["listen-after", "2000"], Question::Tcp { port: 8080 });
    machine.converge(vec![cell]).await;
    until_held_back(&mut machine, "not ready: port 8080: Connection refused").await;
    machine.until_ready(1).await;

    assert_eq!(machine.pods()[0].message, "");
    assert_eq!(machine.pods()[0].restarts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_answers_turn_bad_is_not_ready_any_more_and_runs_on() {
    need_root!("an_instance_whose_answers_turn_bad_is_not_ready_any_more_and_runs_on");
    let mut machine = Machine::new().await;

    let question = Question::Http { port: 8080, path: "/healthz".to_owned() };
    machine.converge(vec![probed(&machine, &["web", "3000"], question)]).await;
    until_held_back(&mut machine, "not ready: port 8080 answered 503").await;
    machine.until_ready(1).await;
    until_held_back(&mut machine, "not ready: port 8080 answered 503").await;

    assert_eq!(machine.pods()[0].restarts, 0);
    assert!(!machine.seen.values().any(is_ready));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_nobody_can_reach_is_never_ready() {
    need_root!("a_program_that_nobody_can_reach_is_never_ready");
    let mut machine = Machine::new().await;

    machine.converge(vec![probed(&machine, &["polite"], Question::Tcp { port: 8080 })]).await;
    until_held_back(&mut machine, "Connection refused").await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    machine.converge(vec![]).await;
    machine
        .until("its end", |seen| {
            assert!(!seen.values().any(is_ready));
            seen.values().all(|one| one.presence == Presence::Gone)
        })
        .await;
}
