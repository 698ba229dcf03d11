//! Renders the catalog in the shape of the portal's `api-docs.json` (gateway.md §7.2), so that a tool written for
//! the portal only changes its host.

use super::{ACTIONS, API_VERSION};
use crate::entry::{
    Access, Action, Group, Member, Method, Parameter, Position, Presence, Schema, ValueType, Width,
};
use serde_json::{Map, Value, json};

/// The whole product as one document.
pub fn api_docs() -> Value {
    let groups = [Group::Application, Group::Device, Group::Instance, Group::Region, Group::Extension];
    let directories: Vec<Value> = (1..).zip(groups).map(|(id, group)| directory(id, group)).collect();
    let apis: Map<String, Value> =
        ACTIONS.iter().map(|action| (action.name.to_owned(), api(action))).collect();
    json!({
        "version": "1.0",
        "info": { "style": "RPC", "product": "Ens", "version": API_VERSION },
        "directories": directories,
        "components": { "schemas": {} },
        "apis": apis,
        "endpoints": [],
    })
}

fn directory(id: usize, group: Group) -> Value {
    let children: Vec<&str> =
        ACTIONS.iter().filter(|action| action.group == group).map(|action| action.name).collect();
    json!({ "id": id, "title": group.title(), "type": "directory", "children": children })
}

fn api(action: &Action) -> Value {
    let methods: Vec<&str> = action
        .methods
        .iter()
        .map(|method| match method {
            Method::Get => "get",
            Method::Post => "post",
        })
        .collect();
    let errors: Vec<Value> = action
        .errors
        .iter()
        .map(|error| json!({ "errorCode": error.code, "errorMessage": error.message }))
        .collect();
    let parameters: Vec<Value> = action.parameters.iter().map(parameter).collect();
    let demo = json!([{ "type": "json", "example": action.example, "errorExample": "" }]).to_string();
    json!({
        "title": action.title,
        "summary": action.summary,
        "methods": methods,
        "schemes": ["http", "https"],
        "security": [{ "AK": [] }],
        "deprecated": false,
        "systemTags": { "operationType": operation_type(action.access) },
        "ramAction": action.ram_action,
        "parameters": parameters,
        "responses": { "200": { "schema": object(action.response) } },
        "errorCodes": { "400": errors },
        "responseDemo": demo,
    })
}

fn operation_type(access: Access) -> &'static str {
    access.as_str()
}

fn parameter(parameter: &Parameter) -> Value {
    let mut schema = Map::new();
    let mut put = |name: &str, value: Value| schema.insert(name.to_owned(), value);
    put("description", parameter.description.into());
    match parameter.value {
        ValueType::Text { max_bytes } => {
            put("type", "string".into());
            put("maxLength", max_bytes.into());
        }
        ValueType::Enum(values) => {
            put("type", "string".into());
            put("enum", values.into());
        }
        ValueType::Integer { minimum, maximum, width } => {
            let format = match width {
                Width::Int32 => "int32",
                Width::Int64 => "int64",
            };
            put("type", "integer".into());
            put("format", format.into());
            put("minimum", minimum.to_string().into());
            put("maximum", maximum.to_string().into());
        }
        ValueType::Flag => {
            put("type", "boolean".into());
        }
        ValueType::JsonArray { .. } | ValueType::JsonObject | ValueType::Refused { .. } | ValueType::Date => {
            put("type", "string".into());
        }
        ValueType::Family { at_most, .. } => {
            put("type", "array".into());
            put("maxItems", at_most.into());
        }
    }
    put("required", (parameter.presence == Presence::Required).into());
    if let Some(default) = parameter.default {
        put("default", default.into());
    }
    put("example", parameter.example.into());
    let position = match parameter.position {
        Position::Query => "query",
        Position::Form => "formData",
    };
    json!({ "name": parameter.name, "in": position, "schema": schema })
}

fn object(members: &[Member]) -> Value {
    let properties: Map<String, Value> =
        members.iter().map(|member| (member.name.to_owned(), schema(&member.schema))).collect();
    json!({ "type": "object", "properties": properties })
}

fn schema(shape: &Schema) -> Value {
    match shape {
        Schema::Text(example) => json!({ "type": "string", "example": example }),
        Schema::Integer(example) => json!({ "type": "integer", "format": "int32", "example": example }),
        Schema::Flag(example) => json!({ "type": "boolean", "example": example }),
        Schema::List(item) => json!({ "type": "array", "items": schema(item) }),
        Schema::Object(members) => object(members),
    }
}
