//! Room for a container of a service that fits nowhere: containers of lower priority are pushed out for it.
//!
//! One node gives the room, with as few containers as will do, those of the lowest priority first. A container
//! with a local volume is never pushed out, nor one that `reschedule:off` keeps, nor one of a global service.
//! What is pushed out ends first; until then its node keeps the room for the one that asked, and plans say
//! the same again and again. Services are planned from the highest priority down, so what was pushed out
//! cannot come back to the room before the one that asked has it.

use super::{
    Planner,
    choose::{Ask, binding_home, choose},
    domains, filters,
    request::Request,
    service::Pass,
    site::Site,
};
use crate::{
    is_node_local,
    limits::MAX_PUSHED_OUT,
    view::{AllocationRow, SlotKey, SlotRow},
};
use berth_events::{
    PushedOutBy, StopOrder, StopReason,
    spec::{ReschedulePolicy, ServiceMode},
};
use std::cmp::Reverse;

/// Room on a node.
struct Room<'a> {
    at: usize,
    /// The site without what is leaving, and without the victims.
    after: Site<'a>,
    victims: Vec<&'a AllocationRow>,
    rank: Rank,
}

/// Which room is taken; the least.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// Nothing on it was pushed out for this slot before.
    not_ours: bool,
    /// The highest priority that goes.
    highest: Option<u32>,
    victims: usize,
    /// Something on it was pushed out for another slot.
    of_others: bool,
    at: usize,
}

impl<'a> Planner<'a, '_> {
    /// The node on which room is made for a slot that fits nowhere, if it may and can be.
    pub(super) fn make_room(
        &mut self,
        pass: &mut Pass<'a>,
        slot: u32,
        state: Option<&SlotRow>,
    ) -> Option<String> {
        if !self.may_push_out(&pass.request) || pass.no_room {
            return None;
        }
        let bounds = domains::bounds(&self.world, &pass.request, slot);
        let admitted = |at: &usize| {
            let row = self.world.sites[*at].row;
            bounds.iter().all(|bound| bound.admits(row).is_ok())
        };
        let rooms = (0..self.world.sites.len())
            .filter(admitted)
            .filter_map(|at| self.room_on(at, &pass.request, slot, state));
        let Some(room) = rooms.min_by(|a, b| a.rank.cmp(&b.rank)) else {
            // What holds for one slot holds for those after it.
            pass.no_room = state.is_none_or(|state| state.home.is_none());
            return None;
        };
        let by = PushedOutBy {
            application_id: pass.request.application.application_id,
            application: pass.request.application.name.to_string(),
            service: pass.request.name.to_owned(),
            slot,
            priority: pass.request.spec.labels.priority,
        };
        for row in &room.victims {
            let order = StopOrder {
                allocation_id: row.allocation_id,
                reason: StopReason::PushedOut,
                by: Some(by.clone()),
            };
            if !self.orders.stop(row.node_id, order) {
                break;
            }
            self.concerned.insert(row.application_id);
            self.pushed_out.insert(row.allocation_id);
        }
        self.concerned.insert(pass.request.application.application_id);
        let at = room.at;
        self.world.promise(at, room.after, pass.request.resident(slot));
        pass.request.note(at);
        pass.candidates = None;
        pass.refused = None;
        Some(self.world.sites[at].row.name.to_string())
    }

    /// Some service of the cluster is less important.
    pub(super) fn may_push_out(&self, request: &Request<'a>) -> bool {
        request.spec.labels.priority > self.world.lowest_priority
    }

    /// Keeps the place of an important container that waits for its next try: a less important one would only
    /// be pushed out again.
    pub(super) fn keep_room(
        &mut self,
        pass: &mut Pass<'a>,
        slot: u32,
        state: Option<&SlotRow>,
        only: Option<usize>,
    ) {
        if !self.may_push_out(&pass.request) {
            return;
        }
        let ask = Ask {
            slot,
            state,
            only,
            except: None,
            now: self.now,
        };
        if let Ok(choice) = choose(&self.world, &pass.request, &ask) {
            self.world.settle(choice.site, pass.request.resident(slot));
            pass.request.note(choice.site);
            pass.candidates = None;
        }
    }

    fn room_on(
        &self,
        at: usize,
        request: &Request<'a>,
        slot: u32,
        state: Option<&SlotRow>,
    ) -> Option<Room<'a>> {
        let site = &self.world.sites[at];
        let home = binding_home(&self.world, request, state);
        let suits = request.per_site(&self.world).fixed[at].is_none();
        if !suits || filters::volume(site, request, home).is_err() {
            return None;
        }
        let priority = request.spec.labels.priority;
        let key = SlotKey {
            application_id: request.application.application_id,
            service: request.name.to_owned(),
            slot,
        };
        let leaving = || {
            self.view
                .allocations_on(site.row.node_id)
                .filter(|row| row.phase.is_live() && row.stop.is_some())
        };
        let claims: Vec<bool> = leaving()
            .filter_map(|row| row.stop_by.as_ref())
            .map(|by| {
                by.application_id == key.application_id && by.service == key.service && by.slot == key.slot
            })
            .collect();
        let mut after = self
            .world
            .after(self.view, at, |row| self.makes_way(row, priority));
        let mut victims = Vec::new();
        let mut candidates = self.less_important(site, priority);
        while filters::dynamic(&after, request, slot).is_err() {
            if victims.len() >= MAX_PUSHED_OUT {
                return None;
            }
            let next = candidates.pop()?;
            after.lift(next.application_id, &next.service, next.slot);
            victims.push(next);
        }
        self.spare(&mut after, request, slot, &mut victims);
        let highest = victims.iter().map(|row| self.priority_of(row)).max();
        let rank = Rank {
            not_ours: !claims.contains(&true),
            highest,
            victims: victims.len(),
            of_others: claims.contains(&false),
            at,
        };
        Some(Room {
            at,
            after,
            victims,
            rank,
        })
    }

    /// Victims without which it fits too stay; those of the highest priority are asked first.
    fn spare(
        &self,
        after: &mut Site<'a>,
        request: &Request<'a>,
        slot: u32,
        victims: &mut Vec<&'a AllocationRow>,
    ) {
        for at in (0..victims.len()).rev() {
            let Some(back) = self.world.resident_of(victims[at]) else {
                continue;
            };
            after.settle(back);
            if filters::dynamic(after, request, slot).is_ok() {
                victims.remove(at);
            } else {
                let row = victims[at];
                after.lift(row.application_id, &row.service, row.slot);
            }
        }
    }

    /// A container that is leaving and has no claim to come back here before a service of this priority.
    fn makes_way(&self, row: &AllocationRow, priority: u32) -> bool {
        let returns = matches!(
            row.stop,
            Some(StopReason::Changed | StopReason::Restart | StopReason::Drained | StopReason::Misplaced)
        );
        row.stop.is_some() && (!returns || self.priority_of(row) < priority)
    }

    /// Containers that may be pushed out, the first to go last.
    fn less_important(&self, site: &Site<'a>, priority: u32) -> Vec<&'a AllocationRow> {
        let rows = self.view.allocations_on(site.row.node_id);
        let mut rows: Vec<_> = rows
            .filter(|row| row.is_kept() && !self.pushed_out.contains(&row.allocation_id))
            .filter(|row| self.priority_of(row) < priority && self.may_be_pushed_out(row))
            .collect();
        rows.sort_by_key(|row| (Reverse(self.priority_of(row)), row.placed_at, row.allocation_id));
        rows
    }

    fn may_be_pushed_out(&self, row: &AllocationRow) -> bool {
        let Some(application) = self.view.application(row.application_id) else {
            return false;
        };
        let Some(spec) = application.spec.services.get(&row.service) else {
            return false;
        };
        let container = self.view.container(&row.spec_hash);
        let mut volumes = container
            .into_iter()
            .flat_map(|container| container.named_volumes());
        let local = volumes.any(|volume| is_node_local(application.project.volumes.get(volume)));
        spec.mode != ServiceMode::Global && spec.reschedule != ReschedulePolicy::Off && !local
    }

    fn priority_of(&self, row: &AllocationRow) -> u32 {
        let application = self.view.application(row.application_id);
        let spec = application.and_then(|application| application.spec.services.get(&row.service));
        spec.map_or(0, |spec| spec.labels.priority)
    }
}
