//! What the normalised model says besides what the files say: defaults, names, implied networks and
//! dependencies, environments filled in.

use super::Wrong;
use crate::{
    cx::Cx,
    dotenv,
    model::{canonical::clean, paths::join},
    mounts::within,
    variables::Variables,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

type Object = Map<String, Value>;

/// What the model is finished with.
pub(super) struct Project<'a> {
    pub name: &'a str,
    pub variables: &'a Variables<'a>,
    /// Texts of files, by path below the project folder.
    pub files: &'a BTreeMap<String, String>,
    /// The project folder.
    pub folder: &'a str,
}

/// Completes the model.
pub(super) fn finish(model: &mut Object, project: &Project<'_>, cx: &Cx) -> Result<(), Wrong> {
    for key in ["version", "labels"] {
        model.remove(key);
    }
    networks(model);
    let services = model.entry("services").or_insert_with(|| json!({}));
    for (name, service) in services.as_object_mut().into_iter().flatten() {
        if let Some(service) = service.as_object_mut() {
            self::service(name, service, project, cx)?;
        }
    }
    names(model, project.name);
    model.insert("name".to_owned(), json!(project.name));
    Ok(())
}

/// Services without a network join `default`, which is there if one does.
fn networks(model: &mut Object) {
    let mut uses_default = false;
    let services = model.get_mut("services").and_then(Value::as_object_mut);
    for service in services
        .into_iter()
        .flatten()
        .filter_map(|(_, service)| service.as_object_mut())
    {
        if service.contains_key("provider") || service.contains_key("network_mode") {
            continue;
        }
        let networks = service.entry("networks").or_insert_with(|| json!({}));
        let Some(networks) = networks.as_object_mut() else {
            continue;
        };
        if networks.is_empty() {
            networks.insert("default".to_owned(), Value::Null);
        }
        uses_default |= networks.contains_key("default");
    }
    let networks = model.entry("networks").or_insert_with(|| json!({}));
    if let Some(networks) = networks.as_object_mut().filter(|_| uses_default) {
        networks.entry("default").or_insert(Value::Null);
    }
}

/// Every network, volume, secret and config gets the name that it has on the engine.
fn names(model: &mut Object, project: &str) {
    for section in ["networks", "volumes", "configs", "secrets"] {
        let entries = model.get_mut(section).and_then(Value::as_object_mut);
        for (key, entry) in entries.into_iter().flatten() {
            if entry.is_null() {
                *entry = json!({});
            }
            let Some(entry) = entry.as_object_mut() else {
                continue;
            };
            let external = entry.get("external") == Some(&json!(true));
            let name = if external {
                key.clone()
            } else {
                format!("{project}_{key}")
            };
            entry.entry("name").or_insert(json!(name));
            if section == "networks" {
                entry.entry("ipam").or_insert_with(|| json!({}));
            }
        }
    }
}

fn service(name: &str, service: &mut Object, project: &Project<'_>, cx: &Cx) -> Result<(), Wrong> {
    if service.get("pull_policy") == Some(&json!("if_not_present")) {
        service.insert("pull_policy".to_owned(), json!("missing"));
    }
    if let Some(build) = service.get_mut("build").and_then(Value::as_object_mut) {
        self::build(build, project);
    }
    environment(name, service, project, cx)?;
    labels(name, service, project, cx)?;
    dependencies(service);
    defaults(service);
    Ok(())
}

fn build(build: &mut Object, project: &Project<'_>) {
    let here = if project.folder.is_empty() {
        "."
    } else {
        project.folder
    };
    build.entry("context").or_insert(json!(here));
    if !build.contains_key("dockerfile") && !build.contains_key("dockerfile_inline") {
        build.insert("dockerfile".to_owned(), json!("Dockerfile"));
    }
    if build.get("dockerfile") == Some(&json!("")) {
        build.remove("dockerfile");
    }
    if let Some(arguments) = build.get_mut("args").and_then(Value::as_object_mut) {
        resolve(arguments, project);
        arguments.retain(|_, value| !value.is_null());
    }
}

/// Names without a value take that of the caller's variable.
fn resolve(values: &mut Object, project: &Project<'_>) {
    for (name, value) in values.iter_mut().filter(|(_, value)| value.is_null()) {
        if let Some(known) = project.variables.get(name) {
            *value = json!(known);
        }
    }
}

fn environment(name: &str, service: &mut Object, project: &Project<'_>, cx: &Cx) -> Result<(), Wrong> {
    let mut own = match service.remove("environment") {
        Some(Value::Object(own)) => own,
        _ => Map::new(),
    };
    resolve(&mut own, project);
    let mut all = Map::new();
    for file in array(service.remove("env_file")) {
        let path = file.get("path").and_then(Value::as_str).unwrap_or_default();
        let raw = file.get("format").and_then(Value::as_str) == Some("raw");
        let Some(text) = text_of(path, project) else {
            if file.get("required") == Some(&json!(false)) {
                continue;
            }
            return Err(Wrong {
                path: format!("services.{name}.env_file"),
                message: format!("env file {path} not found"),
                cure: "make the file, or write it as {path: …, required: false}",
            });
        };
        all.extend(values(text, raw, &own, project, cx));
    }
    all.extend(own);
    if !all.is_empty() {
        service.insert("environment".to_owned(), Value::Object(all));
    }
    Ok(())
}

/// The values of an environment file.
fn values(text: &str, raw: bool, own: &Object, project: &Project<'_>, cx: &Cx) -> Object {
    if raw {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let pairs = lines.filter_map(|line| line.split_once('='));
        return pairs
            .map(|(name, value)| (name.trim().to_owned(), json!(value)))
            .collect();
    }
    let outer = |name: &str| {
        let known = project.variables.get(name).map(str::to_owned);
        known.or_else(|| own.get(name).and_then(Value::as_str).map(str::to_owned))
    };
    match dotenv::read(text, &outer) {
        Ok(outcome) => outcome
            .values
            .into_iter()
            .map(|(name, value)| (name, json!(value)))
            .collect(),
        Err(faults) => {
            for fault in faults {
                let at = crate::place::Place::default();
                let severity = crate::Severity::Error;
                cx.report(
                    severity,
                    "compose.env_file_syntax",
                    "",
                    at,
                    fault.message,
                    fault.cure,
                );
            }
            Map::new()
        }
    }
}

fn labels(name: &str, service: &mut Object, project: &Project<'_>, cx: &Cx) -> Result<(), Wrong> {
    let mut all = Map::new();
    for path in array(service.remove("label_file")) {
        let path = path.as_str().unwrap_or_default();
        let Some(text) = text_of(path, project) else {
            return Err(Wrong {
                path: format!("services.{name}.label_file"),
                message: format!("label file {path} not found"),
                cure: "make the file, or remove the line",
            });
        };
        all.extend(values(text, false, &Map::new(), project, cx));
    }
    if let Some(Value::Object(own)) = service.remove("labels") {
        all.extend(own);
    }
    if !all.is_empty() {
        service.insert("labels".to_owned(), Value::Object(all));
    }
    Ok(())
}

/// The text of a file that is named by its full path.
fn text_of<'a>(path: &str, project: &Project<'a>) -> Option<&'a String> {
    let inside = path.strip_prefix(project.folder).unwrap_or(path);
    project
        .files
        .get(&within(inside.trim_start_matches('/'))?)
        .filter(|_| path == join(project.folder, inside.trim_start_matches('/')))
}

fn array(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

/// What a service shares of another, it depends on.
fn dependencies(service: &mut Object) {
    let mut implied: Vec<(String, bool)> = Vec::new();
    let texts = |key: &str| -> Vec<String> {
        let items = service.get(key).and_then(Value::as_array).into_iter().flatten();
        items
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect()
    };
    for link in texts("links") {
        implied.push((link.split(':').next().unwrap_or_default().to_owned(), true));
    }
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        let mode = service.get(key).and_then(Value::as_str);
        if let Some(other) = mode.and_then(|mode| mode.strip_prefix("service:")) {
            implied.push((other.to_owned(), true));
        }
    }
    for from in texts("volumes_from") {
        if !from.starts_with("container:") {
            implied.push((from.split(':').next().unwrap_or_default().to_owned(), false));
        }
    }
    if implied.is_empty() {
        return;
    }
    let depends_on = service.entry("depends_on").or_insert_with(|| json!({}));
    let Some(depends_on) = depends_on.as_object_mut() else {
        return;
    };
    for (other, restart) in implied {
        let mut dependency = json!({"condition": "service_started", "required": true});
        if restart && let Some(entries) = dependency.as_object_mut() {
            entries.insert("restart".to_owned(), json!(true));
        }
        depends_on.entry(other).or_insert(dependency);
    }
}

fn defaults(service: &mut Object) {
    for mount in objects(service, "volumes") {
        if let Some(target) = mount.get("target").and_then(Value::as_str) {
            let target = clean(target);
            mount.insert("target".to_owned(), json!(target));
        }
        if let Some(bind) = mount.get_mut("bind").and_then(Value::as_object_mut)
            && bind.get("create_host_path") != Some(&json!(false))
        {
            bind.remove("create_host_path");
        }
    }
    for secret in objects(service, "secrets") {
        let source = secret.get("source").and_then(Value::as_str).unwrap_or_default();
        let target = json!(format!("/run/secrets/{source}"));
        secret.entry("target").or_insert(target);
    }
    for port in objects(service, "ports") {
        port.entry("protocol").or_insert(json!("tcp"));
        port.entry("mode").or_insert(json!("ingress"));
    }
    for request in objects(service, "gpus") {
        count(request);
    }
    let reserved = service
        .get_mut("deploy")
        .and_then(|deploy| deploy.pointer_mut("/resources/reservations/devices"))
        .and_then(Value::as_array_mut);
    for request in reserved.into_iter().flatten().filter_map(Value::as_object_mut) {
        count(request);
    }
    if let Some(scale) = service.get("scale").cloned()
        && let Some(deploy) = service.get_mut("deploy").and_then(Value::as_object_mut)
    {
        deploy.entry("replicas").or_insert(scale);
    }
}

fn count(request: &mut Object) {
    if !request.contains_key("count") && !request.contains_key("device_ids") {
        request.insert("count".to_owned(), json!(-1));
    }
}

fn objects<'m>(service: &'m mut Object, key: &str) -> impl Iterator<Item = &'m mut Object> {
    let items = service.get_mut(key).and_then(Value::as_array_mut);
    items.into_iter().flatten().filter_map(Value::as_object_mut)
}
