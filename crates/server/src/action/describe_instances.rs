//! DescribeInstances and DescribeInstanceTypes: what an account holds by itself, and what it can hold (ens-api.md §4.7).

use super::{Answer, Context};
use ensemble_model::id::SpecName;
use ensemble_model::own_instance::OwnInstance;
use ensemble_model::permit::Permit;
use ensemble_model::spec;
use ensemble_wire::action::Page;
use ensemble_wire::action::describe_instance_types::{self as types_wire, InstanceType, InstanceTypes};
use ensemble_wire::action::describe_instances::{Request, Response};
use ensemble_wire::action::release_instance::RESOURCE_TYPE;
use ensemble_wire::error::Error;
use ensemble_wire::payload::instance::{Instance, Instances, Tag, Tags};
use ensemble_wire::time::iso;
use serde_json::{Value, json};

/// The one status there is: a share of an edge node is there, or it is not.
const RUNNING: &str = "Running";

pub(super) fn handle(context: &Context, permit: &Permit, request: &Request) -> Result<Answer, Error> {
    let state = context.state();
    let found: Vec<_> = state.account(permit).own_instances().filter(|own| is_asked(own, request)).collect();
    let total_count = found.len();
    let page = request.page.unwrap_or(Page { number: 1, size: total_count });
    let instance = page.of(found).into_iter().map(|own| instance(own)).collect();
    Ok(Answer::of(&Response {
        code: 0,
        instances: Instances { instance },
        page_number: page.number,
        page_size: page.size,
        total_count,
        request_id: context.request_id.clone(),
    }))
}

fn is_asked(own: &OwnInstance, request: &Request) -> bool {
    let among = |asked: &Option<Vec<String>>, id: &str| {
        asked.as_ref().is_none_or(|asked| asked.iter().any(|asked| asked == id))
    };
    let is = |asked: &Option<String>, value: &str| asked.as_ref().is_none_or(|asked| asked == value);
    let has = |(key, value): &(String, Option<String>)| {
        own.tags.iter().any(|tag| tag.key == *key && value.as_ref().is_none_or(|value| tag.value == *value))
    };
    !request.matches_nothing
        && is(&request.instance_resource_type, RESOURCE_TYPE)
        && among(&request.instance_ids, own.id.as_str())
        && among(&request.ens_region_ids, own.node.as_str())
        && is(&request.instance_name, &own.name)
        && is(&request.instance_type, own.spec.as_str())
        && is(&request.status, RUNNING)
        && request.tags.iter().all(has)
}

fn instance(own: &OwnInstance) -> Instance {
    let text = |name: &str| own.echoed[name].as_str().unwrap_or_default().to_owned();
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_default();
    let bandwidth = number(&own.echoed["InternetMaxBandwidthOut"]);
    let disk = &own.echoed["SystemDisk"];
    let tag = |tag: &ensemble_model::own_instance::Tag| Tag {
        tag_key: tag.key.clone(),
        tag_value: tag.value.clone(),
    };
    Instance {
        instance_id: own.id.to_string(),
        instance_name: own.name.clone(),
        instance_resource_type: RESOURCE_TYPE.to_owned(),
        ens_region_id: own.node.to_string(),
        spec_name: own.spec.to_string(),
        cpu: own.resources.vcpu.to_string(),
        memory: own.resources.memory_mib,
        disk: number(&disk["Size"]),
        status: RUNNING.to_owned(),
        creation_time: iso(own.created_at.0),
        expired_time: String::new(),
        host_name: text("HostName"),
        image_id: String::new(),
        os_name: String::new(),
        internet_max_bandwidth_in: bandwidth,
        internet_max_bandwidth_out: bandwidth,
        private_ip_addresses: json!({ "PrivateIpAddress": [] }),
        public_ip_addresses: json!({ "PublicIpAddress": [] }),
        inner_ip_address: json!({ "IpAddress": [] }),
        public_ip_address: json!({ "IpAddress": [] }),
        network_attributes: json!({}),
        system_disk: if disk.is_object() { disk.clone() } else { json!({}) },
        data_disk: json!({ "DataDisk": [] }),
        security_group_ids: json!({ "SecurityGroupId": [] }),
        tags: Tags { tags: own.tags.iter().map(tag).collect() },
        isp_code: own.isp.to_string(),
        hosted_by: own.hosted_by.as_ref().map(ToString::to_string),
    }
}

/// Every spec of the table.
pub(super) fn types(context: &Context) -> Answer {
    let shown = |name: &str| {
        let resources = spec::resources(&SpecName::new(name))?;
        Some(InstanceType {
            instance_type_name: name.to_owned(),
            instance_type_id: name.to_owned(),
            cpu_core_count: resources.vcpu,
            memory_size: resources.memory_mib,
        })
    };
    Answer::of(&types_wire::Response {
        code: 0,
        instance_types: InstanceTypes { instance_type: spec::names().filter_map(shown).collect() },
        request_id: context.request_id.clone(),
    })
}
