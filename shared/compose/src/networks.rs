//! Networks: those of the application and those that a service joins.

use crate::{
    cx::{Cx, Item, shorten},
    keys, labels,
    tree::Kind,
    words::is_host_name,
};
use berth_events::spec::{NetworkAttachment, NetworkSpec};
use std::collections::{BTreeMap, BTreeSet};

/// The network that every service joins unless it says otherwise.
pub(crate) const DEFAULT: &str = "default";

/// Reads the top-level `networks`.
pub(crate) fn declared(cx: &Cx, item: &Item<'_>) -> BTreeMap<String, NetworkSpec> {
    let mut out = BTreeMap::new();
    for entry in cx.map(item, "networks: {front: {}}") {
        cx.map(&entry, &format!("{}: {{}}", shorten(entry.key)));
        cx.check_keys(&entry, &keys::NETWORK);
        let (external, external_name) = external(cx, &entry);
        if let Some(driver) = entry.child("driver") {
            driver_word(cx, &driver);
        }
        let truth = |name| {
            entry
                .child(name)
                .and_then(|item| cx.truth(&item))
                .unwrap_or(false)
        };
        out.insert(
            entry.key.to_owned(),
            NetworkSpec {
                name: entry
                    .child("name")
                    .and_then(|item| cx.text(&item))
                    .or(external_name),
                external,
                internal: truth("internal"),
                labels: entry
                    .child("labels")
                    .map(|item| labels::table(cx, &item))
                    .unwrap_or_default(),
                ..NetworkSpec::default()
            },
        );
    }
    out
}

fn driver_word(cx: &Cx, driver: &Item<'_>) {
    match cx.text(driver).as_deref() {
        None | Some("bridge") => {}
        Some("overlay") => cx.warn(
            driver,
            "compose.network_across_nodes",
            "`driver: overlay` has no effect in this release: the network is a bridge on each node",
            "place services that talk to each other on one node; networks across nodes come with a later release",
        ),
        Some("host" | "none") => cx.error(driver, "compose.network_driver", "`host` and `none` are no drivers here", "write network_mode: host or none at the service"),
        Some(other) => cx.warn(
            driver,
            "compose.unsupported_value",
            format!("the network driver `{}` has no effect: the network is a bridge on each node", shorten(other)),
            "remove the key",
        ),
    }
}

/// `external: true`, or the old `external: {name: X}`.
pub(crate) fn external(cx: &Cx, entry: &Item<'_>) -> (bool, Option<String>) {
    let Some(item) = entry.child("external") else {
        return (false, None);
    };
    let external = match &item.node.kind {
        Kind::Map(_) => (true, item.child("name").and_then(|name| cx.text(&name))),
        _ => (cx.truth(&item).unwrap_or(false), None),
    };
    if external.0 {
        for name in ["driver", "driver_opts", "labels", "internal"] {
            if let Some(extra) = entry.child(name) {
                let message = format!("`{name}` cannot be set for something external, which exists already");
                cx.error(
                    &extra,
                    "compose.external",
                    message,
                    format!("remove `{name}`, or `external`"),
                );
            }
        }
    }
    external
}

/// Reads the `networks` of a service. Without the key it joins `default`.
pub(crate) fn joined(
    cx: &Cx,
    service: &Item<'_>,
    known: &BTreeMap<String, NetworkSpec>,
) -> BTreeMap<String, NetworkAttachment> {
    let mut out = BTreeMap::new();
    let Some(item) = service.child("networks").filter(|item| !item.is_null()) else {
        if service
            .child("network_mode")
            .and_then(|item| mode(cx, &item))
            .is_none()
        {
            out.insert(DEFAULT.to_owned(), NetworkAttachment::default());
        }
        return out;
    };
    if let Some(mode) = service.child("network_mode") {
        cx.error(
            &mode,
            "compose.conflict",
            "`network_mode` and `networks` exclude each other",
            "keep one of the two",
        );
        return out;
    }
    if let Kind::Map(_) = item.node.kind {
        for entry in item.entries() {
            cx.map(&entry, &format!("{}: {{aliases: [name]}}", shorten(entry.key)));
            cx.check_keys(&entry, &keys::ATTACHMENT);
            if check_declared(cx, &entry, entry.key, known) {
                let aliases = entry
                    .child("aliases")
                    .map(|item| aliases(cx, &item))
                    .unwrap_or_default();
                out.insert(
                    entry.key.to_owned(),
                    NetworkAttachment {
                        aliases,
                        ..NetworkAttachment::default()
                    },
                );
            }
        }
        return out;
    }
    for entry in cx.list(&item, "networks: [front]") {
        let Some(name) = cx.text(&entry) else { continue };
        if check_declared(cx, &entry, &name, known) {
            out.insert(name, NetworkAttachment::default());
        }
    }
    out
}

fn aliases(cx: &Cx, item: &Item<'_>) -> Vec<String> {
    let mut out = Vec::new();
    let mut seen = BTreeSet::new();
    for entry in cx.list(item, "aliases: [name]") {
        let Some(alias) = cx.text(&entry) else { continue };
        if !is_host_name(&alias) {
            cx.error(
                &entry,
                "compose.hostname",
                format!("`{}` is no host name", shorten(&alias)),
                "use letters, digits, `-` and dots",
            );
        } else if seen.insert(alias.clone()) {
            out.push(alias);
        }
    }
    out
}

fn check_declared(cx: &Cx, entry: &Item<'_>, name: &str, known: &BTreeMap<String, NetworkSpec>) -> bool {
    if name == DEFAULT || known.contains_key(name) {
        return true;
    }
    let cure = match cx.nearest(name, known.keys().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("add `{}:` under the top-level `networks:`", shorten(name)),
    };
    cx.error(
        entry,
        "compose.undefined_network",
        format!("no network `{}` is declared", shorten(name)),
        cure,
    );
    false
}

/// `network_mode`: `host` or `none`; a bridge is what services have anyway.
pub(crate) fn mode(cx: &Cx, item: &Item<'_>) -> Option<String> {
    let text = cx.text(item)?;
    match text.as_str() {
        "host" | "none" => Some(text),
        other
            if other
                .strip_prefix("service:")
                .is_some_and(|name| !name.is_empty()) =>
        {
            Some(text)
        }
        "bridge" | "default" => None,
        other => {
            if other.starts_with("container:") {
                crate::shares::foreign(cx, item);
                return None;
            }
            let message = format!("`network_mode`: `{}` is not known", shorten(other));
            let cure = "write host, none or service:NAME, or use `networks`";
            cx.error(item, "compose.unknown_value", message, cure);
            None
        }
    }
}
