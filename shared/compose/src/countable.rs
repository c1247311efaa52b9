//! Countable resources that a service reserves: `deploy.resources.reservations.generic_resources`.

use crate::{
    cx::{Cx, Item, shorten},
    keys,
};
use berth_events::spec::resource_kind;
use std::collections::BTreeMap;

/// The most of one kind that a container may reserve.
const MAX_AMOUNT: u64 = 1_000_000;
/// The most kinds that a container may reserve.
const MAX_KINDS: usize = 32;
/// The longest name of a kind, in bytes.
const MAX_KIND_BYTES: usize = 63;
const EXAMPLE: &str = "generic_resources: [{discrete_resource_spec: {kind: gpu, value: 2}}]";

/// Reads what a service reserves, by kind.
pub(crate) fn read(cx: &Cx, service: &Item<'_>) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    let reserved = ["deploy", "resources", "reservations", "generic_resources"]
        .iter()
        .try_fold(service.clone(), |item, key| item.child(key));
    let Some(list) = reserved.filter(|item| !item.is_null()) else {
        return all;
    };
    for entry in cx.list(&list, EXAMPLE) {
        let Some((kind, count)) = one(cx, &entry) else {
            continue;
        };
        if all.insert(kind.clone(), count).is_some() {
            let message = format!("`{}` is reserved twice", shorten(&kind));
            cx.error(&entry, "compose.conflict", message, "name each kind once");
        }
    }
    if all.len() > MAX_KINDS {
        let message = format!("{} kinds of resources are reserved", all.len());
        cx.error(
            &list,
            "compose.range",
            message,
            format!("reserve at most {MAX_KINDS}"),
        );
    }
    all
}

fn one(cx: &Cx, entry: &Item<'_>) -> Option<(String, u64)> {
    cx.map(entry, EXAMPLE);
    cx.check_keys(entry, &keys::GENERIC_RESOURCE);
    let Some(spec) = entry
        .child("discrete_resource_spec")
        .filter(|item| !item.is_null())
    else {
        let message = "a generic resource has no `discrete_resource_spec`";
        cx.error(entry, "compose.type", message, format!("write `{EXAMPLE}`"));
        return None;
    };
    cx.map(&spec, "discrete_resource_spec: {kind: gpu, value: 2}");
    cx.check_keys(&spec, &keys::DISCRETE_RESOURCE);
    let value = spec.child("value").and_then(|item| cx.count(&item, MAX_AMOUNT));
    let kind = spec.child("kind").and_then(|item| kind(cx, &item));
    if kind.is_none() && spec.child("kind").is_none() {
        let message = "a generic resource has no `kind`";
        cx.error(&spec, "compose.type", message, format!("write `{EXAMPLE}`"));
    }
    Some((kind?, value?))
}

fn kind(cx: &Cx, item: &Item<'_>) -> Option<String> {
    let text = cx.text(item)?;
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let first = |c: char| c.is_ascii_alphanumeric();
    if text.len() <= MAX_KIND_BYTES && text.starts_with(first) && text.chars().all(fine) {
        return Some(resource_kind(&text));
    }
    cx.error(
        item,
        "compose.range",
        format!("`{}` is no kind of resource", shorten(&text)),
        format!("use letters, digits, `-`, `_` and `.`, at most {MAX_KIND_BYTES}"),
    );
    None
}
