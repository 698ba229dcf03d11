//! The loop's promise: nothing leaves before it is durable, one append at a time, nothing after a failure.

use crate::house::{BEGIN, House, SHANGHAI, WUXI, app, create, fleet, item, rescale};
use ensemble_model::command::{Change, Command, Direction};
use ensemble_model::fleet::EngineKind;
use ensemble_model::id::{AppId, EngineName, OperationId};
use ensemble_model::log::recovery::{Recovered, recover};
use ensemble_model::refusal::Refusal;
use ensemble_model::step::{ControlLoop, Input, Mode, Output, Settings};
use ensemble_model::time::{LogTime, Now, WallTime};
use ensemble_model::wanted::Epoch;
use std::sync::Arc;

const NOW: Now = Now { log: LogTime(0), wall: WallTime(BEGIN) };

/// A loop with the fleet in force and nothing under way.
fn started(settings: Settings) -> ControlLoop {
    let mut control = ControlLoop::new(Recovered::default(), settings, NOW);
    let outputs = control.start(NOW, &fleet()).expect("nothing is in the way of the first fleet");
    assert_eq!(kinds(&outputs), ["append 1"], "no engine hears of a fleet that is not durable");
    let outputs = control.step(NOW, Input::Appended { sequence: 1 });
    assert_eq!(kinds(&outputs), ["publish 1", "converge"]);
    control
}

/// Each output in a word or two, in order.
fn kinds(outputs: &[Output]) -> Vec<String> {
    let kind = |output: &Output| match output {
        Output::Append { sequence, .. } => format!("append {sequence}"),
        Output::Answer { ticket, answer: Ok(_) } => format!("yes {ticket}"),
        Output::Answer { ticket, answer: Err(_) } => format!("no {ticket}"),
        Output::FleetAnswer { ticket, answer: Ok(()) } => format!("fleet {ticket}"),
        Output::FleetAnswer { ticket, answer: Err(_) } => format!("no fleet {ticket}"),
        Output::Converge { .. } => "converge".to_owned(),
        Output::Publish { entry, .. } => format!("publish {}", entry.sequence),
        Output::PutSnapshot { sequence, .. } => format!("snapshot {sequence}"),
        Output::Halt { .. } => "halt".to_owned(),
    };
    outputs.iter().map(kind).collect()
}

fn command(ticket: u64, change: Change) -> Input {
    let mut command: Command = House::new().command(change);
    command.request.request_id = OperationId::new(format!("O-{ticket}"));
    command.seed = ticket;
    Input::Command { ticket, command: Box::new(command) }
}

fn creation(ticket: u64) -> Input {
    let mut create = create(&format!("shop-{ticket}"), vec![item(WUXI, None, 1)]);
    create.app = AppId::new(format!("app-{ticket}"));
    command(ticket, Change::Create(Box::new(create)))
}

fn unknown(ticket: u64) -> Input {
    let mut request = rescale(Direction::Add, vec![item(SHANGHAI, None, 1)]);
    request.app = AppId::new("unknown");
    command(ticket, Change::Rescale(request))
}

#[test]
fn nothing_is_answered_published_or_told_before_the_append_is_durable() {
    let mut control = started(Settings::new(Epoch(1)));

    assert_eq!(kinds(&control.step(NOW, creation(1))), [""; 0]);
    assert_eq!(kinds(&control.step(NOW, creation(2))), [""; 0]);
    assert_eq!(kinds(&control.step(NOW, Input::Flush)), ["append 2"]);
    assert_eq!(control.state().sequence(), 1);

    let outputs = control.step(NOW, Input::Appended { sequence: 2 });
    assert_eq!(kinds(&outputs), ["publish 2", "yes 1", "yes 2", "converge"]);
    assert_eq!(control.state().sequence(), 2);
}

#[test]
fn one_append_is_in_flight_and_the_next_batch_collects_meanwhile() {
    let mut control = started(Settings::new(Epoch(1)));
    control.step(NOW, creation(1));
    control.step(NOW, Input::Flush);

    control.step(NOW, creation(2));
    assert_eq!(kinds(&control.step(NOW, Input::Flush)), [""; 0]);
    control.step(NOW, creation(3));

    let outputs = control.step(NOW, Input::Appended { sequence: 2 });
    assert_eq!(kinds(&outputs), ["publish 2", "yes 1", "converge", "append 3"]);
    let outputs = control.step(NOW, Input::Appended { sequence: 3 });
    assert_eq!(kinds(&outputs), ["publish 3", "yes 2", "yes 3", "converge"]);
}

#[test]
fn a_refusal_waits_for_what_it_was_decided_on_and_for_nothing_else() {
    let mut control = started(Settings::new(Epoch(1)));
    assert_eq!(kinds(&control.step(NOW, unknown(1))), ["no 1"], "nothing is under way");

    control.step(NOW, creation(2));
    assert_eq!(kinds(&control.step(NOW, unknown(3))), [""; 0]);
    assert_eq!(kinds(&control.step(NOW, Input::Flush)), ["append 2"]);
    assert_eq!(kinds(&control.step(NOW, unknown(4))), [""; 0], "decided on what is in flight");

    let outputs = control.step(NOW, Input::Appended { sequence: 2 });
    assert_eq!(kinds(&outputs), ["publish 2", "yes 2", "no 3", "no 4", "converge"]);
}

#[test]
fn after_a_failed_append_nothing_leaves_any_more() {
    let mut control = started(Settings::new(Epoch(1)));
    control.step(NOW, creation(1));
    control.step(NOW, Input::Flush);
    control.step(NOW, creation(2));

    let outputs = control.step(NOW, Input::AppendFailed { reason: "disk full".into() });

    assert_eq!(kinds(&outputs), ["halt"]);
    for input in [creation(3), unknown(4), Input::Appended { sequence: 2 }, Input::Tick, Input::Flush] {
        assert_eq!(kinds(&control.step(NOW, input)), [""; 0]);
    }
    assert_eq!(control.state().sequence(), 1);
    assert_eq!(control.next_wake(), None);
    assert!(control.is_halted());
}

#[test]
fn an_append_that_was_not_under_way_stops_the_loop() {
    let mut control = started(Settings::new(Epoch(1)));
    control.step(NOW, creation(1));
    control.step(NOW, Input::Flush);

    assert_eq!(kinds(&control.step(NOW, Input::Appended { sequence: 7 })), ["halt"]);
}

#[test]
fn a_command_beyond_the_bound_is_refused_at_once() {
    let mut control = started(Settings { waiting_answers: 2, ..Settings::new(Epoch(1)) });
    control.step(NOW, creation(1));
    control.step(NOW, Input::Flush);
    control.step(NOW, creation(2));

    let outputs = control.step(NOW, creation(3));

    assert!(matches!(&outputs[..], [Output::Answer { ticket: 3, answer: Err(Refusal::Overloaded) }]));
    control.step(NOW, Input::Appended { sequence: 2 });
    control.step(NOW, Input::Appended { sequence: 3 });
    control.step(NOW, creation(4));
    assert_eq!(kinds(&control.step(NOW, Input::Flush)), ["append 4"]);
}

#[test]
fn a_full_batch_is_appended_without_a_flush_and_the_next_one_asks_for_patience() {
    let mut control = started(Settings { batch_events: 2, ..Settings::new(Epoch(1)) });

    assert_eq!(kinds(&control.step(NOW, creation(1))), ["append 2"]);
    assert!(!control.is_full());
    assert_eq!(kinds(&control.step(NOW, creation(2))), [""; 0]);
    assert!(control.is_full());

    control.step(NOW, Input::Appended { sequence: 2 });
    assert!(!control.is_full());
}

#[test]
fn a_snapshot_is_proposed_as_often_as_asked_and_opens_the_log_like_the_whole_of_it() {
    let mut house = House::with_ready(3);
    house.del(vec![item(SHANGHAI, None, 1)]).unwrap();
    house.gone(&house.releasing());
    assert_eq!(house.snapshots.len(), 1);
    let snapshot = house.snapshots.pop().unwrap();

    let whole = recover(None, &house.records).unwrap();
    let tail = recover(Some(&snapshot), &house.records[5..]).unwrap();
    let overlapping = recover(Some(&snapshot), &house.records).unwrap();

    assert_eq!(whole.state, *house.state());
    assert_eq!(tail.state, whole.state);
    assert_eq!(overlapping.state, whole.state);
    assert_eq!((tail.chain, tail.replayed, whole.replayed), (whole.chain, 1, 6));
}

#[test]
fn a_fleet_without_a_node_that_carries_instances_is_refused() {
    let house = House::with_ready(1);
    let mut smaller = (*fleet()).clone();
    smaller.nodes.retain(|node| node.id.as_str() != SHANGHAI);
    let recovered = recover(None, &house.records).unwrap();
    let mut control = ControlLoop::new(recovered, Settings::new(Epoch(2)), NOW);

    let refused = control.start(NOW, &Arc::new(smaller)).unwrap_err();

    assert!(matches!(&refused, Refusal::NodesInUse { nodes } if nodes[0].as_str() == SHANGHAI), "{refused}");
}

#[test]
fn another_fleet_is_answered_when_it_is_durable_and_engines_are_told_everything_anew() {
    let mut control = started(Settings::new(Epoch(1)));
    let mut larger = (*fleet()).clone();
    larger.nodes[0].capacity.vcpu += 1;

    assert_eq!(
        kinds(&control.step(NOW, Input::Fleet { ticket: 1, fleet: Arc::new(larger.clone()) })),
        [""; 0]
    );
    assert_eq!(kinds(&control.step(NOW, Input::Flush)), ["append 2"]);
    let outputs = control.step(NOW, Input::Appended { sequence: 2 });

    assert_eq!(kinds(&outputs), ["publish 2", "fleet 1", "converge"]);
    assert_eq!(**control.state().fleet(), larger);
}

#[test]
fn the_same_fleet_again_is_answered_at_once_and_writes_nothing() {
    let mut control = started(Settings::new(Epoch(1)));

    let outputs = control.step(NOW, Input::Fleet { ticket: 1, fleet: fleet() });

    assert_eq!(kinds(&outputs), ["fleet 1"]);
    assert_eq!(kinds(&control.step(NOW, Input::Flush)), [""; 0]);
}

#[test]
fn a_running_server_refuses_a_fleet_that_lacks_a_used_node_or_gives_it_to_another_engine_and_keeps_its_own() {
    let mut house = House::with_ready(1);
    let mut without = (*fleet()).clone();
    without.nodes.retain(|node| node.id.as_str() != SHANGHAI);
    let mut elsewhere = (*fleet()).clone();
    let other = EngineName::new("other");
    elsewhere.engines.insert(other.clone(), EngineKind::Simulated);
    elsewhere
        .nodes
        .iter_mut()
        .filter(|node| node.id.as_str() == SHANGHAI)
        .for_each(|node| node.engine = other.clone());

    let refused = house.refit(without).unwrap_err();
    assert!(matches!(&refused, Refusal::NodesInUse { nodes } if nodes[0].as_str() == SHANGHAI), "{refused}");
    let refused = house.refit(elsewhere).unwrap_err();
    assert!(matches!(&refused, Refusal::EngineInUse { nodes } if nodes[0].as_str() == SHANGHAI), "{refused}");

    assert_eq!(house.state().fleet(), &fleet());
}

#[test]
fn the_same_fleet_is_not_written_again() {
    let house = House::with_ready(1);
    let records = house.records.len();

    let house = house.restarted();

    assert_eq!(house.records.len(), records);
    assert_eq!(house.told.len(), 1);
    assert!(house.state().account(&crate::house::permit()).application(&app()).is_some());
}

#[test]
fn the_same_inputs_give_the_same_records() {
    let run = || {
        let mut house = House::with_ready(5);
        house.del(vec![item("310100", None, 2)]).unwrap();
        house.gone(&house.releasing());
        house.add(vec![item("100000", None, 20)]).unwrap();
        house.pass(300);
        house.delete().unwrap();
        house.records
    };

    assert_eq!(run(), run());
}

#[test]
fn a_restored_loop_only_observes_until_it_is_confirmed() {
    let mut before = started(Settings::new(Epoch(1)));
    before.step(NOW, creation(1));
    before.step(NOW, Input::Flush);
    before.step(NOW, Input::Appended { sequence: 2 });
    let state = before.state().as_ref().clone();
    let recovered = Recovered { state, ..Recovered::default() };
    let settings = Settings { mode: Mode::Observing, ..Settings::new(Epoch(2)) };
    let late = Now { log: LogTime(86_400_000), wall: WallTime(BEGIN + 86_400_000) };

    let mut control = ControlLoop::new(recovered, settings, late);
    let outputs = control.start(late, &fleet()).expect("the fleet is the same");

    assert_eq!(kinds(&outputs), ["append 3"], "that nobody knows how the instances are");
    let outputs = control.step(late, Input::Appended { sequence: 3 });
    assert_eq!(kinds(&outputs), ["publish 3"], "no engine is told anything");
    assert!(control.state().unreachable().next().is_some());
    assert_eq!(control.next_wake(), None, "the deadline is over, and nothing becomes of it");
    assert_eq!(kinds(&control.step(late, Input::Tick)), [""; 0]);
    let refused = control.step(late, creation(2));
    assert!(
        matches!(&refused[..], [Output::Answer { ticket: 2, answer: Err(Refusal::RestoreUnconfirmed) }]),
        "{refused:?}"
    );

    assert_eq!(kinds(&control.step(late, Input::Confirm)), ["converge"]);
    assert_eq!(kinds(&control.step(late, Input::Confirm)), [""; 0], "once");
    assert!(control.next_wake().is_some_and(|due| due > late.log), "engines report before anything is due");
    let decided = control.step(late, unknown(3));
    assert!(
        matches!(
            &decided[..],
            [Output::Answer { ticket: 3, answer: Err(Refusal::UnknownApplication { .. }) }]
        ),
        "{decided:?}"
    );
}
