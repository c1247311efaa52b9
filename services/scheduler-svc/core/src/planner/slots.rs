//! What a slot's past means for its next container: complete, given up, waiting.

use super::{
    Planner,
    block::{BACKOFF, Cause},
    request::Request,
    service::is_ready,
};
use crate::{
    limits::{BACKOFF_FIRST, BACKOFF_LIMIT},
    view::{AllocationRow, BlockedRow, Failure, SlotKey, SlotRow},
};
use berth_events::spec::{DependencyCondition, RestartCondition, RestartPolicy, ServiceMode};
use berth_ids::Timestamp;
use std::{collections::HashSet, time::Duration};

/// The end of the last container counts: same specification, and nobody asked for a new start since.
fn counts(request: &Request<'_>, state: &SlotRow) -> bool {
    let application = request.application;
    let restart = application.restarts.get(request.name).copied().unwrap_or(0);
    state.ended.as_ref().is_some_and(|ended| {
        ended.spec_hash == request.hash && ended.position > restart.max(application.started_at)
    })
}

/// The slot has done its work and needs no container any more.
pub(super) fn is_complete(request: &Request<'_>, state: Option<&SlotRow>) -> bool {
    let Some(state) = state.filter(|state| counts(request, state)) else {
        return false;
    };
    let Some(ended) = &state.ended else {
        return false;
    };
    match request.spec.restart.condition {
        RestartCondition::Any => false,
        RestartCondition::OnFailure => ended.exit_code == Some(0),
        // One that never came to run has not done its work.
        RestartCondition::Never => ended.ran || ended.exit_code.is_some(),
    }
}

/// The wait after so many failures in a row.
pub(super) fn backoff(policy: &RestartPolicy, failures: usize) -> Duration {
    let first = if policy.delay_ms > 0 {
        Duration::from_millis(policy.delay_ms)
    } else {
        BACKOFF_FIRST
    };
    let doublings = u32::try_from(failures.saturating_sub(1))
        .unwrap_or(u32::MAX)
        .min(16);
    first.saturating_mul(1 << doublings).min(BACKOFF_LIMIT.max(first))
}

/// It was restarted as often as the file allows.
fn is_given_up(request: &Request<'_>, state: &SlotRow) -> bool {
    let limit = request.spec.restart.max_attempts;
    limit > 0 && state.attempts >= limit
}

/// The wait of a slot between a failure and its next attempt; it may be over.
struct Wait {
    failures: usize,
    last: String,
    due: Timestamp,
}

fn wait_of(request: &Request<'_>, state: &SlotRow) -> Option<Wait> {
    if !counts(request, state) || is_given_up(request, state) {
        return None;
    }
    let own = |failure: &&Failure| failure.spec_hash == request.hash;
    let failures = state.failures.iter().filter(own).count();
    let last = state.failures.iter().rfind(own)?;
    Some(Wait {
        failures,
        last: last.text.clone(),
        due: last.at.plus(backoff(&request.spec.restart, failures)),
    })
}

impl<'a> Planner<'a, '_> {
    /// Why a free slot gets no container now, if it gets none.
    pub(super) fn holds_back(&mut self, request: &Request<'a>, state: Option<&SlotRow>) -> Option<Cause> {
        if let Some(state) = state.filter(|state| counts(request, state)) {
            if is_given_up(request, state) {
                let last = state.failures.last().map(|failure| failure.text.clone());
                return Some(Cause::GivenUp {
                    attempts: state.attempts,
                    last: last.unwrap_or_default(),
                });
            }
            if let Some(wait) = wait_of(request, state)
                && wait.due > self.now
            {
                self.wake(wait.due);
                return Some(Cause::Backoff {
                    failures: wait.failures,
                    last: wait.last,
                    next_at: wait.due,
                });
            }
        }
        let began = request.application.started_at;
        let ran = state.is_some_and(|state| state.ran_at > began);
        if ran {
            return None;
        }
        request.unmet.get_or_init(|| self.unmet(request)).clone()
    }

    /// A slot that waits for its next attempt is on its way, reported or not: no room for another one's change.
    ///
    /// A report that speaks of no wait was made after this one's was over: then something else is in the way.
    pub(super) fn is_backing_off(
        &self,
        request: &Request<'a>,
        slot: u32,
        known: Option<&BlockedRow>,
    ) -> bool {
        let wait = self
            .state_of(request, slot)
            .and_then(|state| wait_of(request, state));
        let told = |row: &BlockedRow| row.report.refusals.iter().any(|one| one.filter == BACKOFF);
        wait.is_some_and(|wait| wait.due > self.now || known.is_some_and(told))
    }

    /// The first dependency that is not met. It counts for the first start only.
    fn unmet(&self, request: &Request<'a>) -> Option<Cause> {
        request.spec.depends_on.iter().find_map(|(on, condition)| {
            (!self.is_met(request, on, *condition)).then(|| Cause::Dependency {
                service: on.clone(),
                condition: *condition,
            })
        })
    }

    fn is_met(&self, request: &Request<'a>, on: &str, condition: DependencyCondition) -> bool {
        let application = request.application;
        let Some((name, spec)) = application.spec.services.get_key_value(on) else {
            return true;
        };
        let hash = application.hashes.get(name).map_or("", String::as_str);
        let other = Request::new(self.cluster, application, name, spec, hash, &self.world);
        let slots: Vec<u32> = match spec.mode {
            ServiceMode::Replicated { replicas } => (1..=replicas).collect(),
            ServiceMode::Global => (0..self.world.sites.len())
                .filter(|at| other.per_site(&self.world).fixed[*at].is_none())
                .map(|at| self.world.sites[at].row.index)
                .collect(),
        };
        let rows = self.view.allocations_of(application.application_id, on);
        let ready: HashSet<u32> = rows
            .filter(|row| is_ready(&other, row))
            .map(|row| row.slot)
            .collect();
        slots.iter().all(|slot| match condition {
            DependencyCondition::ServiceHealthy => ready.contains(slot),
            _ => self.slot_has_met(&other, *slot, condition),
        })
    }

    /// What is remembered of a slot meets a condition.
    fn slot_has_met(&self, other: &Request<'a>, slot: u32, condition: DependencyCondition) -> bool {
        let application = other.application;
        let state = self.state_of(other, slot);
        match condition {
            DependencyCondition::ServiceStarted => {
                state.is_some_and(|state| state.ran_at > application.started_at) || is_complete(other, state)
            }
            DependencyCondition::ServiceCompletedSuccessfully => state.is_some_and(|state| {
                counts(other, state)
                    && state
                        .ended
                        .as_ref()
                        .is_some_and(|ended| ended.exit_code == Some(0))
            }),
            DependencyCondition::ServiceHealthy => false,
        }
    }

    /// A container that no drain moves: its data is on the node.
    pub(super) fn is_held(&self, row: &AllocationRow) -> bool {
        let Some(application) = self.view.application(row.application_id) else {
            return false;
        };
        let Some(spec) = application.spec.services.get(&row.service) else {
            return false;
        };
        let unwanted = row.stop.is_some() || application.stopped || application.removing.is_some();
        if unwanted {
            return false;
        }
        let key = SlotKey {
            application_id: row.application_id,
            service: row.service.clone(),
            slot: row.slot,
        };
        let home = self.view.slots.get(&key).and_then(|state| state.home.as_ref());
        let local = |volume: &&str| crate::is_node_local(application.spec.volumes.get(*volume));
        let mut volumes = spec.container.named_volumes().filter(local);
        home.is_some_and(|home| {
            home.node_id == row.node_id && volumes.any(|volume| home.volumes.contains(volume))
        })
    }
}
