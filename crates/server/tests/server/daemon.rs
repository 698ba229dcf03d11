//! The server as a daemon: probes, metrics, the service manager's protocol and its watchdog, reloads, kept connections.

use crate::harness::{Server, options};
use ensemble_model::wanted::Epoch;
use ensemble_server::configuration::{File, Sources};
use ensemble_server::store::{self, LogStore, Record};
use ensemble_server::{Options, Settings, Supervision};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tokio::net::UnixDatagram;
use tokio::sync::Semaphore;
use tokio::time;

/// Longer than anything here takes.
const AT_MOST: Duration = Duration::from_secs(30);

fn get(path: &str) -> Vec<u8> {
    request("GET", path)
}

fn request(method: &str, path: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").into_bytes()
}

/// The value of one series; 0 while it is not there.
async fn metric(server: &Server, series: &str) -> f64 {
    let answer = server.raw(&get("/metrics")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let of_series = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
    answer.text.lines().find_map(of_series).unwrap_or(0.0)
}

/// Waits until a series has reached a value.
async fn metric_reaches(server: &Server, series: &str, value: f64) {
    let reached = async {
        while metric(server, series).await < value {
            tokio::task::yield_now().await;
        }
    };
    time::timeout(AT_MOST, reached).await.unwrap_or_else(|_| panic!("{series} never reached {value}"));
}

/// A store whose appends hold up the thread that makes them, while the door is shut.
struct Blocking<S> {
    inner: S,
    door: Arc<Door>,
}

struct Door {
    is_open: Mutex<bool>,
    opened: Condvar,
    /// A permit for each append that found the door shut.
    blocked: Semaphore,
}

impl Door {
    fn open_one() -> Arc<Self> {
        Arc::new(Self { is_open: Mutex::new(true), opened: Condvar::new(), blocked: Semaphore::new(0) })
    }

    fn set(&self, is_open: bool) {
        *self.is_open.lock().unwrap() = is_open;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let is_open = self.is_open.lock().unwrap();
        if !*is_open {
            self.blocked.add_permits(1);
        }
        drop(self.opened.wait_while(is_open, |is_open| !*is_open).unwrap());
    }
}

/// Opens a door when the test ends, however it ends: a thread behind it would keep the runtime from ending.
struct AtLastOpen(Arc<Door>);

impl Drop for AtLastOpen {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

impl<S: LogStore> LogStore for Blocking<S> {
    #[expect(clippy::disallowed_methods, reason = "to stall a worker of the runtime is what this is for")]
    async fn append(&self, epoch: Epoch, sequence: u64, record: &[u8]) -> Result<(), store::Error> {
        // The thread is held up, and the runtime finds another one for everything else.
        tokio::task::block_in_place(|| self.door.pass());
        self.inner.append(epoch, sequence, record).await
    }

    async fn read_from(&self, sequence: u64, at_most: u32) -> Result<Vec<Record>, store::Error> {
        self.inner.read_from(sequence, at_most).await
    }

    async fn put_snapshot(&self, epoch: Epoch, sequence: u64, bytes: &[u8]) -> Result<(), store::Error> {
        self.inner.put_snapshot(epoch, sequence, bytes).await
    }

    async fn get_snapshot(&self) -> Result<Option<Record>, store::Error> {
        self.inner.get_snapshot().await
    }

    async fn fence(&self) -> Result<Epoch, store::Error> {
        self.inner.fence().await
    }
}

/// The service manager's end of the protocol.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn in_directory(dir: &Path) -> Self {
        let path = dir.join("notify");
        Self { socket: UnixDatagram::bind(&path).unwrap(), path }
    }

    async fn next(&self) -> String {
        let mut buffer = vec![0; 4_096];
        let received = time::timeout(AT_MOST, self.socket.recv(&mut buffer)).await;
        let length = received.expect("the server says something").unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    /// The next message that holds this.
    async fn until(&self, text: &str) -> String {
        loop {
            let message = self.next().await;
            if message.contains(text) {
                return message;
            }
        }
    }

    /// Whether nothing comes for so long.
    async fn is_silent_for(&self, duration: Duration) -> bool {
        time::timeout(duration, self.next()).await.is_err()
    }
}

#[tokio::test]
async fn probes_and_metrics_are_answered_without_a_signature_to_get_and_head_alone() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;

    for path in ["/livez", "/readyz"] {
        let answer = server.raw(&get(path)).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "ok\n"), "{path}");
    }
    let metrics = server.raw(&get("/metrics")).await;
    assert!(metrics.text.ends_with("# EOF\n"), "{}", metrics.text);
    assert_eq!(metrics.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    for path in ["/livez", "/readyz", "/metrics"] {
        let head = server.raw(&request("HEAD", path)).await;
        assert_eq!((head.status, head.text.as_str()), (200, ""), "{path}");
        let post = server.raw(&request("POST", path)).await;
        assert_eq!((post.status, post.header("allow")), (405, "GET, HEAD"), "{path}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn metrics_move_with_what_the_server_does() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let app = server.create("hello").await;
    let selector = r#"[{"regionCode":"cn-shanghai-cmcc","count":2}]"#;
    let parameters = [("AppId", app.as_str()), ("RescaleType", "Add"), ("ResourceSelector", selector)];
    let accepted = server.call("RescaleApplication", &parameters).send().await.member("RequestId");
    server.finished(&accepted).await;

    for (series, expected) in [
        ("ensemble_requests_total{action=\"RescaleApplication\",code_class=\"2xx\"}", 1.0),
        ("ensemble_request_duration_seconds_count{action=\"RescaleApplication\"}", 1.0),
        ("ensemble_operations_ended_total{kind=\"add\",outcome=\"succeeded\"}", 1.0),
        ("ensemble_operations_running{kind=\"add\"}", 0.0),
        ("ensemble_instances{state=\"running\"}", 2.0),
        ("ensemble_applications", 1.0),
        ("ensemble_edge_nodes{state=\"reachable\"}", 70.0),
        ("ensemble_pod_starts_total", 2.0),
        ("ensemble_connections", 1.0),
    ] {
        assert_eq!(metric(&server, series).await, expected, "{series}");
    }
    assert!(metric(&server, "ensemble_log_append_duration_seconds_count").await >= 3.0);
    assert!(metric(&server, "ensemble_log_append_events_sum").await >= 4.0);
    let text = server.raw(&get("/metrics")).await.text;
    assert!(!text.contains(&app) && !text.contains(&accepted), "no application or request is a label");
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_loop_that_stands_still_fails_its_probes_and_its_watchdog_is_not_fed() {
    let dir = tempfile::tempdir().unwrap();
    let manager = Manager::in_directory(dir.path());
    let supervision = Supervision {
        socket: Some(manager.path.clone().into_os_string()),
        watchdog: Some(Duration::from_millis(200)),
    };
    let door = Door::open_one();
    let (behind, _at_last) = (Arc::clone(&door), AtLastOpen(Arc::clone(&door)));
    let data = dir.path().join("data");
    let options = Options { supervision, ..options(&data) };
    let server = Server::try_start(options, |inner| Blocking { inner, door: behind }).await.unwrap();
    manager.until("READY=1").await;
    for _ in 0..3 {
        manager.until("WATCHDOG=1").await;
    }

    door.set(false);
    let creating = server.call("CreateApplication", &[("Template", &crate::harness::template("slow"))]);
    let creating = async { creating.send().await.status };
    let judging = async {
        door.blocked.acquire().await.unwrap().forget();
        // What was sent before it stood still may yet arrive.
        let live = server.raw(&get("/livez")).await;
        let ready = server.raw(&get("/readyz")).await;
        while !manager.is_silent_for(Duration::from_millis(500)).await {}
        let stays_silent = manager.is_silent_for(Duration::from_secs(1)).await;
        door.set(true);
        (live, ready, stays_silent)
    };
    let (created, (live, ready, stays_silent)) = tokio::join!(creating, judging);

    assert_eq!((live.status, live.text.as_str()), (503, "unavailable: the control loop stands still\n"));
    assert_eq!(ready.status, 503);
    assert!(stays_silent, "the watchdog was fed although the loop stood still");
    assert_eq!(created, 200, "what waited goes on");
    manager.until("WATCHDOG=1").await;
    assert_eq!(server.raw(&get("/livez")).await.status, 200);
    server.stop().await.unwrap();
    manager.until("STOPPING=1").await;
}

/// A configuration file, and options that come from it.
struct Configured {
    dir: tempfile::TempDir,
}

const FLEET: &str = "version = 1\n[engines.here]\nkind = \"simulated\"\n";

impl Configured {
    fn new(text: &str) -> Self {
        let configured = Self { dir: tempfile::tempdir().unwrap() };
        configured.write("ensemble.toml", text);
        configured
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(self.path(name), text).unwrap();
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// A fleet of these nodes, each with room for so many vCPU.
    fn write_fleet(&self, head: &str, nodes: &[(&str, u32)]) {
        let nodes = nodes.iter().map(|(id, vcpu)| {
            format!("[[edge_nodes]]\nid = \"{id}\"\nengine = \"here\"\ncapacity = {{ vcpu = {vcpu}, memory_gib = 8 }}\n")
        });
        self.write("fleet.toml", &format!("{head}{}", nodes.collect::<String>()));
    }

    fn options(&self) -> Options {
        let data = self.path("data");
        let sources = Sources { file: File::Named(self.path("ensemble.toml")), ..Sources::defaults(&data) };
        let read = sources.read().unwrap();
        let settings = Settings { listen: "127.0.0.1:0".parse().unwrap(), ..read.settings };
        Options { settings, entries: read.entries, sources, ..options(&data) }
    }

    async fn start(&self) -> Server {
        Server::try_start(self.options(), |store| store).await.unwrap()
    }
}

const IN_FORCE: &str = "ensemble_reloads_total{outcome=\"in_force\"}";
const REFUSED: &str = "ensemble_reloads_total{outcome=\"refused\"}";

#[tokio::test]
async fn a_reload_puts_another_fleet_in_force_and_refuses_one_that_lacks_a_used_node() {
    let configured = Configured::new("fleet = \"fleet.toml\"\n");
    configured.write_fleet(FLEET, &[("roof", 4), ("cellar", 4)]);
    let server = configured.start().await;
    let app = server.create("hello").await;
    let selector = r#"[{"regionCode":"roof","count":1}]"#;
    let parameters = [
        ("AppId", app.as_str()),
        ("RescaleType", "Add"),
        ("RescaleLevel", "RegionId"),
        ("ResourceSelector", selector),
    ];
    let accepted = server.call("RescaleApplication", &parameters).send().await.member("RequestId");
    server.finished(&accepted).await;
    let nodes = async || {
        let answer = server.call("DescribeEnsRegions", &[]).send().await.json();
        let nodes = answer["EnsRegions"]["EnsRegions"].as_array().unwrap().clone();
        let of = |node: &serde_json::Value| {
            format!("{} {}", node["EnsRegionId"].as_str().unwrap(), node["Capacity"]["Vcpu"])
        };
        nodes.iter().map(of).collect::<Vec<_>>()
    };

    configured.write_fleet(FLEET, &[("roof", 6), ("garden", 2)]);
    server.reload().await;
    metric_reaches(&server, IN_FORCE, 1.0).await;
    assert_eq!(nodes().await, ["roof 6", "garden 2"]);

    for (head, names) in [
        (FLEET.to_owned(), vec![("garden", 2)]),
        (format!("{FLEET}[engines.other]\nkind = \"simulated\"\n"), vec![("roof", 6), ("garden", 2)]),
        ("version = 2\n".to_owned(), vec![("roof", 6)]),
    ] {
        let refused = metric(&server, REFUSED).await;
        configured.write_fleet(&head, &names);
        server.reload().await;
        metric_reaches(&server, REFUSED, refused + 1.0).await;
        assert_eq!(nodes().await, ["roof 6", "garden 2"], "{head} {names:?}");
    }
    server.stop().await.unwrap();

    // The fleet in force is in the log: a start with the one before it goes through the same check.
    configured.write_fleet(FLEET, &[("garden", 2)]);
    assert!(Server::try_start(configured.options(), |store| store).await.is_err());
}

#[tokio::test]
async fn a_mistake_in_the_file_keeps_all_of_the_old_configuration() {
    let configured = Configured::new("engine = \"simulated\"\n");
    let server = configured.start().await;

    configured.write(
        "ensemble.toml",
        "engine = \"simulated\"\n[metrics]\nserve_to = \"nobody\"\n[limits]\nidel = 3\n",
    );
    server.reload().await;
    metric_reaches(&server, REFUSED, 1.0).await;
    assert_eq!(server.raw(&get("/metrics")).await.status, 200);

    configured.write("ensemble.toml", "engine = \"simulated\"\n[metrics]\nserve_to = \"nobody\"\n");
    server.reload().await;
    let gone = async {
        while server.raw(&get("/metrics")).await.status == 200 {
            tokio::task::yield_now().await;
        }
    };
    time::timeout(AT_MOST, gone).await.expect("metrics are served to nobody any more");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_kept_connection_waits_longer_for_its_next_request_than_for_the_rest_of_one() {
    let configured =
        Configured::new("engine = \"simulated\"\n[limits]\nheaders_within = \"2s\"\nidle_within = \"20s\"\n");
    let server = configured.start().await;
    let kept = b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n";

    let mut connection = server.open(kept).await;
    connection.until("ok\n").await;
    connection.take();
    // Well beyond what a head may take.
    time::sleep(Duration::from_millis(2_500)).await;
    connection.send(kept).await;
    connection.until("ok\n").await;
    connection.take();
    connection.send(b"GET /livez HTTP/1.1\r\nHost:").await;
    let began = time::Instant::now();
    connection.ended().await;

    assert!(
        began.elapsed() < Duration::from_secs(10),
        "half a request is not waited for as long as the next one"
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn https_is_served_with_the_files_of_the_configuration_and_new_ones_after_a_reload() {
    let text = "engine = \"simulated\"\n[tls]\ncertificate = \"chain.pem\"\nkey = \"key.pem\"\n";
    let configured = Configured::new(text);
    configured.write("chain.pem", include_str!("tls/first.pem"));
    configured.write("key.pem", include_str!("tls/first.key"));
    let server = configured.start().await;
    let expected = format!("https://{}\n", server.address);
    assert_eq!(std::fs::read_to_string(configured.path("data/endpoint")).unwrap(), expected);

    let answer =
        crate::harness::over_tls(server.address, include_str!("tls/first.pem"), &get("/livez")).await;
    assert!(answer.unwrap().ends_with("ok\n"));

    configured.write("chain.pem", include_str!("tls/second.pem"));
    server.reload().await;
    let refused = async {
        let refused_once = format!("{REFUSED} 1");
        let metrics = get("/metrics");
        let asked = || crate::harness::over_tls(server.address, include_str!("tls/first.pem"), &metrics);
        while !asked().await.unwrap().lines().any(|line| line == refused_once) {
            tokio::task::yield_now().await;
        }
    };
    time::timeout(AT_MOST, refused).await.expect("the reload is refused");
    let kept = crate::harness::over_tls(server.address, include_str!("tls/first.pem"), &get("/livez")).await;
    assert!(kept.is_ok(), "a key of another certificate keeps the old pair: {kept:?}");
    configured.write("key.pem", include_str!("tls/second.key"));
    server.reload().await;
    let renewed = async {
        while crate::harness::over_tls(server.address, include_str!("tls/second.pem"), &get("/livez"))
            .await
            .is_err()
        {
            tokio::task::yield_now().await;
        }
    };
    time::timeout(AT_MOST, renewed).await.expect("the new certificate is served");
    let plain = server.open(&get("/livez")).await.ended().await;
    assert!(!plain.starts_with(b"HTTP/"), "plain HTTP is not answered");
    server.stop().await.unwrap();
}
