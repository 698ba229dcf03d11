//! What is counted for metrics is what there is, and what an entry changed.

use crate::house::{House, SHANGHAI, item};
use ensemble_model::census::{census, changes};
use ensemble_model::instance::InstanceStatus;
use ensemble_model::log::format;
use ensemble_model::log::recovery::recover;
use ensemble_model::operation::{OperationKind, OperationStatus};

/// What all entries of the house's log changed, summed.
fn summed(house: &House) -> (Vec<(OperationKind, OperationStatus)>, u64) {
    let (mut ended, mut started) = (Vec::new(), 0);
    for (index, record) in house.records.iter().enumerate() {
        let before = recover(None, &house.records[..index]).expect("the log is sound").state;
        let entry = format::inspect(record, index as u64).expect("a record of the log").entry;
        let changed = changes(&before, &entry);
        ended.extend(changed.operations_ended);
        started += changed.pods_started;
    }
    (ended, started)
}

#[test]
fn instances_operations_and_nodes_are_counted_by_state() {
    let mut house = House::with_ready(3);
    house.del(vec![item(SHANGHAI, None, 1)]).unwrap();

    let counted = census(house.state());

    assert_eq!(counted.applications, 1);
    assert_eq!(counted.instances[InstanceStatus::Running as usize], 2);
    assert_eq!(counted.instances[InstanceStatus::Releasing as usize], 1);
    assert_eq!(counted.operations_running[OperationKind::Del as usize], 1);
    assert_eq!(counted.operations_running[OperationKind::Add as usize], 0);
    assert_eq!((counted.nodes_reachable, counted.nodes_unreachable), (70, 0));
}

#[test]
fn an_operation_that_is_accepted_and_ends_in_one_entry_is_counted_as_any_other() {
    let house = House::with_ready(3);

    let (ended, started) = summed(&house);

    let create = (OperationKind::Create, OperationStatus::Succeeded);
    let add = (OperationKind::Add, OperationStatus::Succeeded);
    assert_eq!(ended, [create, add]);
    assert_eq!(started, 3);
}
