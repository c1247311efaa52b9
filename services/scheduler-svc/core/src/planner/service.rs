//! One service: which slots are wanted, and what each needs.

use super::{
    Planner,
    block::{BlockedSlot, Cause},
    candidates::Candidates,
    choose::binding_home,
    fill::parcel,
    filters,
    orders::Parcel,
    rejection::Refused,
    release::Rollout,
    request::Request,
    unwanted_reason,
};
use crate::view::{AllocationRow, ApplicationRow, Availability, SlotRow};
use berth_events::{
    StopReason,
    spec::{ReschedulePolicy, ServiceMode, ServiceSpec},
};
use std::{collections::BTreeMap, rc::Rc};

/// A service in the making.
pub(super) struct Pass<'a> {
    pub(super) request: Request<'a>,
    /// Allocations by slot, oldest first.
    pub(super) rows: BTreeMap<u32, Vec<&'a AllocationRow>>,
    /// Wanted slots; for global services with their node.
    pub(super) wanted: BTreeMap<u32, Option<usize>>,
    /// Containers that are out on purpose or on their way.
    pub(super) out: u32,
    /// Slots without a container that wait for a place.
    pub(super) pending: u32,
    /// The most that may be out for moves.
    pub(super) limit: u32,
    /// How its containers are replaced.
    pub(super) rollout: Rollout,
    pub(super) parcel: Parcel<'a>,
    pub(super) blocked: Vec<BlockedSlot>,
    /// The answer of all nodes to a slot without ties; the next one gets the same.
    pub(super) refused: Option<Rc<Vec<(usize, Refused)>>>,
    /// Nodes in order, while nothing but placements of this service changes them.
    pub(super) candidates: Option<Candidates>,
    /// The plan was full before every slot was looked at: the next one tells what is blocked.
    pub(super) cut: bool,
    /// Nothing makes room for another slot of it.
    pub(super) no_room: bool,
    /// Every wanted slot runs what it should or has completed.
    pub(super) settled: bool,
}

impl Pass<'_> {
    pub(super) fn wanted_slots(&self) -> impl Iterator<Item = u32> {
        self.wanted.keys().copied()
    }
}

/// What a slot has.
pub(super) enum Holder<'a> {
    /// A container that nobody told to stop.
    Kept(&'a AllocationRow),
    /// A container that is on its way out.
    Leaving(&'a AllocationRow),
    /// None.
    Free,
}

impl<'a> Planner<'a, '_> {
    /// Plans a service; whether it is all as its release wants it.
    pub(super) fn service(
        &mut self,
        application: &'a ApplicationRow,
        name: &'a str,
        spec: &'a ServiceSpec,
    ) -> bool {
        let pushed_out = self.pushed_out.iter();
        let pushed_out = pushed_out.filter_map(|id| self.view.allocation(*id));
        let own =
            |row: &AllocationRow| row.application_id == application.application_id && row.service == name;
        if pushed_out.into_iter().any(own) {
            // What is pushed out in this plan is leaving in the next one, which looks at the service again.
            self.orders.more = true;
            return false;
        }
        if self.is_calm(application, name, spec) {
            // Every test of the planner is one of this short cut too.
            #[cfg(test)]
            self.assert_calm(application, name, spec);
            return true;
        }
        self.look_at(application, name, spec)
    }

    /// Looks at every slot of a service.
    pub(super) fn look_at(
        &mut self,
        application: &'a ApplicationRow,
        name: &'a str,
        spec: &'a ServiceSpec,
    ) -> bool {
        let hash = application.hashes.get(name).map_or("", String::as_str);
        let mut request = Request::new(self.cluster, application, name, spec, hash, &self.world);
        request.pin = self.pins.get(&spec.container.image).cloned();
        let mut pass = Pass {
            parcel: parcel(&request),
            request,
            rows: self.rows_of(application, name),
            wanted: BTreeMap::new(),
            out: 0,
            pending: 0,
            limit: 1,
            rollout: Rollout::default(),
            blocked: Vec::new(),
            refused: None,
            candidates: None,
            cut: false,
            no_room: false,
            settled: true,
        };
        pass.wanted = self.wanted(&pass);
        self.dismiss_unwanted(&pass);
        pass.limit = u32::try_from(pass.wanted.len() / 2).unwrap_or(u32::MAX).max(1);
        pass.rollout = Rollout::new(&pass.request, pass.limit);
        if let Some(failure) = self.failure_of(&pass) {
            self.failure = Some(failure);
            return false;
        }
        pass.rollout.not_before = self.not_before(&pass);
        (pass.out, pass.pending) = self.count_out(&pass);
        self.reserve_for_successors(&mut pass);
        let wanted: Vec<_> = pass.wanted.iter().map(|(slot, only)| (*slot, *only)).collect();
        for (slot, only) in wanted {
            self.slot(&mut pass, slot, only);
        }
        if !pass.cut {
            self.report_blocked(&pass.request, std::mem::take(&mut pass.blocked));
        }
        pass.settled
    }

    fn rows_of(&self, application: &ApplicationRow, name: &str) -> BTreeMap<u32, Vec<&'a AllocationRow>> {
        let mut rows: BTreeMap<u32, Vec<&'a AllocationRow>> = BTreeMap::new();
        for row in self.view.allocations_of(application.application_id, name) {
            rows.entry(row.slot).or_default().push(row);
        }
        rows
    }

    fn wanted(&self, pass: &Pass<'a>) -> BTreeMap<u32, Option<usize>> {
        let application = pass.request.application;
        if application.stopped || application.removing.is_some() {
            return BTreeMap::new();
        }
        match pass.request.spec.mode {
            ServiceMode::Replicated { replicas } => (1..=replicas).map(|slot| (slot, None)).collect(),
            ServiceMode::Global => (0..self.world.sites.len())
                .filter(|at| self.wants_global(pass, *at))
                .map(|at| (self.world.sites[at].row.index, Some(at)))
                .collect(),
        }
    }

    /// A node that suits gets one; one that takes nothing new keeps what it has; one that drains loses it.
    fn wants_global(&self, pass: &Pass<'a>, at: usize) -> bool {
        let node = self.world.sites[at].row;
        let has = || {
            pass.rows
                .get(&node.index)
                .is_some_and(|rows| rows.iter().any(|row| row.phase.is_live()))
        };
        if filters::suits(node, pass.request.spec, &pass.request.constraints).is_err() {
            return false;
        }
        match node.availability {
            _ if node.lost => has(),
            Availability::Active => true,
            Availability::Cordoned | Availability::Drained => has(),
            Availability::Draining { .. } => false,
        }
    }

    fn dismiss_unwanted(&mut self, pass: &Pass<'a>) {
        let global = pass.request.spec.mode == ServiceMode::Global;
        for (slot, rows) in pass.rows.iter().rev() {
            if pass.wanted.contains_key(slot) {
                continue;
            }
            for row in rows {
                let mut reason = unwanted_reason(pass.request.application);
                if global && reason == StopReason::Surplus {
                    let draining = self
                        .world
                        .site_of(row.node_id)
                        .is_some_and(|at| self.world.sites[at].is_draining());
                    reason = if draining {
                        StopReason::Drained
                    } else {
                        StopReason::Misplaced
                    };
                }
                self.dismiss(row, reason);
            }
        }
    }

    fn slot(&mut self, pass: &mut Pass<'a>, slot: u32, only: Option<usize>) {
        if self.overlap(pass, slot) {
            return;
        }
        match self.holder(pass, slot) {
            Holder::Kept(row) if self.world.is_lost(row.node_id) => {
                if self.keeps_lost(pass, row) {
                    pass.settled = false;
                    self.report_unreachable(pass, row);
                } else if self.give_up(row) {
                    self.fill(pass, slot, only);
                }
            }
            Holder::Kept(row) => self.review(pass, row),
            Holder::Leaving(row) => {
                pass.settled = false;
                let lost = self.world.is_lost(row.node_id) && !self.keeps_lost(pass, row);
                if lost && self.give_up(row) {
                    self.fill(pass, slot, only);
                }
            }
            Holder::Free => self.fill(pass, slot, only),
        }
    }

    /// What holds a slot; a second one that nobody told to stop is told so.
    pub(super) fn holder(&mut self, pass: &Pass<'a>, slot: u32) -> Holder<'a> {
        let Some(rows) = pass.rows.get(&slot) else {
            return Holder::Free;
        };
        let mut holder = Holder::Free;
        for row in rows.iter().rev() {
            if !self.world.phase(row).is_live() {
                continue;
            }
            match (&holder, row.stop) {
                (Holder::Free | Holder::Leaving(_), None) => holder = Holder::Kept(row),
                (Holder::Free, Some(_)) => holder = Holder::Leaving(row),
                (Holder::Kept(_), None) => {
                    self.order_stop(row, StopReason::Surplus);
                }
                (Holder::Kept(_) | Holder::Leaving(_), Some(_)) => {}
            }
        }
        holder
    }

    /// A container of a lost node stays the slot's: by policy, or because its data is there.
    fn keeps_lost(&self, pass: &Pass<'a>, row: &AllocationRow) -> bool {
        let request = &pass.request;
        let global = request.spec.mode == ServiceMode::Global;
        let state = self.state_of(request, row.slot);
        global
            || request.spec.reschedule == ReschedulePolicy::Off
            || binding_home(&self.world, request, state).is_some_and(|home| home.node_id == row.node_id)
    }

    fn report_unreachable(&self, pass: &mut Pass<'a>, row: &AllocationRow) {
        if pass.request.spec.mode == ServiceMode::Global {
            return;
        }
        let node = self
            .view
            .node(row.node_id)
            .map_or_else(|| row.node_id.to_string(), |node| node.name.to_string());
        let state = self.state_of(&pass.request, row.slot);
        let cause = match binding_home(&self.world, &pass.request, state) {
            Some(_) => Cause::VolumeUnreachable { node },
            None => Cause::KeptOnLost { node },
        };
        pass.blocked.push(BlockedSlot {
            slot: row.slot,
            cause,
        });
    }

    /// A container that runs where it can: is it still what and where it should be?
    fn review(&mut self, pass: &mut Pass<'a>, row: &'a AllocationRow) {
        let ready = is_ready(&pass.request, row);
        let outdated = outdated(&pass.request, row);
        let proven = ready && self.is_proven(&pass.request, row);
        pass.settled &= proven && outdated.is_none() && self.is_steady(&pass.request, row);
        let Some(at) = self.world.site_of(row.node_id) else {
            return;
        };
        let state = self.state_of(&pass.request, row.slot);
        let held = binding_home(&self.world, &pass.request, state).is_some();
        let node = self.world.sites[at].row;
        if let Availability::Draining {
            deadline_at,
            force: true,
            ..
        } = node.availability
            && self.now >= deadline_at
        {
            self.order_stop(row, StopReason::Drained);
            return;
        }
        // Its data stays here and nothing new may be placed here: the old container is better than none.
        if held && node.availability != Availability::Active {
            if outdated.is_some() {
                let refused = pass.request.per_site(&self.world).fixed[at]
                    .clone()
                    .map(|refused| (at, refused));
                let cause = Cause::Home {
                    node: node.name.to_string(),
                    refused: Rc::new(refused.into_iter().collect()),
                };
                pass.blocked.push(BlockedSlot {
                    slot: row.slot,
                    cause,
                });
            }
            return;
        }
        if let Some(reason) = outdated
            && !pass.request.holds_changes(reason)
        {
            self.replace(pass, row, at, reason);
            return;
        }
        let misplaced = pass.request.spec.mode != ServiceMode::Global
            && filters::suits(node, pass.request.spec, &pass.request.constraints).is_err();
        let reason = if self.world.sites[at].is_draining() {
            StopReason::Drained
        } else if misplaced && !held {
            StopReason::Misplaced
        } else {
            return;
        };
        self.move_away(pass, row, at, reason);
    }

    pub(super) fn state_of(&self, request: &Request<'a>, slot: u32) -> Option<&'a SlotRow> {
        let states = request.states.get_or_init(|| {
            let states = self
                .view
                .slots_of_service(request.application.application_id, request.name);
            states.map(|(key, state)| (key.slot, state)).collect()
        });
        states.get(&slot).copied()
    }
}

/// It runs, nobody told it to stop, and its check, if it has one, says well.
pub(super) fn is_ready(request: &Request<'_>, row: &AllocationRow) -> bool {
    row.is_well(&request.spec.container)
}

/// It should be replaced by another of its service.
pub(super) fn outdated(request: &Request<'_>, row: &AllocationRow) -> Option<StopReason> {
    if row.spec_hash != request.hash || request.has_other_image(row) {
        return Some(StopReason::Changed);
    }
    let restart = request.application.restarts.get(request.name);
    restart
        .is_some_and(|position| row.placed_at < *position)
        .then_some(StopReason::Restart)
}
