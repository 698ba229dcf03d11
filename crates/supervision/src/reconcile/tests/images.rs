//! Images in the decision: seen to once for all that wait, before any start, pinned before they are fetched, and let go
//! when nobody waits any more.

use super::machine::{Machine, id, pin};
use crate::reconcile::observe::observe;
use crate::reconcile::reconcile;
use crate::reconcile::state::{Action, Failure, ImageOf, Subject};
use crate::record::Prospect;
use ensemble_model::id::{AppId, Digest, VersionName};
use ensemble_model::instance::PodStatus;
use ensemble_model::observation::Presence;
use ensemble_model::wanted::{Coverage, Epoch, Wanted};
use std::collections::BTreeMap;
use std::sync::Arc;

fn of_v1() -> ImageOf {
    ImageOf { app: AppId::new("app"), version: VersionName::new("v1"), image: "oci:/image".to_owned() }
}

fn fetch() -> Action {
    Action::Fetch { image: "oci:/image".to_owned(), pin: pin() }
}

/// Wishes for these instances with another pin than the usual one, or none.
fn wish(machine: &mut Machine, instances: &[usize], pinned: Option<&Digest>) {
    let mut cell = super::machine::cell(instances, "v1");
    let mut template = (*cell.template).clone();
    template.pins =
        pinned.map(|pin| ("oci:/image".to_owned(), pin.clone())).into_iter().collect::<BTreeMap<_, _>>();
    cell.template = Arc::new(template);
    machine.wishes.take(Wanted {
        epoch: Epoch(1),
        sequence: 1,
        coverage: Coverage::Complete,
        cells: vec![cell],
    });
}

fn of_images(actions: &[Action]) -> Vec<&Action> {
    actions.iter().filter(|action| action.subject().is_image()).collect()
}

fn statuses(machine: &Machine) -> Vec<PodStatus> {
    let told = observe(&machine.wishes, &machine.records, &machine.facts, machine.now(), &id(0)).unwrap();
    match told.observation.presence {
        Presence::Here { pods, .. } => pods.iter().map(|pod| pod.status).collect(),
        Presence::Gone => Vec::new(),
    }
}

#[test]
fn an_image_is_fetched_once_however_many_wait_for_it_and_beside_the_first_steps() {
    let mut machine = Machine::new();
    machine.wish(&[0, 1, 2, 3], "v1");

    let first = machine.decide();

    assert_eq!(of_images(&first), [&fetch()], "4 instances of 4 containers each");
    assert_eq!(first.len(), 5, "and every instance is prepared meanwhile");
    machine.facts.busy.insert(Subject::Image(pin()));
    assert!(of_images(&machine.decide()).is_empty(), "it is under way");
}

#[test]
fn an_image_is_waited_for_through_every_step_that_comes_first() {
    let mut machine = Machine::new();
    machine.wish(&[0, 1], "v1");
    machine.facts.busy.insert(Subject::Image(pin()));
    let mut steps = 0;

    // Each action is under way alone, so that everything else stands where it is.
    while let Some(action) = machine.decide().into_iter().next() {
        machine.facts.busy.insert(action.subject());
        let decision = reconcile(&machine.wishes, &machine.records, &machine.facts, machine.now());
        assert!(decision.images.contains(&Subject::Image(pin())), "while {action:?}");
        machine.facts.busy.remove(&action.subject());
        machine.act(&action, usize::MAX);
        steps += 1;
    }

    assert_eq!(steps, 2 + 2 * 3, "two instances prepared, three pods each attached");
}

#[test]
fn nothing_starts_before_its_image_is_there() {
    let mut machine = Machine::new();
    machine.wish(&[0], "v1");
    machine.facts.busy.insert(Subject::Image(pin()));

    // The model machine complains about a start without an image.
    machine.settle();
    assert!(machine.programs.is_empty());
    assert_eq!(machine.facts.networks.len(), 3, "everything else was done");

    machine.facts.busy.clear();
    machine.settle();
    machine.assert_as_wanted();
}

#[test]
fn an_image_without_a_pin_is_resolved_and_waits_for_the_log() {
    let mut machine = Machine::new();
    wish(&mut machine, &[0, 1], None);
    assert_eq!(of_images(&machine.decide()), [&Action::Resolve(of_v1())]);

    machine.settle();
    assert!(machine.programs.is_empty(), "what it led to is not the pin until the log says so");
    let waiting = reconcile(&machine.wishes, &machine.records, &machine.facts, machine.now());
    assert!(waiting.images.contains(&Subject::Resolution(of_v1())), "it is still waited for");

    wish(&mut machine, &[0, 1], Some(&pin()));
    machine.settle();
    machine.assert_as_wanted();
}

#[test]
fn a_pin_that_comes_later_disturbs_nothing_that_runs() {
    let mut machine = Machine::new();
    machine.wish(&[0], "v1");
    machine.settle();
    // As if the record were from before the pin.
    machine.records.instances.get_mut(&id(0)).unwrap().template.pins.clear();
    let signals = machine.signals;

    let actions = machine.decide();
    assert!(matches!(actions.as_slice(), [Action::Prepare(record)] if record.template.pins.len() == 1));
    machine.settle();

    machine.assert_as_wanted();
    assert_eq!(machine.signals, signals);
}

#[test]
fn an_instance_of_another_image_under_the_same_name_is_made_anew() {
    let mut machine = Machine::new();
    machine.wish(&[0], "v1");
    machine.settle();

    wish(&mut machine, &[0], Some(&Digest::new("sha256:another")));

    assert!(machine.decide().iter().all(|action| matches!(action, Action::Stop(_))));
}

#[test]
fn what_is_pulled_is_shown_and_what_cannot_be_had_is_told_to_all() {
    let mut machine = Machine::new();
    machine.wish(&[0], "v1");
    machine.facts.busy.insert(Subject::Image(pin()));
    machine.settle();
    assert_eq!(statuses(&machine), [PodStatus::Pending; 3]);

    machine.facts.pulling.insert(pin());
    assert_eq!(statuses(&machine), [PodStatus::Pulling; 3]);

    machine.facts.pulling.clear();
    machine.facts.busy.clear();
    let failure = Failure {
        streak: 1,
        at_boot_ms: machine.now_ms,
        reason: "registry `r` has no `web:v9`".to_owned(),
        prospect: Prospect::Hopeless,
    };
    machine.facts.failures.insert(Subject::Image(pin()), failure);
    assert_eq!(statuses(&machine), [PodStatus::Failed; 3]);
    let told = observe(&machine.wishes, &machine.records, &machine.facts, machine.now(), &id(0)).unwrap();
    let Presence::Here { hopeless, .. } = told.observation.presence else { panic!("it is here") };
    assert_eq!(hopeless.as_deref(), Some("registry `r` has no `web:v9`"));
}

#[test]
fn an_image_is_waited_for_only_as_long_as_somebody_wants_to_start() {
    let mut machine = Machine::new();
    machine.wish(&[0], "v1");
    let images = |machine: &Machine| {
        reconcile(&machine.wishes, &machine.records, &machine.facts, machine.now()).images
    };
    assert!(images(&machine).contains(&Subject::Image(pin())));

    machine.wish(&[], "v1");
    assert!(images(&machine).is_empty());

    machine.wish(&[0], "v1");
    machine.settle();
    machine.restart_engine();
    assert!(images(&machine).is_empty(), "what runs needs no image");
}
