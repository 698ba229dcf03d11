//! Requests to the kernel's routing socket, one at a time and blocking, on the thread that owns the pod network.
//! The kernel answers a request before the call that sends it returns, so nothing here ever really waits; the bound
//! on receiving is for answers that never come. A socket belongs to the network namespace it was opened in.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::time::Duration;

use ipnet::Ipv4Net;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::link::{
    InfoBridgePort, InfoData, InfoPortData, InfoPortKind, InfoVeth, LinkAttribute, LinkMessage, State,
};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteScope, RouteType};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::{
    AddressMessageBuilder, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder,
};
use rustix::net::sockopt::{Timeout, set_socket_timeout};

/// The name of a pod's interface inside the pod.
pub(super) const POD_LINK: &str = "eth0";

/// The loopback interface has this index in every network namespace.
const LOOPBACK_INDEX: u32 = 1;

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// More datagrams than a dump of 100,000 routes needs.
const MOST_DATAGRAMS: usize = 100_000;

/// An interface, as far as the pod network looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    /// The bridge it is a port of.
    pub(super) controller: Option<u32>,
    pub(super) state: LinkState,
}

/// Whether an interface carries packets. One that was just raised drops them until the kernel's link watch has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkState {
    Up,
    NotYet,
}

/// One end of the wire between a bridge and a pod.
#[derive(Clone, Copy, Debug)]
pub(super) struct PodWire<'a> {
    pub(super) name: &'a str,
    pub(super) bridge: u32,
    pub(super) namespace: BorrowedFd<'a>,
    /// Of the pod's end.
    pub(super) hardware_address: [u8; 6],
}

pub(super) struct Socket {
    inner: rtnetlink::sys::Socket,
    sequence: u32,
}

impl Socket {
    /// Opens a socket in the network namespace of the calling thread.
    pub(super) fn open() -> io::Result<Self> {
        let mut inner = rtnetlink::sys::Socket::new(NETLINK_ROUTE)?;
        inner.bind_auto()?;
        inner.connect(&rtnetlink::sys::SocketAddr::new(0, 0))?;
        set_socket_timeout(&inner, Timeout::Recv, Some(ANSWER_WITHIN))?;
        Ok(Self { inner, sequence: 0 })
    }

    /// The interface of that name, if there is one.
    pub(super) fn link(&mut self, name: &str) -> io::Result<Option<Link>> {
        let message = LinkMessageBuilder::<LinkUnspec>::new().name(name).build();
        match self.exchange(RouteNetlinkMessage::GetLink(message), 0) {
            Ok(answers) => Ok(answers.into_iter().find_map(link_of)),
            Err(error) if is_no_such_device(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All interfaces of the namespace.
    pub(super) fn links(&mut self) -> io::Result<Vec<Link>> {
        let answers = self.exchange(RouteNetlinkMessage::GetLink(LinkMessage::default()), NLM_F_DUMP)?;
        Ok(answers.into_iter().filter_map(link_of).collect())
    }

    pub(super) fn create_bridge(&mut self, name: &str, hardware_address: [u8; 6]) -> io::Result<()> {
        let message = LinkBridge::new(name).address(hardware_address.to_vec()).build();
        self.change(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Sets what people see beside the name, and raises the interface.
    pub(super) fn raise(&mut self, index: u32, alias: Option<&str>) -> io::Result<()> {
        let mut builder = LinkUnspec::new_with_index(index).up();
        if let Some(alias) = alias {
            builder = builder.alias(alias);
        }
        self.change(RouteNetlinkMessage::SetLink(builder.build()), 0)
    }

    pub(super) fn raise_loopback(&mut self) -> io::Result<()> {
        self.raise(LOOPBACK_INDEX, None)
    }

    /// Makes a veth pair: one end on the bridge, the other born inside the pod's namespace as [`POD_LINK`]. The pod's
    /// end can only be raised afterwards: raised in this message, the kernel answers `ENOTCONN`.
    pub(super) fn create_wire(&mut self, wire: PodWire<'_>) -> io::Result<()> {
        let peer = LinkMessageBuilder::<LinkUnspec>::new()
            .name(POD_LINK)
            .address(wire.hardware_address.to_vec())
            .setns_by_fd(wire.namespace.as_raw_fd())
            .build();
        let message = LinkVeth::new(wire.name, POD_LINK)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
            .controller(wire.bridge)
            .up()
            .build();
        self.change(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Keeps a port of a bridge from every other isolated port, and names its pod beside the name.
    pub(super) fn isolate_port(&mut self, name: &str, alias: &str) -> io::Result<()> {
        let message = LinkUnspec::new_with_name(name)
            .alias(alias)
            .set_port_kind(InfoPortKind::Bridge)
            .set_port_data(InfoPortData::BridgePort(vec![InfoBridgePort::Isolated(true)]))
            .build();
        self.change(RouteNetlinkMessage::NewLink(message), 0)
    }

    /// Deletes an interface, with its peer; one that is not there is no error.
    pub(super) fn delete_link(&mut self, name: &str) -> io::Result<()> {
        let message = LinkMessageBuilder::<LinkUnspec>::new().name(name).build();
        match self.change(RouteNetlinkMessage::DelLink(message), 0) {
            Err(error) if is_no_such_device(&error) => Ok(()),
            other => other,
        }
    }

    /// Deletes several interfaces at once, by giving them a group that nobody else has: for each deletion the kernel
    /// waits until no processor looks at the interface any longer, some 10 ms, however many there are.
    pub(super) fn delete_links(&mut self, names: &[&str], group: u32) -> io::Result<()> {
        for name in names {
            let message = LinkUnspec::new_with_name(name).link_group(group).build();
            match self.change(RouteNetlinkMessage::SetLink(message), 0) {
                Err(error) if !is_no_such_device(&error) => return Err(error),
                _ => {}
            }
        }
        let message = LinkMessageBuilder::<LinkUnspec>::new().link_group(group).build();
        match self.change(RouteNetlinkMessage::DelLink(message), 0) {
            Err(error) if !is_no_such_device(&error) => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) fn set_address(&mut self, index: u32, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        let message = AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(address, prefix).build();
        self.change(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Writes a neighbour entry that never ages: no traffic has to wait for ARP, and the kernel's limit on entries
    /// (1,024 for all namespaces together) does not count it.
    pub(super) fn set_neighbour(
        &mut self,
        index: u32,
        address: Ipv4Addr,
        hardware: [u8; 6],
    ) -> io::Result<()> {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.ifindex = index;
        message.header.state = NeighbourState::Permanent;
        message.attributes = vec![
            NeighbourAttribute::Destination(NeighbourAddress::Inet(address)),
            NeighbourAttribute::LinkLayerAddress(hardware.to_vec()),
        ];
        self.change(RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Removes the neighbour entry; one that is not there is no error.
    pub(super) fn delete_neighbour(&mut self, index: u32, address: Ipv4Addr) -> io::Result<()> {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.ifindex = index;
        message.attributes = vec![NeighbourAttribute::Destination(NeighbourAddress::Inet(address))];
        match self.change(RouteNetlinkMessage::DelNeighbour(message), 0) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) || is_no_such_device(&error) => Ok(()),
            other => other,
        }
    }

    /// Everything goes through the gateway, also to pods on the same bridge: the machine sees all of it.
    pub(super) fn set_routes(&mut self, index: u32, gateway: Ipv4Addr) -> io::Result<()> {
        let to_gateway = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(gateway, 32)
            .output_interface(index)
            .scope(RouteScope::Link)
            .build();
        let default = RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway).output_interface(index).build();
        for route in [to_gateway, default] {
            self.change(RouteNetlinkMessage::NewRoute(route), NLM_F_CREATE | NLM_F_REPLACE)?;
        }
        Ok(())
    }

    /// Every IPv4 network that the namespace routes somewhere, with the interface it leads out of, if any.
    pub(super) fn routes(&mut self) -> io::Result<Vec<(Ipv4Net, Option<u32>)>> {
        let question = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let answers = self.exchange(RouteNetlinkMessage::GetRoute(question), NLM_F_DUMP)?;
        Ok(answers.into_iter().filter_map(route_of).collect())
    }

    fn change(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.exchange(message, NLM_F_ACK | flags).map(drop)
    }

    /// Sends one request and gathers the answers to it, until its end is told.
    fn exchange(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::from(message));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.inner.send(&bytes, 0)?;

        let mut answers = Vec::new();
        for _ in 0..MOST_DATAGRAMS {
            let (datagram, _) = self.inner.recv_from_full()?;
            if self.read_datagram(&datagram, flags, &mut answers)? == Answer::Complete {
                return Ok(answers);
            }
        }
        Err(io::Error::other("the kernel's answer has no end"))
    }

    fn read_datagram(
        &self,
        datagram: &[u8],
        flags: u16,
        answers: &mut Vec<RouteNetlinkMessage>,
    ) -> io::Result<Answer> {
        let mut rest = datagram;
        while rest.len() >= HEADER_BYTES {
            let length = message_length(rest)?;
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&rest[..length])
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            rest = &rest[length.next_multiple_of(4).min(rest.len())..];
            if message.header.sequence_number != self.sequence {
                // The late answer to a request that was given up on.
                continue;
            }
            match message.payload {
                NetlinkPayload::Error(error) => {
                    return match error.code {
                        None => Ok(Answer::Complete),
                        Some(code) => Err(io::Error::from_raw_os_error(code.get().abs())),
                    };
                }
                NetlinkPayload::Done(_) => return Ok(Answer::Complete),
                NetlinkPayload::InnerMessage(inner) => {
                    answers.push(inner);
                    if flags & (NLM_F_DUMP | NLM_F_ACK) == 0 {
                        return Ok(Answer::Complete);
                    }
                }
                _ => {}
            }
        }
        Ok(Answer::Unfinished)
    }
}

const HEADER_BYTES: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Complete,
    Unfinished,
}

/// The length that the first message of the bytes claims, which must be a possible one.
fn message_length(bytes: &[u8]) -> io::Result<usize> {
    let claimed: [u8; 4] = bytes[..4].try_into().expect("a header is longer than its first field");
    usize::try_from(u32::from_ne_bytes(claimed))
        .ok()
        .filter(|length| (HEADER_BYTES..=bytes.len()).contains(length))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a message of impossible length"))
}

fn is_no_such_device(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENODEV)
}

fn link_of(message: RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(message) = message else { return None };
    let mut link =
        Link { index: message.header.index, name: String::new(), controller: None, state: LinkState::NotYet };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Controller(index) => link.controller = Some(index),
            LinkAttribute::OperState(State::Up) => link.state = LinkState::Up,
            _ => {}
        }
    }
    Some(link)
}

fn route_of(message: RouteNetlinkMessage) -> Option<(Ipv4Net, Option<u32>)> {
    let RouteNetlinkMessage::NewRoute(RouteMessage { header, attributes, .. }) = message else { return None };
    if matches!(header.kind, RouteType::Broadcast | RouteType::Multicast | RouteType::Anycast) {
        return None;
    }
    let mut destination = Ipv4Addr::UNSPECIFIED;
    let mut interface = None;
    for attribute in attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => destination = address,
            RouteAttribute::Oif(index) => interface = Some(index),
            _ => {}
        }
    }
    Ipv4Net::new(destination, header.destination_prefix_length).ok().map(|network| (network, interface))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_claim_more_than_was_received_nor_less_than_its_header() {
        let check = |claimed: u32, expected: Option<usize>| {
            let mut bytes = claimed.to_ne_bytes().to_vec();
            bytes.resize(32, 0);
            assert_eq!(message_length(&bytes).ok(), expected, "claimed {claimed}");
        };

        check(16, Some(16));
        check(32, Some(32));
        check(15, None);
        check(0, None);
        check(33, None);
        check(u32::MAX, None);
    }
}
