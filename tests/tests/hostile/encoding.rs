//! Text that is not what it seems: broken percent-encoding and UTF-8, control characters, markup, line ends where
//! they would end a header. What is echoed comes back inside the answer's own format and nowhere else.

use crate::stage::{Case, FORM, Stage, answered, cut, refused, refused_bytes};
use crate::xml;
use ensemble_tests::forge::{Draft, Request};
use serde_json::Value;

const APP: &str = "InvalidParameter.AppId";

#[test]
fn text_that_is_none_is_refused_and_odd_text_is_taken_as_it_is() {
    let stage = Stage::set();
    let mut cases = escapes(&stage);
    cases.extend(formats(&stage));

    stage.play(cases);
}

#[test]
fn what_is_echoed_stays_inside_the_answer() {
    let stage = Stage::set();
    for echoed in [
        "\r\nSet-Cookie: a=b\r\n\r\n<html>",
        "\0\u{1}\u{8}\u{b}\u{1b}[31m\u{7f}",
        "\u{fffe}\u{ffff}\u{fffd}",
        "]]></Detail><Code>200</Code><!--",
        "<script>alert(1)</script>&amp;\"'",
        "\u{202e}\u{2028}\u{feff}上海😀",
        "%0d%0a${jndi:ldap://x}{{7*7}}",
    ] {
        let draft = Draft::of("DescribeApplication", &[("AppId", echoed)]);
        let in_json = stage.exchange(&stage.v3(&draft).bytes()).unwrap();
        let in_xml = stage.exchange(&stage.v1(&draft.omit("Format")).bytes()).unwrap();

        let json: Value = serde_json::from_slice(&in_json.body).unwrap();
        let xml = xml::members(&in_xml.body).unwrap();
        assert!(json["Detail"].as_str().unwrap().contains(echoed), "{json:#}");
        let allowed = |letter: char| if xml::is_xml_character(letter) { letter } else { '\u{fffd}' };
        let expected: String = echoed.chars().map(allowed).collect();
        assert!(xml["Detail"].contains(&expected), "{xml:#?}");
        for answer in [&in_json, &in_xml] {
            assert_eq!(answer.status, 400);
            assert_eq!(answer.header("set-cookie"), None);
        }
    }
}

#[test]
fn an_application_of_another_account_is_not_told_from_one_that_is_not_there() {
    let stage = Stage::set();
    let asked = |id: &str| {
        let mut body = stage.refusal(&stage.v3(&stage.describe().with("AppId", id)));
        let members = body.as_object_mut().unwrap();
        members.remove("RequestId");
        members.remove("Recommend");
        body.to_string().replace(id, "ID")
    };

    let unknown = asked("00000000-0000-4000-8000-000000000000");

    assert_eq!(unknown, asked("11111111-1111-4111-8111-111111111111"));
    assert_eq!(unknown, asked("not even an id"));
}

fn escapes(stage: &Stage) -> Vec<Case> {
    let with = |raw: &str| stage.v1(&stage.describe().without("AppId")).also(raw);
    let raw = |bytes: &[u8]| stage.v1(&stage.describe()).also(bytes).bytes();
    let spaced = |encoded: &str| {
        let request = stage.v1(&stage.describe().with("Vendor", "a b"));
        let target = String::from_utf8(request.target.clone()).unwrap();
        request.target(target.replace("a%20b", encoded))
    };
    let starred = |star: &str| {
        let request = stage.v3(&stage.describe().with("Vendor", "*!'()"));
        let target = String::from_utf8(request.target.clone()).unwrap();
        request.target(target.replace("%2A%21%27%28%29", star))
    };
    let form = |bytes: &[u8]| stage.v3(&stage.describe().without("AppId").body(FORM, bytes));
    vec![
        answered("a space as %20", &spaced("a%20b")),
        answered("a space as +", &spaced("a+b")),
        refused("a space as %2B", &spaced("a%2Bb"), "SignatureDoesNotMatch"),
        answered(
            "small letters in an escape",
            &stage.v1(&stage.describe().with("Vendor", "/")).replace_target("%2F", "%2f"),
        ),
        answered("unencoded punctuation", &starred("*!'()")),
        answered(
            "letters that need no escape",
            &stage.v1(&stage.describe()).replace_target("AppId=", "%41pp%49d="),
        ),
        refused("a byte that is not UTF-8", &with("AppId=%FF"), APP),
        refused("half a character", &with("AppId=%E4%B8"), APP),
        refused("an overlong slash", &with("AppId=%C0%AF"), APP),
        refused("a surrogate", &with("AppId=%ED%A0%80"), APP),
        refused("beyond Unicode", &with("AppId=%F5%80%80%80"), APP),
        refused("a name that is not UTF-8", &with("%FFAppId=x"), "InvalidParameter"),
        refused("a lone percent sign", &with("AppId=100%"), "SignatureDoesNotMatch"),
        refused("an escape that is none", &with("AppId=%zz"), "SignatureDoesNotMatch"),
        refused("an escape of another kind", &with("AppId=%u4e0a"), "SignatureDoesNotMatch"),
        refused("NUL", &stage.v1(&stage.describe().with("AppId", "a\0b")), "ens.interface.error"),
        refused(
            "a byte order mark before a name",
            &stage.v1(&stage.describe().without("AppId").with("\u{feff}AppId", "x")),
            "MissingParameter",
        ),
        refused(
            "a name with a space behind it",
            &stage.v1(&stage.describe().without("AppId").with("AppId ", "x")),
            "MissingParameter",
        ),
        refused(
            "a name in small letters",
            &stage.v1(&stage.describe().without("AppId").with("appid", "x")),
            "MissingParameter",
        ),
        answered("no name at all", &stage.v1(&stage.describe().with("", "x"))),
        answered("ampersands only", &stage.v1(&stage.describe()).also("&&&&")),
        refused(
            "semicolons between parameters",
            &stage.v1(&stage.describe()).also("a=1;b=2"),
            "SignatureDoesNotMatch",
        ),
        refused("a form that is not UTF-8", &form(b"AppId=\xff\xfe"), APP),
        refused("a form in UTF-16", &form(b"\xff\xfeA\0p\0p\0I\0d\0=\0x\0"), "InvalidParameter"),
        refused("a form with NUL", &form(b"AppId=a\0b"), "ens.interface.error"),
        cut("bytes that are not UTF-8, unescaped", raw(b"a=\xff\xfe"), &[400]),
        refused_bytes("UTF-8, unescaped", raw("a=上海".as_bytes()), "SignatureDoesNotMatch"),
        cut("a control character, unescaped", raw(b"a=\x01"), &[400]),
    ]
}

fn formats(stage: &Stage) -> Vec<Case> {
    let refusal = |format: &str| stage.v1(&stage.describe().with("AppId", "x").say("Format", format));
    let asked = |accept: &str| stage.v3(&stage.describe().with("AppId", "x").say("accept", accept));
    const UNKNOWN: &str = "ens.interface.error";
    const FORMAT: &str = "InvalidParameter.Format";
    vec![
        refused("Format=json", &refusal("json"), UNKNOWN),
        refused("Format=Xml", &refusal("Xml"), UNKNOWN).in_xml(),
        refused("an empty Format", &refusal(""), UNKNOWN).in_xml(),
        refused("Format=HTML", &refusal("HTML"), FORMAT).in_xml(),
        refused("Format=JSON with NUL", &refusal("JSON\0"), FORMAT).in_xml(),
        refused("two Formats", &stage.v1(&stage.describe()).also("Format=XML"), FORMAT),
        refused("V3 accepts XML", &asked("text/xml"), UNKNOWN).in_xml(),
        refused("V3 accepts anything", &asked("*/*"), UNKNOWN),
        refused(
            "V3 accepts what a browser does",
            &asked("text/html,application/xhtml+xml,application/xml;q=0.9"),
            UNKNOWN,
        ),
        refused("V3 accepts images", &asked("image/png"), UNKNOWN),
        refused(
            "V3 with Format=XML",
            &stage.v3(&stage.describe().with("AppId", "x").with("Format", "XML")),
            UNKNOWN,
        )
        .in_xml(),
        refused("V3 with another Format", &stage.v3(&stage.describe().with("Format", "YAML")), FORMAT),
        refused(
            "V3 with a Format in the form",
            &stage.v3(&stage.describe().with("AppId", "x").body(FORM, "Format=XML")),
            UNKNOWN,
        ),
        refused(
            "unsigned, and XML is accepted",
            &unsigned(stage).set("accept", "application/xml"),
            "MissingAccessKeyId",
        )
        .in_xml(),
        refused("unsigned", &unsigned(stage), "MissingAccessKeyId"),
        answered("an answer in XML", &stage.v1(&stage.describe().omit("Format"))).in_xml(),
    ]
}

fn unsigned(stage: &Stage) -> Request {
    stage.v3(&stage.describe()).without("authorization")
}
