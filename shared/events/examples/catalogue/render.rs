//! The catalogue as text: a page for people and an AsyncAPI document for tools.

use super::yaml;
use berth_events::{Category, EndpointSet, Event, TypeInfo, UsageSample};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fmt::Write as _};

/// File names below `docs/` with their text.
pub fn documents() -> [(&'static str, String); 2] {
    [
        ("events.md", page()),
        ("asyncapi.yaml", yaml::document(&asyncapi())),
    ]
}

const HEAD: &str = "\
# Events

Generated from the types by `cargo run -p berth-events --example catalogue`; do not edit.

Every event stands in the log for ever (`shared/events`). A reader knows every version in the column *reads*
and upcasts it. On the bus an event is a CloudEvent 1.0 in structured JSON, on the subject
`evt.<tenant>.<category>.<key>` of stream EVT, whose sequence is the position in the log:

```json
";

const ENVELOPE: &str = r#"{
  "specversion": "1.0",
  "id": "0192f3a0-1111-7000-8000-000000000001",
  "source": "berth/0192f3a0-0000-7000-8000-00000000109d",
  "type": "node.cordoned",
  "subject": "node/0192f3a0-0000-7000-8000-0000000000a1",
  "time": "2026-11-24T10:00:00.000000Z",
  "sequence": 42,
  "streamversion": 3,
  "categoryprevious": 40,
  "schemaversion": 1,
  "tenant": "main",
  "incarnation": 1,
  "hash": "4be1…",
  "previoushash": "77d0…",
  "meta": { "actor": "token:…", "command_id": "…", "correlation_id": "…", "traceparent": "00-…" },
  "data": { "reason": "disk is failing" }
}
"#;

fn page() -> String {
    let mut out = format!("{HEAD}{ENVELOPE}```\n");
    for category in Category::ALL {
        let types = of_category(*category);
        if types.is_empty() {
            continue;
        }
        let owner = match category.owner() {
            "*" => "every service that names things".to_owned(),
            owner => format!("service `{owner}`"),
        };
        let _ = write!(out, "\n## `{}/`: written by {owner}\n\n", category.as_str());
        out.push_str("| type | version | reads | meaning |\n|---|---|---|---|\n");
        for info in &types {
            let reads: Vec<String> = info.reads.iter().map(u16::to_string).collect();
            let _ = writeln!(
                out,
                "| [`{}`](../shared/events/golden/{}.v{}.json) | {} | {} | {} |",
                info.name,
                info.name,
                info.version,
                info.version,
                reads.join(", "),
                one_line(&schema(info)["description"])
            );
        }
        types.iter().for_each(|info| fields(&mut out, info));
    }
    out
}

fn fields(out: &mut String, info: &TypeInfo) {
    let schema = schema(info);
    let Some(properties) = schema["properties"]
        .as_object()
        .filter(|fields| !fields.is_empty())
    else {
        return;
    };
    let _ = write!(
        out,
        "\n### {}\n\n| field | type | meaning |\n|---|---|---|\n",
        info.name
    );
    for (name, field) in properties.iter().collect::<BTreeMap<_, _>>() {
        let required = schema["required"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one == name));
        let optional = if required { "" } else { ", optional" };
        let _ = writeln!(
            out,
            "| `{name}` | {}{optional} | {} |",
            kind(field),
            one_line(&field["description"])
        );
    }
}

fn kind(field: &Value) -> String {
    if let Some(name) = field["$ref"].as_str() {
        return name.rsplit('/').next().unwrap_or(name).to_owned();
    }
    match &field["type"] {
        Value::String(kind) if kind == "array" => format!("list of {}", kind_of_items(field)),
        Value::String(kind) if kind == "object" => format!("map to {}", kind_of_values(field)),
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => kinds
            .iter()
            .filter_map(Value::as_str)
            .filter(|kind| *kind != "null")
            .collect::<Vec<_>>()
            .join(" or "),
        _ => field["anyOf"]
            .as_array()
            .and_then(|any| any.first())
            .map_or_else(|| "any".to_owned(), kind),
    }
}

fn kind_of_items(field: &Value) -> String {
    kind(&field["items"])
}

fn kind_of_values(field: &Value) -> String {
    kind(&field["additionalProperties"])
}

fn one_line(text: &Value) -> String {
    text.as_str()
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

fn of_category(category: Category) -> Vec<TypeInfo> {
    Event::catalogue()
        .into_iter()
        .filter(|info| info.category == category)
        .collect()
}

fn schema(info: &TypeInfo) -> Value {
    (info.schema)().to_value()
}

/// AsyncAPI 3.0: one channel a category, one message a type, shared schemas once.
fn asyncapi() -> Value {
    let mut document = Document::default();
    for category in Category::ALL {
        let mut messages = Map::new();
        for info in of_category(*category) {
            document.message(info.name, schema(&info), &mut messages);
        }
        let address = format!("evt.{{tenant}}.{}.{{key}}", category.as_str());
        document.channel(category.as_str(), &address, &["tenant", "key"], messages);
    }
    for (id, address, parameters, payload) in [
        (
            "usage",
            "met.{cluster}.{node}",
            ["cluster", "node"].as_slice(),
            schemars::schema_for!(UsageSample),
        ),
        (
            "endpoints",
            "doc.{cluster}.endpoints.{application}.{service}",
            ["cluster", "application", "service"].as_slice(),
            schemars::schema_for!(EndpointSet),
        ),
    ] {
        let mut messages = Map::new();
        document.message(id, payload.to_value(), &mut messages);
        document.channel(id, address, parameters, messages);
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Berth",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Facts of the log and documents on the bus. Generated from the types; do not edit.",
            "license": { "name": "Apache-2.0" },
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": document.channels,
        "operations": document.operations,
        "components": { "messages": document.messages, "schemas": document.schemas },
    })
}

#[derive(Default)]
struct Document {
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    messages: Map<String, Value>,
    schemas: Map<String, Value>,
}

impl Document {
    fn message(&mut self, name: &str, schema: Value, of_channel: &mut Map<String, Value>) {
        let summary = one_line(&schema["description"]);
        let title = self.take_schema(name, schema);
        let message = json!({
            "name": name,
            "summary": summary,
            "payload": { "$ref": format!("#/components/schemas/{title}") },
        });
        self.messages.insert(name.to_owned(), message);
        let reference = json!({ "$ref": format!("#/components/messages/{name}") });
        of_channel.insert(name.to_owned(), reference);
    }

    fn channel(&mut self, id: &str, address: &str, parameters: &[&str], messages: Map<String, Value>) {
        let parameters: Map<String, Value> = parameters
            .iter()
            .map(|name| ((*name).to_owned(), json!({})))
            .collect();
        let channel = json!({ "address": address, "parameters": parameters, "messages": messages });
        self.channels.insert(id.to_owned(), channel);
        let operation = json!({
            "action": "receive",
            "channel": { "$ref": format!("#/channels/{id}") },
        });
        self.operations.insert(format!("receive_{id}"), operation);
    }

    /// Moves a schema and what it defines under the shared schemas; answers its name there.
    fn take_schema(&mut self, name: &str, mut schema: Value) -> String {
        let title = schema["title"].as_str().unwrap_or(name).to_owned();
        if let Some(fields) = schema.as_object_mut() {
            fields.remove("$schema");
            if let Some(Value::Object(definitions)) = fields.remove("$defs") {
                for (name, mut definition) in definitions {
                    point_to_components(&mut definition);
                    self.schemas.insert(name, definition);
                }
            }
        }
        point_to_components(&mut schema);
        self.schemas.insert(title.clone(), schema);
        title
    }
}

fn point_to_components(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(target) if key == "$ref" => {
                        *target = target.replace("#/$defs/", "#/components/schemas/");
                    }
                    other => point_to_components(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(point_to_components),
        _ => {}
    }
}
