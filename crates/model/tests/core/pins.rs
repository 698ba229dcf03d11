//! Pins: the first resolution that is logged is what a version means, on every node and after every restart
//! (`decisions.md` §9.9).

use crate::house::{House, SHANGHAI, WUXI, app, item, permit};
use ensemble_model::id::{Digest, VersionName};
use ensemble_model::log::recovery::recover;
use ensemble_model::wanted::Coverage;

/// The image of the house's template.
const IMAGE: &str = "oci:/image";

fn pin(house: &House) -> Option<Digest> {
    let permit = permit();
    let application = house.state().account(&permit).application(&app()).expect("it was created").clone();
    application.version(&VersionName::new("v1")).expect("the first version").pins.get(IMAGE).cloned()
}

#[test]
fn the_first_resolution_is_the_pin_and_every_cell_of_the_version_is_told() {
    let mut house = House::with_ready(1);
    house.add(vec![item(WUXI, None, 1)]).unwrap();
    house.told.clear();

    house.resolve(IMAGE, "sha256:one");

    assert_eq!(pin(&house), Some(Digest::new("sha256:one")));
    let told = house.told.last().unwrap();
    assert_eq!(told.coverage, Coverage::Listed);
    let mut nodes: Vec<&str> = told.cells.iter().map(|cell| cell.key.node.as_str()).collect();
    nodes.dedup();
    assert_eq!(nodes, [SHANGHAI, WUXI]);
    for cell in &told.cells {
        assert_eq!(cell.template.pins.get(IMAGE), Some(&Digest::new("sha256:one")));
    }
}

#[test]
fn a_later_resolution_changes_nothing() {
    let mut house = House::with_ready(1);
    house.resolve(IMAGE, "sha256:one");
    let (records, told) = (house.records.len(), house.told.len());

    house.resolve(IMAGE, "sha256:other");

    assert_eq!(pin(&house), Some(Digest::new("sha256:one")));
    assert_eq!((house.records.len(), house.told.len()), (records, told), "it is not even written");
}

#[test]
fn what_no_container_of_the_version_runs_is_not_pinned() {
    let mut house = House::with_ready(1);
    let records = house.records.len();

    house.resolve("oci:/another", "sha256:one");

    assert_eq!(house.records.len(), records);
}

#[test]
fn a_pin_does_not_count_as_a_change_of_the_application() {
    let mut house = House::with_ready(1);
    let permit = permit();
    let revision = |house: &House| house.state().account(&permit).application(&app()).unwrap().revision;
    let before = revision(&house);

    house.resolve(IMAGE, "sha256:one");

    assert_eq!(revision(&house), before);
}

#[test]
fn a_pin_comes_back_from_the_log_and_is_told_again() {
    let mut house = House::with_ready(1);
    house.resolve(IMAGE, "sha256:one");

    let house = house.restarted();

    assert_eq!(pin(&house), Some(Digest::new("sha256:one")));
    let whole = recover(None, &house.records).unwrap();
    assert_eq!(&whole.state, house.state());
}

#[test]
fn a_log_without_pins_is_read_as_before() {
    let mut house = House::with_ready(1).restarted();

    assert_eq!(pin(&house), None);
    house.resolve(IMAGE, "sha256:late");
    assert_eq!(pin(&house), Some(Digest::new("sha256:late")));
}
