//! For tests: a machine of one's own. A thread in a network and a mount namespace that nobody else has, so that tests
//! run in parallel and leave nothing behind whatever happens: all of it ends with the test's threads.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use ensemble_model::id::{AppId, InstanceId};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

use super::{Network, NetworkConfig};
use ensemble_supervision::pod::PodKey;

/// Long enough for a handshake on a loaded machine; what is dropped has to be waited for in full.
pub(super) const PATIENCE: Duration = Duration::from_millis(700);

/// Runs a test on a machine of its own, or says why not.
pub(super) fn on_a_machine(test: &str, body: impl FnOnce(&Machine) + Send) {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED {test}: needs root");
        return;
    }
    let outcome = thread::scope(|scope| {
        scope
            .spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
                let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
                mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
                ip("link set lo up");
                body(&Machine { directory: tempfile::tempdir().unwrap() });
            })
            .join()
    });
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

pub(super) struct Machine {
    directory: tempfile::TempDir,
}

impl Machine {
    /// The configuration of one server, by the name of its data directory.
    pub(super) fn config(&self, server: &str) -> NetworkConfig {
        let root = self.directory.path().join(server);
        std::fs::create_dir_all(root.join("state")).unwrap();
        NetworkConfig {
            state_dir: root.join("state"),
            run_dir: root.join("run"),
            data_dir_identity: format!("/srv/{server}"),
            pod_network: "10.80.0.0/16".parse().unwrap(),
            control_port: Some(8420),
        }
    }

    pub(super) fn open(&self, server: &str) -> Network {
        wait(Network::open(self.config(server))).unwrap()
    }

    /// Another machine on a wire to this one, which is our way to everything else: 192.0.2.1 here, 192.0.2.2 there.
    pub(super) fn outside(&self) -> PathBuf {
        let namespace = self.directory.path().join("outside");
        File::create(&namespace).unwrap();
        let path = namespace.clone();
        thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let none = None::<&str>;
            mount(Some("/proc/thread-self/ns/net"), &path, none, MsFlags::MS_BIND, none).unwrap();
        })
        .join()
        .unwrap();
        ip("link add uplink type veth peer name far");
        let file = File::open(&namespace).unwrap();
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(&file);
        ip(&format!("link set far netns /proc/{}/fd/{descriptor}", std::process::id()));
        ip("address add 192.0.2.1/24 dev uplink");
        ip("link set uplink up");
        ip("route add default via 192.0.2.2");
        within(&namespace, || {
            ip("address add 192.0.2.2/24 dev far");
            ip("link set far up");
        });
        namespace
    }
}

/// Runs a future to its end on the calling thread, so that what it spawns is in the thread's namespaces.
pub(super) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Runs `ip` with those arguments and returns what it says.
pub(super) fn ip(arguments: &str) -> String {
    run("ip", arguments)
}

pub(super) fn run(program: &str, arguments: &str) -> String {
    let output = Command::new(program).args(arguments.split(' ')).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}: {complaint}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Does something inside a network namespace.
pub(super) fn within<T: Send>(namespace: &Path, body: impl FnOnce() -> T + Send) -> T {
    let file = File::open(namespace).unwrap();
    thread::scope(|scope| {
        scope
            .spawn(move || {
                setns(&file, CloneFlags::CLONE_NEWNET).unwrap();
                body()
            })
            .join()
            .unwrap()
    })
}

/// A server on a port of everything in the calling thread's namespace; a socket stays in the namespace it is made in.
pub(super) struct Greeter {
    listener: TcpListener,
}

impl Greeter {
    pub(super) fn listen(port: u16) -> Self {
        Self { listener: TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap() }
    }

    /// Whether something that calls `address` from `namespace` (or from here) reaches this server, and under which
    /// address it is seen.
    pub(super) fn is_reached(&self, from: Option<&Path>, address: Ipv4Addr) -> Option<Ipv4Addr> {
        let port = self.listener.local_addr().unwrap().port();
        let call = move || {
            let target = SocketAddrV4::new(address, port).into();
            TcpStream::connect_timeout(&target, PATIENCE).ok()
        };
        let mut caller = match from {
            Some(namespace) => within(namespace, call),
            None => call(),
        }?;
        let (mut served, peer) = self.listener.accept().unwrap();
        served.write_all(b"hello").unwrap();
        let mut heard = [0; 5];
        caller.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"hello");
        match peer.ip() {
            std::net::IpAddr::V4(seen) => Some(seen),
            std::net::IpAddr::V6(_) => None,
        }
    }
}

pub(super) fn pod(index: u32) -> PodKey {
    PodKey::new(InstanceId::new("i-5t7z6bs1hzr2xgtjmqz0vhcq1"), "web", index)
}

pub(super) fn app(name: &str) -> AppId {
    AppId::new(name)
}
