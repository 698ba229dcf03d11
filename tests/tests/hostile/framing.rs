//! HTTP itself, spoken wrong: methods, versions, targets, hosts, lengths and chunks, and requests one behind another.

use crate::stage::{Case, FORM, Stage, answered, cut, refused, refused_bytes};
use ensemble_tests::forge::{Draft, Request};
use ensemble_tests::raw::{Body, Connection};

const UNSUPPORTED: &str = "UnsupportedHTTPMethod";

/// The largest body that is read.
const BODY_BYTES: usize = 1 << 20;

#[test]
fn a_request_line_or_header_that_is_wrong_is_refused() {
    let stage = Stage::set();
    let mut cases = request_lines(&stage);
    cases.extend(hosts(&stage));
    cases.extend(headers(&stage));

    stage.play(cases);
}

#[test]
fn a_body_is_what_its_framing_says_or_is_refused() {
    let stage = Stage::set();
    let mut cases = lengths(&stage);
    cases.extend(chunks(&stage));

    stage.play(cases);
}

#[test]
fn requests_one_behind_another_are_answered_in_their_order() {
    let stage = Stage::set();
    let mut connection = Connection::open(&stage.address).unwrap();
    let regions = |id: &str| stage.v3(&Draft::of("DescribeEnsRegions", &[("EnsRegionId", id)])).bytes();
    let mut pipeline = Vec::new();
    for _ in 0..10 {
        pipeline.extend_from_slice(&regions("cn-shanghai-cmcc"));
        pipeline.extend_from_slice(&regions("cn-atlantis"));
    }

    connection.send(&pipeline).unwrap();

    for number in 0..20 {
        let answer = connection.answer(Body::Follows).unwrap().unwrap();
        assert_eq!(answer.status, if number % 2 == 0 { 200 } else { 400 }, "answer {number}");
    }
}

#[test]
fn garbage_behind_a_good_request_does_not_spoil_its_answer() {
    let stage = Stage::set();
    let mut connection = Connection::open(&stage.address).unwrap();
    let mut request = stage.v3(&stage.describe()).bytes();
    request.extend_from_slice(b"\x16\x03\x01\x02garbage\r\n\r\n");

    connection.send(&request).unwrap();

    assert_eq!(connection.answer(Body::Follows).unwrap().unwrap().status, 200);
    let then = connection.answer(Body::Follows).unwrap();
    assert!(then.is_none_or(|answer| answer.status == 400));
    assert!(connection.answer(Body::Follows).unwrap().is_none(), "the connection is closed");
}

#[test]
fn a_head_request_is_refused_without_a_body() {
    let stage = Stage::set();
    let mut connection = Connection::open(&stage.address).unwrap();
    connection.send(&stage.v3(&stage.describe().method("HEAD")).bytes()).unwrap();

    let answer = connection.answer(Body::None).unwrap().unwrap();

    assert_eq!(answer.status, 400);
    assert!(answer.header("x-acs-request-id").is_some());
    connection.send(&stage.v3(&stage.describe()).bytes()).unwrap();
    assert_eq!(connection.answer(Body::Follows).unwrap().unwrap().status, 200);
}

#[test]
fn a_body_that_waits_for_our_word_gets_it_unless_it_is_too_large() {
    let stage = Stage::set();
    let waiting = |length: usize| {
        let request = stage.v3(&stage.describe().body(FORM, "Vendor=x")).with("expect", "100-continue");
        let mut head = request.set("content-length", length.to_string()).head();
        head.extend_from_slice(b"\r\n");
        head
    };
    let mut sound = Connection::open(&stage.address).unwrap();
    let mut too_large = Connection::open(&stage.address).unwrap();

    sound.send(&waiting(8)).unwrap();
    too_large.send(&waiting(BODY_BYTES + 1)).unwrap();

    let refusal = too_large.answer(Body::Follows).unwrap().unwrap();
    assert_eq!(refusal.status, 413);
    sound.send(b"Vendor=x").unwrap();
    assert_eq!(sound.answer(Body::Follows).unwrap().unwrap().status, 200);
}

fn request_lines(stage: &Stage) -> Vec<Case> {
    let method = |method: &'static str| stage.v3(&stage.describe().method(method));
    let at = |path: &'static str| stage.v3(&Draft { path, ..stage.describe() });
    let sound = || stage.v1(&stage.describe());
    let sent_to = |host: &str| {
        let request = sound();
        let target = [format!("http://{host}").as_bytes(), &request.target].concat();
        request.target(target)
    };
    let spoken = |version: &'static str| Request { version, ..sound() };
    let padded = |length: usize| {
        let padding = length - sound().target.len() - "&Pad=".len();
        stage.v1(&stage.describe().with("Pad", "x".repeat(padding)))
    };
    let line = |line: &str| format!("{line}\r\nHost: {}\r\n\r\n", stage.address).into_bytes();
    vec![
        refused("PUT", &method("PUT"), UNSUPPORTED),
        refused("DELETE", &method("DELETE"), UNSUPPORTED),
        refused("PATCH", &method("PATCH"), UNSUPPORTED),
        refused("OPTIONS", &method("OPTIONS"), UNSUPPORTED),
        refused("TRACE", &method("TRACE"), UNSUPPORTED),
        refused("a method of its own", &method("RESCALE"), UNSUPPORTED),
        refused("post in small letters", &method("post"), UNSUPPORTED),
        refused(
            "PUT, as V1, for XML",
            &stage.v1(&stage.describe().method("PUT").omit("Format")),
            UNSUPPORTED,
        )
        .in_xml(),
        refused_bytes("OPTIONS *", line("OPTIONS * HTTP/1.1"), UNSUPPORTED),
        refused_bytes("CONNECT", line("CONNECT example.org:443 HTTP/1.1"), UNSUPPORTED),
        refused("a path nobody is at", &at("/api/v1/pods"), "InvalidAction.NotFound").with_status(404),
        refused("a path upwards", &at("/../etc/passwd"), "InvalidAction.NotFound").with_status(404),
        refused("an encoded path upwards", &at("/%2e%2e/etc/passwd"), "InvalidAction.NotFound")
            .with_status(404),
        refused("two slashes", &at("//"), "InvalidAction.NotFound").with_status(404),
        refused("an action at another's path", &at("/watch"), "InvalidAction.NotFound").with_status(404),
        answered("GET for what is documented as POST", &stage.v3(&stage.describe().method("GET"))),
        answered("the whole address as target", &sent_to(&stage.address)),
        answered("somebody else's address as target", &sent_to("example.org")),
        answered("HTTP/1.0", &spoken("HTTP/1.0")),
        answered("HTTP/1.0 without a host", &spoken("HTTP/1.0").without("host")),
        answered("a request line of 60,000 bytes", &padded(60_000)),
        cut("a request line of 70,000 bytes", padded(70_000).bytes(), &[414]),
        cut("a request line of 200,000 bytes", padded(200_000).bytes(), &[414, 431]),
        cut("HTTP/2 with its preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), &[400, 505]),
        cut("HTTP/3.0", spoken("HTTP/3.0").bytes(), &[400, 505]),
        cut("no version", line("GET /"), &[400]),
        cut("a target with a space", sound().target("/?a b").bytes(), &[400]),
        cut("a target with NUL", sound().also("a\0=b").bytes(), &[400]),
        cut("a target without a slash", sound().target("?a=b").bytes(), &[400]),
        cut("a TLS handshake", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(20), &[400]),
        cut("zeroes", vec![0; 4_096], &[400]),
        cut("line ends without end", b"\r\n".repeat(100_000), &[400, 431]),
    ]
}

fn hosts(stage: &Stage) -> Vec<Case> {
    let sound = || stage.v1(&stage.describe());
    let with_scheme = stage.describe().v3(&stage.key, &format!("http://{}", stage.address));
    vec![
        answered("another host, which V1 does not sign", &sound().set("host", "ens.aliyuncs.com")),
        answered("a host with its scheme", &with_scheme),
        answered("an empty host", &sound().set("host", "")),
        refused("no host", &sound().without("host"), "InvalidParameter"),
        refused("two hosts", &sound().with("host", "example.org"), "InvalidParameter"),
        refused("the same host twice", &sound().with("host", &stage.address), "InvalidParameter"),
        refused(
            "a host that is markup",
            &stage.v1(&stage.rescale().with("Timeout", "0").omit("Format")).set("host", "<a>&\"'"),
            "InvalidParameter.Timeout",
        )
        .in_xml(),
        refused(
            "a host of 50 KB",
            &stage.v1(&stage.rescale().with("Timeout", "0")).set("host", "h".repeat(50_000)),
            "InvalidParameter.Timeout",
        ),
        refused(
            "a host that is not UTF-8",
            &stage.v1(&stage.rescale().with("Timeout", "0")).set("host", b"\xff\xfe"),
            "InvalidParameter.Timeout",
        ),
    ]
}

fn headers(stage: &Stage) -> Vec<Case> {
    let sound = || stage.v3(&stage.describe());
    let many = |count: usize| (0..count).fold(sound(), |request, at| request.with(&format!("x-{at}"), "1"));
    let raw = |line: &[u8]| {
        let mut bytes = sound().head();
        bytes.extend_from_slice(line);
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes
    };
    vec![
        answered("80 headers more", &many(80)),
        answered("a header of 60 KB", &sound().with("x-long", "v".repeat(60_000))),
        answered("header names in capitals", &capitals(sound())),
        cut("200 headers more", many(200).bytes(), &[431]),
        cut("a header of 200 KB", sound().with("x-long", "v".repeat(200_000)).bytes(), &[431]),
        cut("a header with NUL", raw(b"x-null: a\0b"), &[400]),
        cut("a header without a name", raw(b": value"), &[400]),
        cut("a header name with a space", raw(b"x acs action: a"), &[400]),
        cut("a header on two lines", raw(b"x-folded: a\r\n b"), &[400]),
        cut("a header without a colon", raw(b"garbage"), &[400]),
        refused(
            "an encoded body",
            &stage.v3(&stage.describe().body(FORM, "a=b")).with("content-encoding", "gzip"),
            "InvalidParameter",
        ),
        answered(
            "a body that is encoded as it is",
            &stage.v3(&stage.describe().body(FORM, "a=b")).with("content-encoding", "identity"),
        ),
        answered("an expectation nobody has", &sound().with("expect", "wonders")),
        answered("an upgrade", &sound().with("connection", "upgrade").with("upgrade", "h2c")),
        answered(
            "a body of a type nobody reads",
            &stage.v3(&stage.describe().body("multipart/form-data", "AppId=other")),
        ),
    ]
}

fn lengths(stage: &Stage) -> Vec<Case> {
    let form = |length: usize| format!("Vendor={}", "x".repeat(length - "Vendor=".len()));
    let with_body = |length: usize| stage.v3(&stage.describe().body(FORM, form(length)));
    let length = |value: &str| with_body(10).set("content-length", value).bytes();
    let mut short = with_body(100);
    short.body.truncate(50);
    vec![
        answered("the largest body", &with_body(BODY_BYTES)),
        refused("one byte more", &with_body(BODY_BYTES + 1), "RequestBodyTooLarge").with_status(413),
        refused("4 MB", &with_body(4_000_000), "RequestBodyTooLarge").with_status(413),
        refused("4 MB in chunks", &with_body(4_000_000).chunked(50_000), "RequestBodyTooLarge")
            .with_status(413),
        refused(
            "too large, as V1, for XML",
            &stage.v1(&stage.describe().omit("Format").body("text/plain", "x".repeat(BODY_BYTES + 1))),
            "RequestBodyTooLarge",
        )
        .with_status(413)
        .in_xml(),
        refused_bytes("10 GB that never come", length("10000000000"), "RequestBodyTooLarge").with_status(413),
        cut("a negative length", length("-1"), &[400]),
        cut("a length with a sign", length("+10"), &[400]),
        cut("a length that is no number", length("ten"), &[400]),
        cut("a length over 64 bits", length("99999999999999999999"), &[400]),
        cut("two lengths in one", length("10, 11"), &[400]),
        cut("two lengths", with_body(10).with("content-length", "11").bytes(), &[400]),
        answered("the same length twice", &with_body(10).with("content-length", "10")),
        answered("GET with a body", &stage.v3(&stage.describe().method("GET").body(FORM, "Vendor=x"))),
        answered("POST without a length", &stage.v3(&stage.describe()).without("content-length")),
    ]
}

fn chunks(stage: &Stage) -> Vec<Case> {
    let body = || stage.v3(&stage.describe().body(FORM, "Vendor=x"));
    let framed = |framing: &str| {
        let mut request = body().chunked(8);
        request.body = framing.as_bytes().to_vec();
        request
    };
    const BROKEN: &str = "InvalidParameter";
    vec![
        answered("chunks", &body().chunked(3)),
        answered("chunks of one byte", &body().chunked(1)),
        answered("a chunk with an extension", &framed("8;a=b\r\nVendor=x\r\n0\r\n\r\n")),
        answered(
            "chunks with a trailer",
            &framed("8\r\nVendor=x\r\n0\r\nx-acs-action: DeleteApplication\r\n\r\n"),
        ),
        answered(
            "100 KB in chunks of one byte",
            &stage.v3(&stage.describe().body(FORM, format!("Vendor={}", "x".repeat(100_000)))).chunked(1),
        ),
        refused("a size that is no number", &framed("zz\r\nVendor=x\r\n0\r\n\r\n"), BROKEN),
        refused("a negative size", &framed("-8\r\nVendor=x\r\n0\r\n\r\n"), BROKEN),
        refused("a size over 64 bits", &framed("fffffffffffffffff\r\nVendor=x\r\n0\r\n\r\n"), BROKEN),
        refused("a size that is too small", &framed("4\r\nVendor=x\r\n0\r\n\r\n"), BROKEN),
        refused(
            "an extension without end",
            &framed(&format!("8;{}\r\nVendor=x\r\n0\r\n\r\n", "a".repeat(100_000))),
            BROKEN,
        ),
        refused("chunks of another body", &framed("8\r\nVendor=y\r\n0\r\n\r\n"), "IncompleteSignature"),
        answered("chunks, and a length that lies", &body().chunked(8).with("content-length", "3")),
        cut(
            "an encoding that is not the last",
            body().chunked(8).set("transfer-encoding", "chunked, gzip").bytes(),
            &[400],
        ),
        cut("an encoding nobody knows", body().set("transfer-encoding", "gzip").bytes(), &[400]),
        cut("chunks in HTTP/1.0", Request { version: "HTTP/1.0", ..body().chunked(8) }.bytes(), &[400]),
    ]
}

fn capitals(mut request: Request) -> Request {
    for (name, _) in &mut request.headers {
        *name = name.to_uppercase();
    }
    request
}
