//! A checker that finds nothing must have been able to: each fault is planted into a run in which all was well.

use super::{Account, Application, Fault, Kind, Operation, Outcome, Told, Write, judge};
use crate::chaos::evidence::{Container, Evidence, Place, Process};
use std::collections::BTreeSet;

struct Run {
    writes: Vec<Write>,
    told: Told,
    seen: Evidence,
}

fn write(kind: Kind, asked: u64, operation: &str) -> Write {
    let outcome = Outcome::Accepted { operation: operation.to_owned() };
    Write { account: 0, app: "shop".to_owned(), kind, asked, outcome }
}

fn operation(wanted: u64, ready: u64) -> Operation {
    Operation { app: "shop".to_owned(), status: "Succeeded".to_owned(), wanted, ready }
}

fn container(pid: u32, instance: &str) -> Container {
    Container {
        process: Process { pid, started_ticks: 1 },
        place: Place {
            instance: instance.to_owned(),
            pod: format!("{instance}-0"),
            container: "web".to_owned(),
        },
        app: "shop".to_owned(),
        namespace: u64::from(pid),
        addresses: BTreeSet::from([format!("10.80.0.{pid}")]),
    }
}

/// Three were asked for, one of them in vain; one was released; one is left.
fn all_well() -> Run {
    let writes = vec![
        write(Kind::Create, 0, "R1"),
        write(Kind::Add, 3, "R2"),
        write(Kind::Del, 1, "R3"),
        Write { outcome: Outcome::Refused, ..write(Kind::Add, 9, "") },
    ];
    let shop = Application {
        instances: BTreeSet::from(["i-1".to_owned()]),
        containers: BTreeSet::from(["web".to_owned()]),
        pods_of_an_instance: 1,
    };
    let account = Account {
        operations: [("R1", operation(0, 0)), ("R2", operation(3, 2)), ("R3", operation(1, 1))]
            .map(|(id, operation)| (id.to_owned(), operation))
            .into(),
        applications: [("shop".to_owned(), shop)].into(),
    };
    let seen = Evidence {
        containers: vec![container(7, "i-1")],
        supervisors: vec![Process { pid: 6, started_ticks: 1 }],
        groups: BTreeSet::from(["i-1".to_owned()]),
        namespaces: BTreeSet::from([7]),
        links: 1,
        elements: BTreeSet::from(["10.80.0.7".to_owned()]),
        ..Evidence::default()
    };
    Run { writes, told: Told { accounts: vec![account, Account::default()] }, seen }
}

#[test]
fn nothing_is_found_where_all_is_well() {
    let run = all_well();

    assert_eq!(judge(&run.writes, &run.told, &run.seen), []);
}

#[test]
fn every_planted_fault_is_found_and_named() {
    type Plant = fn(&mut Run);
    let check = |fault: Fault, subject: &str, plant: Plant| {
        let mut run = all_well();
        plant(&mut run);

        let findings = judge(&run.writes, &run.told, &run.seen);

        let is_found = findings.iter().any(|finding| finding.fault == fault && finding.subject == subject);
        assert!(is_found, "no {fault:?} of {subject}: {findings:?}");
    };
    check(Fault::Lost, "R2", |run| drop(run.told.accounts[0].operations.remove("R2")));
    check(Fault::Lost, "shop", |run| drop(run.told.accounts[0].applications.remove("shop")));
    check(Fault::Lost, "shop", |run| {
        run.told.accounts[0].operations.get_mut("R2").unwrap().ready = 3;
    });
    check(Fault::Lost, "i-1", |run| run.seen.containers.clear());
    check(Fault::Doubled, "i-1", |run| run.seen.containers.push(container(8, "i-1")));
    check(Fault::Doubled, "R9", |run| {
        run.told.accounts[0].operations.insert("R9".to_owned(), operation(3, 3));
    });
    check(Fault::Doubled, "other", |run| {
        run.told.accounts[1].applications.insert("other".to_owned(), Application::default());
    });
    check(Fault::Doubled, "shop", |run| {
        run.told.accounts[0].applications.get_mut("shop").unwrap().instances.insert("i-2".to_owned());
    });
    check(Fault::Leaked, "i-2", |run| run.seen.containers.push(container(8, "i-2")));
    check(Fault::Leaked, "i-2", |run| {
        run.seen.groups.insert("i-2".to_owned());
    });
    check(Fault::Leaked, "shop", |run| run.writes.push(write(Kind::Delete, 0, "R1")));
    check(Fault::Leaked, "the network", |run| {
        run.seen.namespaces.insert(8);
    });
    check(Fault::Leaked, "the network", |run| run.seen.links = 2);
    check(Fault::Leaked, "the network", |run| {
        run.seen.elements.insert("10.80.0.8".to_owned());
    });
    check(Fault::Broken, "i-1", |run| run.seen.elements.clear());
    check(Fault::Broken, "i-1", |run| run.seen.groups.clear());
    check(Fault::Broken, "i-1", |run| run.seen.namespaces.clear());
    check(Fault::Broken, "i-1", |run| run.seen.containers[0].addresses.clear());
    check(Fault::Broken, "the network", |run| run.seen.links = 0);
    check(Fault::Broken, "the supervisors", |run| run.seen.supervisors.clear());
    check(Fault::Leaked, "the mounts", |run| run.seen.mounts.push("/data/merged".to_owned()));
    check(Fault::Leaked, "the supervisors", |run| {
        run.seen.supervisors.push(Process { pid: 9, started_ticks: 1 });
    });
    check(Fault::Leaked, "the control groups", |run| {
        run.seen.strangers.push(Process { pid: 9, started_ticks: 1 });
    });
    check(Fault::Broken, "shop", |run| run.writes[1].outcome = Outcome::Unknown);
    check(Fault::Broken, "R1", |run| run.writes.push(write(Kind::Add, 0, "R1")));
    check(Fault::Broken, "R2", |run| run.writes[1].asked = 2);
    check(Fault::Broken, "R2", |run| {
        run.told.accounts[0].operations.get_mut("R2").unwrap().status = "Running".to_owned();
    });
    check(Fault::Broken, "R2", |run| run.writes[1].app = "mail".to_owned());
}
