//! Fills a free slot: holds it back, or chooses a node and places a container.

use super::{
    Planner,
    block::{BlockedSlot, Cause},
    candidates::{Candidates, are_alike},
    choose::{Ask, Choice, Chosen, binding_home, choose},
    orders::Parcel,
    rejection::Refused,
    request::Request,
    service::{Pass, outdated},
    slots::is_complete,
};
use crate::view::{SlotRow, cause_after};
use berth_events::{Placed, PlacementReason, ProjectSpec, StopReason, spec::ServiceMode};
use std::rc::Rc;

impl<'a> Planner<'a, '_> {
    /// A slot without a container: complete, given up, waiting, or to be placed.
    pub(super) fn fill(&mut self, pass: &mut Pass<'a>, slot: u32, only: Option<usize>) {
        let state = self.state_of(&pass.request, slot);
        if is_complete(&pass.request, state) {
            return;
        }
        pass.settled = false;
        if let Some(cause) = self.holds_back(&pass.request, state) {
            if matches!(cause, Cause::Backoff { .. }) {
                self.keep_room(pass, slot, state, only);
            }
            pass.blocked.push(BlockedSlot { slot, cause });
            return;
        }
        let tied = only.is_some() || state.is_some_and(|state| state.home.is_some());
        if !tied && pass.refused.is_some() {
            self.lack(pass, slot, state, tied, Vec::new());
            return;
        }
        let ask = Ask {
            slot,
            state,
            only,
            except: None,
            now: self.now,
        };
        if self.orders.is_full() {
            // The next plan goes on here.
            pass.cut = true;
            return;
        }
        match self.pick(pass, &ask) {
            Ok(choice) => self.place(pass, slot, state, choice),
            Err(refused) => self.lack(pass, slot, state, tied, refused),
        }
    }

    /// No node takes the slot's container: room is made for it, or it is told why there is none. Slots that ask
    /// the same as one before get its refusals.
    fn lack(
        &mut self,
        pass: &mut Pass<'a>,
        slot: u32,
        state: Option<&SlotRow>,
        tied: bool,
        refused: Vec<(usize, Refused)>,
    ) {
        let known = pass.refused.clone().filter(|_| !tied);
        let refused = known.unwrap_or_else(|| Rc::new(refused));
        if pass.request.spec.mode != ServiceMode::Global
            && let Some(node) = self.make_room(pass, slot, state)
        {
            let cause = Cause::Room { node };
            pass.blocked.push(BlockedSlot { slot, cause });
            return;
        }
        let cause = match binding_home(&self.world, &pass.request, state) {
            Some(home) => Cause::Home {
                node: home.node_name.clone(),
                refused: Rc::clone(&refused),
            },
            None => Cause::Refused(Rc::clone(&refused)),
        };
        if !tied {
            pass.refused = Some(refused);
        }
        pass.blocked.push(BlockedSlot { slot, cause });
    }

    /// The best node for a slot; slots that ask the same share the work.
    fn pick(&self, pass: &mut Pass<'a>, ask: &Ask<'_>) -> Chosen {
        let request = &pass.request;
        if !are_alike(&self.world, request, ask) {
            return choose(&self.world, request, ask);
        }
        let known = pass.candidates.take().filter(|known| known.hold(request));
        let candidates = known.unwrap_or_else(|| Candidates::new(&self.world, request, ask));
        let best = candidates.best(&self.world, request);
        pass.candidates = Some(candidates);
        // Every test of the planner is one of this short cut too.
        #[cfg(test)]
        assert_eq!(best, choose(&self.world, request, ask).ok());
        best.map_or_else(|| choose(&self.world, request, ask), Ok)
    }

    pub(super) fn place(&mut self, pass: &mut Pass<'a>, slot: u32, state: Option<&SlotRow>, choice: Choice) {
        let application = pass.request.application;
        let node_id = self.world.sites[choice.site].row.node_id;
        if !self.orders.has_room(node_id, &pass.parcel) {
            return;
        }
        // What ended in this slot has been kept for its output; now its successor comes.
        for row in pass.rows.get(&slot).into_iter().flatten() {
            if row.phase.is_ended() && row.stop.is_none() {
                self.order_stop(row, StopReason::Ended);
            }
        }
        let placed = Placed {
            allocation_id: (self.ids)(),
            application_id: application.application_id,
            release_id: application.release_id,
            service: pass.request.name.to_owned(),
            slot,
            spec_hash: pass.request.hash.to_owned(),
            restart: pass.request.spec.restart,
            why: PlacementReason {
                cause: self.cause(pass, slot, state),
                ..choice.why
            },
            image_digest: pass.request.digest(),
        };
        let project = || ProjectSpec {
            name: application.name.to_string(),
            volumes: application.spec.volumes.clone(),
            networks: application.spec.networks.clone(),
        };
        self.orders.place(node_id, placed, &pass.parcel, project);
        self.chosen.insert(node_id);
        self.concerned.insert(application.application_id);
        self.world.settle(choice.site, pass.request.resident(slot));
        pass.request.note(choice.site);
        if let Some(candidates) = &mut pass.candidates {
            let ask = Ask {
                slot,
                state: None,
                only: None,
                except: None,
                now: self.now,
            };
            candidates.placed(&self.world, &pass.request, &ask, choice.site);
        }
    }

    /// What makes the placement necessary.
    fn cause(&self, pass: &Pass<'a>, slot: u32, state: Option<&SlotRow>) -> String {
        let mut rows = pass.rows.get(&slot).into_iter().flatten();
        let kept = rows.find(|row| row.phase.is_live() && row.stop.is_none());
        if let Some(row) = kept {
            // Its successor comes first, or it was given up in this very plan.
            let reason = outdated(&pass.request, row).filter(|_| !self.world.is_lost(row.node_id));
            return reason.map_or("node_lost", cause_after).to_owned();
        }
        let scaled = pass.request.application.scaled.contains(pass.request.name);
        let new = if scaled { "scaled" } else { "new" };
        state
            .and_then(|state| state.cause.as_deref())
            .unwrap_or(new)
            .to_owned()
    }
}

pub(super) fn parcel<'a>(request: &Request<'a>) -> Parcel<'a> {
    let size = |bytes: Result<Vec<u8>, serde_json::Error>| bytes.map_or(0, |text| text.len());
    let spec = &request.application.spec;
    Parcel {
        hash: request.hash,
        container: &request.spec.container,
        bytes: size(serde_json::to_vec(&request.spec.container))
            + size(serde_json::to_vec(&spec.volumes))
            + size(serde_json::to_vec(&spec.networks)),
    }
}
