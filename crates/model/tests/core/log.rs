//! The log's format: whatever happens to the bytes is noticed and named (`decisions.md` §7.7).

use crate::house::{House, SHANGHAI, create, item};
use ensemble_model::command::Change;
use ensemble_model::log::Fault;
use ensemble_model::log::format::{self, Chain, decode, inspect};
use ensemble_model::log::recovery::recover;
use ensemble_model::log::snapshot::Snapshot;
use proptest::prelude::*;

fn records() -> Vec<Vec<u8>> {
    let mut house = House::with_ready(1);
    house.del(vec![item(SHANGHAI, None, 1)]).expect("there is one");
    house.gone(&house.releasing());
    house.records
}

fn fault(records: &[Vec<u8>]) -> Fault {
    recover(None, records).expect_err("the log is not sound")
}

#[test]
fn a_record_is_a_line_and_json_that_people_can_read() {
    let records = records();
    let text = String::from_utf8(records[1].clone()).unwrap();

    let (line, payload) = text.split_once('\n').unwrap();

    assert!(line.starts_with("ensemble-log 1 2 "), "{line}");
    let payload: serde_json::Value = serde_json::from_str(payload).unwrap();
    assert_eq!(payload["sequence"], 2);
    let events: Vec<_> =
        payload["events"].as_array().unwrap().iter().map(|event| event["event"].clone()).collect();
    assert_eq!(events, ["application_created", "operation_accepted", "operation_ended"]);
    let accepted = &payload["events"][1]["operation"];
    assert_eq!(accepted["account"], "1000000000000001");
    assert_eq!(accepted["caller"]["key_id"], "key");
    assert_eq!(accepted["caller"]["source"], "127.0.0.1");
}

#[test]
fn a_bit_that_flips_anywhere_is_noticed() {
    let records = records();
    let first = inspect(&records[0], 0).unwrap();
    let sound = &records[1];
    decode(sound, 1, &first.chain).expect("nothing is flipped yet");

    for byte in 0..sound.len() {
        for bit in 0..8 {
            let mut flipped = sound.clone();
            flipped[byte] ^= 1 << bit;
            assert!(decode(&flipped, 1, &first.chain).is_err(), "bit {bit} of byte {byte}");
        }
    }
}

#[test]
fn a_bit_that_flips_in_a_snapshot_is_noticed() {
    let mut house = House::with_ready(2);
    house.del(vec![item(SHANGHAI, None, 1)]).unwrap();
    house.gone(&house.releasing());
    let sound = house.snapshots.pop().unwrap();
    assert_eq!(Snapshot::decode(&sound).unwrap().sequence(), 5);

    // The payload is long (it holds the fleet): its digest is one check, so a bit here and there will do.
    for byte in (0..300).chain((300..sound.len()).step_by(997)) {
        let mut flipped = sound.clone();
        flipped[byte] ^= 1 << (byte % 8);
        assert!(Snapshot::decode(&flipped).is_err(), "byte {byte}");
    }
}

#[test]
fn each_way_to_damage_a_log_has_its_name() {
    let sound = records();
    recover(None, &sound).expect("nothing is damaged yet");
    let last = sound.len() - 1;

    let mut torn = sound.clone();
    torn[last].truncate(200);
    assert_eq!(fault(&torn), Fault::TornTail { after: last as u64 });
    torn[last].truncate(5);
    assert_eq!(fault(&torn), Fault::TornTail { after: last as u64 });

    let mut cut_inside = sound.clone();
    cut_inside[2].truncate(200);
    assert_eq!(fault(&cut_inside), Fault::BadChecksum { after: 2 });

    let mut missing = sound.clone();
    missing.remove(2);
    assert_eq!(fault(&missing), Fault::Gap { expected: 3, found: 4 });

    let mut doubled = sound.clone();
    doubled.insert(2, sound[1].clone());
    assert_eq!(fault(&doubled), Fault::Gap { expected: 3, found: 2 });

    let mut foreign = sound.clone();
    foreign[1].splice(..14, *b"ensemble-log 2");
    assert_eq!(fault(&foreign), Fault::ForeignVersion { found: 2 });

    let mut noise = sound.clone();
    noise[1] = b"once upon a time\n".to_vec();
    assert_eq!(fault(&noise), Fault::NotARecord);

    let mut mixed = sound.clone();
    let entry = inspect(&sound[1], 1).unwrap().entry;
    mixed[1] = format::encode(&entry, &Chain::default()).0;
    assert_eq!(fault(&mixed), Fault::BrokenChain { sequence: 2 });

    let payload = inspect(&sound[0], 0).unwrap();
    assert_eq!(payload.before, Chain::default(), "the first record follows nothing");
}

/// `[[[…]]]`, as deep as asked.
fn nested(levels: usize) -> serde_json::Value {
    (0..levels).fold(serde_json::Value::Null, |inner, _| serde_json::json!([inner]))
}

#[test]
fn nothing_is_accepted_that_the_log_could_not_be_read_with() {
    for (levels, accepted) in [(64, true), (65, false), (127, false)] {
        let mut house = House::new();
        let mut wish = create("shop", Vec::new());
        wish.workloads[0].service_config = Some(nested(levels));
        wish.resources.init_config = Some(nested(64));
        let mut command = house.command(Change::Create(Box::new(wish)));
        command.request.parameters = nested(levels);

        let answer = house.call(command);

        assert_eq!(answer.is_ok(), accepted, "{levels} levels: {answer:?}");
        assert_eq!(recover(None, &house.records).unwrap().state, *house.state());
    }
    let mut house = House::with_ready(1);
    let mut command = house.delete_command();
    command.request.parameters = nested(127);
    house.call(command).unwrap();
    assert_eq!(recover(None, &house.records).unwrap().state, *house.state());
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(
        noise in prop::collection::vec(any::<u8>(), 0..200),
        line in "ensemble-(log|snapshot) [0-9a-f ]{0,200}\n?.{0,50}",
    ) {
        for bytes in [noise.as_slice(), line.as_bytes()] {
            prop_assert!(inspect(bytes, 0).is_err());
            prop_assert!(Snapshot::decode(bytes).is_err());
        }
    }
}

#[test]
fn a_snapshot_of_another_log_is_noticed() {
    let mut house = House::with_ready(2);
    house.del(vec![item(SHANGHAI, None, 1)]).unwrap();
    house.gone(&house.releasing());
    let snapshot = house.snapshots.pop().unwrap();
    let mut other = House::with_ready(3);
    other.del(vec![item(SHANGHAI, None, 2)]).unwrap();
    other.gone(&other.releasing());

    for records in [&other.records[4..], &other.records[5..]] {
        let fault = recover(Some(&snapshot), records).unwrap_err();
        assert!(matches!(fault, Fault::BrokenChain { .. }), "{fault}");
    }
    assert!(matches!(Snapshot::decode(b"ensemble-snapshot 9 1\n"), Err(Fault::ForeignVersion { found: 9 })));
    assert!(matches!(Snapshot::decode(b""), Err(Fault::Snapshot { .. })));
}
