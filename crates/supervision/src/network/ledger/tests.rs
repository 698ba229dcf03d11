//! In which order the ledger writes and makes, over wires that only note what was asked of them.

use super::{Attach, Ledger};
use crate::kernel::scratch::Scratch;
use crate::network::address::Subnet;
use crate::network::names::Names;
use crate::network::record::Reservation;
use crate::network::{Error, Forward, Presence, Ruled, Sight, Wires};
use crate::pod::PodKey;
use ensemble_model::id::{AppId, InstanceId};
use ensemble_model::port::{Exposed, PortRange, Protocol};
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

const SAVED: [&str; 3] =
    ["write and sync /n/network.json.new", "rename /n/network.json.new to /n/network.json", "sync /n"];

/// Wires that share the list of deeds with the kernel.
struct Noted<'a> {
    kernel: &'a Scratch,
    sight: Sight,
    /// What every rule is refused with.
    refusal: Option<Error>,
}

impl<'a> Noted<'a> {
    fn on(kernel: &'a Scratch) -> Self {
        Self { kernel, sight: Sight::default(), refusal: None }
    }
}

impl Wires for Noted<'_> {
    fn routed_elsewhere(&mut self) -> Result<Vec<Ipv4Net>, Error> {
        Ok(Vec::new())
    }

    fn look(&mut self) -> Result<Sight, Error> {
        Ok(self.sight.clone())
    }

    fn namespace_path(&self, namespace: &str) -> PathBuf {
        Path::new("/run").join(namespace)
    }

    fn make_bridge(&mut self, _: Subnet) -> Result<(), Error> {
        Ok(())
    }

    fn remove_bridges(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn make(&mut self, _: &PodKey, held: &Reservation, _: Subnet) -> Result<(), Error> {
        self.kernel.note(format!("make {}", held.address));
        self.sight.links.insert(held.link.clone());
        self.sight.namespaces.insert(held.namespace.clone(), Presence::There);
        Ok(())
    }

    fn unmake(&mut self, pods: &[(Reservation, Option<Subnet>)]) -> Vec<Result<(), Error>> {
        for (held, _) in pods {
            self.kernel.note(format!("unmake {}", held.address));
            self.sight.links.remove(&held.link);
            self.sight.namespaces.remove(&held.namespace);
        }
        pods.iter().map(|_| Ok(())).collect()
    }

    fn remove_link(&mut self, link: &str) -> Result<(), Error> {
        self.kernel.note(format!("remove link {link}"));
        Ok(())
    }

    fn remove_namespace(&mut self, namespace: &str) -> Result<(), Error> {
        self.kernel.note(format!("remove namespace {namespace}"));
        Ok(())
    }

    fn rule(&mut self, _: Ipv4Net, ruled: &Ruled) -> Result<(), Error> {
        let named: Vec<String> = ruled.pods.values().flatten().map(ToString::to_string).collect();
        self.kernel.note(format!("rule [{}]", named.join(", ")));
        for Forward { at, ports, to } in &ruled.forwards {
            let PortRange { protocol, node, container, count } = ports;
            self.kernel.note(format!("{count} {protocol} from {at}:{node} to {to}:{container}"));
        }
        self.refusal.clone().map_or(Ok(()), Err)
    }

    fn has_rules(&mut self) -> bool {
        true
    }

    fn close(&mut self) -> Result<(), Error> {
        self.kernel.note("close".to_owned());
        Ok(())
    }
}

fn open<'a>(kernel: &'a Scratch, wires: Noted<'a>) -> Ledger<Noted<'a>> {
    let ledger = Ledger::open(kernel, wires, Names::new("/srv"), Path::new("/n"), network()).unwrap();
    kernel.forget_deeds();
    ledger
}

/// One slice, of five pods.
fn network() -> Ipv4Net {
    "10.80.0.0/29".parse().unwrap()
}

fn pod(index: u32) -> PodKey {
    PodKey::new(InstanceId::new("i-a"), "web", index)
}

fn attach(index: u32) -> Attach {
    Attach { pod: pod(index), app: AppId::new("app"), exposed: None }
}

fn in_order(parts: &[&[&str]]) -> Vec<String> {
    parts.concat().into_iter().map(str::to_owned).collect()
}

#[test]
fn an_address_is_written_down_before_it_is_made_and_forgotten_after_it_is_gone() {
    let kernel = Scratch::default();
    let mut ledger = open(&kernel, Noted::on(&kernel));

    let made = ledger.change(&kernel, &[attach(0)], &[]);
    let made = made.attached[0].clone().unwrap();
    let making = kernel.forget_deeds();
    ledger.change(&kernel, &[], &[pod(0)]).detached[0].clone().unwrap();

    assert_eq!(made.address, Ipv4Addr::new(10, 80, 0, 2));
    assert_eq!(making, in_order(&[&SAVED, &["make 10.80.0.2", "rule [10.80.0.2]"]]));
    assert_eq!(kernel.deeds(), in_order(&[&["unmake 10.80.0.2", "rule []"], &SAVED]));
}

#[test]
fn an_address_that_rules_still_name_is_neither_forgotten_nor_given_again() {
    let kernel = Scratch::default();
    let mut ledger = open(&kernel, Noted::on(&kernel));
    ledger.change(&kernel, &[attach(0)], &[]).attached[0].clone().unwrap();
    ledger.wires.refusal = Some(Error::NftMissing);

    let refused = ledger.change(&kernel, &[], &[pod(0)]);
    ledger.wires.refusal = None;
    let others: Vec<_> = (1..=5).map(attach).collect();
    let attached = ledger.change(&kernel, &others, &[]).attached;

    assert!(matches!(refused.detached[..], [Err(Error::NftMissing)]));
    let addresses: Vec<_> = attached.iter().flatten().map(|network| network.address.octets()[3]).collect();
    assert_eq!(addresses, [3, 4, 5, 6], "the fifth finds no place");
    assert!(matches!(attached[4], Err(Error::Full { .. })));
}

#[test]
fn a_reservation_that_cannot_be_written_makes_nothing_and_takes_no_place() {
    let kernel = Scratch::default();
    let mut ledger = open(&kernel, Noted::on(&kernel));
    kernel.is_full.set(true);

    let refused = ledger.change(&kernel, &[attach(0)], &[]);
    kernel.is_full.set(false);
    let all: Vec<_> = (1..=5).map(attach).collect();
    let attached = ledger.change(&kernel, &all, &[]).attached;

    assert!(matches!(refused.attached[..], [Err(Error::File { .. })]));
    assert!(attached.iter().all(Result::is_ok), "{attached:?}");
}

#[test]
fn who_opens_again_finds_every_pod_at_its_address_and_removes_what_no_record_names() {
    let kernel = Scratch::default();
    let mut first = open(&kernel, Noted::on(&kernel));
    first.change(&kernel, &[attach(0)], &[]).attached[0].clone().unwrap();
    let mut wires = first.wires;
    wires.sight.bridges = 1;
    wires.sight.ports = wires.sight.links.iter().cloned().chain(["ev-stray".to_owned()]).collect();
    wires.sight.namespaces.insert("stray".to_owned(), Presence::Missing);
    kernel.forget_deeds();

    let mut second = Ledger::open(&kernel, wires, Names::new("/srv"), Path::new("/n"), network()).unwrap();

    assert_eq!(kernel.deeds(), ["remove link ev-stray", "remove namespace stray", "rule [10.80.0.2]"]);
    let found = second.found().unwrap();
    let told: Vec<_> = found.iter().map(|one| (one.address, one.namespace, one.interface)).collect();
    assert_eq!(told, [(Ipv4Addr::new(10, 80, 0, 2), Presence::There, Presence::There)]);
}

/// A pod of a workload with one TCP port for each pod, published as well.
fn attach_exposed(index: u32) -> Attach {
    let ports = vec![PortRange { protocol: Protocol::Tcp, node: 31_000, container: 80, count: 1 }];
    let exposed = Exposed { publish: Some("192.0.2.1".parse().unwrap()), ports }.of_pod(index);
    Attach { exposed: Some(exposed), ..attach(index) }
}

#[test]
fn an_instance_has_one_address_for_the_ports_of_its_pods_until_the_last_of_them_is_gone() {
    let kernel = Scratch::default();
    let mut ledger = open(&kernel, Noted::on(&kernel));

    let attached = ledger.change(&kernel, &[attach_exposed(0), attach_exposed(1)], &[]).attached;

    let exposed_at: Vec<_> = attached.into_iter().map(|attached| attached.unwrap().exposed_at).collect();
    assert_eq!(exposed_at, [Some("10.80.0.2".parse().unwrap()); 2]);
    let made = ["make 10.80.0.3", "make 10.80.0.4", "rule [10.80.0.3, 10.80.0.4]"];
    let forwards = [
        "1 TCP from 10.80.0.2:31000 to 10.80.0.3:80",
        "1 TCP from 192.0.2.1:31000 to 10.80.0.3:80",
        "1 TCP from 10.80.0.2:31001 to 10.80.0.4:80",
        "1 TCP from 192.0.2.1:31001 to 10.80.0.4:80",
    ];
    assert_eq!(kernel.deeds(), in_order(&[&SAVED, &made, &forwards]));

    kernel.forget_deeds();
    ledger.change(&kernel, &[], &[pod(0)]).detached.pop().unwrap().unwrap();
    let gone = ["unmake 10.80.0.3", "rule [10.80.0.4]"];
    assert_eq!(kernel.deeds(), in_order(&[&gone, &forwards[2..], &SAVED]));
    assert!(ledger.record.addresses().contains(&"10.80.0.2".parse().unwrap()));

    ledger.change(&kernel, &[], &[pod(1)]).detached.pop().unwrap().unwrap();
    assert!(ledger.record.addresses().is_empty());
    let everybody: Vec<Attach> = (2..7).map(attach).collect();
    let attached = ledger.change(&kernel, &everybody, &[]).attached;
    assert!(attached.iter().all(Result::is_ok), "all five addresses are free again: {attached:?}");
}

#[test]
fn node_ports_are_ruled_again_by_whoever_opens_the_record_next() {
    let kernel = Scratch::default();
    let mut ledger = open(&kernel, Noted::on(&kernel));
    ledger.change(&kernel, &[attach_exposed(0)], &[]);
    let sight = ledger.wires.sight.clone();
    drop(ledger);
    kernel.forget_deeds();

    let next = Noted { sight, ..Noted::on(&kernel) };
    let ledger = Ledger::open(&kernel, next, Names::new("/srv"), Path::new("/n"), network()).unwrap();

    assert!(
        kernel.deeds().contains(&"1 TCP from 192.0.2.1:31000 to 10.80.0.3:80".to_owned()),
        "{:?}",
        kernel.deeds()
    );
    assert_eq!(ledger.record.address_of(&pod(0).instance), Some("10.80.0.2".parse().unwrap()));
}
