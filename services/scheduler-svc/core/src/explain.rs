//! Why a container is where it is, and why one is not there.

use crate::{
    allocation::Phase,
    view::{ApplicationRow, SchedulerView, SlotKey},
};
use berth_events::{BlockReport, PlacementReason, StopReason};
use berth_ids::{AllocationId, ApplicationId, NodeId};
use std::collections::BTreeSet;

/// The answer for one allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhyAllocation {
    /// Where it is.
    pub node_id: NodeId,
    /// How far it has come.
    pub phase: Phase,
    /// Why it is there.
    pub placed: PlacementReason,
    /// Why it is to go, if it is.
    pub stop: Option<StopReason>,
    /// How it ended, in words.
    pub ending: Option<String>,
    /// The node that holds its data, if one does.
    pub home: Option<String>,
}

/// The answer for one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhyService {
    /// Allocations that run or will.
    pub live: BTreeSet<AllocationId>,
    /// Slots without a container.
    pub blocked: BTreeSet<u32>,
    /// Why.
    pub report: Option<BlockReport>,
    /// How its last containers ended, oldest first.
    pub failures: Vec<String>,
}

/// Why an allocation is where it is.
pub fn why_allocation(view: &SchedulerView, id: AllocationId) -> Option<WhyAllocation> {
    let row = view.allocation(id)?;
    let slot = SlotKey {
        application_id: row.application_id,
        service: row.service.clone(),
        slot: row.slot,
    };
    Some(WhyAllocation {
        node_id: row.node_id,
        phase: row.phase,
        placed: row.why.clone(),
        stop: row.stop,
        ending: row.ending.clone(),
        home: view
            .slot(&slot)
            .and_then(|state| state.home.as_ref())
            .map(|home| home.node_name.clone()),
    })
}

/// Why a service has the containers that it has.
pub fn why_service(view: &SchedulerView, application: ApplicationId, service: &str) -> Option<WhyService> {
    let row: &ApplicationRow = view.application(application)?;
    row.spec.services.get(service)?;
    let blocked = view.blocked(application, service);
    let failures = view
        .slots
        .iter()
        .filter(|(key, _)| key.application_id == application && key.service == service)
        .flat_map(|(key, state)| {
            state
                .failures
                .iter()
                .map(move |failure| (failure.at, key.slot, failure.text.clone()))
        });
    let mut failures: Vec<_> = failures.collect();
    failures.sort();
    Some(WhyService {
        live: view
            .allocations_of(application, service)
            .filter(|row| row.phase.is_live())
            .map(|row| row.allocation_id)
            .collect(),
        blocked: blocked.map(|row| row.slots.clone()).unwrap_or_default(),
        report: blocked.map(|row| row.report.clone()),
        failures: failures
            .into_iter()
            .map(|(_, slot, text)| format!("slot {slot}: {text}"))
            .collect(),
    })
}
