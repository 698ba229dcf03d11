//! Signatures that prove nothing: absent, of another kind, incomplete, of something else, two at once.

use crate::stage::{Case, FORM, Stage, answered, refused};
use ensemble_tests::forge::{Draft, Key, Request};

const INCOMPLETE: &str = "IncompleteSignature";
const MISMATCH: &str = "SignatureDoesNotMatch";
const METHOD: &str = "InvalidSignatureMethod";

#[test]
fn a_call_that_nobody_proves_is_refused() {
    let stage = Stage::set();
    let mut cases = headers_of_v3(&stage);
    cases.extend(keys(&stage));
    cases.extend(tampered(&stage));
    cases.extend(parameters_of_v1(&stage));
    cases.extend(two_at_once(&stage));

    stage.play(cases);
}

#[test]
fn no_refusal_says_the_secret_or_the_right_signature() {
    let stage = Stage::set();
    let request = stage.v3(&stage.rescale());
    let authorization = request.headers.iter().find(|(name, _)| name == "authorization").unwrap();
    let right = String::from_utf8(authorization.1.clone()).unwrap();
    let right = right.rsplit_once("Signature=").unwrap().1.to_owned();
    let wrong = request.replace("authorization", &right, &"0".repeat(64));

    let answer = String::from_utf8(stage.exchange(&wrong.bytes()).unwrap().body).unwrap();

    assert!(answer.contains(MISMATCH), "{answer}");
    assert!(!answer.contains(&right) && !answer.contains(&stage.key.secret), "{answer}");
}

fn headers_of_v3(stage: &Stage) -> Vec<Case> {
    let sound = || stage.v3(&stage.rescale());
    let authorized = |value: &str| sound().set("authorization", value);
    let unsigned = |name: &'static str| stage.v3(&stage.rescale().unsigned(name));
    let repeated = "x-acs-date;".repeat(8_000);
    vec![
        refused("no signature at all", &sound().without("authorization"), "MissingAccessKeyId"),
        refused("no value", &authorized(""), METHOD),
        refused("a password", &authorized("Basic YTpi"), METHOD),
        refused("a bearer token", &authorized("Bearer eyJhbGciOiJub25lIn0.e30."), METHOD),
        refused(
            "a bearer token in its own header",
            &sound().without("authorization").with("x-acs-bearer-token", "t"),
            METHOD,
        ),
        refused(
            "an RSA key",
            &authorized("ACS3-RSA-SHA256 Credential=a,SignedHeaders=host,Signature=00"),
            METHOD,
        ),
        refused("SM3", &authorized("ACS3-HMAC-SM3 Credential=a,SignedHeaders=host,Signature=00"), METHOD),
        refused("an algorithm of 60 KiB", &authorized(&format!("ACS3-{}", "X".repeat(60_000))), METHOD),
        refused(
            "version 4",
            &authorized("ACS4-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=00"),
            METHOD,
        ),
        refused("nothing behind the algorithm", &authorized("ACS3-HMAC-SHA256"), INCOMPLETE),
        refused("no credential", &authorized("ACS3-HMAC-SHA256 SignedHeaders=host,Signature=00"), INCOMPLETE),
        refused("no signed headers", &authorized("ACS3-HMAC-SHA256 Credential=a,Signature=00"), INCOMPLETE),
        refused("commas only", &authorized(&format!("ACS3-HMAC-SHA256 {}", ",".repeat(60_000))), INCOMPLETE),
        refused("two of them", &sound().with("authorization", "ACS3-HMAC-SHA256 x"), INCOMPLETE),
        refused(
            "one header signed 8,000 times",
            &sound().replace("authorization", "SignedHeaders=", &format!("SignedHeaders={repeated}")),
            INCOMPLETE,
        ),
        refused(
            "a signed header that is not there",
            &sound().replace("authorization", "SignedHeaders=", "SignedHeaders=x-none;"),
            INCOMPLETE,
        ),
        refused("host not signed", &unsigned("host"), INCOMPLETE),
        refused("action not signed", &unsigned("x-acs-action"), INCOMPLETE),
        refused("version not signed", &unsigned("x-acs-version"), INCOMPLETE),
        refused("date not signed", &unsigned("x-acs-date"), INCOMPLETE),
        refused("nonce not signed", &unsigned("x-acs-signature-nonce"), INCOMPLETE),
        refused("hash not signed", &unsigned("x-acs-content-sha256"), INCOMPLETE),
        refused("a header of ours that is not signed", &sound().with("x-acs-region-id", "cn"), INCOMPLETE),
        refused(
            "content type not signed",
            &stage.v3(&stage.rescale().body(FORM, "a=b").unsigned("content-type")),
            INCOMPLETE,
        ),
        refused("a header that repeats", &sound().with("x-acs-action", "DeleteApplication"), INCOMPLETE),
        refused("a header that is not UTF-8", &sound().set("x-acs-action", b"Delete\xff"), INCOMPLETE),
        refused(
            "no nonce",
            &stage.v3(&stage.rescale().omit("x-acs-signature-nonce")),
            "MissingSignatureNonce",
        ),
        refused("no hash", &stage.v3(&stage.rescale().omit("x-acs-content-sha256")), INCOMPLETE),
    ]
}

fn keys(stage: &Stage) -> Vec<Case> {
    vec![
        refused("an unknown key", &with_key(stage, "LTAI5tNobody", None), "InvalidAccessKeyId.NotFound")
            .with_status(404),
        refused(
            "a key of 60 KiB",
            &with_key(stage, &"K".repeat(60_000), None),
            "InvalidAccessKeyId.NotFound",
        )
        .with_status(404),
        refused("a temporary key without its token", &with_key(stage, "STS.N", None), "MissingSecurityToken"),
        refused("another secret", &with_key(stage, &stage.key.id, Some("wrong")), MISMATCH),
        refused("no secret", &with_key(stage, &stage.key.id, Some("")), MISMATCH),
    ]
}

fn tampered(stage: &Stage) -> Vec<Case> {
    let sound = || stage.v3(&stage.rescale());
    let with_body = || stage.v3(&stage.rescale().body(FORM, "Timeout=300"));
    let hash_of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let said =
        |value: &str| stage.v3(&stage.rescale().body(FORM, "Timeout=300").say("x-acs-content-sha256", value));
    let mut other_body = with_body();
    other_body.body = b"Timeout=301".to_vec();
    let mut other_method = sound();
    other_method.method = "GET".into();
    let mut smuggled = sound().set("content-length", "11").with("content-type", FORM);
    smuggled.body = b"Timeout=301".to_vec();
    let target = String::from_utf8(sound().target).unwrap();
    vec![
        refused("another query", &sound().also("Timeout=86400"), MISMATCH),
        refused("another value", &sound().target(target.replace("Add", "Del")), MISMATCH),
        refused("another host", &sound().set("host", "ens.aliyuncs.com"), MISMATCH),
        refused("another nonce", &sound().set("x-acs-signature-nonce", "other"), MISMATCH),
        refused("another action", &sound().set("x-acs-action", "DeleteApplication"), MISMATCH),
        refused("another method", &other_method, MISMATCH),
        refused("another body", &other_body, INCOMPLETE),
        refused("a body that was not signed", &smuggled, INCOMPLETE),
        refused("the hash of an empty body", &said(hash_of_nothing), INCOMPLETE),
        refused("a hash in capitals", &said(&"A".repeat(64)), INCOMPLETE),
        refused("UNSIGNED-PAYLOAD", &said("UNSIGNED-PAYLOAD"), INCOMPLETE),
        refused("a signature in capitals", &upper_case_signature(sound()), MISMATCH),
        refused(
            "a signature that is no hex",
            &sound().replace("authorization", "Signature=", "Signature=zz"),
            MISMATCH,
        ),
        refused("an empty hash of a body there is", &said(""), INCOMPLETE),
    ]
}

fn parameters_of_v1(stage: &Stage) -> Vec<Case> {
    let said = |name: &str, value: &str| stage.v1(&stage.rescale().say(name, value));
    let without = |name: &'static str| stage.v1(&stage.rescale().omit(name));
    let form = stage.v1_form(&stage.rescale().say("Signature", "AAAA"));
    let body = stage
        .rescale()
        .without("AppId")
        .body("application/json", format!(r#"{{"AppId":"{}"}}"#, stage.app_id));
    vec![
        refused("V1: no signature", &without("Signature"), "MissingSignature"),
        refused("V1: no key", &without("AccessKeyId"), "MissingAccessKeyId"),
        refused("V1: no nonce", &without("SignatureNonce"), "MissingSignatureNonce"),
        refused("V1: no time stamp", &without("Timestamp"), "MissingTimestamp"),
        refused("V1: no method", &without("SignatureMethod"), "MissingSignatureMethod"),
        refused("V1: no version", &without("SignatureVersion"), "MissingSignatureVersion"),
        refused("V1: a signature that is no base64", &said("Signature", "!"), MISMATCH),
        refused("V1: an empty signature", &said("Signature", ""), "MissingSignature"),
        refused("V1: another signature", &said("Signature", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="), MISMATCH),
        refused("V1: another signature, in a form", &form, MISMATCH),
        refused(
            "V1: another signature, as XML",
            &stage.v1(&stage.rescale().say("Signature", "AA==").say("Format", "XML")),
            MISMATCH,
        )
        .in_xml(),
        refused(
            "V1: and no format at all",
            &stage.v1(&stage.rescale().say("Signature", "AA==").omit("Format")),
            MISMATCH,
        )
        .in_xml(),
        refused("V1: RSA", &said("SignatureMethod", "SHA256withRSA"), METHOD),
        refused("V1: MD5", &said("SignatureMethod", "HMAC-MD5"), METHOD),
        refused(
            "V1: signature version 2.0",
            &said("SignatureVersion", "2.0"),
            "InvalidParameter.SignatureVersion",
        ),
        refused("V1: a bearer token", &said("SignatureType", "BEARERTOKEN"), METHOD),
        refused(
            "V1: more in the query than was signed",
            &stage.v1(&stage.rescale()).also("Timeout=1"),
            MISMATCH,
        ),
        refused("V1: an unknown key", &said("AccessKeyId", "nobody"), "InvalidAccessKeyId.NotFound")
            .with_status(404),
        refused("V1: a JSON body, which nothing signs", &stage.v1(&body), "MissingParameter"),
        answered("V1: an empty signature type", &stage.v1(&stage.describe().say("SignatureType", ""))),
        answered("V1: everything in a form", &stage.v1_form(&stage.describe())),
    ]
}

/// The header decides, as gateway.md §2.4 has it; what V1 signed is then a parameter like any other.
fn two_at_once(stage: &Stage) -> Vec<Case> {
    let listed = Draft::of("DescribeEnsRegions", &[]);
    let v1 = Draft { parameters: listed.signed_v1(&stage.key), ..listed };
    let both = stage.v3(&v1);
    let only_v1 = stage
        .v1(&stage.rescale())
        .with("authorization", "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=00");
    vec![
        answered("both, and V3 is right", &both),
        refused("both, and V3 is wrong", &both_with_wrong_v3(&both), MISMATCH),
        refused("both, and V3 has no headers", &only_v1, "MissingAction"),
        refused(
            "V1 beside a password",
            &stage.v1(&stage.describe()).with("authorization", "Basic YTpi"),
            METHOD,
        ),
    ]
}

fn both_with_wrong_v3(both: &Request) -> Request {
    let mut wrong = both.clone();
    for (_, value) in wrong.headers.iter_mut().filter(|(name, _)| name == "authorization") {
        let last = value.last_mut().unwrap();
        *last = if *last == b'0' { b'1' } else { b'0' };
    }
    wrong
}

fn upper_case_signature(mut request: Request) -> Request {
    for (_, value) in request.headers.iter_mut().filter(|(name, _)| name == "authorization") {
        let text = String::from_utf8(value.clone()).unwrap();
        let (head, signature) = text.rsplit_once("Signature=").unwrap();
        *value = format!("{head}Signature={}", signature.to_uppercase()).into_bytes();
    }
    request
}

fn with_key(stage: &Stage, id: &str, secret: Option<&str>) -> Request {
    let secret = secret.unwrap_or(&stage.key.secret).to_owned();
    stage.rescale().v3(&Key { id: id.to_owned(), secret }, &stage.address)
}
