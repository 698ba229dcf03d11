//! The shapes of what answers carry: PascalCase, members in the order of the examples, absent sub-objects null
//! (ens-api.md §6). Clients read the same types. Shapes only: the server's `view` fills them from the state.

pub mod application;
pub mod device;
pub mod event;
pub mod exec;
pub mod instance;
pub mod log;
pub mod operation;
pub mod plan;
pub mod summary;

use serde::Serialize;
use serde_json::{Map, Value};

/// A payload as the JSON text that stands inside a string member: `Application`, `AppInfo`, `StatusDescrip`.
pub fn to_text<T: Serialize>(payload: &T) -> String {
    serde_json::to_string(payload).expect("payloads have text keys and finite numbers only")
}

/// The keys of a kept camelCase object as they are shown: `portsBindConfig` → `PortsBindConfig`, at every depth.
pub fn to_pascal_case(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: Map<String, Value> =
                members.iter().map(|(key, value)| (capitalized(key), to_pascal_case(value))).collect();
            Value::Object(members)
        }
        Value::Array(items) => items.iter().map(to_pascal_case).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn capitalized(key: &str) -> String {
    let mut letters = key.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_service_config_is_shown_in_pascal_case() {
        let kept = json!({ "portsBindConfig": { "netServiceContainer": "a", "ports": [{ "bindType": "Mapping" }] } });

        let shown = to_pascal_case(&kept);

        assert_eq!(
            to_text(&shown),
            r#"{"PortsBindConfig":{"NetServiceContainer":"a","Ports":[{"BindType":"Mapping"}]}}"#
        );
    }
}
