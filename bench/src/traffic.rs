//! What is sent to the API: applications to begin with, reads of them in turn, changes of them in turn, and requests
//! that are wrong in every way that costs the server something.

use crate::client::{Client, selector, template};
use crate::http::Answer;
use crate::load::{Next, Traffic, Verdict};
use crate::server::DISTRICTS;
use crate::signing::Signer;
use anyhow::{Result, ensure};
use ensemble_wire::parameters::encode_pairs;
use serde_json::Value;

fn judged(answer: Answer<'_>) -> Verdict {
    if answer.status == 200 { Verdict::AsWanted } else { Verdict::NotAsWanted }
}

/// Creates applications without instances and keeps their ids.
pub(crate) struct Creations {
    signer: Signer,
    wanted: usize,
    sent: usize,
    ids: Vec<String>,
}

impl Creations {
    pub(crate) fn new(signer: Signer, wanted: usize) -> Self {
        Self { signer, wanted, sent: 0, ids: Vec::new() }
    }

    pub(crate) fn finish(self) -> Result<Vec<String>> {
        ensure!(
            self.ids.len() == self.wanted,
            "{} of {} applications were created",
            self.ids.len(),
            self.wanted
        );
        Ok(self.ids)
    }
}

impl Traffic for Creations {
    fn next(&mut self, _connection: usize, request: &mut Vec<u8>) -> Next {
        if self.sent == self.wanted {
            return Next::Nothing;
        }
        let template = template(&format!("shop-{}", self.sent), "hello:v1", &[]);
        self.sent += 1;
        self.signer.write("CreateApplication", &encode_pairs([("Template", template.as_str())]), request);
        Next::Send
    }

    fn answered(&mut self, _connection: usize, answer: Answer<'_>) -> Verdict {
        let body: Value = serde_json::from_slice(answer.body).unwrap_or_default();
        self.ids.extend(body["AppId"].as_str().map(str::to_owned));
        judged(answer)
    }
}

/// DescribeApplication of one application after the other.
pub(crate) struct Reads {
    signer: Signer,
    queries: Vec<String>,
    count: usize,
}

impl Reads {
    pub(crate) fn new(signer: Signer, applications: &[String]) -> Self {
        let query = |id: &String| encode_pairs([("AppId", id.as_str())]);
        Self { signer, queries: applications.iter().map(query).collect(), count: 0 }
    }
}

impl Traffic for Reads {
    fn next(&mut self, _connection: usize, request: &mut Vec<u8>) -> Next {
        self.count += 1;
        let query = &self.queries[self.count % self.queries.len()];
        self.signer.write("DescribeApplication", query, request);
        Next::Send
    }

    fn answered(&mut self, _connection: usize, answer: Answer<'_>) -> Verdict {
        judged(answer)
    }
}

/// RescaleApplication of one application after the other: adds one instance to it, the next time releases it.
pub(crate) struct Rescales {
    signer: Signer,
    applications: Vec<Rescaled>,
    count: usize,
    /// Which application each connection waits for.
    under_way: Vec<usize>,
}

struct Rescaled {
    add: String,
    del: String,
    has_instance: bool,
}

impl Rescales {
    pub(crate) fn new(signer: Signer, applications: &[String]) -> Self {
        let rescaled = |(index, id): (usize, &String)| {
            let selector = selector(DISTRICTS[index % DISTRICTS.len()], 1);
            let query = |kind| {
                encode_pairs([("AppId", id.as_str()), ("RescaleType", kind), ("ResourceSelector", &selector)])
            };
            // In the order of a canonical query, which these names have here: App…, Resc…, Reso….
            Rescaled { add: query("Add"), del: query("Del"), has_instance: false }
        };
        let applications = applications.iter().enumerate().map(rescaled).collect();
        Self { signer, applications, count: 0, under_way: Vec::new() }
    }
}

impl Traffic for Rescales {
    fn next(&mut self, connection: usize, request: &mut Vec<u8>) -> Next {
        let index = self.count % self.applications.len();
        self.count += 1;
        if self.under_way.len() <= connection {
            self.under_way.resize(connection + 1, 0);
        }
        self.under_way[connection] = index;
        let application = &self.applications[index];
        let query = if application.has_instance { &application.del } else { &application.add };
        self.signer.write("RescaleApplication", query, request);
        Next::Send
    }

    fn answered(&mut self, connection: usize, answer: Answer<'_>) -> Verdict {
        let application = &mut self.applications[self.under_way[connection]];
        application.has_instance ^= answer.status == 200;
        judged(answer)
    }
}

/// Requests that must be refused, one kind after the other.
pub(crate) struct Hostile {
    signer: Signer,
    requests: Vec<Vec<u8>>,
    /// Signed anew each time, with the key's right secret.
    signed: Vec<(&'static str, String)>,
    count: usize,
}

impl Hostile {
    pub(crate) fn new(client: &Client, application: &str) -> Self {
        let host = &client.address;
        let plain = |line: &str, headers: &str, body: &str| {
            let length = body.len();
            format!("{line} HTTP/1.1\r\nhost: {host}\r\n{headers}content-length: {length}\r\n\r\n{body}")
                .into_bytes()
        };
        let mut forger = Signer::new(&Client { secret: "not the secret".into(), ..client.clone() });
        let mut forged = Vec::new();
        forger.write("DescribeApplication", &encode_pairs([("AppId", application)]), &mut forged);
        let many: Vec<String> = (0..2_000).map(|index| format!("P{index}=x")).collect();
        let nested = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
        let form = "content-type: application/x-www-form-urlencoded\r\n";
        let requests = vec![
            plain("GET /", "", ""),
            plain("POST /nowhere", "", ""),
            plain("DELETE /", "", ""),
            forged,
            plain("GET /?Action=DescribeApplication&Action=DescribeApplication&Format=JSON", "", ""),
            plain(&format!("GET /?{}", many.join("&")), "", ""),
            plain("POST /", "authorization: ACS3-HMAC-SHA256 nonsense\r\n", ""),
            plain(
                "POST /",
                form,
                &format!("Action=RescaleApplication&Format=XML&Junk={}", "x".repeat(100_000)),
            ),
            plain("POST /", "content-type: application/json\r\n", &nested),
        ];
        let selector = |text: &str| {
            encode_pairs([("AppId", application), ("RescaleType", "Add"), ("ResourceSelector", text)])
        };
        let items = r#"{"regionCode":"nowhere","count":1}"#;
        let signed = vec![
            ("DescribeApplication", encode_pairs([("AppId", "00000000-0000-4000-8000-000000000000")])),
            ("RescaleApplication", selector("not JSON")),
            ("RescaleApplication", selector(r#"[{"regionCode":"310100","ispCode":"cmcc","count":-1}]"#)),
            ("RescaleApplication", selector(&format!("[{}]", vec![items; 100].join(",")))),
            ("NoSuchAction", String::new()),
        ];
        Self { signer: Signer::new(client), requests, signed, count: 0 }
    }
}

impl Traffic for Hostile {
    fn next(&mut self, _connection: usize, request: &mut Vec<u8>) -> Next {
        let index = self.count % (self.requests.len() + self.signed.len());
        self.count += 1;
        match self.requests.get(index) {
            Some(plain) => request.extend_from_slice(plain),
            None => {
                let (action, query) = &self.signed[index - self.requests.len()];
                self.signer.write(action, query, request);
            }
        }
        Next::Send
    }

    fn answered(&mut self, _connection: usize, answer: Answer<'_>) -> Verdict {
        judged(answer)
    }
}
