//! Countable resources of nodes: what there is, and what containers have reserved.

use crate::{AllocationRow, NodeRow};
use berth_api::CountedResource;
use berth_events::spec::{Amount, ContainerSpec};
use std::collections::BTreeMap;

/// What a container reserves, by kind; no number: all of its node.
pub(crate) fn reserved_countables(container: &ContainerSpec) -> BTreeMap<String, Option<u64>> {
    let all = container.countables().into_iter();
    all.map(|(kind, amount)| match amount {
        Amount::Count(count) => (kind.to_owned(), Some(count)),
        Amount::All => (kind.to_owned(), None),
    })
    .collect()
}

/// The resources of a node with what the containers on it have reserved.
pub(crate) fn counted<'r>(
    node: &NodeRow,
    rows: impl Iterator<Item = &'r AllocationRow>,
) -> BTreeMap<String, CountedResource> {
    let measured = node.facts.generic_resources.iter();
    let named = node.resources.iter();
    let mut all: BTreeMap<String, CountedResource> = measured
        .chain(named)
        .map(|(kind, total)| {
            let resource = CountedResource {
                total: *total,
                reserved: 0,
                named: node.resources.contains_key(kind),
            };
            (kind.clone(), resource)
        })
        .collect();
    for row in rows.filter(|row| !row.state.ended()) {
        for (kind, count) in &row.countables {
            let resource = all.entry(kind.clone()).or_default();
            let amount = count.map_or(Amount::All, Amount::Count);
            resource.reserved = resource.reserved.saturating_add(amount.of(resource.total));
        }
    }
    all
}
