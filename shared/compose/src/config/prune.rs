//! Leaves out of the model what no service uses.

use serde_json::{Map, Value};
use std::collections::BTreeSet;

type Object = Map<String, Value>;

/// Takes out networks, volumes, secrets, configs and models that no service names.
pub(super) fn unused(model: &mut Object) {
    let mut used: BTreeSet<(&str, String)> = BTreeSet::new();
    let services = model.get("services").and_then(Value::as_object);
    for service in services
        .into_iter()
        .flatten()
        .filter_map(|(_, service)| service.as_object())
    {
        for section in ["networks", "models"] {
            let names = service.get(section).and_then(Value::as_object);
            used.extend(
                names
                    .into_iter()
                    .flat_map(Map::keys)
                    .map(|name| (section, name.clone())),
            );
        }
        used.extend(sources(service, "volumes").map(|name| ("volumes", name)));
        used.extend(sources(service, "configs").map(|name| ("configs", name)));
        used.extend(sources(service, "secrets").map(|name| ("secrets", name)));
        let build = service.get("build").and_then(Value::as_object);
        let build = build.into_iter().flat_map(|build| sources(build, "secrets"));
        used.extend(build.map(|name| ("secrets", name)));
    }
    for section in ["networks", "volumes", "secrets", "configs", "models"] {
        let Some(entries) = model.get_mut(section).and_then(Value::as_object_mut) else {
            continue;
        };
        entries.retain(|name, _| used.contains(&(section, name.clone())));
        if entries.is_empty() {
            model.remove(section);
        }
    }
}

fn sources(service: &Object, key: &str) -> impl Iterator<Item = String> {
    let items = service.get(key).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(|item| item.get("source")?.as_str().map(str::to_owned))
}
