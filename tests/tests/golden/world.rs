//! The server that answers: four edge nodes (one of several carriers, one abroad), an application with instances on
//! three of them, another without any in a cluster of its own, and an instance by itself on the fourth node.

use crate::covered::covered;
use crate::reads::Read;
use ensemble_tests::forge::{Draft, Key};
use ensemble_tests::raw::{Answer, exchange};
use ensemble_tests::server::{Engine, command_on_fleet};
use ensemble_tests::site::Site;
use quick_xml::events::Event;
use quick_xml::{Reader, Writer};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const SETTLED_AT_MOST: Duration = Duration::from_secs(30);

const FLEET: &str = r#"
version = 1

[engines.here]
kind = "simulated"

[[edge_nodes]]
id = "cn-shanghai-cmcc"
name = "上海移动"
name_en = "China Shanghai cmcc"
district = "310100"
isps = ["cmcc"]
capacity = { vcpu = 8, memory_gib = 16 }
engine = "here"

[[edge_nodes]]
id = "cn-wuxi-telecom_unicom_cmcc-3"
name = "无锡电信联通移动3"
name_en = "China Wuxi telecom/unicom/cmcc-3"
district = "320200"
isps = ["telecom", "unicom", "cmcc"]
capacity = { vcpu = 8, memory_gib = 16 }
engine = "here"

[[edge_nodes]]
id = "cn-dalian-unicom"
name = "大连联通"
name_en = "China Dalian unicom"
district = "210200"
isps = ["unicom"]
capacity = { vcpu = 3, memory_gib = 6 }
engine = "here"

[[edge_nodes]]
id = "sg-singapore-9"
name = "新加坡9"
name_en = "Singapore-9"
isps = []
capacity = { vcpu = 2, memory_gib = 4 }
engine = "here"
"#;

pub(crate) struct World {
    // Ends the server when it goes.
    _site: Site,
    key: Key,
    address: String,
    /// The application with instances.
    pub(crate) app_id: String,
    /// What added them.
    pub(crate) order_id: String,
    /// The one on `cn-shanghai-cmcc`.
    pub(crate) instance_id: String,
}

impl World {
    pub(crate) fn set() -> Self {
        let mut site = Site::empty(Engine::Simulated).unwrap();
        let fleet = site.path("fleet.toml");
        std::fs::write(&fleet, FLEET).unwrap();
        site.restart_by(command_on_fleet(&site.data_dir(), &fleet)).unwrap();
        let key = Key::of(&site.data_dir()).unwrap();
        let address = site.server().url.trim_start_matches("http://").to_owned();
        let none = String::new;
        let mut world =
            Self { _site: site, key, address, app_id: none(), order_id: none(), instance_id: none() };
        let template = json!({
            "appMetaData": {"appName": "idle", "clusterName": "pre", "description": "a < b & \"c\" 上海"},
            "resourceAttribute": {
                "resourceType": "BareMetal-Arm",
                "instanceSpec": "ens.sn1.stiny",
                "schedulingStrategy": "Concentrate",
                "imageId": "m-5or73kzkuxytv7hh6wxr6yc5q",
            },
            "resourceSelector": [],
            "workload": [workload("idle", 1)],
        });
        world.create(&template);
        let template = json!({
            "appMetaData": {"appName": "shop", "clusterName": "poc", "appType": "Scheduler", "description": "sells"},
            "resourceAttribute": {
                "instanceSpec": "ens.sn1.tiny",
                "systemDiskSize": 40,
                "bandwithOut": 100,
                "areaLevel": "RegionId",
                "minReady": 1,
            },
            "resourceSelector": [],
            "workload": [workload("web", 2), workload("side", 1)],
        });
        world.app_id = world.create(&template);
        world.order_id = world.add();
        world.settle();
        let here = world.ask(&world.devices().with("RegionId", "cn-shanghai-cmcc"));
        world.instance_id = here["ResourceInfos"][0]["InstanceId"].as_str().unwrap().to_owned();
        world.ask(&Draft::of(
            "RunInstances",
            &[
                ("InstanceType", "ens.sn1.stiny"),
                ("ScheduleAreaLevel", "Region"),
                ("EnsRegionId", "cn-dalian-unicom"),
            ],
        ));
        world
    }

    fn create(&self, template: &Value) -> String {
        let created = self.ask(&Draft::of("CreateApplication", &[("Template", &template.to_string())]));
        created["AppId"].as_str().unwrap().to_owned()
    }

    fn add(&self) -> String {
        let selector = json!([
            {"regionCode": "cn-shanghai-cmcc", "count": 1},
            {"regionCode": "cn-wuxi-telecom_unicom_cmcc-3", "ispCode": "telecom", "count": 1},
            {"regionCode": "cn-wuxi-telecom_unicom_cmcc-3", "ispCode": "unicom", "count": 1},
            {"regionCode": "sg-singapore-9", "count": 1},
        ]);
        let added = self.ask(&Draft::of(
            "RescaleApplication",
            &[
                ("AppId", &self.app_id),
                ("RescaleType", "Add"),
                ("RescaleLevel", "RegionId"),
                ("ResourceSelector", &selector.to_string()),
            ],
        ));
        added["RequestId"].as_str().unwrap().to_owned()
    }

    fn devices(&self) -> Draft {
        Draft::of("DescribeDeviceService", &[("AppId", &self.app_id)])
    }

    fn settle(&self) {
        let began = Instant::now();
        loop {
            let answer = self.ask(&self.devices());
            if answer["AppStatus"]["Phase"] == "RUNNING" {
                return;
            }
            assert!(began.elapsed() < SETTLED_AT_MOST, "{answer:#}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn ask(&self, draft: &Draft) -> Value {
        let answer = self.exchange(&draft.v3(&self.key, &self.address).bytes());
        let body = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(answer.status, 200, "{draft:?}: {body:#}");
        body
    }

    /// The answer to V3, which is JSON: in one line on the wire, pretty and covered here.
    pub(crate) fn json(&self, read: &Read) -> String {
        let body = self.in_json(read);
        let parsed: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body, parsed.to_string(), "it is compact on the wire");
        pretty(&parsed)
    }

    /// What stands as JSON inside a string of the answer.
    pub(crate) fn inner(&self, read: &Read) -> Option<String> {
        let path = read.inner?;
        let parsed: Value = serde_json::from_str(&self.in_json(read)).unwrap();
        let text = parsed.pointer(path)?.as_str().unwrap();
        Some(pretty(&serde_json::from_str(text).unwrap()))
    }

    fn in_json(&self, read: &Read) -> String {
        let answer = self.exchange(&read.call.v3(&self.key, &self.address).bytes());
        assert_eq!(answer.status, read.status, "{}", read.name);
        assert_eq!(answer.header("content-type"), Some("application/json;charset=utf-8"));
        self.text_of(answer)
    }

    /// The answer to V1 without a format, which is XML.
    pub(crate) fn xml(&self, read: &Read) -> String {
        let call = read.call.clone().omit("Format");
        let answer = self.exchange(&call.v1(&self.key, &self.address).bytes());
        assert_eq!(answer.status, read.status, "{}", read.name);
        assert_eq!(answer.header("content-type"), Some("text/xml;charset=utf-8"));
        pretty_xml(&self.text_of(answer))
    }

    /// A refusal tells the address of its explanation, whose port differs each time.
    fn text_of(&self, answer: Answer) -> String {
        String::from_utf8(answer.body).unwrap().replace(&self.address, "127.0.0.1:PORT")
    }

    fn exchange(&self, request: &[u8]) -> Answer {
        exchange(&self.address, request).unwrap().unwrap()
    }
}

fn workload(name: &str, pod_count: u32) -> Value {
    json!({
        "name": name,
        "podCount": pod_count,
        "podSpec": {"containers": [{"name": name, "image": "oci:/none"}]},
    })
}

fn pretty(value: &Value) -> String {
    covered(&serde_json::to_string_pretty(value).unwrap()) + "\n"
}

/// An element a line; the wire has no white space between elements.
fn pretty_xml(text: &str) -> String {
    assert!(!text.contains(">\n"), "it is compact on the wire");
    let mut reader = Reader::from_str(text);
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => break,
            event => writer.write_event(event).unwrap(),
        }
    }
    covered(&String::from_utf8(writer.into_inner()).unwrap()) + "\n"
}
