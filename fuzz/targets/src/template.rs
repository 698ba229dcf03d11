//! Template: whatever is accepted gives nothing of the machine away, is within its bounds, and is accepted the same
//! from how we would write it.

use crate::refusal::{self, Quotes};
use ensemble_wire::template::{Container, ResourceAttribute, Strategy, Template, Workload};
use serde_json::{Map, Value, json};

/// Would give a container part of the machine (`decisions.md` §6.1).
const NEVER: [&str; 5] = ["hostPath", "hostNetwork", "hostPID", "hostIPC", "privileged"];

/// The text of the parameter.
pub fn check(input: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(input) else { return };
    let template = match Template::read(&value) {
        Ok(template) => template,
        Err(error) => return refusal::is_sound(&error, Quotes::Little),
    };
    let specs = value["workload"].as_array().into_iter().flatten().map(|workload| &workload["podSpec"]);
    for spec in specs {
        assert!(!grants_the_machine(spec), "accepted: {spec}");
    }
    if let Err(error) = template.selector.items() {
        refusal::is_sound(&error, Quotes::Little);
    }
    assert!((1..=20).contains(&template.workloads.len()), "{} workloads", template.workloads.len());
    let written = written(&template, value.get("resourceSelector"));
    assert_eq!(Template::read(&written).as_ref(), Ok(&template), "read differently: {written}");
}

fn grants_the_machine(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(key, value)| {
            NEVER.contains(&key.as_str()) && !value.is_null() || grants_the_machine(value)
        }),
        Value::Array(items) => items.iter().any(grants_the_machine),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The selector is kept as it was given.
fn written(template: &Template, selector: Option<&Value>) -> Value {
    json!({
        "appMetaData": {
            "appName": template.app_name,
            "clusterName": template.cluster_name,
            "appType": template.app_type,
            "description": template.description,
            "appVersion": template.app_version,
        },
        "resourceAttribute": resources(&template.resources),
        "resourceSelector": selector,
        "workload": template.workloads.iter().map(workload).collect::<Vec<_>>(),
    })
}

fn resources(attribute: &ResourceAttribute) -> Value {
    let strategy = match attribute.strategy {
        Strategy::Disperse => "Disperse",
        Strategy::Concentrate => "Concentrate",
    };
    json!({
        "resourceType": attribute.resource_type,
        "resourceAgent": attribute.resource_agent,
        "instanceSpec": attribute.instance_spec,
        "systemDiskSize": attribute.system_disk_gb,
        "dataDiskSize": attribute.data_disk_gb,
        "bandwithOut": attribute.bandwidth_out_mbit,
        "areaLevel": attribute.area_level.as_str(),
        "schedulingStrategy": strategy,
        "ipType": attribute.ip_type,
        "imageId": attribute.image_id,
        "netSecurityStrategy": attribute.net_security_strategy,
        "initConfig": attribute.init_config,
    })
}

fn workload(workload: &Workload) -> Value {
    assert!((1..=100).contains(&workload.pod_count), "{} pods", workload.pod_count);
    json!({
        "name": workload.name,
        "podCount": workload.pod_count,
        "serviceConfig": workload.service_config,
        "podSpec": { "containers": workload.containers.iter().map(container).collect::<Vec<_>>() },
    })
}

fn container(container: &Container) -> Value {
    let mut texts = container.command.iter().chain(&container.args);
    assert!(texts.all(|text| !text.contains('\0')), "an argument that no program can be given");
    let env = container.env.iter().map(|(name, value)| json!({ "name": name, "value": value }));
    let ports = container.ports.iter().map(|port| {
        let members = [("containerPort", json!(port.container_port)), ("protocol", json!(port.protocol))];
        Value::Object(
            members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>(),
        )
    });
    json!({
        "name": container.name,
        "image": container.image,
        "command": container.command,
        "args": container.args,
        "env": env.collect::<Vec<_>>(),
        "workingDir": container.working_dir,
        "ports": ports.collect::<Vec<_>>(),
    })
}
