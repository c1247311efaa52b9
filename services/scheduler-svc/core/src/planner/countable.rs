//! Countable resources: what a node has of them, and what its containers have reserved.

use super::{rejection::Refused, request::Request, site::Site};
use crate::view::NodeRow;
use berth_events::spec::ContainerSpec;
use std::collections::BTreeMap;

/// What is reserved on a node, by kind.
#[derive(Debug, Clone, Default)]
pub(super) struct Countables<'a> {
    used: BTreeMap<&'a str, u64>,
}

impl<'a> Countables<'a> {
    fn used(&self, kind: &str) -> u64 {
        self.used.get(kind).copied().unwrap_or(0)
    }

    /// A container reserves what it asks for.
    pub(super) fn take(&mut self, node: &NodeRow, container: &'a ContainerSpec) {
        for (kind, amount) in container.countables() {
            let used = self.used.entry(kind).or_default();
            *used = used.saturating_add(amount.of(node.resource(kind)));
        }
    }

    /// A container is gone.
    pub(super) fn give_back(&mut self, node: &NodeRow, container: &'a ContainerSpec) {
        for (kind, amount) in container.countables() {
            let used = self.used.entry(kind).or_default();
            *used = used.saturating_sub(amount.of(node.resource(kind)));
        }
    }

    /// As much as is reserved now, and as much as will be.
    pub(super) fn keep(&mut self, after: &Self) {
        for (kind, used) in &after.used {
            let known = self.used.entry(*kind).or_default();
            *known = (*known).max(*used);
        }
    }

    /// A container gets a successor in its own place: what the new one needs beyond the old one.
    pub(super) fn widen(&mut self, node: &NodeRow, old: &ContainerSpec, new: &'a ContainerSpec) {
        let had = old.countables();
        for (kind, amount) in new.countables() {
            let total = node.resource(kind);
            let had = had.get(kind).map_or(0, |amount| amount.of(total));
            let used = self.used.entry(kind).or_default();
            *used = used.saturating_add(amount.of(total).saturating_sub(had));
        }
    }
}

/// Whether a node has enough of every kind left.
pub(super) fn enough(site: &Site<'_>, request: &Request<'_>) -> Result<(), Refused> {
    for (kind, amount) in &request.countables {
        let total = site.row.resource(kind);
        let free = total.saturating_sub(site.countables().used(kind));
        let need = amount.of(total);
        if need > free {
            return Err(Refused::Countable {
                kind: (*kind).to_owned(),
                need,
                free,
                total,
            });
        }
    }
    Ok(())
}
