//! How a release replaces containers: how many at a time, which of the two first, and when it has failed.

use super::{
    Planner,
    block::{BlockedSlot, Cause},
    choose::{Ask, binding_home, choose},
    request::Request,
    service::{Pass, is_ready, outdated},
    slots::is_complete,
};
use crate::{
    application::{pinned, weighed_again},
    limits::SETTLE_AFTER,
    spec_hash,
    view::{AllocationRow, ApplicationRow, Failure, SlotRow},
};
use berth_events::{
    ApplicationEvent, ReleaseFailure, ReleaseMethod, ReleaseOutcome, ReleasePaused, ReleaseSettled,
    ReleaseSource, ReleaseStarted, StopReason,
    spec::{FailureAction, ServiceMode, UpdateOrder, UpdatePolicy},
};
use berth_ids::{ReleaseId, Timestamp, Uuid};
use std::{rc::Rc, time::Duration};

/// How the containers of a service are replaced now.
#[derive(Debug, Default)]
pub(super) struct Rollout {
    policy: Option<UpdatePolicy>,
    /// The most that may be out for changes at a time.
    limit: u32,
    start_first: bool,
    /// The pause between replacements lasts until then.
    pub(super) not_before: Option<Timestamp>,
}

impl Rollout {
    /// `usual` is the limit without a policy.
    pub(super) fn new(request: &Request<'_>, usual: u32) -> Self {
        let policy = policy_of(request);
        let limit = match (&request.application.method, policy) {
            (ReleaseMethod::Standard, _) => u32::MAX,
            (_, None) => usual,
            (_, Some(UpdatePolicy { parallelism: 0, .. })) => u32::MAX,
            (_, Some(policy)) => policy.parallelism,
        };
        // One finds out what the newest content is; the others may have it already.
        let limit = if request.is_seeking() { limit.min(1) } else { limit };
        let order = policy.map(|policy| policy.order).unwrap_or_default();
        Self {
            policy,
            limit,
            // One container a node: there is no second place for it.
            start_first: order == UpdateOrder::StartFirst
                && request.application.method != ReleaseMethod::Standard
                && request.spec.mode != ServiceMode::Global,
            not_before: None,
        }
    }
}

fn policy_of(request: &Request<'_>) -> Option<UpdatePolicy> {
    let spec = request.spec;
    if request.application.rolling_back {
        spec.rollback.or(spec.update)
    } else {
        spec.update
    }
}

/// A release that does not come to its end by itself.
pub(super) fn is_held(application: &ApplicationRow) -> bool {
    application.paused || matches!(application.method, ReleaseMethod::BlueGreen { .. })
}

/// What a failed release comes to: the last good one again, or a pause.
pub(super) fn failed(
    application: &ApplicationRow,
    policy: &UpdatePolicy,
    failure: ReleaseFailure,
) -> Vec<ApplicationEvent> {
    let release_id = application.release_id;
    let good = application.good.as_ref();
    let back = good.filter(|_| {
        policy.failure_action == FailureAction::Rollback
            && !application.rolling_back
            && !matches!(application.method, ReleaseMethod::BlueGreen { .. })
    });
    let Some(good) = back else {
        return vec![ApplicationEvent::ReleasePaused(ReleasePaused {
            release_id,
            failure: Some(failure),
        })];
    };
    let back_id = ReleaseId::from(Uuid::new_v5(&release_id.as_uuid(), b"rollback"));
    let mut events = vec![
        ApplicationEvent::ReleaseSettled(ReleaseSettled {
            release_id,
            outcome: ReleaseOutcome::Failed,
            failure: Some(failure),
        }),
        ApplicationEvent::ReleaseStarted(ReleaseStarted {
            release_id: back_id,
            number: application.release_number.saturating_add(1),
            spec: (*good.spec).clone(),
            source: ReleaseSource::Rollback {
                to: good.number,
                of: application.release_number,
                automatic: true,
            },
            warnings: vec![],
            method: ReleaseMethod::Rolling,
        }),
    ];
    events.extend(pinned(back_id, &good.images));
    events.extend(weighed_again(&good.spec, &good.weights, &application.weights));
    events
}

impl<'a> Planner<'a, '_> {
    /// It is ready and, while its release goes live, has been watched for long enough.
    pub(super) fn is_proven(&mut self, request: &Request<'_>, row: &AllocationRow) -> bool {
        let Some(until) = watched_until(request, row) else {
            return true;
        };
        if until > self.now {
            self.wake(until);
        }
        until <= self.now
    }

    /// It has not only begun to run: a check has passed, or it has run for a while since its release started it.
    pub(super) fn is_steady(&mut self, request: &Request<'_>, row: &AllocationRow) -> bool {
        let application = request.application;
        let new = !application.settled && row.release_id == application.release_id;
        let Some(since) = row.running_since.filter(|_| new) else {
            return true;
        };
        if request.spec.container.has_check() {
            return true;
        }
        let until = since.plus(SETTLE_AFTER);
        if until > self.now {
            self.wake(until);
        }
        until <= self.now
    }

    /// One more container may be out for a change now.
    pub(super) fn may_replace(&mut self, pass: &Pass<'a>) -> bool {
        if pass.out >= pass.rollout.limit {
            return false;
        }
        match pass.rollout.not_before {
            Some(at) if at > self.now => {
                self.wake(at);
                false
            }
            Some(_) | None => true,
        }
    }

    /// A change may not stop another container: with those that wait for a place, too few would be ready. How many
    /// wait, and how many must stay ready.
    pub(super) fn promise_holds_back(&self, pass: &Pass<'a>) -> Option<(u32, u32)> {
        let held = pass.pending > 0 && pass.out.saturating_add(pass.pending) >= pass.rollout.limit;
        let wanted = u32::try_from(pass.wanted.len()).unwrap_or(u32::MAX);
        held.then(|| (pass.pending, wanted.saturating_sub(pass.rollout.limit)))
    }

    /// Containers out on purpose or on their way: each one less that may be stopped. And those that wait for a
    /// place, which no move and no drain waits for.
    pub(super) fn count_out(&self, pass: &Pass<'a>) -> (u32, u32) {
        let blocked = self
            .view
            .blocked(pass.request.application.application_id, pass.request.name);
        let (mut out, mut waiting) = (0, 0);
        for slot in pass.wanted_slots() {
            let rows = pass.rows.get(&slot).into_iter().flatten();
            let live: Vec<_> = rows
                .filter(|row| row.phase.is_live() && !self.world.is_lost(row.node_id))
                .collect();
            if live.is_empty() {
                let pending = blocked.is_some_and(|row| row.slots.contains(&slot))
                    && !self.is_backing_off(&pass.request, slot, blocked);
                let open = !is_complete(&pass.request, self.state_of(&pass.request, slot));
                out += u32::from(open && !pending);
                waiting += u32::from(open && pending);
                continue;
            }
            let watched = |row| watched_until(&pass.request, row).is_some_and(|until| until > self.now);
            let kept = live.iter().filter(|row| row.stop.is_none()).count();
            let proven = live
                .iter()
                .any(|row| is_ready(&pass.request, row) && !watched(row));
            out += u32::from(kept > 1 || !proven);
        }
        (out, waiting)
    }

    /// The end of the pause after the newest replacement.
    pub(super) fn not_before(&self, pass: &Pass<'a>) -> Option<Timestamp> {
        let delay = pass.rollout.policy.filter(|policy| policy.delay_ms > 0)?.delay_ms;
        let application = pass.request.application;
        let rows = pass.rows.values().flatten();
        let newest = rows
            .filter(|row| row.release_id == application.release_id && outdated(&pass.request, row).is_none())
            .filter_map(|row| row.running_since)
            .max()?;
        Some(newest.plus(Duration::from_millis(delay)))
    }

    /// The release has failed in this service, and somebody or its policy should act.
    pub(super) fn failure_of(&self, pass: &Pass<'a>) -> Option<(UpdatePolicy, ReleaseFailure)> {
        let request = &pass.request;
        let application = request.application;
        let policy = pass.rollout.policy?;
        let good = application.good.as_ref()?;
        let over = application.settled || application.paused || application.stopped;
        if over || application.removing.is_some() || policy.failure_action == FailureAction::Continue {
            return None;
        }
        let before = good.spec.services.get(request.name);
        if before.is_some_and(|before| spec_hash(&before.container) == request.hash) {
            return None;
        }
        let bad: Vec<String> = pass
            .wanted_slots()
            .filter_map(|slot| self.failing(pass, slot))
            .collect();
        let (failed, of) = (bad.len(), pass.wanted_slots().count());
        let last = bad.into_iter().next_back()?;
        let most = u64::from(policy.max_failure_permille) * of as u64;
        (failed as u64 * 1000 > most).then(|| {
            let failure = ReleaseFailure {
                service: request.name.to_owned(),
                failed: u32::try_from(failed).unwrap_or(u32::MAX),
                of: u32::try_from(of).unwrap_or(u32::MAX),
                last,
            };
            (policy, failure)
        })
    }

    /// How the new container of a slot has failed since the release is judged, if it has.
    fn failing(&self, pass: &Pass<'a>, slot: u32) -> Option<String> {
        let request = &pass.request;
        let application = request.application;
        let state = self.state_of(request, slot);
        if is_complete(request, state) {
            return None;
        }
        let since = application.judged_from;
        let rows = pass.rows.get(&slot).into_iter().flatten();
        let own = rows.filter(|row| {
            row.spec_hash == request.hash && row.release_id == application.release_id && row.stop.is_none()
        });
        let shown = own
            .filter_map(|row| {
                let restarted = row.restarts > 0 && row.running_since.is_some_and(|at| at >= since);
                match row.healthy {
                    Some(false) if row.phase.is_live() => Some("its check says unhealthy".to_owned()),
                    _ if restarted => Some(format!("it has ended {} times", row.restarts)),
                    _ => None,
                }
            })
            .next_back();
        shown.or_else(|| failed_before(request, state?, since))
    }

    /// Deals with a slot that has, or is to have, two containers for a while: the new one first.
    pub(super) fn overlap(&mut self, pass: &mut Pass<'a>, slot: u32) -> bool {
        let rows = pass.rows.get(&slot).cloned().unwrap_or_default();
        let kept: Vec<&'a AllocationRow> = rows
            .iter()
            .copied()
            .filter(|row| self.world.phase(row).is_live() && row.stop.is_none())
            .collect();
        let newest_first = kept.into_iter().rev();
        let (new, old): (Vec<_>, Vec<_>) =
            newest_first.partition(|row| outdated(&pass.request, row).is_none());
        let Some(oldest_choice) = old.first().copied() else {
            return false;
        };
        // Of several old ones the ready one stays.
        let ready = old.iter().copied().find(|row| is_ready(&pass.request, row));
        let old_row = ready.unwrap_or(oldest_choice);
        for row in old
            .iter()
            .filter(|row| row.allocation_id != old_row.allocation_id)
        {
            pass.settled = false;
            self.order_stop(row, StopReason::Changed);
        }
        if let Some(new) = new.first().copied() {
            return self.hand_over(pass, new, old_row);
        }
        let leaving = rows.iter().any(|row| row.phase.is_live() && row.stop.is_some());
        self.start_first(pass, slot, old_row, leaving || old.len() > 1)
    }

    /// Old and new stand side by side: the old one goes when the new one is proven.
    fn hand_over(&mut self, pass: &mut Pass<'a>, new: &'a AllocationRow, old: &'a AllocationRow) -> bool {
        pass.settled = false;
        if self.world.is_lost(new.node_id) {
            self.give_up(new);
            return true;
        }
        let reason = outdated(&pass.request, old).unwrap_or(StopReason::Changed);
        let takes_over = is_ready(&pass.request, new) && self.is_proven(&pass.request, new);
        if takes_over || self.world.is_lost(old.node_id) || !is_ready(&pass.request, old) {
            self.dismiss(old, reason);
        }
        true
    }

    /// Places the successor beside the old container, if the policy says so and it makes sense.
    fn start_first(&mut self, pass: &mut Pass<'a>, slot: u32, old: &'a AllocationRow, crowded: bool) -> bool {
        let reason = outdated(&pass.request, old).unwrap_or(StopReason::Changed);
        let state = self.state_of(&pass.request, slot);
        let draining = |at: usize| self.world.sites[at].is_draining();
        let apart = !pass.rollout.start_first
            || self.world.is_lost(old.node_id)
            || !is_ready(&pass.request, old)
            || self.world.site_of(old.node_id).is_none_or(draining)
            // Two containers must not write to one volume.
            || binding_home(&self.world, &pass.request, state).is_some();
        if apart {
            return false;
        }
        pass.settled = false;
        if crowded || pass.request.holds_changes(reason) || !self.may_replace(pass) {
            return true;
        }
        if let Some(cause) = self.holds_back(&pass.request, state) {
            pass.blocked.push(BlockedSlot { slot, cause });
            return true;
        }
        let ask = Ask {
            slot,
            state,
            only: None,
            except: None,
            now: self.now,
        };
        match choose(&self.world, &pass.request, &ask) {
            Ok(choice) => {
                self.place(pass, slot, state, choice);
                pass.out += 1;
            }
            Err(refused) => {
                let cause = Cause::Refused(Rc::new(refused));
                pass.blocked.push(BlockedSlot { slot, cause });
            }
        }
        true
    }
}

/// Until when a container of the release at hand is watched; none: it is not.
pub(super) fn watched_until(request: &Request<'_>, row: &AllocationRow) -> Option<Timestamp> {
    let application = request.application;
    let monitor = policy_of(request)?.monitor_ms;
    let watched = monitor > 0 && !application.settled && row.release_id == application.release_id;
    let since = row.running_since.filter(|_| watched)?;
    Some(since.plus(Duration::from_millis(monitor)))
}

fn failed_before(request: &Request<'_>, state: &SlotRow, since: Timestamp) -> Option<String> {
    let mut failures = state.failures.iter().rev();
    let own = |failure: &&Failure| failure.spec_hash == request.hash && !failure.taken_away;
    let failure = failures.find(|failure| own(failure) && failure.at >= since)?;
    Some(failure.text.clone())
}
