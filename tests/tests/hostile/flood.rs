//! More connections than there may be, and more large bodies than there is room for: the server goes on answering
//! good requests, and neither memory nor open files grow beyond their bounds.

use crate::stage::{FORM, Stage};
use ensemble_tests::forge::{Draft, Key};
use ensemble_tests::machine;
use ensemble_tests::raw::{Body, Connection, exchange};
use ensemble_tests::server::{self, Engine, Server};
use ensemble_tests::site::Site;
use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 64;
/// All in flight together.
const WRITES: usize = 400;
const MEMORY_GROWTH_AT_MOST: u64 = 64 << 20;

#[test]
fn idle_connections_give_way_and_a_known_client_keeps_its_own() {
    let stage = Stage::with_limits("connections = 64");
    let pid = stage.site.server().pid();
    let (memory, files) = (machine::resident_bytes(pid), machine::open_files(pid));
    let mut known = Connection::open(&stage.address).unwrap();
    ask(&mut known, &stage);
    let watched = stage.v3(&Draft::of("Watch", &[("AppId", &stage.app_id)]));
    let mut watcher = Connection::open(&stage.address).unwrap();
    watcher.send(&watched.bytes()).unwrap();
    assert!(watcher.is_answering().unwrap());

    let mut flood: Vec<Connection> = Vec::new();
    for number in 0..CONNECTIONS * 10 {
        let mut connection = Connection::open(&stage.address).unwrap();
        // Half of them say something, and then nothing more.
        if number % 2 == 0 {
            connection.send(b"POST / HTTP/1.1\r\nHost: x\r\n").unwrap();
        }
        flood.push(connection);
        if number % 40 == 0 {
            let began = Instant::now();
            stage.ask(&stage.describe());
            assert!(began.elapsed() < Duration::from_secs(10), "a stranger waited {:?}", began.elapsed());
        }
    }

    ask(&mut known, &stage);
    stage.ask(&stage.describe());
    let open = machine::open_files(pid);
    assert!(open <= files + CONNECTIONS + 8, "{open} files, {files} before");
    let grown = machine::resident_bytes(pid).saturating_sub(memory);
    assert!(grown < MEMORY_GROWTH_AT_MOST, "{grown} bytes more");
    assert!(flood.swap_remove(0).answer(Body::Follows).unwrap().is_none(), "the first gave way");
    assert!(!watcher.has_ended().unwrap(), "a stream never gives way");
}

#[test]
fn connections_leave_the_server_enough_files_for_its_own_work() {
    let site = Site::empty(Engine::Simulated).unwrap();
    let usual = server::command(&site.data_dir(), Engine::Simulated);
    let mut limited = Command::new("sh");
    server::without_key(&mut limited);
    limited.args(["-c", "ulimit -n 200; exec \"$0\" \"$@\""]).arg(usual.get_program()).args(usual.get_args());
    let server = Server::start_by(limited, &site.data_dir()).unwrap();
    let address = server.url.trim_start_matches("http://");
    let key = Key::of(&site.data_dir()).unwrap();

    let flood: Vec<Connection> = (0..400).map(|_| Connection::open(address).unwrap()).collect();

    for action in ["ListApplications", "DescribeEnsRegions", "ListOperations"] {
        let request = Draft::of(action, &[]).v3(&key, address);
        assert_eq!(exchange(address, &request.bytes()).unwrap().unwrap().status, 200, "{action}");
    }
    let open = machine::open_files(server.pid());
    assert!(open <= 150, "{open} files are open, of 200");
    assert!(!server.log().contains("could not accept"), "{}", server.log());
    drop(flood);
}

#[test]
fn a_client_that_never_reads_is_not_answered_without_end() {
    let stage = Stage::set();
    let pid = stage.site.server().pid();
    let memory = machine::resident_bytes(pid);
    let regions = Draft::of("DescribeEnsRegions", &[]);
    let pipeline: Vec<u8> = (0..2_000).flat_map(|_| stage.v3(&regions).bytes()).collect();
    let mut greedy = Connection::open(&stage.address).unwrap();

    greedy.send_within(&pipeline, Duration::from_secs(2));

    let grown = machine::resident_bytes(pid).saturating_sub(memory);
    assert!(grown < 16 << 20, "{grown} bytes more");
    stage.ask(&stage.describe());
}

#[test]
fn large_bodies_that_do_not_end_take_only_so_much_memory() {
    let stage = Stage::with_limits("body_within = \"20s\"");
    let pid = stage.site.server().pid();
    let memory = machine::resident_bytes(pid);
    let body = vec![b'x'; 1_000_000];
    let large = stage.v3(&stage.describe().body(FORM, body));
    let almost = large.bytes();
    let almost = &almost[..almost.len() - 1];

    std::thread::scope(|threads| {
        let senders: Vec<_> = (0..150)
            .map(|_| {
                threads.spawn(|| {
                    let mut connection = Connection::open(&stage.address).unwrap();
                    connection.send_within(almost, Duration::from_secs(3));
                    connection
                })
            })
            .collect();
        let held: Vec<Connection> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
        let began = Instant::now();
        stage.ask(&stage.describe());
        assert!(began.elapsed() < Duration::from_secs(10));
        let grown = machine::resident_bytes(pid).saturating_sub(memory);
        println!("{} large bodies: {} MiB", held.len(), grown >> 20);
        // 64 large ones, and the first 64 KiB of the others.
        assert!(grown < 110 << 20, "{} MiB more", grown >> 20);
        drop(held);
    });
    stage.ask(&stage.describe());
}

#[test]
fn a_body_without_end_is_read_for_a_while_and_then_cut() {
    let stage = Stage::set();
    let pid = stage.site.server().pid();
    let (memory, spent) = (machine::resident_bytes(pid), machine::processor_time(pid));
    let mut endless = stage.v3(&stage.describe().body(FORM, "")).without("content-length");
    endless = endless.with("transfer-encoding", "chunked");
    let mut connection = Connection::open(&stage.address).unwrap();
    connection.send(&endless.bytes()).unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();

    // A gigabyte, if nobody stops it.
    let sent = (0..16_384).take_while(|_| connection.send(&chunk).is_ok()).count();

    assert!((256..2_048).contains(&sent), "{sent} chunks of 64 KiB were taken");
    let answer = connection.answer(Body::Follows).unwrap();
    assert!(answer.is_none_or(|answer| answer.status == 413));
    assert!(machine::resident_bytes(pid).saturating_sub(memory) < 16 << 20);
    assert!(machine::processor_time(pid) - spent < Duration::from_secs(2));
}

#[test]
fn writes_at_once_are_each_answered_and_none_is_done_twice() {
    let stage = Stage::set();
    let writes: Vec<Vec<u8>> = (0..WRITES).map(|_| stage.v3(&stage.rescale()).bytes()).collect();
    let mut connections: Vec<Connection> =
        (0..WRITES).map(|_| Connection::open(&stage.address).unwrap()).collect();

    for (connection, write) in connections.iter_mut().zip(&writes) {
        connection.send(write).unwrap();
    }
    let mut accepted = 0;
    for connection in &mut connections {
        let answer = connection.answer(Body::Follows).unwrap().unwrap();
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        match (answer.status, body["Reason"].as_str()) {
            (200, _) => accepted += 1,
            (400, Some("OperationInProgress" | "CapacityShortage")) | (503, _) => {}
            _ => panic!("{body:#}"),
        }
    }

    stage.settle();
    let devices = stage.ask(&Draft::of("DescribeDeviceService", &[("AppId", &stage.app_id)]));
    let instances = devices["ResourceInfos"].as_array().unwrap().len();
    assert!(accepted > 0);
    assert_eq!(instances, 1 + accepted, "one was there before");
}

fn ask(connection: &mut Connection, stage: &Stage) {
    connection.send(&stage.v3(&stage.describe()).bytes()).unwrap();
    assert_eq!(connection.answer(Body::Follows).unwrap().unwrap().status, 200);
}
