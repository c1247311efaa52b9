//! What services take of each other: `links`, `external_links`, `volumes_from`, and namespaces
//! (`network_mode`, `pid`, `ipc: service:X`).

use crate::cx::{Cx, Item, shorten};
use berth_events::spec::{
    Affinity, ApplicationSpec, DependencyCondition, MountSource, MountSpec, Operator, ServiceSpec,
};
use std::collections::BTreeMap;

/// Longest chain of services that take volumes of each other.
const MAX_CHAIN: usize = 16;

/// Adds to every service what it takes of others.
pub(crate) fn apply(cx: &Cx, services: &[Item<'_>], spec: &mut ApplicationSpec) {
    for item in services {
        if let Some(links) = item.child("links").filter(|links| !links.is_null()) {
            for entry in cx.list(&links, "links: ['db:database']") {
                link(cx, item.key, &entry, spec);
            }
        }
        external(cx, item, spec);
        for key in ["network_mode", "pid", "ipc"] {
            namespace(cx, item, key, spec);
        }
    }
    // A service may take what another takes of a third.
    for step in 0..MAX_CHAIN {
        let mut changed = false;
        for item in services {
            let Some(from) = item.child("volumes_from").filter(|from| !from.is_null()) else {
                continue;
            };
            for entry in cx.list(&from, "volumes_from: [db]") {
                changed |= volumes(cx, item.key, &entry, spec, step == 0);
            }
        }
        if !changed {
            return;
        }
    }
}

/// `service[:alias]`: the other one gets the alias on the networks that both have.
fn link(cx: &Cx, name: &str, entry: &Item<'_>, spec: &mut ApplicationSpec) {
    let Some(text) = cx.text(entry) else { return };
    let (target, alias) = text.split_once(':').unwrap_or((&text, &text));
    if !known(cx, entry, target, spec) {
        return;
    }
    needs(spec, name, target);
    let networks: Vec<String> = spec
        .services
        .get(name)
        .map(|service| service.container.networks.keys().cloned().collect())
        .unwrap_or_default();
    let taken = alias != target
        && spec.services.iter().any(|(other, service)| {
            other != target
                && (other == alias || networks.iter().any(|network| has_alias(service, network, alias)))
        });
    if taken {
        let message = format!(
            "`{}` is already the name of another service there",
            shorten(alias)
        );
        cx.warn(
            entry,
            "compose.link_alias",
            message,
            "choose another alias: both answer to it",
        );
    }
    let Some(other) = spec.services.get_mut(target) else {
        return;
    };
    let mut shared = false;
    for (network, attachment) in &mut other.container.networks {
        if !networks.contains(network) {
            continue;
        }
        shared = true;
        if alias != target && !attachment.aliases.iter().any(|known| known == alias) {
            attachment.aliases.push(alias.to_owned());
        }
    }
    if !shared {
        let message = format!("`{name}` and `{}` have no network in common", shorten(target));
        cx.warn(
            entry,
            "compose.link_network",
            message,
            "let both join one network",
        );
    }
}

/// A container that no service of the file has.
pub(crate) fn foreign(cx: &Cx, item: &Item<'_>) {
    let message = format!(
        "`{}: {}`: which node has a container that is not of this file is not known",
        item.key,
        shorten(item.raw().unwrap_or_default())
    );
    let cure = "make it a service of this file, and write service:NAME";
    cx.error(item, "compose.unsupported_value", message, cure);
}

/// `service:X`: on the node of the other one, after it.
fn namespace(cx: &Cx, item: &Item<'_>, key: &str, spec: &mut ApplicationSpec) {
    let Some(entry) = item.child(key) else { return };
    let Some(target) = entry.raw().and_then(|mode| mode.strip_prefix("service:")) else {
        return;
    };
    if target == item.key {
        let message = format!("`{}` cannot share a namespace with itself", shorten(target));
        cx.error(
            &entry,
            "compose.dependency_cycle",
            message,
            "name another service",
        );
    } else if known(cx, &entry, target, spec) {
        needs(spec, item.key, target);
        stay_together(spec, item.key, target);
        if key == "ipc"
            && let Some(other) = spec.services.get_mut(target)
        {
            // Unless the file says otherwise the engine would keep it to the container.
            other
                .container
                .ipc_mode
                .get_or_insert_with(|| "shareable".to_owned());
        }
    }
}

/// Only on nodes that run the other one.
fn stay_together(spec: &mut ApplicationSpec, name: &str, target: &str) {
    let together = Affinity {
        subject: "service".to_owned(),
        operator: Operator::Equal,
        pattern: target.to_owned(),
        soft: false,
    };
    if let Some(service) = spec.services.get_mut(name)
        && !service.placement.affinities.contains(&together)
    {
        service.placement.affinities.push(together);
    }
}

fn has_alias(service: &ServiceSpec, network: &str, alias: &str) -> bool {
    let attachment = service.container.networks.get(network);
    attachment.is_some_and(|attachment| attachment.aliases.iter().any(|known| known == alias))
}

/// `name[:alias]`: kept for the part of the platform that resolves names of other applications.
fn external(cx: &Cx, item: &Item<'_>, spec: &mut ApplicationSpec) {
    let Some(links) = item.child("external_links").filter(|links| !links.is_null()) else {
        return;
    };
    let mut out = BTreeMap::new();
    for entry in cx.list(&links, "external_links: ['price.local']") {
        let Some(text) = cx.text(&entry) else { continue };
        let (name, alias) = text.split_once(':').unwrap_or((&text, &text));
        let message = format!(
            "`{}` is kept, and no name of another application is resolved yet",
            shorten(name)
        );
        let cure = "publish a port of the other application and name its node";
        cx.warn(&entry, "compose.external_link", message, cure);
        out.insert(alias.to_owned(), name.to_owned());
    }
    if let Some(service) = spec.services.get_mut(item.key) {
        service.external_links = out;
    }
}

/// `service[:ro]`: its mounts, on its node. True if something was added.
fn volumes(cx: &Cx, name: &str, entry: &Item<'_>, spec: &mut ApplicationSpec, first: bool) -> bool {
    let Some(text) = entry.raw().filter(|text| !text.is_empty()) else {
        return false;
    };
    if text.starts_with("container:") {
        if first {
            let message = format!("`{}` names a container that is not of this file", shorten(text));
            cx.warn(
                entry,
                "compose.volumes_from",
                message,
                "mount the volume itself, by its name",
            );
        }
        return false;
    }
    let (target, mode) = text.split_once(':').unwrap_or((text, "rw"));
    if first && !known(cx, entry, target, spec) {
        return false;
    }
    let Some(source) = spec.services.get(target) else {
        return false;
    };
    let mounts: Vec<MountSpec> = source.container.mounts.clone();
    if first && mounts.iter().any(|mount| mount.source == MountSource::Anonymous) {
        let message = format!("a volume without a name of `{}` is not shared", shorten(target));
        cx.warn(entry, "compose.volumes_from", message, "give the volume a name");
    }
    needs(spec, name, target);
    let Some(service) = spec.services.get_mut(name) else {
        return false;
    };
    let before = service.container.mounts.len();
    for mount in mounts {
        let shared = matches!(
            mount.source,
            MountSource::Volume { .. } | MountSource::Bind { .. }
        );
        let there = service
            .container
            .mounts
            .iter()
            .any(|known| known.target == mount.target);
        if shared && !there {
            let read_only = mount.read_only || mode == "ro";
            service.container.mounts.push(MountSpec { read_only, ..mount });
        }
    }
    let more = service.container.mounts.len() > before;
    stay_together(spec, name, target);
    more
}

fn needs(spec: &mut ApplicationSpec, name: &str, target: &str) {
    if let Some(service) = spec.services.get_mut(name) {
        let condition = DependencyCondition::default();
        service.depends_on.entry(target.to_owned()).or_insert(condition);
    }
}

fn known(cx: &Cx, entry: &Item<'_>, target: &str, spec: &ApplicationSpec) -> bool {
    if spec.services.contains_key(target) {
        return true;
    }
    let near = cx.nearest(target, spec.services.keys().map(String::as_str));
    let cure = near.map_or_else(
        || "name a service of this file".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    let message = format!("there is no service `{}`", shorten(target));
    cx.error(entry, "compose.undefined_service", message, cure);
    false
}
