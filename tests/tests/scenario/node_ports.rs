//! `portsBindConfig`: every instance has an address of its own, whose ports lead to its pods, by TCP and by UDP.

use crate::{SETTLED_AT_MOST, add, del};
use anyhow::{Context, Result};
use ensemble_tests::client::Client;
use ensemble_tests::containers_can_run;
use ensemble_tests::server::{self, Engine};
use ensemble_tests::site::Site;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

const ANSWER_AT_MOST: Duration = Duration::from_secs(2);
const TWO: &str = r#"[{"regionCode":"cn-shanghai-cmcc","count":2}]"#;
const ONE: &str = r#"[{"regionCode":"cn-shanghai-cmcc","count":1}]"#;

/// A template of two pods an instance, each with a page and a port that answers datagrams.
pub(crate) fn template(name: &str, first_port: u16) -> Value {
    let container = |name: &str, arguments: &[&str]| json!({ "name": name, "image": format!("oci:{}", server::image().display()), "args": arguments });
    let binding = |protocol: &str, inside: u16| {
        json!({
            "protocol": protocol,
            "bindType": "Mapping",
            "startNodePorts": format!("{first_port}-{first_port}"),
            "containerPorts": format!("{inside}-{inside}"),
        })
    };
    json!({
        "appMetaData": { "appName": name },
        "resourceAttribute": { "instanceSpec": "ens.sn1.stiny" },
        "resourceSelector": [],
        "workload": [{
            "name": "web",
            "podCount": 2,
            "serviceConfig": { "portsBindConfig": {
                "netServiceContainer": "page",
                "ports": [binding("TCP", 8080), binding("UDP", 5353)],
            }},
            "podSpec": { "containers": [container("page", &[]), container("datagrams", &["datagrams", "5353"])] },
        }],
    })
}

pub(crate) async fn create(client: &Client, template: &Value) -> Result<String> {
    let answer = client.ask("CreateApplication", &[("Template", &template.to_string())]).await?;
    answer["AppId"].as_str().map(str::to_owned).context("an AppId is a string")
}

/// The name of the pod that answers there by TCP.
pub(crate) fn page(address: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_AT_MOST)?;
    stream.set_read_timeout(Some(ANSWER_AT_MOST))?;
    write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").context("an answer has a body")?;
    pod_name(body)
}

/// The name of the pod that answers there by UDP.
pub(crate) fn datagram(address: SocketAddr) -> Result<String> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(ANSWER_AT_MOST))?;
    socket.send_to(b"who", address)?;
    let mut answer = [0; 2_048];
    let (length, from) = socket.recv_from(&mut answer)?;
    anyhow::ensure!(from == address, "{from} answers for {address}");
    pod_name(&String::from_utf8_lossy(&answer[..length]))
}

fn pod_name(document: &str) -> Result<String> {
    let document: Value = serde_json::from_str(document)?;
    document["ENS_POD_NAME"].as_str().map(str::to_owned).context("a container knows its pod")
}

/// Name, protocol and place of every open port that the answer of DescribeDeviceService tells of.
pub(crate) fn open_ports(described: &Value) -> Vec<(String, String, SocketAddr)> {
    let mut found = Vec::new();
    let instances = described["ResourceInfos"].as_array().into_iter().flatten();
    for device in instances.flat_map(|instance| instance["DeviceInfos"].as_array().into_iter().flatten()) {
        for network in device["Network"].as_array().into_iter().flatten() {
            let text = |key: &str| network[key].as_str().unwrap_or_default().to_owned();
            let first = text("HostPorts").split('-').next().unwrap_or_default().to_owned();
            let place = format!("{}:{first}", text("ExternalIp")).parse().unwrap();
            found.push((device["Name"].as_str().unwrap().to_owned(), text("Protocol"), place));
        }
    }
    found
}

fn assert_all_answer(ports: &[(String, String, SocketAddr)]) {
    for (pod, protocol, place) in ports {
        let answered = if protocol == "UDP" { datagram(*place) } else { page(*place) };
        assert_eq!(answered.unwrap(), *pod, "{protocol} {place}");
    }
}

#[tokio::test]
async fn real_pods_answer_on_the_ports_of_their_instances_whatever_happens_to_the_server() {
    if !containers_can_run() {
        return;
    }
    let mut site = Site::start(Engine::Embedded).unwrap();
    let client = site.client().unwrap();
    let app_id = create(&client, &template("mapped", 31_000)).await.unwrap();
    client.ask("RescaleApplication", &add(&app_id, TWO)).await.unwrap();

    let ports = open_ports(&client.settled(&app_id, SETTLED_AT_MOST).await.unwrap());

    // Two instances with the same ports: each has an address of its own.
    assert_eq!(ports.len(), 8, "{ports:?}");
    let addresses: BTreeSet<_> = ports.iter().map(|(_, _, place)| place.ip()).collect();
    assert_eq!(addresses.len(), 2);
    let numbers: BTreeSet<_> = ports.iter().map(|(_, _, place)| place.port()).collect();
    assert_eq!(numbers, BTreeSet::from([31_000, 31_001]), "the second pod has the next port");
    assert_all_answer(&ports);
    let listed = site.ensemble(&["instances", "mapped", "-o", "wide"]).unwrap();
    assert!(listed.contains(":31001/udp→5353"), "{listed}");
    let described = client.describe(&app_id).await.unwrap().to_string();
    assert!(described.contains(r#""HostPorts":"31000-31000""#), "{described}");

    site.take_server().kill().unwrap();
    assert_all_answer(&ports);
    site.restart().unwrap();
    let client = site.client().unwrap();
    assert_all_answer(&ports);
    assert_eq!(open_ports(&client.settled(&app_id, SETTLED_AT_MOST).await.unwrap()), ports);

    client.ask("RescaleApplication", &del(&app_id, ONE)).await.unwrap();
    let left = open_ports(&client.settled(&app_id, SETTLED_AT_MOST).await.unwrap());
    assert_eq!(left.len(), 4);
    assert_all_answer(&left);
    let (_, _, gone) = ports.iter().find(|port| !left.contains(port)).unwrap();
    assert!(page(*gone).is_err(), "what is given back is closed");
    client.ask("RescaleApplication", &add(&app_id, ONE)).await.unwrap();
    assert_all_answer(&open_ports(&client.settled(&app_id, SETTLED_AT_MOST).await.unwrap()));
    client.delete(&app_id, SETTLED_AT_MOST).await.unwrap();
    assert!(ports.iter().all(|(_, _, place)| page(*place).is_err()));
    site.clean().unwrap();
}
