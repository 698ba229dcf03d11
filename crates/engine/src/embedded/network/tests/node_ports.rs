//! The address of an instance: which of its ports lead where, for whom, and for how long.

use super::super::machine::{PATIENCE, app, on_a_machine, pod, wait, within};
use super::super::{Exposed, Network, PodNetwork};
use super::{attach, serve_in};
use ensemble_model::port::{PortRange, Protocol};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Instant;

const PUBLISHED: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fn mapping(protocol: Protocol, node: u16, container: u16) -> PortRange {
    PortRange { protocol, node, container, count: 2 }
}

fn attach_exposed(network: &Network, index: u32, publish: Option<Ipv4Addr>) -> PodNetwork {
    let ports = vec![mapping(Protocol::Tcp, 31_000, 8_080), mapping(Protocol::Udp, 31_000, 5_353)];
    let exposed = Exposed { publish, ports }.of_pod(index);
    wait(network.attach(&pod(index), &app("shop"), Some(&exposed))).unwrap()
}

/// What a call of that port says: from the machine, or from within a namespace.
fn call(from: Option<&Path>, address: Ipv4Addr, port: u16) -> Result<(), ErrorKind> {
    let call = || TcpStream::connect_timeout(&SocketAddrV4::new(address, port).into(), PATIENCE);
    let called = match from {
        Some(namespace) => within(namespace, call),
        None => call(),
    };
    called.map(drop).map_err(|error| error.kind())
}

/// Sends a datagram to that port and says whether it came to `server`, and the answer back.
fn talk(from: Option<&Path>, address: Ipv4Addr, port: u16, server: &UdpSocket) -> bool {
    let open = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = socket.send_to(b"hello", (address, port));
        socket
    };
    let socket = match from {
        Some(namespace) => within(namespace, open),
        None => open(),
    };
    let mut heard = [0; 8];
    let Ok((5, caller)) = server.recv_from(&mut heard) else { return false };
    server.send_to(b"well", caller).unwrap();
    matches!(socket.recv_from(&mut heard), Ok((4, said)) if said == SocketAddrV4::new(address, port).into())
}

fn udp_in(attached: &PodNetwork, port: u16) -> UdpSocket {
    within(&attached.netns, || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    })
}

#[test]
fn the_ports_of_an_instance_lead_to_its_pods_by_tcp_and_by_udp() {
    on_a_machine("the_ports_of_an_instance_lead_to_its_pods_by_tcp_and_by_udp", |machine| {
        let network = machine.open("one");
        let (first, second) = (attach_exposed(&network, 0, None), attach_exposed(&network, 1, None));
        let address = first.exposed_at.unwrap();
        let _listeners = [serve_in(&first, 8_081), serve_in(&second, 8_080)];
        let (of_first, of_second) = (udp_in(&first, 5_354), udp_in(&second, 5_353));

        assert_eq!(second.exposed_at, Some(address), "an instance has one");
        assert!(![first.address, second.address].contains(&address));
        assert_eq!(call(None, address, 31_001), Ok(()), "the second port of the first pod");
        assert_eq!(call(None, address, 31_002), Ok(()), "the first port of the second pod");
        assert!(talk(None, address, 31_001, &of_first));
        assert!(talk(None, address, 31_002, &of_second));
        assert_eq!(call(None, address, 31_000), Err(ErrorKind::ConnectionRefused), "nobody listens there");
        let asked = Instant::now();
        assert_eq!(call(None, address, 30_999), Err(ErrorKind::ConnectionRefused), "it leads nowhere");
        assert!(asked.elapsed() < PATIENCE, "and that is said at once");
    });
}

#[test]
fn pods_and_other_machines_do_not_reach_the_address_of_an_instance() {
    on_a_machine("pods_and_other_machines_do_not_reach_the_address_of_an_instance", |machine| {
        let outside = machine.outside();
        let network = machine.open("one");
        let exposed = attach_exposed(&network, 0, None);
        let other = attach(&network, 7, "mail");
        let _listener = serve_in(&exposed, 8_080);

        assert_eq!(call(None, exposed.exposed_at.unwrap(), 31_000), Ok(()));
        assert!(call(Some(&other.netns), exposed.exposed_at.unwrap(), 31_000).is_err());
        let sibling = attach(&network, 8, "shop");
        assert!(call(Some(&sibling.netns), exposed.exposed_at.unwrap(), 31_000).is_err(), "it calls the pod");
        assert_eq!(call(Some(&sibling.netns), exposed.address, 8_080), Ok(()));
        assert!(call(Some(&outside), PUBLISHED, 31_000).is_err(), "nothing is published");
    });
}

#[test]
fn what_is_published_is_reached_from_other_machines_under_the_address_of_this_one() {
    on_a_machine("what_is_published_is_reached_from_other_machines", |machine| {
        let outside = machine.outside();
        let network = machine.open("one");
        let exposed = attach_exposed(&network, 0, Some(PUBLISHED));
        let other = attach(&network, 7, "mail");
        let listener = serve_in(&exposed, 8_080);
        let datagrams = udp_in(&exposed, 5_353);

        assert_eq!(call(Some(&outside), PUBLISHED, 31_000), Ok(()));
        assert_eq!(call(None, PUBLISHED, 31_000), Ok(()), "from the machine itself");
        assert!(talk(Some(&outside), PUBLISHED, 31_000, &datagrams));
        assert!(talk(None, PUBLISHED, 31_000, &datagrams));
        assert!(call(Some(&other.netns), PUBLISHED, 31_000).is_err(), "from another application");

        drop(listener);
        wait(network.detach(&pod(0))).unwrap();
        assert_eq!(call(None, PUBLISHED, 31_000), Err(ErrorKind::ConnectionRefused), "it is free again");
        let _of_the_machine = std::net::TcpListener::bind((PUBLISHED, 31_000)).unwrap();
        assert_eq!(call(Some(&outside), PUBLISHED, 31_000), Ok(()), "for whoever has it next");
    });
}

#[test]
fn node_ports_stay_when_the_network_is_opened_anew() {
    on_a_machine("node_ports_stay_when_the_network_is_opened_anew", |machine| {
        let network = machine.open("one");
        let before = attach_exposed(&network, 0, None);
        let _listener = serve_in(&before, 8_080);
        drop(network);

        let network = machine.open("one");

        assert_eq!(call(None, before.exposed_at.unwrap(), 31_000), Ok(()));
        let found = wait(network.found()).unwrap();
        assert_eq!(found.iter().map(|pod| pod.exposed_at).collect::<Vec<_>>(), [before.exposed_at]);
        wait(network.close_all()).unwrap();
        assert!(call(None, before.exposed_at.unwrap(), 31_000).is_err());
    });
}
