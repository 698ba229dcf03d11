//! Bad requests that look expensive to refuse, made of about as many bytes as one likes: for the test that measures
//! what each costs, and for whoever wants to put a server under a load of them.

use crate::forge::{Draft, Key, Request, encoded};
use serde_json::json;

const FORM: &str = "application/x-www-form-urlencoded";

/// Whom the requests are for.
#[derive(Clone, Debug)]
pub struct Target {
    pub key: Key,
    /// `127.0.0.1:PORT`.
    pub host: String,
    pub app_id: String,
}

/// One way to be expensive.
pub struct Costly {
    pub name: &'static str,
    /// A request of about so many bytes; each has a nonce of its own, so each has to be made anew.
    pub request: fn(&Target, usize) -> Request,
    /// Whether only a holder of the key can send it.
    pub proved: bool,
}

/// Those that are refused before the signature is right cost anybody nothing to send; they come first.
pub const COSTLY: &[Costly] = &[
    Costly { name: "nothing at all, unsigned", request: unsigned, proved: false },
    Costly { name: "a form that is encoded twice, signed wrong", request: signed_wrong, proved: false },
    Costly { name: "many parameters, signed wrong", request: many_parameters, proved: false },
    Costly { name: "an action with an endless name", request: endless_action, proved: false },
    Costly { name: "a name that repeats, endless", request: endless_repeated_name, proved: false },
    Costly { name: "one header signed again and again", request: repeated_signed_header, proved: false },
    Costly { name: "deep JSON, signed wrong", request: deep_json, proved: false },
    Costly { name: "wide JSON, signed wrong", request: wide_json, proved: false },
    Costly { name: "chunks of one byte", request: tiny_chunks, proved: false },
    Costly { name: "a selector of digits", request: selector_of_digits, proved: true },
    Costly { name: "a selector of empty items", request: selector_of_items, proved: true },
    Costly { name: "edge nodes nobody knows", request: unknown_nodes, proved: true },
    Costly { name: "a template both deep and wide", request: deep_and_wide_template, proved: true },
    Costly { name: "a template of variables", request: template_of_variables, proved: true },
];

impl Target {
    fn rescale(&self) -> Draft {
        Draft::of("RescaleApplication", &[("AppId", &self.app_id), ("RescaleType", "Add")])
    }

    fn v3(&self, draft: &Draft) -> Request {
        draft.v3(&self.key, &self.host)
    }

    fn v3_wrong(&self, draft: &Draft) -> Request {
        self.v3(draft).replace("authorization", "Signature=", "Signature=00")
    }

    fn v1_form_wrong(&self, draft: &Draft) -> Request {
        draft.clone().say("Signature", "AAAA").v1_form(&self.key, &self.host)
    }
}

fn unsigned(target: &Target, bytes: usize) -> Request {
    target.v3(&target.rescale().body(FORM, "x".repeat(bytes))).without("authorization")
}

fn signed_wrong(target: &Target, bytes: usize) -> Request {
    // Three bytes of the body each.
    target.v1_form_wrong(&target.rescale().with("Vendor", "/".repeat(bytes / 3)))
}

fn many_parameters(target: &Target, bytes: usize) -> Request {
    let mut draft = target.rescale();
    draft.parameters.extend((0..bytes / 9).map(|number| (format!("P{number:06}"), String::new())));
    target.v1_form_wrong(&draft)
}

fn endless_action(target: &Target, bytes: usize) -> Request {
    Draft::of(&"RescaleApplication".repeat(bytes / 18), &[]).v1_form(&target.key, &target.host)
}

fn endless_repeated_name(target: &Target, bytes: usize) -> Request {
    let name = "n".repeat(bytes / 2);
    let body = format!("{name}=1&{name}=2");
    target.v3(&target.rescale().body(FORM, body))
}

fn repeated_signed_header(target: &Target, bytes: usize) -> Request {
    // Request line and headers together have 128 KiB.
    let half = bytes.min(100 << 10) / 2;
    let request = target.v3(&target.rescale()).with("x-long", "v".repeat(half));
    request.replace(
        "authorization",
        "SignedHeaders=",
        &format!("SignedHeaders={}", "x-long;".repeat(half / 7)),
    )
}

fn deep_json(target: &Target, bytes: usize) -> Request {
    target.v3_wrong(&target.rescale().body("application/json", "{\"a\":".repeat(bytes / 5)))
}

fn wide_json(target: &Target, bytes: usize) -> Request {
    let body = format!("{{\"Vendor\":[{}0]}}", "[],".repeat(bytes / 3));
    target.v3_wrong(&target.rescale().body("application/json", body))
}

fn tiny_chunks(target: &Target, bytes: usize) -> Request {
    // Six bytes on the wire for each of the body.
    target.v3_wrong(&target.rescale().body(FORM, "x".repeat(bytes / 6))).chunked(1)
}

fn selector_of_digits(target: &Target, bytes: usize) -> Request {
    selector(target, format!("[{{\"count\":\"{}\"}}]", "9".repeat(bytes)))
}

fn selector_of_items(target: &Target, bytes: usize) -> Request {
    selector(target, format!("[{}0]", "{},".repeat(bytes / 3)))
}

fn unknown_nodes(target: &Target, bytes: usize) -> Request {
    let name = "cn-shanghai-cmcx".repeat((bytes / 100 / 16).max(1));
    let item = format!("{{\"regionCode\":\"{name}\",\"count\":1}}");
    selector(target, format!("[{}]", vec![item; 100].join(",")))
}

fn deep_and_wide_template(target: &Target, bytes: usize) -> Request {
    let (open, close): (String, String) = (0..110)
        .fold((String::new(), String::new()), |(open, close), _| {
            (format!("{open}{{\"{}\":", "k".repeat(60)), format!("{close}}}"))
        });
    template(target, &format!("{open}[{}0]{close}", "0,".repeat(bytes / 2)))
}

fn template_of_variables(target: &Target, bytes: usize) -> Request {
    let variable = |number: usize| json!({"name": format!("V{number}"), "value": "x".repeat(bytes / 256)});
    let variables: Vec<_> = (0..256).map(variable).collect();
    // The last of them repeats, so that all are looked at.
    let container = json!({"name": "web", "image": "x", "env": variables, "args": ["a\0"]});
    template(target, &json!({ "containers": [container] }).to_string())
}

fn selector(target: &Target, selector: String) -> Request {
    target.v3(&target.rescale().body(FORM, encoded(&[("ResourceSelector".to_owned(), selector)])))
}

fn template(target: &Target, pod_spec: &str) -> Request {
    let template = format!(
        r#"{{"appMetaData":{{"appName":"costly"}},"resourceAttribute":{{"instanceSpec":"ens.sn1.tiny"}},"workload":[{{"name":"web","podSpec":{pod_spec}}}]}}"#
    );
    let body = json!({ "Template": template }).to_string();
    target.v3(&Draft::of("CreateApplication", &[]).body("application/json", body))
}
