//! `serviceConfig` of a workload: which ports of its pods are bound how (ens-api.md §6.3). Checked here, kept as
//! given (camelCase) and shown in PascalCase.

use super::field::{Field, short};
use crate::error::Error;
use serde_json::Value;

const MAX_PORTS: usize = 64;

pub(super) fn read(workload: &Field<'_>) -> Result<Option<Value>, Error> {
    let Some(config) = workload.child("serviceConfig")? else { return Ok(None) };
    config.text_or("serviceContainerName", "")?;
    if let Some(binding) = config.child("portsBindConfig")? {
        binding.text_or("netServiceContainer", "")?;
        for port in binding.children("ports", MAX_PORTS)? {
            port.choice("protocol", &["TCP", "UDP"])?;
            port.choice("bindType", &["PassThrough", "Mapping"])?;
            let (node, container) = (range(&port, "startNodePorts")?, range(&port, "containerPorts")?);
            if node != container {
                return Err(port.refuse("has ranges of unequal length"));
            }
        }
    }
    Ok(Some(config.value.clone()))
}

/// The number of ports of `from-to`.
fn range(port: &Field<'_>, key: &str) -> Result<u16, Error> {
    let field = port.required(key)?;
    let text = field.text()?;
    let ends: Option<(u16, u16)> =
        text.split_once('-').and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    match ends {
        Some((from, to)) if 1 <= from && from <= to => Ok(to - from),
        _ => Err(field.refuse(&format!("`{}` is not a range of ports like 5000-5009", short(text)))),
    }
}
