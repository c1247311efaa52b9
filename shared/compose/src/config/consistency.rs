//! What only the whole model shows to be wrong.

use super::Wrong;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

type Object = Map<String, Value>;

const DEFINE: &str = "define it at the top of the file, or correct the name";
const ONE: &str = "keep one of the two";

fn wrong(path: String, message: String, cure: &'static str) -> Result<(), Wrong> {
    Err(Wrong { path, message, cure })
}

/// Checks the model.
pub(super) fn check(model: &Object) -> Result<(), Wrong> {
    for (name, service) in entries(model, "services") {
        self::service(name, service, model)?;
    }
    for (name, volume) in entries(model, "volumes") {
        external(&format!("volumes.{name}"), volume)?;
    }
    for (section, keys) in [
        ("secrets", &["file", "environment"][..]),
        ("configs", &["file", "environment", "content"]),
    ] {
        for (name, file) in entries(model, section) {
            self::file(&format!("{section}.{name}"), file, keys)?;
        }
    }
    cycles(model)
}

fn entries<'m>(model: &'m Object, key: &str) -> impl Iterator<Item = (&'m String, &'m Object)> {
    let entries = model.get(key).and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(name, entry)| Some((name, entry.as_object()?)))
}

fn text<'m>(object: &'m Object, key: &str) -> &'m str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn items<'m>(object: &'m Object, key: &str) -> impl Iterator<Item = &'m Value> {
    object.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn names<'m>(object: &'m Object, key: &str) -> impl Iterator<Item = &'m String> {
    let entries = object.get(key).and_then(Value::as_object);
    entries.into_iter().flat_map(Map::keys)
}

fn external(path: &str, entry: &Object) -> Result<(), Wrong> {
    let other = entry
        .keys()
        .find(|key| !matches!(key.as_str(), "name" | "external"));
    match other {
        Some(key) if entry.get("external") == Some(&json!(true)) => {
            let message = format!("{path}: conflicting parameters \"external\" and \"{key}\" specified");
            wrong(path.to_owned(), message, "what exists already is only named")
        }
        _ => Ok(()),
    }
}

fn file(path: &str, entry: &Object, keys: &[&str]) -> Result<(), Wrong> {
    let said = keys.iter().filter(|key| entry.contains_key(**key)).count();
    let keys = keys.join("|");
    if said > 1 {
        return wrong(
            path.to_owned(),
            format!("{path}: {keys} attributes are mutually exclusive"),
            ONE,
        );
    }
    if said == 0 && !entry.contains_key("driver") && !entry.contains_key("external") {
        return wrong(
            path.to_owned(),
            format!("{path}: one of {keys} must be set"),
            "say where its content is",
        );
    }
    Ok(())
}

fn service(name: &str, service: &Object, model: &Object) -> Result<(), Wrong> {
    let at = |key: &str| format!("services.{name}.{key}");
    if ["build", "image", "provider"]
        .iter()
        .all(|key| !service.contains_key(*key))
    {
        let message = format!("service \"{name}\" has neither an image nor a build context specified");
        return wrong(format!("services.{name}"), message, "write image: NAME[:TAG]");
    }
    if let Some(build) = service.get("build").and_then(Value::as_object) {
        self::build(name, build, service, model)?;
    }
    let networks = service.get("networks").and_then(Value::as_object);
    if service.contains_key("network_mode") && networks.is_some_and(|networks| !networks.is_empty()) {
        let message = format!("service {name} declares mutually exclusive `network_mode` and `networks`");
        return wrong(at("networks"), message, ONE);
    }
    references(name, service, model)?;
    depends_on(name, service, model)?;
    if let Some(test) = service
        .get("healthcheck")
        .and_then(|check| check.pointer("/test/0"))
        && !["CMD", "CMD-SHELL", "NONE"].iter().any(|word| test == word)
    {
        let message = "healthcheck.test must start either by \"CMD\", \"CMD-SHELL\" or \"NONE\"".to_owned();
        return wrong(at("healthcheck"), message, "put one of these words first");
    }
    limits(name, service)?;
    ports(name, service)?;
    mounts(name, service)?;
    watches(name, service)
}

fn build(name: &str, build: &Object, service: &Object, model: &Object) -> Result<(), Wrong> {
    let path = format!("services.{name}.build");
    if build.contains_key("dockerfile") && build.contains_key("dockerfile_inline") {
        let message =
            format!("service \"{name}\" declares mutualy exclusive dockerfile and dockerfile_inline");
        return wrong(path, message, ONE);
    }
    let platform = text(service, "platform");
    let mut platforms = items(build, "platforms").peekable();
    if !platform.is_empty() && platforms.peek().is_some() && !platforms.any(|known| known == platform) {
        let message = format!("service.build.platforms MUST include service.platform \"{platform}\"");
        return wrong(path, message, "add it to the list");
    }
    for secret in items(build, "secrets").filter_map(Value::as_object) {
        defined(model, "secrets", text(secret, "source"), &path, name)?;
    }
    Ok(())
}

fn defined(model: &Object, section: &str, wanted: &str, path: &str, service: &str) -> Result<(), Wrong> {
    if names(model, section).any(|name| name == wanted) {
        return Ok(());
    }
    let kind = section.trim_end_matches('s');
    let message = format!("service \"{service}\" refers to undefined {kind} {wanted}");
    wrong(path.to_owned(), message, DEFINE)
}

fn references(name: &str, service: &Object, model: &Object) -> Result<(), Wrong> {
    let at = |key: &str| format!("services.{name}.{key}");
    for network in names(service, "networks") {
        defined(model, "networks", network, &at("networks"), name)?;
    }
    for section in ["configs", "secrets"] {
        for item in items(service, section).filter_map(Value::as_object) {
            defined(model, section, text(item, "source"), &at(section), name)?;
        }
    }
    for model_name in names(service, "models") {
        defined(model, "models", model_name, &at("models"), name)?;
    }
    for mount in items(service, "volumes").filter_map(Value::as_object) {
        let source = text(mount, "source");
        match text(mount, "type") {
            "volume" if !source.is_empty() => defined(model, "volumes", source, &at("volumes"), name)?,
            "bind" if source.is_empty() => {
                let message =
                    "invalid mount config for type \"bind\": field Source must not be empty".to_owned();
                return wrong(at("volumes"), message, "name the path of the node under `source`");
            }
            _ => {}
        }
    }
    Ok(())
}

fn depends_on(name: &str, service: &Object, model: &Object) -> Result<(), Wrong> {
    for other in names(service, "depends_on") {
        let required = service
            .get("depends_on")
            .and_then(|all| all.get(other)?.get("required"));
        if !names(model, "services").any(|known| known == other) && required != Some(&json!(false)) {
            let message = format!("service \"{name}\" depends on undefined service \"{other}\"");
            return wrong(format!("services.{name}.depends_on"), message, DEFINE);
        }
    }
    Ok(())
}

fn limits(name: &str, service: &Object) -> Result<(), Wrong> {
    let deploy = service.get("deploy");
    for (short, long) in [
        ("scale", "/replicas"),
        ("cpus", "/resources/limits/cpus"),
        ("mem_limit", "/resources/limits/memory"),
        ("mem_reservation", "/resources/reservations/memory"),
        ("pids_limit", "/resources/limits/pids"),
    ] {
        let long_value = deploy.and_then(|deploy| deploy.pointer(long));
        if let (Some(one), Some(other)) = (service.get(short), long_value)
            && one != other
        {
            let long = long.replace('/', ".");
            let message =
                format!("services.{name}: can't set distinct values on '{short}' and 'deploy{long}'");
            return wrong(format!("services.{name}.{short}"), message, ONE);
        }
    }
    let scale = service
        .get("scale")
        .or_else(|| deploy?.get("replicas"))
        .and_then(Value::as_i64);
    if scale.is_some_and(|scale| scale < 0) {
        let message = format!("services.{name}.scale: must be greater than or equal to 0");
        return wrong(format!("services.{name}.scale"), message, "write a number from 0");
    }
    if scale.is_some_and(|scale| scale > 1) && service.contains_key("container_name") {
        let message =
            format!("services.{name}: can't set container_name and scale as container name must be unique");
        return wrong(
            format!("services.{name}.container_name"),
            message,
            "remove container_name",
        );
    }
    Ok(())
}

fn ports(name: &str, service: &Object) -> Result<(), Wrong> {
    for port in items(service, "ports").filter_map(Value::as_object) {
        let address = text(port, "host_ip");
        if !address.is_empty() && address.parse::<std::net::IpAddr>().is_err() {
            let message = format!("services.{name}.ports: invalid ip address: {address}");
            return wrong(
                format!("services.{name}.ports"),
                message,
                "write an address of the node",
            );
        }
    }
    let reserved = service
        .get("deploy")
        .and_then(|deploy| deploy.pointer("/resources/reservations/devices"));
    let requests = items(service, "gpus").chain(reserved.and_then(Value::as_array).into_iter().flatten());
    for request in requests.filter_map(Value::as_object) {
        if request.contains_key("count") && request.contains_key("device_ids") {
            let message = format!("services.{name}: \"count\" and \"device_ids\" attributes are exclusive");
            return wrong(format!("services.{name}"), message, ONE);
        }
    }
    Ok(())
}

fn mounts(name: &str, service: &Object) -> Result<(), Wrong> {
    let mut targets = BTreeSet::new();
    let tmpfs = items(service, "tmpfs").filter_map(Value::as_str);
    let tmpfs = tmpfs.map(|mount| mount.split(':').next().unwrap_or_default());
    let volumes = items(service, "volumes").filter_map(Value::as_object);
    for target in tmpfs.chain(volumes.map(|mount| text(mount, "target"))) {
        if !targets.insert(target) {
            let message = format!("services.{name}: target {target} already mounted");
            return wrong(
                format!("services.{name}.volumes"),
                message,
                "mount one thing at each path",
            );
        }
    }
    Ok(())
}

fn watches(name: &str, service: &Object) -> Result<(), Wrong> {
    let watch = service
        .get("develop")
        .and_then(|develop| develop.get("watch"))
        .and_then(Value::as_array);
    for trigger in watch.into_iter().flatten().filter_map(Value::as_object) {
        let needs = !matches!(text(trigger, "action"), "rebuild" | "restart");
        if needs && text(trigger, "target").is_empty() {
            let message =
                format!("services.{name}.develop.watch: target is required for non-rebuild actions");
            return wrong(format!("services.{name}.develop"), message, "add `target`");
        }
    }
    Ok(())
}

/// Names a circle of dependencies.
fn cycles(model: &Object) -> Result<(), Wrong> {
    let graph: BTreeMap<&str, Vec<&str>> = entries(model, "services")
        .map(|(name, service)| {
            (
                name.as_str(),
                names(service, "depends_on").map(String::as_str).collect(),
            )
        })
        .collect();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for start in graph.keys() {
        let mut trail: Vec<(&str, usize)> = vec![(start, 0)];
        while let Some((name, next)) = trail.last_mut() {
            let name: &str = name;
            let child = graph.get(name).and_then(|children| children.get(*next)).copied();
            *next += 1;
            let Some(child) = child.filter(|_| !done.contains(name)) else {
                done.insert(name);
                trail.pop();
                continue;
            };
            if let Some(from) = trail.iter().position(|(known, _)| *known == child) {
                let circle: Vec<&str> = trail.iter().skip(from).map(|(name, _)| *name).collect();
                let message = format!("dependency cycle detected: {} -> {child}", circle.join(" -> "));
                return wrong(
                    format!("services.{child}.depends_on"),
                    message,
                    "remove one of these dependencies",
                );
            }
            if !done.contains(child) {
                trail.push((child, 0));
            }
        }
    }
    Ok(())
}
