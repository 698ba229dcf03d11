//! The Template of CreateApplication: camelCase JSON as the documentation's one example has it, with the rules of
//! ens-api.md §2.1. Unknown keys are ignored, except inside `podSpec`.
//! Whether the instance spec, the districts and the images exist is not known here.

mod field;
mod fields;
mod pod_spec;
mod probe;
mod service_config;
mod upgrade;

pub use fields::FIELDS;
pub use pod_spec::{Container, Port};
pub use probe::{Probe, Question};
pub use service_config::BoundPorts;
pub use upgrade::{AutoUpgrade, Condition, MatchKey, Rule, Upgrade, WorkloadPatch};

use crate::error::Error;
use crate::selector::Selector;
use field::{Field, short};
use serde_json::Value;
use service_config::NodePorts;
use std::collections::HashSet;

const MAX_WORKLOADS: usize = 20;
const MAX_POD_COUNT: u32 = 100;
const MAX_DESCRIPTION: usize = 256;
/// Most GB of a disk, and most Mbit/s.
pub const MOST_SIZE: u32 = 1_000_000;
pub const LEAST_SYSTEM_DISK_GB: u32 = 20;

/// A template whose every rule holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    pub app_name: String,
    pub cluster_name: String,
    /// `Common` or `Scheduler`.
    pub app_type: &'static str,
    pub description: String,
    /// The name of the first version.
    pub app_version: String,
    pub resources: ResourceAttribute,
    /// May have no items: an application without resources.
    pub selector: Selector,
    pub workloads: Vec<Workload>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ResourceAttribute {
    /// `Ens` where the template says nothing.
    pub resource_type: &'static str,
    pub resource_agent: String,
    /// Not looked up: the table of specs is the model's.
    pub instance_spec: String,
    pub system_disk_gb: u32,
    pub data_disk_gb: u32,
    pub bandwidth_out_mbit: u32,
    pub area_level: AreaLevel,
    pub strategy: Strategy,
    pub ip_type: &'static str,
    pub image_id: Option<String>,
    pub net_security_strategy: Option<Value>,
    pub init_config: Option<Value>,
    /// Ours: how many stay ready on each edge node and carrier while others go.
    pub min_ready: u32,
}

/// The level at which the selector's regionCode is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AreaLevel {
    National,
    Big,
    Middle,
    Small,
    RegionId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    Disperse,
    Concentrate,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    pub name: String,
    /// Pods on each instance, 1 to 100.
    pub pod_count: u32,
    /// As given, in camelCase.
    pub service_config: Option<Value>,
    /// What it binds, read.
    pub bound_ports: Vec<BoundPorts>,
    pub containers: Vec<Container>,
}

impl AreaLevel {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::National => "National",
            Self::Big => "Big",
            Self::Middle => "Middle",
            Self::Small => "Small",
            Self::RegionId => "RegionId",
        }
    }
}

impl Template {
    /// # Errors
    /// `InvalidParameter` that names the first wrong field by its path.
    pub fn read(template: &Value) -> Result<Self, Error> {
        let root = Field::root("Template", template);
        let meta = root.required("appMetaData")?;
        let description = meta.text_or("description", "")?;
        if description.chars().count() > MAX_DESCRIPTION {
            let why = format!("has over {MAX_DESCRIPTION} characters");
            return Err(Error::invalid(format!("{}.description {why}", meta.path)));
        }
        Ok(Self {
            app_name: meta.required("appName")?.label()?,
            cluster_name: cluster_name(&meta)?,
            app_type: meta.choice("appType", &["Common", "Scheduler"])?,
            description,
            app_version: version_name(&meta)?,
            resources: resources(&root.required("resourceAttribute")?)?,
            selector: Selector::of_template(template.get("resourceSelector"))?,
            workloads: workloads(&root.required("workload")?)?,
        })
    }
}

fn cluster_name(meta: &Field<'_>) -> Result<String, Error> {
    let name = meta.text_or("clusterName", "default")?;
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if name.is_empty() {
        Ok("default".to_owned())
    } else if name.len() <= 63 && name.bytes().all(inside) {
        Ok(name)
    } else {
        let why = "is not 1 to 63 letters, digits, `_` and `-`";
        Err(Error::invalid(format!("{}.clusterName `{}` {why}", meta.path, short(&name))))
    }
}

fn version_name(meta: &Field<'_>) -> Result<String, Error> {
    let name = meta.text_or("appVersion", "v1")?;
    if is_version_name(&name) {
        Ok(name)
    } else {
        let why = "is not a letter or digit and up to 62 letters, digits, `.`, `_` and `-`";
        Err(Error::invalid(format!("{}.appVersion `{}` {why}", meta.path, short(&name))))
    }
}

fn is_version_name(name: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let starts_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    starts_well && name.len() <= 63 && name.bytes().all(inside)
}

fn resources(attribute: &Field<'_>) -> Result<ResourceAttribute, Error> {
    const MOST: u32 = MOST_SIZE;
    let spec = attribute.required("instanceSpec")?;
    let instance_spec = spec.text()?.to_owned();
    if instance_spec.is_empty() {
        return Err(spec.refuse("is empty"));
    }
    let strategy = match attribute.choice("schedulingStrategy", &["Disperse", "Concentrate"])? {
        "Concentrate" => Strategy::Concentrate,
        _ => Strategy::Disperse,
    };
    let agent = attribute.text_or("resourceAgent", "Linux")?;
    let image_id = attribute.text_or("imageId", "")?;
    Ok(ResourceAttribute {
        resource_type: attribute.choice("resourceType", &["Ens", "BareMetal-Arm"])?,
        resource_agent: if agent.is_empty() { "Linux".to_owned() } else { agent },
        instance_spec,
        system_disk_gb: attribute.integer_or(
            "systemDiskSize",
            (LEAST_SYSTEM_DISK_GB, MOST),
            LEAST_SYSTEM_DISK_GB,
        )?,
        data_disk_gb: attribute.integer_or("dataDiskSize", (0, MOST), 0)?,
        bandwidth_out_mbit: attribute.integer_or("bandwithOut", (0, MOST), 10)?,
        area_level: area_level(attribute)?,
        strategy,
        ip_type: attribute.choice("ipType", &["PublicIP", "InternalIP"])?,
        image_id: Some(image_id).filter(|id| !id.is_empty()),
        net_security_strategy: attribute.object("netSecurityStrategy")?,
        init_config: attribute.object("initConfig")?,
        min_ready: attribute.integer_or("minReady", (0, 1_000), 0)?,
    })
}

fn area_level(attribute: &Field<'_>) -> Result<AreaLevel, Error> {
    let levels = ["National", "Big", "Middle", "Small", "RegionId"];
    Ok(match attribute.choice("areaLevel", &levels)? {
        "Big" => AreaLevel::Big,
        "Middle" => AreaLevel::Middle,
        "Small" => AreaLevel::Small,
        "RegionId" => AreaLevel::RegionId,
        _ => AreaLevel::National,
    })
}

fn workloads(list: &Field<'_>) -> Result<Vec<Workload>, Error> {
    let items = list.items(MAX_WORKLOADS)?;
    if items.is_empty() {
        return Err(list.refuse("is empty"));
    }
    let mut names = HashSet::new();
    let mut workloads = Vec::with_capacity(items.len());
    let mut node_ports = NodePorts::default();
    for item in &items {
        let name = item.required("name")?.label()?;
        if !names.insert(name.clone()) {
            return Err(item.refuse(&format!("has the name `{name}` of another workload")));
        }
        let pod_count = pod_count(item)?;
        let containers = pod_spec::containers(&item.required("podSpec")?)?;
        let service = service_config::read(item, pod_count, Some(&containers), &mut node_ports)?;
        workloads.push(Workload {
            name,
            pod_count,
            service_config: service.given,
            bound_ports: service.ports,
            containers,
        });
    }
    Ok(workloads)
}

/// `podCount`, or `count`, its other name; both must agree.
fn pod_count(workload: &Field<'_>) -> Result<u32, Error> {
    let read = |key: &str| {
        let child = workload.child(key)?;
        child.map(|child| child.integer(1, MAX_POD_COUNT)).transpose()
    };
    match (read("podCount")?, read("count")?) {
        (Some(pods), Some(count)) if pods != count => {
            Err(workload.refuse(&format!("says podCount {pods} and count {count}, which mean the same")))
        }
        (Some(count), _) | (None, Some(count)) => Ok(count),
        (None, None) => Ok(1),
    }
}
