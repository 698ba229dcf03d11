//! The parameters of an accepted write, as its history shows them. What may be a secret is hidden here, whatever was
//! called: the log keeps it, because what runs needs it, and nobody is shown it.

use ensemble_wire::payload::operation::Parameter;
use serde_json::Value;

/// What stands where something was that is not shown.
const HIDDEN: &str = "***";

/// A member whose name, in lower case, has one of these in it is not shown.
const TELLING: &[&str] =
    &["password", "passwd", "secret", "credential", "privatekey", "userdata", "authorization"];

/// In the order in which they were called; JSON as its text.
pub(super) fn shown(parameters: &Value) -> Vec<Parameter> {
    let members = parameters.as_object().into_iter().flatten();
    let shown = |(name, value): (&String, &Value)| {
        let value = hidden(name, value);
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Parameter { name: name.clone(), value: text }
    };
    members.map(shown).collect()
}

/// Depth is bounded by whoever parsed the value.
fn hidden(name: &str, value: &Value) -> Value {
    let lower = name.to_ascii_lowercase();
    if TELLING.iter().any(|part| lower.contains(part)) {
        return HIDDEN.into();
    }
    match value {
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, value)| (name.clone(), hidden(name, value))).collect())
        }
        // Where containers are given their passwords.
        Value::Array(items) if name == "env" => Value::Array(items.iter().map(without_value).collect()),
        Value::Array(items) => Value::Array(items.iter().map(|item| hidden("", item)).collect()),
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => value.clone(),
    }
}

/// A variable keeps its name only.
fn without_value(variable: &Value) -> Value {
    let mut variable = variable.clone();
    if let Some(value) = variable.get_mut("value") {
        *value = HIDDEN.into();
    }
    variable
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parameters_are_shown_in_their_order_and_secrets_are_not() {
        let template = json!({"workload": [{"podSpec": {"containers": [{"name": "web", "args": ["-v"],
            "env": [{"name": "DB_PASS", "value": "hunter2"}, {"name": "EMPTY"}]}]}}],
            "resourceAttribute": {"initConfig": {"rootPassword": "hunter2", "size": 3}}});
        let parameters = json!({"Template": template, "Timeout": 300, "AllowPartial": true, "ClientToken": "t",
            "Password": "hunter2"});

        let shown = shown(&parameters);

        let names: Vec<&str> = shown.iter().map(|parameter| parameter.name.as_str()).collect();
        assert_eq!(names, ["Template", "Timeout", "AllowPartial", "ClientToken", "Password"]);
        let all = serde_json::to_string(&shown).unwrap();
        assert!(!all.contains("hunter2"), "{all}");
        let template: Value = serde_json::from_str(&shown[0].value).unwrap();
        let container = &template["workload"][0]["podSpec"]["containers"][0];
        assert_eq!(container["env"], json!([{"name": "DB_PASS", "value": "***"}, {"name": "EMPTY"}]));
        assert_eq!(container["args"], json!(["-v"]));
        assert_eq!(template["resourceAttribute"]["initConfig"], json!({"rootPassword": "***", "size": 3}));
        assert_eq!((shown[1].value.as_str(), shown[4].value.as_str()), ("300", "***"));
    }

    #[test]
    fn what_was_called_with_nothing_shows_nothing() {
        assert!(shown(&Value::Null).is_empty());
    }
}
