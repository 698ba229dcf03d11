//! Every read in every variant that a client can tell apart, compared byte for byte with what is kept in
//! `tests/data/golden`: the JSON, the XML, and the JSON inside a string of those that have one. The answers come from a running
//! server on a fleet of four edge nodes; only ids and times, which differ each time, are covered (`covered`).
//! `UPDATE_GOLDEN=1 cargo test -p ensemble-tests --test golden` writes the files anew.

#![expect(clippy::unwrap_used, reason = "the words that the tests share are tests as well")]

mod covered;
mod kept;
mod reads;
mod world;

use ensemble_wire::catalog::ACTIONS;
use ensemble_wire::entry::{Group, Kind};
use kept::Kept;
use world::World;

#[test]
fn every_read_answers_as_it_is_kept() {
    let world = World::set();
    let mut kept = Kept::open();

    for read in reads::all(&world) {
        kept.compare(&read.name, "json", &world.json(&read));
        kept.compare(&read.name, "xml", &world.xml(&read));
        if let Some(inner) = world.inner(&read) {
            kept.compare(&read.name, "inner.json", &inner);
        }
    }

    kept.close();
}

#[test]
fn every_published_read_has_a_file_in_each_format() {
    let reads = ACTIONS.iter().filter(|action| action.kind == Kind::Read && is_read_of_ens(action.group));
    // DescribeInstances and DescribeInstanceTypes are shown in `hostile::xml` and by the official clients.
    let names = kept::names();

    for read in reads {
        for ending in [".json", ".xml"] {
            let is_its =
                |name: &String| name.starts_with(&format!("{}.", read.name)) && name.ends_with(ending);
            assert!(names.iter().any(is_its), "{} has no {ending} file", read.name);
        }
    }
}

fn is_read_of_ens(group: Group) -> bool {
    matches!(group, Group::Application | Group::Device | Group::Region)
}
