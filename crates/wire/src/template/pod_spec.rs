//! The part of a Kubernetes PodSpec that is understood (`decisions.md` §6.1). A field that is not listed here is
//! refused by its path, never ignored: a container that runs without what its author asked for is a trap.

use super::field::{Field, short};
use super::probe::{self, Probe};
use crate::error::{Error, Reason};
use serde_json::Value;
use std::collections::HashSet;

const POD_FIELDS: [&str; 2] = ["containers", "restartPolicy"];
const CONTAINER_FIELDS: [&str; 9] =
    ["name", "image", "imagePullPolicy", "command", "args", "env", "workingDir", "ports", "readinessProbe"];
const ENV_FIELDS: [&str; 2] = ["name", "value"];
const PORT_FIELDS: [&str; 2] = ["containerPort", "protocol"];

/// Would give a container part of the machine.
const REFUSED_FOR_GOOD: [&str; 5] = ["hostPath", "hostNetwork", "hostPID", "hostIPC", "privileged"];

const MAX_CONTAINERS: usize = 20;
const MAX_ARGUMENTS: usize = 256;
const MAX_VARIABLES: usize = 256;
const MAX_PORTS: usize = 64;
const MAX_IMAGE_BYTES: usize = 1_024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    pub name: String,
    pub image: String,
    /// Replaces the image's entrypoint when not empty.
    pub command: Vec<String>,
    /// Replaces the image's command when not empty.
    pub args: Vec<String>,
    /// In the order given; no name twice.
    pub env: Vec<(String, String)>,
    /// Absolute.
    pub working_dir: Option<String>,
    pub ports: Vec<Port>,
    pub readiness: Option<Probe>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    pub container_port: u16,
    /// `TCP` or `UDP`.
    pub protocol: &'static str,
}

pub(super) fn containers(spec: &Field<'_>) -> Result<Vec<Container>, Error> {
    refuse_for_good(spec)?;
    refuse_unlisted(spec, &POD_FIELDS)?;
    spec.choice("restartPolicy", &["Always"])?;
    let items = spec.required("containers")?.items(MAX_CONTAINERS)?;
    if items.is_empty() {
        return Err(Error::invalid(format!("{}.containers is empty", spec.path)));
    }
    let mut names = HashSet::new();
    let mut containers = Vec::with_capacity(items.len());
    for item in &items {
        let container = container(item)?;
        if !names.insert(container.name.clone()) {
            return Err(item.refuse(&format!("has the name `{}` of another container", container.name)));
        }
        containers.push(container);
    }
    Ok(containers)
}

fn container(item: &Field<'_>) -> Result<Container, Error> {
    refuse_unlisted(item, &CONTAINER_FIELDS)?;
    let image = item.required("image")?;
    // A version means one digest, so there is nothing to choose (`decisions.md` §9.11).
    item.choice("imagePullPolicy", &["IfNotPresent", "Always", "Never"])?;
    let reference = image.text()?.trim();
    if reference.is_empty() || reference.len() > MAX_IMAGE_BYTES {
        return Err(image.refuse("is empty or too long"));
    }
    Ok(Container {
        name: item.required("name")?.label()?,
        image: reference.to_owned(),
        command: texts(item, "command")?,
        args: texts(item, "args")?,
        env: variables(item)?,
        working_dir: working_dir(item)?,
        ports: item.children("ports", MAX_PORTS)?.iter().map(port).collect::<Result<_, _>>()?,
        readiness: item.child("readinessProbe")?.map(|found| probe::read(&found)).transpose()?,
    })
}

fn texts(item: &Field<'_>, key: &str) -> Result<Vec<String>, Error> {
    let items = item.children(key, MAX_ARGUMENTS)?;
    items.iter().map(|text| text.text().map(str::to_owned)).collect()
}

fn variables(item: &Field<'_>) -> Result<Vec<(String, String)>, Error> {
    let mut names = HashSet::new();
    let mut variables = Vec::new();
    for variable in item.children("env", MAX_VARIABLES)? {
        refuse_unlisted(&variable, &ENV_FIELDS)?;
        let name = variable.required("name")?;
        let text = name.text()?;
        if text.is_empty() || text.contains('=') {
            return Err(name.refuse("is empty or contains `=`"));
        }
        if !names.insert(text) {
            return Err(name.refuse(&format!("`{}` stands there twice", short(text))));
        }
        variables.push((text.to_owned(), variable.text_or("value", "")?));
    }
    Ok(variables)
}

fn working_dir(item: &Field<'_>) -> Result<Option<String>, Error> {
    let Some(field) = item.child("workingDir")? else { return Ok(None) };
    let text = field.text()?;
    if text.is_empty() {
        return Ok(None);
    }
    if text.starts_with('/') {
        Ok(Some(text.to_owned()))
    } else {
        Err(field.refuse("is not an absolute path"))
    }
}

fn port(item: &Field<'_>) -> Result<Port, Error> {
    refuse_unlisted(item, &PORT_FIELDS)?;
    let number = item.required("containerPort")?;
    let container_port =
        u16::try_from(number.integer(1, u32::from(u16::MAX))?).map_err(|_| number.refuse("is not a port"))?;
    Ok(Port { container_port, protocol: item.choice("protocol", &["TCP", "UDP"])? })
}

/// Refuses what is not understood, by its path, with the nearest field that is.
pub(super) fn refuse_unlisted(field: &Field<'_>, listed: &[&'static str]) -> Result<(), Error> {
    let members = field.members()?;
    let unlisted = members.iter().find(|(key, value)| !listed.contains(&key.as_str()) && !value.is_null());
    let Some((key, _)) = unlisted else { return Ok(()) };
    let hint = match crate::entry::nearest(key, listed.iter().copied()) {
        // Near to a field that means something else.
        _ if key == "imagePullSecrets" => {
            "the credentials of a registry belong to the server's configuration, [registries.\"HOST\"]"
                .to_owned()
        }
        Some(nearest) => format!("did you mean {nearest}?"),
        None => format!("the fields are {}", listed.join(", ")),
    };
    let why = format!("{}.{} is not supported; {hint}", field.path, short(key));
    Err(Error::invalid(why).with_reason(Reason::NotSupported))
}

/// Looks for what is never granted at any depth, so that it is named before anything else is. A path is made for what is
/// found only: made for every value on the way, the paths of a megabyte of nested JSON are gigabytes.
fn refuse_for_good(spec: &Field<'_>) -> Result<(), Error> {
    let Some(steps) = refused_within(spec.value) else { return Ok(()) };
    let path: String = steps.iter().rev().map(String::as_str).collect();
    let why = format!("{}{path} is refused: no container gets part of the machine", spec.path);
    Err(Error::invalid(why).with_reason(Reason::NotSupported))
}

/// The steps to what is refused, innermost first. Goes as deep as the JSON, which its parser bounds (128 levels).
fn refused_within(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Object(members) => {
            let is_refused = |key: &str| REFUSED_FOR_GOOD.contains(&key);
            if let Some((key, _)) = members.iter().find(|(key, value)| is_refused(key) && !value.is_null()) {
                return Some(vec![format!(".{key}")]);
            }
            members.iter().find_map(|(key, value)| {
                let mut steps = refused_within(value)?;
                steps.push(format!(".{}", short(key)));
                Some(steps)
            })
        }
        Value::Array(items) => items.iter().enumerate().find_map(|(index, value)| {
            let mut steps = refused_within(value)?;
            steps.push(format!("[{index}]"));
            Some(steps)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
