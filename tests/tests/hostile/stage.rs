//! A server with one application on it, and what holds for every case of every table: the expected status, code and
//! format; a body that parses, with the exact content type and a RequestId of its own; a state that is the same
//! before and after; and a server that still answers good requests.

use ensemble_tests::forge::{Draft, Key, Request};
use ensemble_tests::machine;
use ensemble_tests::raw::{Answer, exchange};
use ensemble_tests::server::Engine;
use ensemble_tests::site::Site;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const SETTLED_AT_MOST: Duration = Duration::from_secs(30);
/// What a table of requests of up to some megabytes may leave with the allocator.
const MEMORY_GROWTH_AT_MOST: u64 = 64 << 20;

pub(crate) const JSON: &str = "application/json;charset=utf-8";
pub(crate) const XML: &str = "text/xml;charset=utf-8";
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

pub(crate) struct Stage {
    pub(crate) site: Site,
    pub(crate) key: Key,
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    /// An application with one instance that is running.
    pub(crate) app_id: String,
}

/// One row of a table.
pub(crate) struct Case {
    name: String,
    request: Vec<u8>,
    expected: Expected,
}

#[derive(Clone, Debug)]
enum Expected {
    /// 200, in this format, and nothing has changed.
    Answered(&'static str),
    Refused {
        status: u16,
        code: String,
        content_type: &'static str,
    },
    /// By the HTTP library, before anything of ours sees the request (`decisions.md` §3, end): one of these statuses
    /// without a body, or the connection is closed.
    Cut(&'static [u16]),
}

/// Everything a refusal must not change.
#[derive(Debug, PartialEq)]
struct State {
    applications: Value,
    application: Value,
    log: String,
}

pub(crate) fn answered(name: &str, request: &Request) -> Case {
    Case { name: name.into(), request: request.bytes(), expected: Expected::Answered(JSON) }
}

/// Refused with HTTP 400 and a JSON body.
pub(crate) fn refused(name: &str, request: &Request, code: &str) -> Case {
    refused_bytes(name, request.bytes(), code)
}

pub(crate) fn refused_bytes(name: &str, request: Vec<u8>, code: &str) -> Case {
    let expected = Expected::Refused { status: 400, code: code.into(), content_type: JSON };
    Case { name: name.into(), request, expected }
}

pub(crate) fn cut(name: &str, request: Vec<u8>, statuses: &'static [u16]) -> Case {
    Case { name: name.into(), request, expected: Expected::Cut(statuses) }
}

impl Case {
    /// The answer comes as XML.
    pub(crate) fn in_xml(mut self) -> Self {
        match &mut self.expected {
            Expected::Answered(content_type) | Expected::Refused { content_type, .. } => *content_type = XML,
            Expected::Cut(_) => {}
        }
        self
    }

    /// The refusal has another status than 400.
    pub(crate) fn with_status(mut self, other: u16) -> Self {
        if let Expected::Refused { status, .. } = &mut self.expected {
            *status = other;
        }
        self
    }
}

impl Stage {
    pub(crate) fn set() -> Self {
        Self::on(Site::start(Engine::Simulated).unwrap())
    }

    /// With these `[limits]` in the server's configuration.
    pub(crate) fn with_limits(limits: &str) -> Self {
        Self::on(Site::configured(Engine::Simulated, &format!("[limits]\n{limits}\n")).unwrap())
    }

    /// With these faults, of which one cuts `node` off.
    pub(crate) fn with_faults(faults: &[String], node: &str) -> Self {
        let mut site = Site::empty(Engine::Simulated).unwrap();
        site.restart_with(|command| {
            command.args(faults.iter().flat_map(|fault| ["--fault", fault]));
        })
        .unwrap();
        let stage = Self::on(site);
        let began = Instant::now();
        let asked = Draft::of("DescribeEdgeNodes", &[("EnsRegionId", node)]);
        while stage.ask(&asked)["EdgeNodes"][0]["Reachable"] != json!(false) {
            assert!(began.elapsed() < SETTLED_AT_MOST, "{node} can be reached");
            std::thread::sleep(Duration::from_millis(20));
        }
        stage
    }

    fn on(site: Site) -> Self {
        let key = Key::of(&site.data_dir()).unwrap();
        let address = site.server().url.trim_start_matches("http://").to_owned();
        let mut stage = Self { site, key, address, app_id: String::new() };
        let template = json!({
            "appMetaData": {"appName": "target", "clusterName": "poc"},
            "resourceAttribute": {"instanceSpec": "ens.sn1.tiny", "areaLevel": "RegionId"},
            "resourceSelector": [{"regionCode": "cn-shanghai-cmcc", "count": 1}],
            "workload": [{"name": "web", "podSpec": {"containers": [{"name": "web", "image": "oci:/none"}]}}],
        });
        let created = stage.ask(&Draft::of("CreateApplication", &[("Template", &template.to_string())]));
        stage.app_id = created["AppId"].as_str().unwrap().to_owned();
        stage.settle();
        stage
    }

    pub(crate) fn v3(&self, draft: &Draft) -> Request {
        draft.v3(&self.key, &self.address)
    }

    pub(crate) fn v1(&self, draft: &Draft) -> Request {
        draft.v1(&self.key, &self.address)
    }

    pub(crate) fn v1_form(&self, draft: &Draft) -> Request {
        draft.v1_form(&self.key, &self.address)
    }

    /// A call that would add an instance, were nothing wrong with it.
    pub(crate) fn rescale(&self) -> Draft {
        let selector = r#"[{"regionCode":"cn-shanghai-cmcc","count":1}]"#;
        Draft::of(
            "RescaleApplication",
            &[
                ("AppId", &self.app_id),
                ("RescaleType", "Add"),
                ("RescaleLevel", "RegionId"),
                ("ResourceSelector", selector),
            ],
        )
    }

    /// A call that changes nothing.
    pub(crate) fn describe(&self) -> Draft {
        Draft::of(
            "DescribeApplication",
            &[("AppId", &self.app_id), ("AppVersions", "All"), ("Level", "RegionId")],
        )
    }

    /// Sends a good request and returns its JSON answer.
    pub(crate) fn ask(&self, draft: &Draft) -> Value {
        let answer = self.exchange(&self.v3(draft).bytes()).unwrap();
        let body = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(answer.status, 200, "{draft:?}: {body:#}");
        body
    }

    /// Sends anything on a connection of its own; `None` when the connection is closed without an answer.
    pub(crate) fn exchange(&self, request: &[u8]) -> Option<Answer> {
        exchange(&self.address, request).unwrap()
    }

    /// Sends every case and checks what this file promises; reports all that went wrong, not only the first.
    pub(crate) fn play(&self, cases: Vec<Case>) {
        let mut request_ids = BTreeSet::new();
        let mut wrong = Vec::new();
        let before = self.state();
        let pid = self.site.server().pid();
        let (memory, files) = (machine::resident_bytes(pid), machine::open_files(pid));
        for case in &cases {
            let began = Instant::now();
            let outcome = match exchange(&self.address, &case.request) {
                Ok(answer) => check(&case.expected, answer.as_ref(), &mut request_ids),
                Err(error) => Err(format!("{error:#}")),
            };
            if let Err(why) = outcome {
                wrong.push(format!("{} ({:?}): {why}", case.name, began.elapsed()));
            }
        }
        let after = self.state();
        let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();

        assert!(wrong.is_empty(), "{} of {} cases:\n  {}", wrong.len(), cases.len(), wrong.join("\n  "));
        assert_eq!(before, after, "a refused request changed the state");
        assert_eq!(names.len(), cases.len(), "every case has a name of its own");
        let grown = machine::resident_bytes(pid).saturating_sub(memory);
        assert!(grown < MEMORY_GROWTH_AT_MOST, "{grown} bytes more after {} cases", cases.len());
        assert!(machine::open_files(pid) <= files + 2, "{} files, {files} before", machine::open_files(pid));
        self.log_is_sound();
        println!("{} cases", cases.len());
    }

    /// Nothing a client sent broke out of its line of the log, and nobody's secret is there.
    fn log_is_sound(&self) {
        let log = self.site.server().log();
        assert!(log.lines().count() > 1, "every request has a line");
        for line in log.lines() {
            assert!(serde_json::from_str::<Value>(line).is_ok(), "no line of this log: {line}");
        }
        assert!(!log.contains(&self.key.secret) && !log.contains("panicked"), "{log}");
    }

    /// The body of a refusal.
    pub(crate) fn refusal(&self, request: &Request) -> Value {
        let answer = self.exchange(&request.bytes()).unwrap();
        assert_ne!(answer.status, 200);
        serde_json::from_slice(&answer.body).unwrap()
    }

    fn state(&self) -> State {
        let without_id = |mut answer: Value| {
            answer.as_object_mut().unwrap().remove("RequestId");
            answer
        };
        State {
            applications: without_id(self.ask(&Draft::of("ListApplications", &[]))),
            application: without_id(self.ask(&self.describe())),
            log: self.site.ensemble(&["log", "show", "--output", "json"]).unwrap(),
        }
    }

    /// Waits until the application's last change has ended.
    pub(crate) fn settle(&self) {
        self.settle_of(&self.app_id);
    }

    /// The same for another one.
    pub(crate) fn settle_of(&self, app_id: &str) {
        let began = Instant::now();
        loop {
            let answer = self.ask(&Draft::of("DescribeDeviceService", &[("AppId", app_id)]));
            if answer["AppStatus"]["Phase"] == "RUNNING" {
                return;
            }
            assert!(began.elapsed() < SETTLED_AT_MOST, "{answer:#}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn check(
    expected: &Expected,
    answer: Option<&Answer>,
    request_ids: &mut BTreeSet<String>,
) -> Result<(), String> {
    match (expected, answer) {
        (Expected::Cut(_), None) => Ok(()),
        (Expected::Cut(statuses), Some(answer)) if statuses.contains(&answer.status) => Ok(()),
        (_, None) => Err("the connection was closed without an answer".into()),
        (Expected::Cut(_), Some(answer)) => Err(format!("{}: {}", answer.status, text_of(answer))),
        (Expected::Answered(content_type), Some(answer)) => {
            expect("status", answer.status, 200, answer)?;
            read(answer, content_type, request_ids).map(|_| ())
        }
        (Expected::Refused { status, code, content_type }, Some(answer)) => {
            expect("status", answer.status, *status, answer)?;
            let body = read(answer, content_type, request_ids)?;
            for (name, value) in [("Code", Some(code.as_str())), ("Message", None), ("HostId", None)] {
                let found = body.get(name).ok_or_else(|| format!("no {name}: {}", text_of(answer)))?;
                if let Some(value) = value {
                    expect("code", found.as_str(), value, answer)?;
                }
            }
            Ok(())
        }
    }
}

/// The members of an answer's body, once its content type is exactly the expected one and it parses as what it says.
fn read(
    answer: &Answer,
    content_type: &str,
    request_ids: &mut BTreeSet<String>,
) -> Result<std::collections::BTreeMap<String, String>, String> {
    expect("content type", answer.header("content-type").unwrap_or_default(), content_type, answer)?;
    let members =
        if content_type == XML { crate::xml::members(&answer.body)? } else { members(&answer.body)? };
    let id = members.get("RequestId").ok_or("no RequestId")?.clone();
    expect("x-acs-request-id", answer.header("x-acs-request-id"), Some(id.as_str()), answer)?;
    let is_upper_uuid = uuid::Uuid::parse_str(&id).is_ok() && id == id.to_uppercase() && id.len() == 36;
    if !is_upper_uuid || !request_ids.insert(id.clone()) {
        return Err(format!("`{id}` is no RequestId of its own"));
    }
    Ok(members)
}

fn members(body: &[u8]) -> Result<std::collections::BTreeMap<String, String>, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| format!("no JSON: {error}"))?;
    let members = value.as_object().ok_or("no object")?.iter();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Ok(members.map(|(name, value)| (name.clone(), text(value))).collect())
}

fn expect<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: T,
    expected: T,
    answer: &Answer,
) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what} is {found:?}, not {expected:?}: {}", text_of(answer)))
}

fn text_of(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    text.chars().take(600).collect()
}
