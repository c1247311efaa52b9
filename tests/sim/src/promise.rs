//! What a release promises: so many containers stay ready while it goes live, and when it says that it is done,
//! everything is new.

use berth_events::{
    ReleaseMethod, StopReason,
    spec::{RestartCondition, ServiceMode, ServiceSpec, UpdateOrder},
};
use berth_ids::AllocationId;
use berth_scheduler_core::{
    planner::{Plan, Settle},
    view::{AllocationRow, ApplicationRow, Availability, SchedulerView},
};
use std::collections::BTreeSet;

/// A plan stops no container for a release that must stay ready meanwhile, as far as the planner could know.
///
/// # Errors
/// The service, with the figures.
pub(crate) fn kept(view: &SchedulerView, plan: &Plan) -> Result<(), String> {
    let changed: BTreeSet<AllocationId> = plan
        .changes
        .iter()
        .flat_map(|change| &change.stop)
        .filter(|order| order.reason == StopReason::Changed)
        .map(|order| order.allocation_id)
        .collect();
    let concerned: BTreeSet<_> = changed
        .iter()
        .filter_map(|id| view.allocation(*id))
        .map(|row| (row.application_id, row.service.as_str()))
        .collect();
    for (application_id, service) in concerned {
        let Some(application) = view.application(application_id) else {
            continue;
        };
        let spec = application.spec.services.get(service);
        let wanted = !application.stopped && application.removing.is_none();
        if let Some(spec) = spec.filter(|_| wanted) {
            kept_by(view, application, service, spec, &changed)?;
        }
    }
    Ok(())
}

fn kept_by(
    view: &SchedulerView,
    application: &ApplicationRow,
    name: &str,
    spec: &ServiceSpec,
    changed: &BTreeSet<AllocationId>,
) -> Result<(), String> {
    let ServiceMode::Replicated { replicas } = spec.mode else {
        return Ok(());
    };
    let rows: Vec<&AllocationRow> = view.allocations_of(application.application_id, name).collect();
    let reached = |row: &&AllocationRow| view.node(row.node_id).is_some_and(|node| !node.lost);
    let ready = |slot: u32, without: &BTreeSet<AllocationId>| {
        rows.iter().copied().filter(reached).any(|row| {
            row.slot == slot && row.is_well(&spec.container) && !without.contains(&row.allocation_id)
        })
    };
    let before = (1..=replicas).filter(|slot| ready(*slot, &BTreeSet::new()));
    let before = before.count();
    let after = (1..=replicas).filter(|slot| ready(*slot, changed)).count();
    if after == before {
        return Ok(());
    }
    let movable = rows
        .iter()
        .filter(|row| changed.contains(&row.allocation_id))
        .any(|row| {
            view.node(row.node_id)
                .is_some_and(|node| !node.lost && !matches!(node.availability, Availability::Draining { .. }))
        });
    let least = least(application, spec, movable);
    if after < least {
        return Err(format!(
            "{}/{name}: the release stops {} of {before} ready containers, and {least} of {replicas} must stay",
            application.name,
            before - after
        ));
    }
    Ok(())
}

/// How many containers must stay ready while a service is replaced.
fn least(application: &ApplicationRow, spec: &ServiceSpec, movable: bool) -> usize {
    let ServiceMode::Replicated { replicas } = spec.mode else {
        return 0;
    };
    let policy = match application.rolling_back {
        true => spec.rollback.or(spec.update),
        false => spec.update,
    };
    let out = match (&application.method, policy) {
        (ReleaseMethod::Standard, _) => replicas,
        (_, None) => (replicas / 2).max(1),
        (_, Some(policy)) => {
            // Two containers must not write to one volume.
            let beside = spec.container.named_volumes().next().is_none() && movable;
            match policy.parallelism {
                _ if policy.order == UpdateOrder::StartFirst && beside => 0,
                0 => replicas,
                most => most,
            }
        }
    };
    replicas.saturating_sub(out) as usize
}

/// A release that is said to run has nothing old left: every slot runs what it wants, or has done its work.
///
/// # Errors
/// The slot that does not.
pub(crate) fn is_all_new(view: &SchedulerView, plan: &Plan) -> Result<(), String> {
    for settle in &plan.settle {
        let Settle::Release { application_id, .. } = settle else {
            continue;
        };
        let Some(application) = view.application(*application_id) else {
            continue;
        };
        for (name, spec) in &application.spec.services {
            let ServiceMode::Replicated { replicas } = spec.mode else {
                continue;
            };
            if spec.restart.condition != RestartCondition::Any {
                continue;
            }
            let ready = |slot: u32| {
                view.allocations_of(*application_id, name)
                    .any(|row| row.slot == slot && view.is_current(row) && row.is_well(&spec.container))
            };
            if let Some(slot) = (1..=replicas).find(|slot| !ready(*slot)) {
                return Err(format!(
                    "release {} of {} is said to run, and {name}.{slot} does not run it",
                    application.release_number, application.name
                ));
            }
        }
    }
    Ok(())
}

/// Shares of the traffic speak of services that are there.
///
/// # Errors
/// The service that is not.
pub(crate) fn shares(application: &ApplicationRow) -> Result<(), String> {
    let services = &application.spec.services;
    match application
        .weights
        .keys()
        .find(|name| !services.contains_key(*name))
    {
        Some(name) => Err(format!(
            "{} sends traffic to `{name}`, which is gone",
            application.name
        )),
        None => Ok(()),
    }
}
