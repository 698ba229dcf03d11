//! Watch over a real socket: how it begins, what it tells, how it is resumed and how it ends.

use crate::harness::Server;
use serde_json::Value;

const ADD_TWO: &str = r#"[{"regionCode":"cn-shanghai-cmcc","count":2}]"#;

struct Event {
    name: String,
    id: Option<u64>,
    data: Value,
}

fn events(text: &str) -> Vec<Event> {
    // The body is chunked: what is not a field of an event is a chunk's length.
    let mut found = Vec::new();
    for block in text.replace("\r\n", "\n").split("\n\n") {
        let field = |name: &str| {
            block.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
        };
        let (Some(name), Some(data)) = (field("event:"), field("data:")) else { continue };
        let id = field("id:").map(|id| id.parse().unwrap());
        found.push(Event { name, id, data: serde_json::from_str(&data).unwrap() });
    }
    found
}

#[tokio::test]
async fn an_operation_is_told_until_its_final_event_closes_the_stream() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let app = server.create("hello").await;
    let parameters = [("AppId", app.as_str()), ("RescaleType", "Add"), ("ResourceSelector", ADD_TWO)];
    let accepted = server.call("RescaleApplication", &parameters).send().await.member("RequestId");

    let answer = server.call("Watch", &[("OperationId", &accepted)]).get().send().await;

    assert_eq!(answer.header("content-type"), "text/event-stream;charset=utf-8");
    let told = events(&answer.text);
    let last = told.last().unwrap();
    assert_eq!(
        (last.name.as_str(), &last.data["Status"], &last.data["Ready"]),
        ("operation", &"Succeeded".into(), &2.into())
    );
    assert!(last.id.is_some());
    let instances = told.iter().filter(|event| event.name == "instance");
    assert!(instances.clone().any(|event| event.data["InstanceStatus"] == "Running"), "{}", answer.text);
}

#[tokio::test]
async fn an_application_is_told_as_it_is_and_the_stream_ends_with_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let app = server.create("hello").await;
    let request = server.call("Watch", &[("AppId", &app)]).get().bytes();

    let mut stream = server.open(&request).await;
    stream.until("event: application").await;
    server.drain();
    let answer = stream.rest().await;

    let told = events(&answer.text);
    assert_eq!(told[0].name, "application");
    assert_eq!((&told[0].data["AppName"], &told[0].data["Phase"]), (&"hello".into(), &"RUNNING".into()));
    assert_eq!(told.last().unwrap().name, "closing");
}

#[tokio::test]
async fn a_resumed_stream_tells_what_was_missed_and_one_too_old_starts_over() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let app = server.create("hello").await;
    let parameters = [("AppId", app.as_str()), ("RescaleType", "Add"), ("ResourceSelector", ADD_TWO)];
    let accepted = server.call("RescaleApplication", &parameters).send().await.member("RequestId");
    let watch = |since: &str| {
        server.call("Watch", &[("OperationId", accepted.as_str()), ("Since", since)]).get().bytes()
    };
    server.finished(&accepted).await;

    let whole = events(&server.raw(&watch("1")).await.text);
    let too_new = events(&server.raw(&watch("999999")).await.text);

    let ids: Vec<u64> = whole.iter().filter_map(|event| event.id).collect();
    assert!(ids.is_sorted() && ids.len() > 1, "{ids:?}");
    assert_eq!(whole.last().unwrap().data["Status"], "Succeeded");
    assert_eq!(too_new[0].name, "resync");
    server.kill().await;
    let server = Server::start(dir.path()).await;
    let call = server.call("Watch", &[("OperationId", &accepted), ("Since", "1")]).get();
    let restarted = events(&server.raw(&call.bytes()).await.text);
    assert_eq!(restarted[0].name, "resync");
    assert_eq!(restarted.last().unwrap().data["Status"], "Succeeded");
}

#[tokio::test]
async fn what_is_not_there_cannot_be_watched() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;

    for (parameters, code) in [
        (vec![("AppId", "nope")], "ens.interface.error"),
        (vec![("OperationId", "NOPE")], "ens.interface.error"),
        (vec![], "MissingParameter"),
    ] {
        assert_eq!(server.call("Watch", &parameters).get().send().await.code(), code);
    }
}
