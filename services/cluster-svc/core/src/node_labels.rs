//! What people say of a node: labels and countable resources.

use crate::{
    labels::{check_count, check_labels},
    node::Node,
    refusal::invalid,
    resources::{check_kinds, check_resources},
};
use berth_events::{NodeEvent, NodeLabelsChanged, NodeResourcesChanged, Rejection};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn label(
    node: &Node,
    set: &BTreeMap<String, String>,
    remove: &BTreeSet<String>,
) -> Result<Vec<NodeEvent>, Rejection> {
    check_labels(set)?;
    if let Some(key) = set.keys().find(|key| remove.contains(*key)) {
        return Err(invalid(
            "label.set_and_removed",
            format!("label `{key}` is set and taken away at once"),
            "name it once",
        ));
    }
    let set: BTreeMap<_, _> = set
        .iter()
        .filter(|(key, value)| node.labels.get(*key) != Some(*value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let removed: BTreeSet<_> = remove
        .iter()
        .filter(|key| node.labels.contains_key(*key))
        .cloned()
        .collect();
    if set.is_empty() && removed.is_empty() {
        return Ok(vec![]);
    }
    let new = set.keys().filter(|key| !node.labels.contains_key(*key)).count();
    check_count(node.labels.len() + new - removed.len())?;
    Ok(vec![NodeEvent::LabelsChanged(NodeLabelsChanged { set, removed })])
}

pub(crate) fn set_resources(
    node: &Node,
    set: &BTreeMap<String, u64>,
    remove: &BTreeSet<String>,
) -> Result<Vec<NodeEvent>, Rejection> {
    check_resources(set)?;
    if let Some(kind) = set.keys().find(|kind| remove.contains(*kind)) {
        return Err(invalid(
            "resource.set_and_removed",
            format!("`{kind}` is set and taken away at once"),
            "name it once",
        ));
    }
    let set: BTreeMap<_, _> = set
        .iter()
        .filter(|(kind, count)| node.resources.get(*kind) != Some(*count))
        .map(|(kind, count)| (kind.clone(), *count))
        .collect();
    let removed: BTreeSet<_> = remove
        .iter()
        .filter(|kind| node.resources.contains_key(*kind))
        .cloned()
        .collect();
    if set.is_empty() && removed.is_empty() {
        return Ok(vec![]);
    }
    let new = set
        .keys()
        .filter(|kind| !node.resources.contains_key(*kind))
        .count();
    check_kinds(node.resources.len() + new - removed.len())?;
    Ok(vec![NodeEvent::ResourcesChanged(NodeResourcesChanged {
        set,
        removed,
    })])
}
