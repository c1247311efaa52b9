//! Profiles: services that are there only when one of theirs is chosen.

use crate::{
    cx::Cx,
    diagnostic::Severity,
    tree::{Kind, Node},
    variables::Variables,
};
use std::collections::BTreeSet;

/// The chosen profiles: those of the caller, or else of `COMPOSE_PROFILES`.
pub(crate) fn active(given: &[String], variables: &Variables<'_>) -> Vec<String> {
    if !given.is_empty() {
        return given.to_vec();
    }
    let named = variables.get("COMPOSE_PROFILES").unwrap_or_default();
    named
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Leaves out services that have profiles, none of them chosen.
pub(super) fn select(cx: &Cx, root: &mut Node, active: &[String]) {
    let Some(services) = root.get_mut("services").and_then(Node::entries_mut) else {
        return;
    };
    let mut out = BTreeSet::new();
    services.retain(|entry| {
        let kept = enabled(&entry.value, active);
        if !kept {
            out.insert(entry.key.clone());
        }
        kept
    });
    if out.is_empty() {
        return;
    }
    for service in services {
        let Some(needs) = service.value.get_mut("depends_on") else {
            continue;
        };
        let path = format!("services.{}.depends_on", service.key);
        let at = needs.at;
        let missing: Vec<String> = match &mut needs.kind {
            Kind::Map(entries) => {
                entries.retain(|entry| {
                    let required = entry.value.get("required").and_then(Node::scalar) != Some("false");
                    required || !out.contains(&entry.key)
                });
                entries.iter().map(|entry| entry.key.clone()).collect()
            }
            Kind::List(items) => items.iter().filter_map(Node::scalar).map(str::to_owned).collect(),
            Kind::Null | Kind::Scalar { .. } => Vec::new(),
        };
        if let Some(name) = missing.iter().find(|name| out.contains(*name)) {
            let message = format!(
                "`{}` depends on `{name}`, which is in a profile that is not chosen",
                service.key
            );
            let cure = "choose the profile with --profile, or write {required: false} at the dependency";
            cx.report(Severity::Error, "compose.profile", &path, at, message, cure);
        }
    }
}

fn enabled(service: &Node, active: &[String]) -> bool {
    let profiles = service.get("profiles").map(Node::list_items).unwrap_or_default();
    let chosen = |name: &str| active.iter().any(|word| word == name || word == "*");
    profiles.is_empty() || profiles.iter().filter_map(Node::scalar).any(chosen)
}
