//! What was seen, as the answer to who asked.

use super::{Rehearsal, model, notes::Notes};
use crate::{
    limits::MAX_REHEARSED_CONTAINERS,
    view::{ApplicationRow, SchedulerView, SlotKey},
};
use berth_events::{
    ChangePlan, PlanAction, PlanCounts, PlannedContainer, ServicePlan,
    spec::{ServiceMode, UpdateOrder},
};
use berth_ids::{Name, NodeId};
use std::collections::{BTreeMap, BTreeSet};

impl Rehearsal {
    pub(super) fn answer(self, notes: Notes, complete: bool) -> ChangePlan {
        let view = &self.stage.view;
        let after = view.application(self.application);
        // An application that is gone at the end was going to be removed: nothing of it is left.
        let spec = after.map(|row| (*row.spec).clone()).unwrap_or_default();
        let before = self.before.as_ref();
        let release = after.filter(|after| before.is_none_or(|before| before.release_id != after.release_id));
        let name = after.or(before).map(|row| row.name.clone());
        let all = slots(view, &notes, name, after);
        let (own, others): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|(key, _)| key.application_id == self.application);
        let own: Vec<PlannedContainer> = own.into_iter().map(|(_, planned)| planned).collect();
        let others = others.into_iter().map(|(_, planned)| planned);
        ChangePlan {
            position: self.position,
            application_id: before.map(|row| row.application_id),
            release: release.map(|row| row.release_number),
            changed: self.changed,
            model: model::difference(before.map(|row| &*row.spec), &spec, &self.question.same_values),
            services: services(&notes, &own, after, view),
            counts: counts(&own),
            others: others
                .filter(|planned| planned.action != PlanAction::Keep)
                .take(MAX_REHEARSED_CONTAINERS)
                .collect(),
            pulls: notes.pulls,
            steps: notes.steps,
            complete,
            containers: own.into_iter().take(MAX_REHEARSED_CONTAINERS).collect(),
        }
    }
}

/// Every slot that had, gets or lacks a container, in order of application, service and number.
fn slots(
    view: &SchedulerView,
    notes: &Notes,
    own: Option<Name>,
    after: Option<&ApplicationRow>,
) -> Vec<(SlotKey, PlannedContainer)> {
    let mut keys: BTreeSet<SlotKey> = notes.old.keys().chain(notes.new.keys()).cloned().collect();
    if let Some(after) = after {
        keys.extend(pending(view, after));
    }
    let mut found = Vec::new();
    for key in keys {
        let application = view.application(key.application_id).map(|row| row.name.clone());
        let Some(application) = application.or_else(|| own.clone()) else {
            continue;
        };
        found.extend(predecessors(view, notes, &key, &application).map(|planned| (key.clone(), planned)));
        let planned = slot(view, notes, &key, application);
        found.push((key, planned));
    }
    found
}

/// Containers whose successor is there already, and that go.
fn predecessors<'a>(
    view: &'a SchedulerView,
    notes: &'a Notes,
    key: &'a SlotKey,
    application: &'a Name,
) -> impl Iterator<Item = PlannedContainer> + 'a {
    let all = notes.old.get(key).map(Vec::as_slice).unwrap_or_default();
    let earlier = all.split_last().map(|(_, earlier)| earlier).unwrap_or_default();
    earlier.iter().filter_map(move |old| {
        let gone = notes.gone.get(&old.allocation_id)?;
        Some(PlannedContainer {
            application: application.clone(),
            service: key.service.clone(),
            slot: key.slot,
            action: PlanAction::Remove,
            from: view.node(old.node_id).map(|node| node.name.clone()),
            to: None,
            placed_in: None,
            stopped_in: Some(gone.step),
            stop: gone.reason,
            why: None,
        })
    })
}

/// Slots of an application that are without a container at the end.
fn pending(view: &SchedulerView, application: &ApplicationRow) -> Vec<SlotKey> {
    let id = application.application_id;
    let mut keys = Vec::new();
    for service in application.spec.services.keys() {
        let blocked = view.blocked(id, service).into_iter().flat_map(|row| &row.slots);
        keys.extend(blocked.map(|slot| SlotKey {
            application_id: id,
            service: service.clone(),
            slot: *slot,
        }));
    }
    keys
}

fn slot(view: &SchedulerView, notes: &Notes, key: &SlotKey, application: Name) -> PlannedContainer {
    let name = |node: NodeId| view.node(node).map(|node| node.name.clone());
    let (old, new) = (notes.last_of(key), notes.new.get(key));
    let gone = old.and_then(|old| notes.gone.get(&old.allocation_id));
    let blocked = view.blocked(key.application_id, &key.service);
    let pending = blocked.is_some_and(|row| row.slots.contains(&key.slot));
    let wants_another = old
        .and_then(|old| view.allocation(old.allocation_id))
        .is_some_and(|row| !view.is_current(row) && wants(view, key));
    let action = match (old, new, gone) {
        (None, Some(_), _) => PlanAction::Create,
        (Some(_), Some(_), _) => PlanAction::Replace,
        (Some(_), None, Some(_)) if pending => PlanAction::Pending,
        (Some(_), None, Some(_)) if wants_another => PlanAction::Replace,
        (Some(_), None, Some(_)) => PlanAction::Remove,
        // It stays for now: the steps ended before its turn.
        (Some(_), None, None) if wants_another && !pending => PlanAction::Replace,
        (Some(_), None, None) => PlanAction::Keep,
        (None, None, _) => PlanAction::Pending,
    };
    let keeps = action == PlanAction::Keep;
    PlannedContainer {
        application,
        service: key.service.clone(),
        slot: key.slot,
        action,
        from: old.and_then(|old| name(old.node_id)),
        to: match new {
            Some(new) => name(new.node_id),
            None => old.filter(|_| keeps).and_then(|old| name(old.node_id)),
        },
        placed_in: new.map(|new| new.step),
        stopped_in: gone.map(|gone| gone.step),
        stop: gone.and_then(|gone| gone.reason),
        why: new.map(|new| new.placed.why.clone()),
    }
}

/// The application still wants a container in the slot.
fn wants(view: &SchedulerView, key: &SlotKey) -> bool {
    let application = view.application(key.application_id);
    let application = application.filter(|row| !row.stopped && row.removing.is_none());
    let service = application.and_then(|row| row.spec.services.get(&key.service));
    service.is_some_and(|service| match service.mode {
        ServiceMode::Replicated { replicas } => key.slot <= replicas,
        ServiceMode::Global => true,
    })
}

fn counts(own: &[PlannedContainer]) -> PlanCounts {
    let mut counts = PlanCounts::default();
    for planned in own {
        let count = match planned.action {
            PlanAction::Create => &mut counts.create,
            PlanAction::Replace => &mut counts.replace,
            PlanAction::Keep => &mut counts.keep,
            PlanAction::Remove => &mut counts.remove,
            PlanAction::Pending => &mut counts.pending,
        };
        *count += 1;
    }
    counts
}

fn services(
    notes: &Notes,
    own: &[PlannedContainer],
    after: Option<&ApplicationRow>,
    view: &SchedulerView,
) -> BTreeMap<String, ServicePlan> {
    let known = own.iter().map(|planned| planned.service.clone());
    let listed = after
        .into_iter()
        .flat_map(|row| row.spec.services.keys().cloned());
    let names: BTreeSet<String> = known.chain(listed).collect();
    let plans = names.into_iter().map(|name| {
        let plan = service(notes, &name, own, after, view);
        (name, plan)
    });
    plans.collect()
}

fn service(
    notes: &Notes,
    name: &str,
    own: &[PlannedContainer],
    after: Option<&ApplicationRow>,
    view: &SchedulerView,
) -> ServicePlan {
    let live = after.filter(|row| !row.stopped && row.removing.is_none());
    let wanted = match live
        .and_then(|row| row.spec.services.get(name))
        .map(|spec| spec.mode)
    {
        Some(ServiceMode::Replicated { replicas }) => replicas,
        Some(ServiceMode::Global) => {
            let there = own
                .iter()
                .filter(|planned| planned.service == name && planned.to.is_some());
            u32::try_from(there.count()).unwrap_or(u32::MAX)
        }
        None => 0,
    };
    let ready = notes.ready.get(name).copied().unwrap_or(0);
    let least_ready = notes.least_ready.get(name).copied().unwrap_or(0).min(ready);
    let blocked = live.and_then(|row| view.blocked(row.application_id, name));
    ServicePlan {
        wanted,
        ready,
        least_ready,
        order: live.and_then(|row| order(notes, row, name)),
        interrupted: ready > 0 && wanted > 0 && least_ready == 0,
        pending: blocked.map(|row| row.slots.clone()).unwrap_or_default(),
        why: blocked.map(|row| row.report.clone()),
    }
}

/// Which of the two containers of a slot came first, as far as was seen.
fn order(notes: &Notes, application: &ApplicationRow, service: &str) -> Option<UpdateOrder> {
    let own = |key: &SlotKey| key.application_id == application.application_id && key.service == service;
    let pairs = notes
        .new
        .iter()
        .filter(|(key, _)| own(key))
        .filter_map(|(key, new)| {
            let old = notes.last_of(key)?;
            Some(
                notes
                    .gone
                    .get(&old.allocation_id)
                    .is_none_or(|gone| gone.step > new.step),
            )
        });
    let new_first: Vec<bool> = pairs.collect();
    match new_first.as_slice() {
        [] => None,
        all if all.iter().all(|first| *first) => Some(UpdateOrder::StartFirst),
        _ => Some(UpdateOrder::StopFirst),
    }
}
