//! `serviceConfig` of a workload: which ports of its pods are bound on the machine, and how (ens-api.md §6.3). The JSON is
//! kept as given (camelCase), to be shown in PascalCase; what it means is read here, once.
//! The address of an instance is its port namespace (`decisions.md` §9.7), which its pods share. Whether a port is free
//! on some machine is not known here.

use super::Container;
use super::field::{Field, short};
use super::pod_spec::refuse_unlisted;
use crate::error::Error;
use serde_json::Value;

const MAX_PORTS: usize = 64;
/// Node ports of one instance, those of all its pods together: each is an entry in a table of the kernel.
const MAX_NODE_PORTS: u32 = 1_024;

/// Neighbouring node ports and the ports of a pod that they lead to. With `Mapping` the node ports of the next pod
/// follow those of the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundPorts {
    /// `TCP` or `UDP`.
    pub protocol: &'static str,
    /// The first node port of the first pod.
    pub node: u16,
    /// The first port inside.
    pub container: u16,
    /// 1 or more, the same for both.
    pub count: u16,
}

pub(super) struct ServiceConfig {
    pub(super) given: Option<Value>,
    pub(super) ports: Vec<BoundPorts>,
}

/// The node ports of a version that were read so far: no two of an instance are the same.
#[derive(Default)]
pub(super) struct NodePorts {
    taken: Vec<Taken>,
    count: u32,
}

struct Taken {
    protocol: &'static str,
    first: u32,
    last: u32,
    path: String,
}

/// `containers` are those of the workload, where they are known.
pub(super) fn read(
    workload: &Field<'_>,
    pod_count: u32,
    containers: Option<&[Container]>,
    taken: &mut NodePorts,
) -> Result<ServiceConfig, Error> {
    let Some(config) = workload.child("serviceConfig")? else {
        return Ok(ServiceConfig { given: None, ports: Vec::new() });
    };
    refuse_unlisted(&config, &["portsBindConfig", "serviceContainerName"])?;
    config.text_or("serviceContainerName", "")?;
    let mut ports = Vec::new();
    if let Some(binding) = config.child("portsBindConfig")? {
        refuse_unlisted(&binding, &["netServiceContainer", "ports"])?;
        if let Some(containers) = containers {
            check_container(&binding, containers)?;
        }
        for item in binding.children("ports", MAX_PORTS)? {
            ports.push(bound_ports(&item, pod_count, taken)?);
        }
    }
    Ok(ServiceConfig { given: Some(config.value.clone()), ports })
}

/// The containers of a pod share its ports, so this one is only said to be the one that listens.
fn check_container(binding: &Field<'_>, containers: &[Container]) -> Result<(), Error> {
    let Some(field) = binding.child("netServiceContainer")? else { return Ok(()) };
    let name = field.text()?;
    if name.is_empty() || containers.iter().any(|container| container.name == name) {
        return Ok(());
    }
    let names: Vec<&str> = containers.iter().map(|container| container.name.as_str()).collect();
    Err(field.refuse(&format!("`{}` is no container of this workload: {}", short(name), names.join(", "))))
}

fn bound_ports(item: &Field<'_>, pod_count: u32, taken: &mut NodePorts) -> Result<BoundPorts, Error> {
    refuse_unlisted(item, &["protocol", "bindType", "startNodePorts", "containerPorts"])?;
    let protocol = item.choice("protocol", &["TCP", "UDP"])?;
    let bind_type = item.choice("bindType", &["PassThrough", "Mapping"])?;
    let (node, container) = (range(item, "startNodePorts")?, range(item, "containerPorts")?);
    if node.1 - node.0 != container.1 - container.0 {
        return Err(item.refuse("has ranges of unequal length"));
    }
    let count = u32::from(node.1 - node.0) + 1;
    if bind_type == "PassThrough" {
        if node != container {
            return Err(item.refuse("has bindType PassThrough and two different ranges; Mapping takes these"));
        }
        if pod_count > 1 {
            return Err(item.refuse(&format!(
                "has bindType PassThrough, and the {pod_count} pods of an instance share its ports; with Mapping each \
                 has its own"
            )));
        }
    }
    let first = u32::from(node.0);
    let last = first + count * pod_count - 1;
    if last > u32::from(u16::MAX) {
        return Err(item.refuse(&format!(
            "needs node ports {first}-{last} for {pod_count} pods, and the last port is {}",
            u16::MAX
        )));
    }
    taken.take(item, Taken { protocol, first, last, path: item.path.clone() })?;
    let count = u16::try_from(count).map_err(|_| item.refuse("binds too many ports"))?;
    Ok(BoundPorts { protocol, node: node.0, container: container.0, count })
}

impl NodePorts {
    fn take(&mut self, item: &Field<'_>, ports: Taken) -> Result<(), Error> {
        let overlaps = |other: &&Taken| {
            other.protocol == ports.protocol && other.first <= ports.last && ports.first <= other.last
        };
        if let Some(other) = self.taken.iter().find(overlaps) {
            let (protocol, port) = (ports.protocol, ports.first.max(other.first));
            return Err(item.refuse(&format!("binds {protocol} port {port}, which {} binds too", other.path)));
        }
        self.count += ports.last - ports.first + 1;
        if self.count > MAX_NODE_PORTS {
            return Err(item.refuse(&format!(
                "is one too many: an instance binds at most {MAX_NODE_PORTS} ports, those of all its pods together"
            )));
        }
        self.taken.push(ports);
        Ok(())
    }
}

/// Both ends of `from-to`.
fn range(port: &Field<'_>, key: &str) -> Result<(u16, u16), Error> {
    let field = port.required(key)?;
    let text = field.text()?;
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let ends: Option<(u16, u16)> =
        text.split_once('-').and_then(|(from, to)| Some((number(from)?, number(to)?)));
    match ends {
        Some((from, to)) if 1 <= from && from <= to => Ok((from, to)),
        _ => Err(field.refuse(&format!("`{}` is not a range of ports like 5000-5009", short(text)))),
    }
}
