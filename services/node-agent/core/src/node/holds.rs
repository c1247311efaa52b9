//! What containers of a node hold that others wait for: slots, ports, volumes, networks.

use super::Node;
use crate::{
    assignment::Wanted,
    names,
    seen::{Container, Seen},
};
use berth_ids::{AllocationId, ApplicationId};
use std::collections::{BTreeMap, BTreeSet};

impl Node {
    /// Those of the networks with our labels whose application has nothing here any more.
    pub fn leftover_networks(&self, networks: &BTreeMap<String, ApplicationId>) -> BTreeSet<String> {
        let unsure = self.tracks.keys().any(|id| !self.seen.contains_key(id));
        if !self.assignment.is_known() || !self.looked || unsure || !self.busy.is_empty() {
            return BTreeSet::new();
        }
        let wanted = self.assignment.wanted().values().map(|w| w.placed.application_id);
        let present = self
            .seen
            .values()
            .filter_map(Seen::container)
            .map(|c| c.application_id);
        let used: BTreeSet<ApplicationId> = wanted.chain(present).collect();
        networks
            .iter()
            .filter(|(_, application)| !used.contains(application))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// A container that is going still runs in the same slot, or holds a port that this one publishes.
    pub(super) fn is_blocked(&self, id: AllocationId) -> bool {
        let Some(wanted) = self.assignment.wanted().get(&id) else {
            return false;
        };
        self.seen
            .iter()
            .filter(|(other, _)| !self.assignment.wanted().contains_key(other))
            .any(|(_, seen)| seen.is_running() && seen.container().is_some_and(|c| holds_needed(c, wanted)))
    }

    /// A volume of its name is to be removed first.
    pub(super) fn awaits_drop(&self, id: AllocationId) -> bool {
        let drops = self.assignment.drop_volumes();
        let wanted = self.assignment.wanted().get(&id);
        !drops.is_empty() && wanted.is_some_and(|w| !names::mounted_volumes(w).is_disjoint(drops))
    }

    /// Volumes to be removed that no container uses.
    pub(super) fn droppable_volumes(&self) -> BTreeSet<String> {
        let used: BTreeSet<&String> = self
            .seen
            .values()
            .filter_map(Seen::container)
            .flat_map(|c| &c.volumes)
            .collect();
        let unsure = self.tracks.keys().any(|id| !self.seen.contains_key(id));
        let drops = self.assignment.drop_volumes().iter();
        drops
            .filter(|name| !unsure && !used.contains(name))
            .cloned()
            .collect()
    }
}

fn holds_needed(going: &Container, wanted: &Wanted) -> bool {
    let placed = &wanted.placed;
    let same_slot = going.application_id == placed.application_id
        && going.service == placed.service
        && going.slot == placed.slot;
    let same_port = wanted.container.ports.iter().any(|port| {
        going
            .ports
            .iter()
            .any(|held| Some(held.host_port) == port.published && held.protocol == port.protocol)
    });
    same_slot || same_port
}
