//! A whole log: whatever its records say, they give one state, and a snapshot of it gives it again where nothing in it is
//! made twice, which no server writes. A log that lacks a record, has one twice or in another place is no log.

use crate::sealed;
use ensemble_model::event::Event;
use ensemble_model::log::Fault;
use ensemble_model::log::format::inspect;
use ensemble_model::log::recovery::{Recovered, recover, resume_log_time};
use ensemble_model::log::snapshot::Snapshot;
use ensemble_model::time::WallTime;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Longest log that is looked at: a longer one shows nothing more, and costs more.
const RECORDS_AT_MOST: usize = 64;

/// Each line is the payload of a record; a first line that begins with `snapshot ` is that of a snapshot.
pub fn check(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).peekable();
    let snapshot =
        lines.next_if(|line| line.starts_with(b"snapshot ")).map(|line| &line[b"snapshot ".len()..]);
    let mut sequence = snapshot.map_or(0, |payload| sealed::sequence_of(payload, 0));
    let mut chain = sealed::BEGINNING;
    let snapshot = snapshot.map(|payload| sealed::snapshot(payload, sequence, &chain));
    let mut records = Vec::new();
    for payload in lines.take(RECORDS_AT_MOST) {
        sequence = sealed::sequence_of(payload, sequence.wrapping_add(1));
        let (record, after) = sealed::record(payload, sequence, &chain);
        records.push(record);
        chain = after;
    }

    let Ok(recovered) = recover(snapshot.as_deref(), &records) else { return };

    let again = recover(snapshot.as_deref(), &records).expect("recovered once, recovered again");
    assert!(again.state == recovered.state && again.chain == recovered.chain, "recovered differently");
    if recovered.replayed < records.len() as u64 {
        // The snapshot claims to cover them.
        return;
    }
    assert_eq!(sealed::hex(&chain), recovered.chain.to_string(), "the chain ends elsewhere");
    let last = recovered.state.last();
    for wall in [i64::MIN, 0, i64::MAX] {
        assert!(resume_log_time(last, WallTime(wall)) >= last.log, "log time fell");
    }
    a_snapshot_is_the_state(&recovered, &records);
    a_record_is_missed(snapshot.as_deref(), &records);
}

fn a_snapshot_is_the_state(recovered: &Recovered, records: &[Vec<u8>]) {
    let snapshot = Snapshot { state: Arc::new(recovered.state.clone()), chain: recovered.chain };
    let bytes = snapshot.encode();
    let read = Snapshot::decode(&bytes).expect("what we write we read");
    assert_eq!((read.sequence(), read.chain), (recovered.state.sequence(), recovered.chain));
    let again = read.encode();
    let once_more = Snapshot::decode(&again).expect("what we write we read");
    assert!(once_more.state == read.state, "a snapshot of a snapshot is another state");
    let behind = recover(Some(&bytes), records).expect("records that a snapshot covers are skipped");
    assert!(behind.state == *read.state && behind.chain == recovered.chain && behind.replayed == 0);
    if makes_nothing_twice(records) {
        assert!(*read.state == recovered.state, "a snapshot is another state");
        assert_eq!(again, bytes, "a snapshot of a snapshot is another");
    }
}

/// Whether every application, operation and instance in the records is a new one, in a log that begins with them.
fn makes_nothing_twice(records: &[Vec<u8>]) -> bool {
    let mut made = BTreeSet::new();
    let mut is_first = true;
    for record in records {
        let Ok(record) = inspect(record, 0) else { return false };
        if std::mem::take(&mut is_first) && record.entry.sequence != 1 {
            return false;
        }
        for event in &record.entry.events {
            let ids: Vec<String> = match event {
                Event::ApplicationCreated { application } => {
                    vec![
                        format!("{} {}", application.app, application.meta.name),
                        application.app.to_string(),
                    ]
                }
                Event::OperationAccepted { operation } => vec![operation.id.to_string()],
                Event::InstancesPlanned { placements, .. } => {
                    let planned = placements.iter().flat_map(|placement| &placement.instances);
                    planned.flat_map(|planned| [planned.id.to_string(), planned.deployment.clone()]).collect()
                }
                _ => Vec::new(),
            };
            if !ids.into_iter().all(|id| made.insert(id)) {
                return false;
            }
        }
    }
    true
}

fn a_record_is_missed(snapshot: Option<&[u8]>, records: &[Vec<u8>]) {
    let Some(middle) = records.len().checked_sub(2) else { return };
    let mut missing = records.to_vec();
    missing.remove(middle);
    assert!(is_noticed(snapshot, &missing), "a record is missing");
    let mut doubled = records.to_vec();
    doubled.push(records[middle + 1].clone());
    assert!(is_noticed(snapshot, &doubled), "a record came twice");
    let mut swapped = records.to_vec();
    swapped.swap(middle, middle + 1);
    assert!(is_noticed(snapshot, &swapped), "two records changed places");
}

fn is_noticed(snapshot: Option<&[u8]>, records: &[Vec<u8>]) -> bool {
    matches!(recover(snapshot, records), Err(Fault::Gap { .. } | Fault::BrokenChain { .. }))
}
