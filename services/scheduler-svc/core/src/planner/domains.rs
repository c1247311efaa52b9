//! Domains: the values of a label of nodes over which the containers of a service are spread, or must be.
//!
//! A promise (`availability:rack==3`) is kept in two ways. With fewer domains than promised the service is refused
//! everywhere. With enough, a slot that is one of the last ones may only go to a domain that has none yet.

use super::{
    filters,
    rejection::Refused,
    request::{MAX_SPREAD_LABELS, Request},
    site::Site,
    world::World,
};
use crate::view::NodeRow;
use berth_events::spec::{DomainSpread, PlacementSpec, ServiceMode, Strategy, ZONE_LABEL};
use std::collections::BTreeSet;

/// How nodes are preferred: who is to be spread is not packed, unless the service itself says so.
pub(super) fn strategy(spec: &PlacementSpec, usual: Strategy) -> Strategy {
    let promised = spec.zones.is_some() || !spec.domains.is_empty();
    match spec.strategy {
        _ if promised => Strategy::Spread,
        Some(strategy) => strategy,
        None if !spec.spread.is_empty() => Strategy::Spread,
        None => usual,
    }
}

/// Labels over whose values the containers are spread: what is promised before what is wished.
pub(super) fn labels(spec: &PlacementSpec) -> Vec<String> {
    let promised = spec.promises().into_iter().map(|promise| promise.label);
    let mut labels: Vec<String> = Vec::with_capacity(MAX_SPREAD_LABELS);
    for label in promised.chain(spec.spread.iter().cloned()) {
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    if spec.spread.is_empty() && !labels.iter().any(|label| label == ZONE_LABEL) {
        labels.push(ZONE_LABEL.to_owned());
    }
    labels.truncate(MAX_SPREAD_LABELS);
    labels
}

fn hard(spec: &PlacementSpec) -> impl Iterator<Item = DomainSpread> {
    spec.promises().into_iter().filter(|promise| !promise.soft)
}

/// Whether a promise of the service must be kept.
pub(super) fn is_promised(spec: &PlacementSpec) -> bool {
    let zones = spec.zones.is_some_and(|zones| !zones.soft);
    zones || spec.domains.iter().any(|promise| !promise.soft)
}

/// A service that is promised more domains than have a node for it is refused everywhere; a node in none of
/// them is refused in any case. What runs already counts, although its node takes nothing new.
pub(super) fn keep_promises(request: &Request<'_>, sites: &[Site<'_>], fixed: &mut [Option<Refused>]) {
    for promise in hard(&request.spec.placement) {
        let mut found = BTreeSet::new();
        for (site, refused) in sites.iter().zip(fixed.iter_mut()) {
            let value = filters::value_of(site.row, &promise.label);
            let runs = !site.row.lost && site.count(request.application.application_id, request.name) > 0;
            match value {
                Some(value) if refused.is_none() || runs => {
                    found.insert(value);
                }
                None if refused.is_none() => {
                    *refused = Some(Refused::NoDomain {
                        label: promise.label.clone(),
                    });
                }
                Some(_) | None => {}
            }
        }
        if found.len() >= promise.domains as usize {
            continue;
        }
        for refused in fixed.iter_mut().filter(|refused| refused.is_none()) {
            *refused = Some(Refused::Domains {
                label: promise.label.clone(),
                need: promise.domains,
                found: found.clone(),
            });
        }
    }
}

/// A slot must go to a domain that has no container of the service yet.
#[derive(Debug)]
pub(super) struct Bound {
    promise: DomainSpread,
    used: BTreeSet<String>,
}

impl Bound {
    pub(super) fn admits(&self, node: &NodeRow) -> Result<(), Refused> {
        let value = filters::value_of(node, &self.promise.label);
        match value.filter(|value| self.used.contains(value)) {
            None => Ok(()),
            Some(value) => Err(Refused::DomainTaken {
                label: self.promise.label.clone(),
                value,
                need: self.promise.domains,
            }),
        }
    }
}

/// What the promises of a service mean for one slot.
pub(super) fn bounds(world: &World<'_>, request: &Request<'_>, slot: u32) -> Vec<Bound> {
    let ServiceMode::Replicated { replicas } = request.spec.mode else {
        return Vec::new();
    };
    if !is_promised(&request.spec.placement) {
        return Vec::new();
    }
    let application = request.application.application_id;
    let others = |site: &Site<'_>| {
        let all = site.residents();
        let own = all.filter(|one| one.application_id == application && one.service == request.name);
        own.map(|one| one.slot)
            .filter(|other| *other != slot)
            .collect::<Vec<u32>>()
    };
    let held = world
        .sites
        .iter()
        .filter(|site| !site.row.lost && site.count(application, request.name) > 0);
    let held: Vec<_> = held.map(|site| (site.row, others(site))).collect();
    let placed: BTreeSet<u32> = held.iter().flat_map(|(_, slots)| slots.iter().copied()).collect();
    let open = (replicas as usize).saturating_sub(placed.len() + 1);
    hard(&request.spec.placement)
        .filter_map(|promise| {
            let rows = held.iter().filter(|(_, slots)| !slots.is_empty());
            let used: BTreeSet<String> = rows
                .filter_map(|(row, _)| filters::value_of(row, &promise.label))
                .collect();
            let need = promise.domains.min(replicas) as usize;
            (used.len() + open < need).then_some(Bound { promise, used })
        })
        .collect()
}
