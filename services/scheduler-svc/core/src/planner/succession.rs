//! How one container gives way to another: only for a place that it is sure to get, which is kept for it.

use super::{
    Planner,
    block::{BlockedSlot, Cause},
    choose::{Ask, Chosen, choose},
    service::{Pass, is_ready},
    site::Resident,
};
use crate::view::AllocationRow;
use berth_events::{StopReason, spec::ServiceMode};
use std::rc::Rc;

impl<'a> Planner<'a, '_> {
    /// Stops a container that has somewhere else to go, and keeps that place free for it in this plan.
    pub(super) fn move_away(
        &mut self,
        pass: &mut Pass<'a>,
        row: &'a AllocationRow,
        at: usize,
        reason: StopReason,
    ) {
        let ready = is_ready(&pass.request, row);
        if ready && pass.out >= pass.limit {
            return;
        }
        let ask = Ask {
            slot: row.slot,
            state: self.state_of(&pass.request, row.slot),
            only: None,
            except: Some(at),
            now: self.now,
        };
        let Ok(choice) = choose(&self.world, &pass.request, &ask) else {
            return;
        };
        if self.order_stop(row, reason) {
            pass.out += u32::from(ready);
            self.world.settle(choice.site, pass.request.resident(row.slot));
            pass.request.note(choice.site);
            pass.candidates = None;
        }
    }

    /// Stops a container for its successor, if that one will have a place then; else the old one is better
    /// than none, and the report says why it stays.
    pub(super) fn replace(
        &mut self,
        pass: &mut Pass<'a>,
        row: &'a AllocationRow,
        at: usize,
        reason: StopReason,
    ) {
        let ready = is_ready(&pass.request, row);
        if ready && !self.may_replace(pass) {
            return;
        }
        if let Some((waiting, least)) = self
            .promise_holds_back(pass)
            .filter(|_| ready && reason == StopReason::Changed)
        {
            let cause = Cause::Promise { waiting, least };
            pass.blocked.push(BlockedSlot {
                slot: row.slot,
                cause,
            });
            return;
        }
        let ask = Ask {
            slot: row.slot,
            state: self.state_of(&pass.request, row.slot),
            only: (pass.request.spec.mode == ServiceMode::Global).then_some(at),
            except: None,
            now: self.now,
        };
        let (choice, old) = self.choose_in_place(pass, row, at, &ask);
        match choice {
            Err(refused) if ready => {
                let cause = Cause::Refused(Rc::new(refused));
                pass.blocked.push(BlockedSlot {
                    slot: row.slot,
                    cause,
                });
            }
            Ok(choice) if self.order_stop(row, reason) => {
                pass.out += u32::from(ready);
                self.reserve(pass, row.slot, choice.site, old.filter(|_| choice.site == at));
            }
            // What does not run has nothing to lose.
            Err(_) => {
                self.order_stop(row, reason);
            }
            Ok(_) => {}
        }
    }

    /// Chooses as if the old container, which counts until it has ended, were gone already.
    fn choose_in_place(
        &mut self,
        pass: &mut Pass<'a>,
        row: &AllocationRow,
        at: usize,
        ask: &Ask<'_>,
    ) -> (Chosen, Option<Resident<'a>>) {
        // Counted before the old one is taken out.
        pass.request.per_site(&self.world);
        let old = self.world.sites[at].lift(row.application_id, &row.service, row.slot);
        let choice = choose(&self.world, &pass.request, ask);
        if let Some(old) = &old {
            self.world.sites[at].settle(old.clone());
        }
        (choice, old)
    }

    /// Keeps the place of a successor free; `old` is on the same node until it has ended.
    fn reserve(&mut self, pass: &mut Pass<'a>, slot: u32, site: usize, old: Option<Resident<'a>>) {
        let new = pass.request.resident(slot);
        if let Some(old) = old {
            self.world.sites[site].widen(&old, &new);
        } else {
            self.world.settle(site, new);
            pass.request.note(site);
        }
        pass.candidates = None;
    }

    /// Containers on their way out keep the place that was found for their successors: nothing else that runs
    /// is stopped for it.
    pub(super) fn reserve_for_successors(&mut self, pass: &mut Pass<'a>) {
        let leaving: Vec<_> = pass
            .wanted
            .iter()
            .filter_map(|(slot, only)| {
                let live = || {
                    pass.rows
                        .get(slot)
                        .into_iter()
                        .flatten()
                        .filter(|row| row.phase.is_live())
                };
                let last = live()
                    .next_back()
                    .filter(|_| live().all(|row| row.stop.is_some()))?;
                Some((*last, *only, self.world.site_of(last.node_id)?))
            })
            .filter(|(row, ..)| !self.world.is_lost(row.node_id))
            .collect();
        for (row, only, at) in leaving {
            let ask = Ask {
                slot: row.slot,
                state: self.state_of(&pass.request, row.slot),
                only,
                except: None,
                now: self.now,
            };
            let (choice, old) = self.choose_in_place(pass, row, at, &ask);
            if let Ok(choice) = choice {
                self.reserve(pass, row.slot, choice.site, old.filter(|_| choice.site == at));
            }
        }
    }
}
