//! What must hold after every step, and what must hold when the storm is over.

use crate::{
    promise,
    sim::{CLUSTER, Sim},
};
use berth_events::spec::ServiceMode;
use berth_ids::{AllocationId, NodeId};
use berth_scheduler_core::{
    allocation::Phase,
    view::{AllocationRow, SchedulerView},
};
use std::collections::{BTreeMap, BTreeSet};

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at event {position}: {what}")]
pub struct Fault {
    /// Position of the last event.
    pub position: u64,
    /// What is wrong.
    pub what: String,
}

/// What holds after every step: at most one live allocation of a slot by order, no node past its capacity
/// (countable resources too) or with a port twice by order, and no engine with two running containers of a slot.
/// Where a release starts the new container first, a slot may have two, and not more than one of them is what is
/// wanted now. No release has stopped a container that it promised to leave ready, and none is said to run of
/// which something does not.
///
/// # Errors
/// What does not hold.
pub fn safe(sim: &Sim) -> Result<(), Fault> {
    let view = &sim.services.scheduler;
    let broken = sim.services.broken.clone();
    broken
        .map_or(Ok(()), Err)
        .and_then(|()| one_holder(view))
        .and_then(|()| within_capacity(view))
        .and_then(|()| one_container(sim))
        .and_then(|()| view.applications_of(CLUSTER).try_for_each(promise::shares))
        .map_err(|what| Fault {
            position: sim.events(),
            what,
        })
}

fn one_holder(view: &SchedulerView) -> Result<(), String> {
    let mut holders: BTreeMap<_, Vec<&AllocationRow>> = BTreeMap::new();
    for row in view.allocations().filter(|row| row.phase.is_live()) {
        let slot = (row.application_id, row.service.as_str(), row.slot);
        holders.entry(slot).or_default().push(row);
    }
    for ((_, service, slot), rows) in holders {
        let handed_over =
            |newer: &AllocationRow| ["changed", "restarted"].contains(&newer.why.cause.as_str());
        let current = rows.iter().filter(|row| row.is_kept() && view.is_current(row));
        let fine = match rows.as_slice() {
            [] | [_] => true,
            // The successor may have been lost with its node while the one before it was still ending.
            [older, newer] => {
                let again = older.stop.is_some() && newer.why.cause == "node_lost";
                service.starts_with("web") && (handed_over(newer) || again) && current.count() <= 1
            }
            _ => false,
        };
        if !fine {
            return Err(format!("live allocations of {service}.{slot}: {rows:#?}"));
        }
    }
    Ok(())
}

fn within_capacity(view: &SchedulerView) -> Result<(), String> {
    for node in view.nodes_of(CLUSTER) {
        let (mut cpu, mut memory) = (0, 0);
        let mut ports = BTreeSet::new();
        let mut countables: BTreeMap<String, u64> = BTreeMap::new();
        let live = view
            .allocations_on(node.node_id)
            .filter(|row| row.phase.is_live());
        for row in live {
            let Some(spec) = view.container(&row.spec_hash) else {
                return Err(format!("no specification of {}", row.allocation_id));
            };
            cpu += spec.resources.cpu_reserved_millis;
            memory += spec.resources.memory_reserved_bytes;
            for (kind, amount) in spec.countables() {
                *countables.entry(kind.to_owned()).or_default() += amount.of(node.resource(kind));
            }
            for port in spec.ports.iter().filter_map(|port| port.published) {
                if !ports.insert(port) {
                    return Err(format!("port {port} twice on {}", node.name));
                }
            }
        }
        if cpu > node.facts.cpu_millis || memory > node.facts.memory_bytes {
            return Err(format!("node {} is past its capacity", node.name));
        }
        if let Some((kind, reserved)) = countables
            .iter()
            .find(|(kind, reserved)| **reserved > node.resource(kind))
        {
            return Err(format!(
                "{reserved} {kind} are reserved on {}, more than it has",
                node.name
            ));
        }
    }
    Ok(())
}

fn one_container(sim: &Sim) -> Result<(), String> {
    for agent in sim.agents.values() {
        let mut slots: BTreeMap<_, u32> = BTreeMap::new();
        for (_, container) in agent.engine.running() {
            let slot = (container.application_id, &container.service, container.slot);
            let running = slots.entry(slot).or_default();
            *running += 1;
            // The one before may still be there while its successor takes over.
            let most = if container.service.starts_with("web") {
                2
            } else {
                1
            };
            if *running > most {
                return Err(format!(
                    "{running} containers of {} run on one engine",
                    container.name
                ));
            }
        }
    }
    Ok(())
}

/// What holds when faults have stopped and time has passed: every wanted slot runs exactly once on an
/// engine that was told so, or its report says why not; nothing else runs; nothing is left behind.
///
/// # Errors
/// What does not hold.
pub fn at_rest(sim: &Sim) -> Result<(), Fault> {
    let view = &sim.services.scheduler;
    slots_run(view)
        .and_then(|()| engines_agree(sim))
        .map_err(|what| Fault {
            position: sim.events(),
            what,
        })
}

fn slots_run(view: &SchedulerView) -> Result<(), String> {
    for application in view.applications_of(CLUSTER) {
        if application.removing.is_some() {
            return Err(format!("application {} is still being removed", application.name));
        }
        for (name, service) in &application.spec.services {
            let ServiceMode::Replicated { replicas } = service.mode else {
                continue;
            };
            let wanted = if application.stopped { 0 } else { replicas };
            let blocked = view.blocked(application.application_id, name);
            let runs = |slot: u32| {
                view.allocations_of(application.application_id, name)
                    .any(|row| row.slot == slot && runs_now(view, row))
            };
            // The release leaves it alone while others, which are told, do not come up.
            let waits = |slot: u32| {
                let old = view
                    .allocations_of(application.application_id, name)
                    .any(|row| row.slot == slot && row.is_kept() && row.phase == Phase::Running);
                old && !application.settled && blocked.is_some()
            };
            let job = service.container.image.starts_with("job");
            for slot in 1..=wanted {
                let told = blocked.is_some_and(|row| row.slots.contains(&slot));
                if !job && runs(slot) == told && (told || !waits(slot)) {
                    return Err(format!(
                        "{}/{name}.{slot}: runs: {}, reported as pending: {told}",
                        application.name,
                        runs(slot)
                    ));
                }
            }
            let surplus = view
                .allocations_of(application.application_id, name)
                .filter(|row| row.slot > wanted);
            if surplus.count() > 0 {
                return Err(format!("{}/{name} has more than {wanted}", application.name));
            }
        }
    }
    Ok(())
}

fn runs_now(view: &SchedulerView, row: &AllocationRow) -> bool {
    row.is_kept() && row.phase == Phase::Running && view.is_current(row)
}

fn engines_agree(sim: &Sim) -> Result<(), String> {
    let view = &sim.services.scheduler;
    for (node, agent) in &sim.agents {
        let ordered: BTreeSet<AllocationId> = rows(view, *node)
            .filter(|row| row.is_kept() && row.phase == Phase::Running)
            .map(|row| row.allocation_id)
            .collect();
        let running: BTreeSet<AllocationId> = agent.engine.running().map(|(id, _)| id).collect();
        if ordered != running {
            return Err(format!(
                "node {node}: runs {running:?}, but the log says {ordered:?}"
            ));
        }
        let known: BTreeSet<AllocationId> = rows(view, *node).map(|row| row.allocation_id).collect();
        if let Some(left) = agent.engine.all().find(|id| !known.contains(id)) {
            return Err(format!("container of {left} is left behind on node {node}"));
        }
    }
    Ok(())
}

fn rows(view: &SchedulerView, node: NodeId) -> impl Iterator<Item = &AllocationRow> {
    view.allocations_on(node)
}
