//! Time stamps and nonces: stale, from the future, malformed; used, stolen, huge.

use crate::stage::{Case, FORM, Stage, answered, refused};
use ensemble_tests::forge::{Draft, stamp};

const EXPIRED: &str = "InvalidTimeStamp.Expired";
const MALFORMED: &str = "InvalidTimeStamp.Format";
const USED: &str = "SignatureNonceUsed";

#[test]
fn a_stamp_that_is_not_now_is_refused_in_both_versions() {
    let stage = Stage::set();
    let minutes = |minutes: i64| stamp(60 * minutes);
    let rows: Vec<(&str, String, &str)> = vec![
        ("16 minutes ago", minutes(-16), EXPIRED),
        ("16 minutes ahead", minutes(16), EXPIRED),
        ("a year ago", minutes(-525_600), EXPIRED),
        ("a year ahead", minutes(525_600), EXPIRED),
        ("the beginning", "1970-01-01T00:00:00Z".into(), EXPIRED),
        ("the end", "9999-12-29T23:59:59Z".into(), EXPIRED),
        ("the year 0", "0000-01-01T00:00:00Z".into(), EXPIRED),
        ("a month that is none", "2026-13-01T00:00:00Z".into(), MALFORMED),
        ("a day that is none", "2026-02-30T00:00:00Z".into(), MALFORMED),
        ("an hour that is none", "2026-01-01T24:00:01Z".into(), MALFORMED),
        ("a negative year", "-026-01-01T00:00:00Z".into(), MALFORMED),
        ("seconds since 1970", "1790000000".into(), MALFORMED),
        ("with an offset", stamp(0).replace('Z', "+00:00"), MALFORMED),
        ("with a space", stamp(0).replace('T', " "), MALFORMED),
        ("with fractions", stamp(0).replace('Z', ".000Z"), MALFORMED),
        ("of the form of mail", "Fri, 27 Mar 2026 08:00:00 GMT".into(), MALFORMED),
        ("words", "now".into(), MALFORMED),
        ("twenty bytes of another script", "上海上海上海上Z".into(), MALFORMED),
        ("60 KB", "2".repeat(60_000), MALFORMED),
    ];
    let mut cases: Vec<Case> = Vec::new();
    for (name, stamp, code) in &rows {
        let v3 = stage.rescale().say("x-acs-date", stamp.as_str());
        let v1 = stage.rescale().say("Timestamp", stamp.as_str());
        cases.push(refused(&format!("V3: {name}"), &stage.v3(&v3), code));
        cases.push(refused(&format!("V1: {name}"), &stage.v1(&v1), code));
    }
    for (name, seconds) in [("14 minutes ago", -840), ("14 minutes ahead", 840)] {
        let near = stage.describe().say("x-acs-date", stamp(seconds));
        cases.push(answered(name, &stage.v3(&near)));
    }

    stage.play(cases);
}

#[test]
fn a_nonce_is_good_once() {
    let stage = Stage::set();
    let v3 = stage.v3(&stage.describe().say("x-acs-signature-nonce", "spent"));
    let v1 = stage.v1(&stage.describe().say("SignatureNonce", "spent in V1"));
    let crossed = stage.v1(&stage.describe().say("SignatureNonce", "spent"));
    let other_call = stage.v3(&Draft::of("ListApplications", &[]).say("x-acs-signature-nonce", "spent"));
    let later =
        stage.v3(&stage.describe().say("x-acs-signature-nonce", "spent").say("x-acs-date", stamp(60)));
    let huge = "n".repeat(60_000);
    let huge = stage.v1_form(&stage.describe().say("SignatureNonce", huge));
    let stolen = stage.v3(&stage.describe().say("x-acs-signature-nonce", "stolen"));
    let forged = stolen.clone().replace("authorization", "Signature=", "Signature=00");
    let refused_write =
        stage.v3(&stage.rescale().with("Timeout", "0").say("x-acs-signature-nonce", "refused"));
    let not_utf8 = stage.v3(&stage.describe()).set("x-acs-signature-nonce", b"\xff");

    stage.play(vec![
        answered("first in V3", &v3),
        refused("again in V3", &v3, USED),
        refused("again in another call", &other_call, USED),
        refused("again with another stamp", &later, USED),
        refused("again in the other version", &crossed, USED),
        answered("first in V1", &v1),
        refused("again in V1", &v1, USED),
        answered("of 60 KB", &huge),
        refused("of 60 KB again", &huge, USED),
        refused("used by somebody without the secret", &forged, "SignatureDoesNotMatch"),
        answered("and still good for its owner", &stolen),
        refused("in a call that is refused for its form", &refused_write, "InvalidParameter.Timeout"),
        refused("in that call again", &refused_write, USED),
        refused("not UTF-8", &not_utf8, "IncompleteSignature"),
        refused(
            "empty",
            &stage.v3(&stage.describe().say("x-acs-signature-nonce", "")),
            "MissingSignatureNonce",
        ),
        refused(
            "in a form twice",
            &stage.v1_form(&stage.describe().body(FORM, "")).also("SignatureNonce=x"),
            "InvalidParameter.SignatureNonce",
        ),
    ]);
}
