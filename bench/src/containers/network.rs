//! One address for each container of a runtime loop: a network namespace, a wire from there to a bridge, made over
//! rtnetlink from one place so that the loops compared do not differ in it. Each loop has a /16 of its own.

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CloneFlags, unshare};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{InfoData, InfoVeth};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::{
    AddressMessageBuilder, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder,
};
use rustix::mount::mount_bind;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

const PREFIX: u8 = 16;

pub(super) struct Network {
    bridge: String,
    bridge_index: u32,
    /// The second number of its addresses, `10.x.0.0/16`.
    subnet: u8,
    /// In our own namespace. The kernel takes one request at a time anyway.
    socket: Mutex<Socket>,
}

impl Network {
    /// Makes the bridge, in place of one that an earlier run may have left.
    pub(super) fn make(bridge: &str, subnet: u8) -> Result<Self> {
        let mut socket = Socket::open()?;
        // One that is not there is as good.
        let _ = socket.change(RouteNetlinkMessage::DelLink(named(bridge)), 0);
        socket.change(
            RouteNetlinkMessage::NewLink(LinkBridge::new(bridge).up().build()),
            NLM_F_CREATE | NLM_F_EXCL,
        )?;
        let bridge_index = index_of(bridge)?;
        let address = AddressMessageBuilder::<Ipv4Addr>::new()
            .index(bridge_index)
            .address(gateway(subnet), PREFIX)
            .build();
        socket.change(RouteNetlinkMessage::NewAddress(address), NLM_F_CREATE)?;
        Ok(Self { bridge: bridge.to_owned(), bridge_index, subnet, socket: Mutex::new(socket) })
    }

    pub(super) fn remove(self) -> Result<()> {
        let mut socket = self.socket.into_inner().unwrap_or_else(PoisonError::into_inner);
        socket.change(RouteNetlinkMessage::DelLink(named(&self.bridge)), 0)
    }

    /// Makes a namespace, leaves it mounted at `path`, and gives it an address.
    pub(super) fn connect(&self, index: usize, path: &Path) -> Result<Ipv4Addr> {
        let number = u16::try_from(index + 2)?.to_be_bytes();
        let address = Ipv4Addr::new(10, self.subnet, number[0], number[1]);
        File::create(path)?;
        // The thread ends in the namespace it made.
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| -> Result<()> {
                unshare(CloneFlags::CLONE_NEWNET)?;
                mount_bind("/proc/thread-self/ns/net", path)?;
                let namespace = File::open(path)?;
                self.create_wire(index, &namespace)?;
                let mut socket = Socket::open()?;
                for index in [1, index_inside(&mut socket)?] {
                    let up = LinkUnspec::new_with_index(index).up().build();
                    socket.change(RouteNetlinkMessage::SetLink(up), 0)?;
                }
                let link = index_inside(&mut socket)?;
                let message =
                    AddressMessageBuilder::<Ipv4Addr>::new().index(link).address(address, PREFIX).build();
                socket.change(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE)?;
                let route = RouteMessageBuilder::<Ipv4Addr>::new()
                    .gateway(gateway(self.subnet))
                    .output_interface(link)
                    .build();
                socket.change(RouteNetlinkMessage::NewRoute(route), NLM_F_CREATE)
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        Ok(address)
    }

    fn create_wire(&self, index: usize, namespace: &File) -> Result<()> {
        // At most 15 characters.
        let outside = format!("ensb{}-{index}", self.subnet);
        let peer =
            LinkMessageBuilder::<LinkUnspec>::new().name("eth0").setns_by_fd(namespace.as_raw_fd()).build();
        let message = LinkVeth::new(&outside, "eth0")
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
            .controller(self.bridge_index)
            .up()
            .build();
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        socket.change(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
    }
}

fn gateway(subnet: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, subnet, 0, 1)
}

fn named(name: &str) -> rtnetlink::packet_route::link::LinkMessage {
    LinkMessageBuilder::<LinkUnspec>::new().name(name).build()
}

fn index_of(interface: &str) -> Result<u32> {
    let path = format!("/sys/class/net/{interface}/ifindex");
    Ok(fs::read_to_string(&path).with_context(|| path.clone())?.trim().parse()?)
}

/// Of `eth0` in the namespace of the socket; /sys shows another one's.
fn index_inside(socket: &mut Socket) -> Result<u32> {
    match socket.exchange(RouteNetlinkMessage::GetLink(named("eth0")), 0)? {
        Some(RouteNetlinkMessage::NewLink(link)) => Ok(link.header.index),
        _ => bail!("no eth0"),
    }
}

struct Socket(rtnetlink::sys::Socket);

impl Socket {
    /// In the network namespace of the calling thread.
    fn open() -> Result<Self> {
        let mut socket = rtnetlink::sys::Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&rtnetlink::sys::SocketAddr::new(0, 0))?;
        Ok(Self(socket))
    }

    fn change(&mut self, message: RouteNetlinkMessage, flags: u16) -> Result<()> {
        self.exchange(message, NLM_F_ACK | flags).map(drop)
    }

    /// One request; its one answer, or nothing where the kernel only says done.
    fn exchange(&mut self, message: RouteNetlinkMessage, flags: u16) -> Result<Option<RouteNetlinkMessage>> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = 1;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::from(message));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.0.send(&bytes, 0)?;
        let (answer, _) = self.0.recv_from_full()?;
        let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer)?;
        ensure!(answer.header.sequence_number == 1, "an answer to another question");
        match answer.payload {
            NetlinkPayload::Error(error) => match error.code {
                None => Ok(None),
                Some(code) => Err(std::io::Error::from_raw_os_error(code.get().abs()).into()),
            },
            NetlinkPayload::InnerMessage(inner) => Ok(Some(inner)),
            _ => bail!("an answer of an unknown kind"),
        }
    }
}
