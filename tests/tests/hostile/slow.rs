//! Clients that take their time: each is cut off or answered at its bound, whatever it does meanwhile, and holds
//! nobody else up. All of them at once, with the bounds turned down.

use crate::stage::{FORM, JSON, Stage};
use ensemble_tests::raw::{Answer, Body, Connection};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

const HEADERS_WITHIN: Duration = Duration::from_secs(3);
const BODY_WITHIN: Duration = Duration::from_secs(5);
/// For a busy machine.
const LATE_AT_MOST: Duration = Duration::from_secs(6);
/// How a client drips.
const DRIP: Duration = Duration::from_millis(200);

/// What happens to a client in the end.
#[derive(Debug, PartialEq)]
enum End {
    Closed,
    Answered(u16, String),
}

/// A client that sends `first` and then `drip`, again and again.
struct Slow {
    name: &'static str,
    first: Vec<u8>,
    drip: &'static [u8],
    end: End,
    bound: Duration,
}

#[test]
fn whoever_is_slow_is_cut_off_at_the_bound_and_holds_nobody_up() {
    let stage = Stage::with_limits("headers_within = \"3s\"\nbody_within = \"5s\"\nidle_within = \"3s\"");
    let mut clients = slow_in_headers(&stage);
    clients.extend(slow_in_body(&stage));

    let address = stage.address.as_str();
    let sound = stage.v3(&stage.describe()).bytes();
    std::thread::scope(|threads| {
        let suffering: Vec<_> =
            clients.iter().map(|client| (client, threads.spawn(move || suffer(address, client)))).collect();
        let idle = threads.spawn(move || idle_for(address, &sound));
        while !idle.is_finished() {
            let began = Instant::now();
            stage.ask(&stage.describe());
            assert!(began.elapsed() < Duration::from_secs(10), "held up for {:?}", began.elapsed());
        }
        assert!(idle.join().unwrap() < HEADERS_WITHIN + LATE_AT_MOST);
        for (Slow { name, end, bound, .. }, thread) in suffering {
            let (found, after) = thread.join().unwrap();
            assert_eq!(found, *end, "{name}");
            assert!(after + DRIP >= *bound && after < *bound + LATE_AT_MOST, "{name}: after {after:?}");
        }
    });
    stage.ask(&stage.describe());
}

fn slow_in_headers(stage: &Stage) -> Vec<Slow> {
    let sound = stage.v3(&stage.describe()).bytes();
    let start = &sound[..sound.len() / 2];
    let client = |name, first: &[u8], drip| Slow {
        name,
        first: first.to_vec(),
        drip,
        end: End::Closed,
        bound: HEADERS_WITHIN,
    };
    vec![
        client("says nothing", b"", b""),
        client("stops within the request line", &start[..20], b""),
        client("stops within the headers", start, b""),
        client("drips its headers", start, b"a"),
        client("sends nothing but line ends", b"", b"\r\n"),
    ]
}

fn slow_in_body(stage: &Stage) -> Vec<Slow> {
    let mut posted = stage.v3(&stage.describe().body(FORM, "Vendor=x"));
    posted.body = b"Vend".to_vec();
    let mut chunked = posted.clone().without("content-length").with("transfer-encoding", "chunked");
    chunked.body = Vec::new();
    let client = |name, first: Vec<u8>, drip| {
        let end = End::Answered(400, "InvalidParameter".into());
        Slow { name, first, drip, end, bound: BODY_WITHIN }
    };
    vec![
        client("stops within its body", posted.bytes(), b""),
        client("stops before its first chunk", chunked.bytes(), b""),
        client("drips chunks without end", chunked.bytes(), b"1\r\nx\r\n"),
    ]
}

/// How long a connection is kept that had its answer and asks for nothing more.
fn idle_for(address: &str, sound: &[u8]) -> Duration {
    let mut connection = Connection::open(address).unwrap();
    connection.send(sound).unwrap();
    assert_eq!(connection.answer(Body::Follows).unwrap().unwrap().status, 200);
    let began = Instant::now();
    assert!(connection.answer(Body::Follows).unwrap().is_none());
    began.elapsed()
}

#[test]
fn a_client_that_leaves_in_the_middle_is_forgotten() {
    let stage = Stage::set();
    let sound = stage.v3(&stage.rescale()).bytes();
    let pid = stage.site.server().pid();
    let files = ensemble_tests::machine::open_files(pid);
    let before = stage.ask(&stage.describe())["Application"].clone();

    for end in (1..sound.len()).step_by(sound.len() / 40) {
        let mut connection = Connection::open(&stage.address).unwrap();
        connection.send(&sound[..end]).unwrap();
        connection.finish().unwrap();
        assert!(connection.answer(Body::Follows).unwrap().is_none_or(|answer| answer.status == 400), "{end}");
    }

    assert_eq!(stage.ask(&stage.describe())["Application"], before);
    assert!(ensemble_tests::machine::open_files(pid) <= files + 2);
}

/// How such a client ends, and when.
fn suffer(address: &str, client: &Slow) -> (End, Duration) {
    let drip = client.drip;
    let mut connection = Connection::open(address).unwrap();
    let began = Instant::now();
    connection.send(&client.first).unwrap();
    let mut dripping = connection.another().unwrap();
    let (stop, stopped) = mpsc::channel::<()>();
    std::thread::scope(|threads| {
        threads.spawn(move || {
            // Until the other end says stop, or the server has closed the connection.
            while !drip.is_empty() && stopped.recv_timeout(DRIP) == Err(RecvTimeoutError::Timeout) {
                if dripping.send(drip).is_err() {
                    return;
                }
            }
        });
        let answer = connection.answer(Body::Follows).unwrap();
        let after = began.elapsed();
        drop(stop);
        (answer.map_or(End::Closed, |answer| answered(&answer)), after)
    })
}

fn answered(answer: &Answer) -> End {
    assert_eq!(answer.header("content-type"), Some(JSON));
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    End::Answered(answer.status, body["Code"].as_str().unwrap().to_owned())
}
