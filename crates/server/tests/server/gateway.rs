//! The gateway: signatures, replays, limits, and that every answer can be parsed (gateway.md §8).

use crate::harness::{Server, template};
use serde_json::Value;

async fn server() -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    (dir, server)
}

/// An action that reads, called so that it gets past the gateway: the operation is unknown.
const READ: (&str, &[(&str, &str)]) = ("DescribeOperation", &[("OperationId", "A B+C*~/上")]);
const PAST_THE_GATEWAY: &str = "ens.interface.error";

#[tokio::test]
async fn both_signatures_are_taken_with_get_and_post_and_in_chunks() {
    let (_dir, server) = server().await;
    let call = || server.call(READ.0, READ.1);

    for answer in [
        call().send().await,
        call().get().send().await,
        call().v1().send().await,
        call().v1().get().send().await,
        server.raw(&call().chunked_bytes()).await,
        server.raw(&call().v1().chunked_bytes()).await,
    ] {
        assert_eq!(answer.code(), PAST_THE_GATEWAY, "{}", answer.text);
    }
}

#[tokio::test]
async fn what_clients_do_to_a_signed_request_on_its_way_does_not_break_it() {
    let (_dir, server) = server().await;
    let sent_as = |from: &str, to: &str| {
        let signed = String::from_utf8(server.call(READ.0, READ.1).bytes()).unwrap();
        assert!(signed.contains(from), "{signed}");
        signed.replace(from, to)
    };

    for request in [
        sent_as("%20", "+"),
        sent_as("%2A", "*"),
        sent_as("host: ", "HOST:   "),
        sent_as("x-acs-date: ", "X-Acs-Date: "),
        sent_as("accept: application/json", "accept:\tapplication/json  "),
        String::from_utf8(server.call(READ.0, READ.1).host("http://127.0.0.1:8080").bytes()).unwrap(),
        String::from_utf8(server.call(READ.0, READ.1).host("Edge.Example:8420").bytes()).unwrap(),
    ] {
        let answer = server.raw(request.as_bytes()).await;

        assert_eq!(answer.code(), PAST_THE_GATEWAY, "{request}{}", answer.text);
    }
}

#[tokio::test]
async fn a_signed_request_that_was_changed_is_refused() {
    let (_dir, server) = server().await;
    let changed = |from: &str, to: &str| {
        let signed = String::from_utf8(server.call(READ.0, READ.1).bytes()).unwrap();
        assert!(signed.contains(from), "{signed}");
        signed.replacen(from, to, 1)
    };

    for (request, code) in [
        (changed("OperationId=A", "OperationId=B"), "SignatureDoesNotMatch"),
        (changed("POST /", "GET /"), "SignatureDoesNotMatch"),
        (changed("accept: application/json", "accept: text/json"), "SignatureDoesNotMatch"),
        (changed("x-acs-action: Describe", "x-acs-action: describe"), "InvalidAction.NotFound"),
        (changed("host: 127.0.0.1", "host: 127.0.0.2"), "SignatureDoesNotMatch"),
        (changed("Content-Length: 0", "Content-Length: 1") + "x", "IncompleteSignature"),
    ] {
        let answer = server.raw(request.as_bytes()).await;

        assert_eq!(answer.code(), code, "{request}{}", answer.text);
    }
}

#[tokio::test]
async fn every_answer_carries_its_request_id_and_an_exact_content_type() {
    let (_dir, server) = server().await;
    let good = server.call("CreateApplication", &[("Template", &template("hello"))]).send().await;
    let bad = server.call(READ.0, READ.1).send().await;

    assert_eq!((good.status, bad.status), (200, 400));
    for answer in [good, bad] {
        let request_id = answer.member("RequestId");
        assert_eq!(answer.header("x-acs-request-id"), request_id);
        assert_eq!(request_id, request_id.to_uppercase());
        assert_eq!(answer.header("x-acs-trace-id").len(), 32);
        assert_eq!(answer.header("content-type"), "application/json;charset=utf-8");
    }
}

#[tokio::test]
async fn a_nonce_is_good_once() {
    let (_dir, server) = server().await;
    for version in ["v1", "v3"] {
        let call = || {
            let call = server.call(READ.0, READ.1).nonce(version);
            if version == "v1" { call.v1() } else { call }
        };

        assert_eq!(call().send().await.code(), PAST_THE_GATEWAY);
        assert_eq!(call().send().await.code(), "SignatureNonceUsed");
    }
}

#[tokio::test]
async fn a_wrong_signature_is_refused_and_burns_no_nonce() {
    let (_dir, server) = server().await;
    let call = || server.call(READ.0, READ.1).nonce("contested");

    assert_eq!(call().wrong_secret().send().await.code(), "SignatureDoesNotMatch");
    assert_eq!(call().v1().wrong_secret().send().await.code(), "SignatureDoesNotMatch");
    assert_eq!(call().send().await.code(), PAST_THE_GATEWAY);
}

#[tokio::test]
async fn a_wrong_secret_shows_the_client_its_own_string_to_sign() {
    let (_dir, server) = server().await;

    let answer = server.call(READ.0, READ.1).v1().wrong_secret().send().await;

    let message = answer.member("Message");
    let (_, shown) = message.split_once(':').unwrap();
    assert!(shown.starts_with("POST&%2F&AccessKeyId%3DLTAI"), "{message}");
    assert!(!answer.text.contains("not the secret"));
}

#[tokio::test]
async fn stamps_are_good_for_fifteen_minutes_either_way() {
    let (_dir, server) = server().await;
    for (minutes, expected) in [
        (-16, "InvalidTimeStamp.Expired"),
        (-14, PAST_THE_GATEWAY),
        (14, PAST_THE_GATEWAY),
        (16, "InvalidTimeStamp.Expired"),
    ] {
        let call = || server.call(READ.0, READ.1).minutes_off(minutes);

        assert_eq!(call().send().await.code(), expected, "V3, {minutes} minutes");
        assert_eq!(call().v1().send().await.code(), expected, "V1, {minutes} minutes");
    }
}

#[tokio::test]
async fn an_unknown_key_and_an_unknown_action_are_named() {
    let (_dir, server) = server().await;
    let other = server.call(READ.0, READ.1);
    let bytes = String::from_utf8(other.bytes()).unwrap().replace("Credential=LTAI", "Credential=LTAX");

    let unknown_key = server.raw(bytes.as_bytes()).await;
    let unknown_action = server.call("rescaleapplication", &[]).send().await;

    assert_eq!((unknown_key.status, unknown_key.code().as_str()), (404, "InvalidAccessKeyId.NotFound"));
    assert_eq!((unknown_action.status, unknown_action.code().as_str()), (404, "InvalidAction.NotFound"));
}

#[tokio::test]
async fn requests_that_are_none_of_ours_get_errors_that_parse() {
    let (_dir, server) = server().await;
    let long = "x".repeat(1 << 20);
    for (request, status, code) in [
        ("GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".to_owned(), 400, "MissingAccessKeyId"),
        ("PUT / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".into(), 400, "UnsupportedHTTPMethod"),
        ("DELETE /x/y HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".into(), 400, "UnsupportedHTTPMethod"),
        ("GET /favicon.ico HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".into(), 404, "InvalidAction.NotFound"),
        (
            "GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\nAuthorization: Bearer x\r\n\r\n".into(),
            400,
            "InvalidSignatureMethod",
        ),
        (
            "POST / HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: 3\r\nContent-Type: application/json\r\n\r\n{{{".into(),
            400,
            "MissingAccessKeyId",
        ),
        (
            format!("POST / HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{long}x", long.len() + 1),
            413,
            "RequestBodyTooLarge",
        ),
        (
            format!(
                "POST / HTTP/1.1\r\nHost: here\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{long}y\r\n0\r\n\r\n",
                long.len() + 1
            ),
            413,
            "RequestBodyTooLarge",
        ),
        (
            "POST / HTTP/1.1\r\nHost: here\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n".into(),
            413,
            "RequestBodyTooLarge",
        ),
        (format!("GET /?A={} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n", &long[..65_000]), 400, "MissingAccessKeyId"),
    ] {
        let answer = server.raw(request.as_bytes()).await;

        let start: String = request.chars().take(60).collect();
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{start}");
        assert_eq!(answer.header("content-type"), "application/json;charset=utf-8", "{start}");
    }
}

#[tokio::test]
async fn an_error_has_the_format_that_was_asked_for() {
    let (_dir, server) = server().await;
    let get = |target: &str, headers: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: edge.example:8420\r\nConnection: close\r\n{headers}\r\n")
            .into_bytes()
    };
    for (request, is_xml) in [
        (get("/?Signature=x&Action=A", ""), true),
        (get("/?AccessKeyId=x&Format=XML", ""), true),
        (get("/?AccessKeyId=x&Format=json", ""), false),
        (get("/?Format=YAML&AccessKeyId=x", ""), true),
        (get("/", "Authorization: ACS3-HMAC-SHA256 x\r\n"), false),
        (get("/", "Authorization: ACS3-HMAC-SHA256 x\r\nAccept: text/xml\r\n"), true),
    ] {
        let answer = server.raw(&request).await;

        let start = String::from_utf8_lossy(&request).into_owned();
        if is_xml {
            assert_eq!(answer.header("content-type"), "text/xml;charset=utf-8", "{start}");
            assert!(
                answer.text.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><RequestId>"),
                "{start}"
            );
            assert!(answer.text.contains("<HostId>edge.example</HostId>"), "{start}");
        } else {
            assert_eq!(answer.header("content-type"), "application/json;charset=utf-8", "{start}");
            assert_eq!(answer.member("HostId"), "edge.example", "{start}");
        }
    }
}

#[tokio::test]
async fn a_form_is_checked_before_the_permission_and_the_content_after_it() {
    let dir = tempfile::tempdir().unwrap();
    Server::start(dir.path()).await.stop().await.unwrap();
    let path = dir.path().join("credentials.toml");
    let kept = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{kept}grants = [\"ens:Describe*\"]\n")).unwrap();
    let server = Server::start(dir.path()).await;

    let allowed = server.call(READ.0, READ.1).send().await;
    let malformed = server.call("CreateApplication", &[]).send().await;
    let denied = server.call("CreateApplication", &[("Template", "{}")]).send().await;

    assert_eq!(allowed.code(), PAST_THE_GATEWAY);
    assert_eq!(malformed.code(), "MissingParameter");
    assert_eq!((denied.status, denied.code().as_str()), (400, "NoPermission"));
    let detail: &Value = &denied.json()["AccessDeniedDetail"];
    assert_eq!(detail["AuthAction"], "ens:CreateApplication");
    assert_eq!(detail["NoPermissionType"], "ImplicitDeny");
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let (_dir, server) = server().await;
    let keep_alive = |bytes: Vec<u8>| {
        String::from_utf8(bytes).unwrap().replace("Connection: close", "Connection: keep-alive").into_bytes()
    };
    let mut connection = server.open(&[]).await;

    for _ in 0..3 {
        connection.send(&keep_alive(server.call(READ.0, READ.1).bytes())).await;

        connection.until("}").await;
        assert!(connection.take().contains(PAST_THE_GATEWAY));
    }
}
