//! Files of version 1: services at the top, without `services:`, and keys that have other names today.

use super::build::{entry, map, text};
use crate::{
    cx::Cx,
    diagnostic::Severity,
    tree::{Entry, Kind, Node},
};

/// Makes a file of version 1 a file of today.
pub(super) fn upgrade(cx: &Cx, root: &mut Node) {
    if !is_version_1(root) {
        return;
    }
    let at = root.at;
    root.remove("version");
    let Kind::Map(entries) = std::mem::replace(&mut root.kind, Kind::Null) else {
        return;
    };
    let (others, mut services): (Vec<Entry>, Vec<Entry>) =
        entries.into_iter().partition(|entry| entry.key.starts_with("x-"));
    let names: Vec<String> = services.iter().map(|entry| entry.key.clone()).collect();
    for service in &mut services {
        rename(&mut service.value, &names);
    }
    let place = services.first().map_or(at, |service| service.key_at);
    let message = "the file is of version 1: its services are read as if they stood below `services:`";
    let cure = "write `services:` as the first line, and indent the services below it";
    cx.report(Severity::Warning, "compose.v1", "", place, message, cure);
    let services = entry("services", map(services, at));
    root.kind = Kind::Map([vec![services], others].concat());
}

/// Every key is a service, and the version is 1 or not said.
fn is_version_1(root: &Node) -> bool {
    let version = root.get("version").and_then(Node::scalar);
    if version.is_some_and(|version| version != "1" && !version.starts_with("1.")) {
        return false;
    }
    let mut services = root
        .entries()
        .iter()
        .filter(|entry| entry.key != "version" && !entry.key.starts_with("x-"))
        .peekable();
    let service = |entry: &Entry| {
        let has = |key| entry.value.get(key).is_some();
        has("image") || has("build") || has("extends")
    };
    services.peek().is_some() && services.all(service)
}

fn rename(service: &mut Node, names: &[String]) {
    if let Some(net) = service.remove("net") {
        let mode = match net.value.scalar() {
            Some("bridge") | None => None,
            Some(mode) => match mode.strip_prefix("container:") {
                Some(name) if names.iter().any(|known| known == name) => Some(format!("service:{name}")),
                _ => Some(mode.to_owned()),
            },
        };
        if let Some(mode) = mode {
            service.set("network_mode", text(mode, net.value.at));
        }
    }
    let (driver, options) = (service.remove("log_driver"), service.remove("log_opt"));
    if driver.is_some() || options.is_some() {
        let at = driver
            .as_ref()
            .or(options.as_ref())
            .map(|entry| entry.key_at)
            .unwrap_or_default();
        let driver = driver.map(|entry_| entry("driver", entry_.value));
        let options = options.map(|entry_| entry("options", entry_.value));
        service.set("logging", map(driver.into_iter().chain(options).collect(), at));
    }
    if let Some(dockerfile) = service.remove("dockerfile")
        && let Some(build) = service.get_mut("build")
    {
        let at = build.at;
        let context = entry("context", std::mem::replace(build, text("", at)));
        *build = map(vec![context, entry("dockerfile", dockerfile.value)], at);
    }
}
