//! What containers come to, by node and by service: kept beside the rows from event to event, so that a plan need
//! not look at every container.
//!
//! Everything here follows from the rows alone; the properties of the planner compare it with one built from zero.

use super::AllocationRow;
use crate::allocation::Phase;
use berth_events::spec::ContainerSpec;
use berth_ids::{ApplicationId, NodeId};
use std::collections::BTreeMap;

/// What is on a node.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct NodeTally {
    cpu_millis: u128,
    memory_bytes: u128,
    /// Containers that hold resources.
    containers: usize,
    /// How many of them reserve countable resources.
    countable: usize,
    /// How many of each service, in order.
    services: Vec<Tenant>,
    /// How many publish each port.
    ports: BTreeMap<u16, u32>,
    /// How many containers were made from each image.
    images: BTreeMap<String, u32>,
    /// Lost ones that nobody has told to go.
    lost: u32,
}

/// Containers of one service on a node.
#[derive(Debug, Clone, PartialEq)]
struct Tenant {
    application_id: ApplicationId,
    service: String,
    count: u32,
}

impl NodeTally {
    /// Reserved processor time.
    pub(crate) fn cpu_millis(&self) -> u64 {
        u64::try_from(self.cpu_millis).unwrap_or(u64::MAX)
    }

    /// Reserved memory.
    pub(crate) fn memory_bytes(&self) -> u64 {
        u64::try_from(self.memory_bytes).unwrap_or(u64::MAX)
    }

    /// Containers that hold resources.
    pub(crate) fn containers(&self) -> usize {
        self.containers
    }

    /// No container reserves countable resources.
    pub(crate) fn has_no_countables(&self) -> bool {
        self.countable == 0
    }

    /// Containers of a service.
    pub(crate) fn count(&self, application: ApplicationId, service: &str) -> u32 {
        self.place_of(application, service)
            .map_or(0, |at| self.services[at].count)
    }

    /// Somebody publishes a port of this number.
    pub(crate) fn has_port(&self, port: u16) -> bool {
        self.ports.contains_key(&port)
    }

    /// A container was made from it here.
    pub(crate) fn has_image(&self, image: &str) -> bool {
        self.images.contains_key(image)
    }

    /// Lost containers are there that nobody has told to go.
    pub(crate) fn has_lost(&self) -> bool {
        self.lost > 0
    }

    fn place_of(&self, application: ApplicationId, service: &str) -> Result<usize, usize> {
        self.services.binary_search_by(|tenant| {
            (tenant.application_id, tenant.service.as_str()).cmp(&(application, service))
        })
    }

    pub(super) fn add(&mut self, row: &AllocationRow, container: &ContainerSpec) {
        if has_made(row) {
            *self.images.entry(container.image.clone()).or_default() += 1;
        }
        self.lost += u32::from(is_lost(row));
        if !is_resident(row) {
            return;
        }
        let resources = container.resources;
        self.cpu_millis += u128::from(resources.cpu_reserved_millis);
        self.memory_bytes += u128::from(resources.memory_reserved_bytes);
        self.containers += 1;
        self.countable += usize::from(!container.countables().is_empty());
        match self.place_of(row.application_id, &row.service) {
            Ok(at) => self.services[at].count += 1,
            Err(at) => self.services.insert(
                at,
                Tenant {
                    application_id: row.application_id,
                    service: row.service.clone(),
                    count: 1,
                },
            ),
        }
        for port in published(container) {
            *self.ports.entry(port).or_default() += 1;
        }
    }

    /// Takes away what [`Self::add`] has added for the same row.
    pub(super) fn subtract(&mut self, row: &AllocationRow, container: &ContainerSpec) {
        if has_made(row) {
            take(&mut self.images, &container.image);
        }
        self.lost -= u32::from(is_lost(row)).min(self.lost);
        if !is_resident(row) {
            return;
        }
        let resources = container.resources;
        let less = |sum: u128, value: u64| sum.saturating_sub(u128::from(value));
        self.cpu_millis = less(self.cpu_millis, resources.cpu_reserved_millis);
        self.memory_bytes = less(self.memory_bytes, resources.memory_reserved_bytes);
        self.containers = self.containers.saturating_sub(1);
        let countable = usize::from(!container.countables().is_empty());
        self.countable = self.countable.saturating_sub(countable);
        if let Ok(at) = self.place_of(row.application_id, &row.service) {
            match self.services[at].count {
                0 | 1 => drop(self.services.remove(at)),
                count => self.services[at].count = count - 1,
            }
        }
        for port in published(container) {
            take(&mut self.ports, &port);
        }
    }
}

/// The containers of a service.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ServiceTally {
    /// How many each slot has, also ended ones that are still there.
    slots: BTreeMap<u32, u32>,
    /// How many each node has.
    nodes: BTreeMap<NodeId, u32>,
    /// All of them.
    containers: usize,
    /// They run, nobody told them to stop, and no check says otherwise.
    running: usize,
    /// Of these, those whose check has said well.
    checked: usize,
    /// How many run each specification.
    hashes: BTreeMap<String, u32>,
    /// How many have an image of each digest, where it is known.
    digests: BTreeMap<String, u32>,
}

impl ServiceTally {
    /// One container in each slot from 1 to `replicas`, and no other.
    pub(crate) fn fills(&self, replicas: u32) -> bool {
        let last = self.slots.last_key_value().map_or(0, |(slot, _)| *slot);
        let first = self.slots.first_key_value().map_or(1, |(slot, _)| *slot);
        self.slots.len() == replicas as usize
            && self.containers == self.slots.len()
            && (first, last) == (1, replicas)
    }

    /// All of them are well.
    pub(crate) fn is_well(&self, has_check: bool) -> bool {
        let well = if has_check { self.checked } else { self.running };
        well == self.containers
    }

    /// Nodes that have any.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.keys().copied()
    }

    /// None runs another specification.
    pub(crate) fn runs_only(&self, hash: &str) -> bool {
        self.hashes.keys().all(|known| known == hash)
    }

    /// Digests that their images have.
    pub(crate) fn digests(&self) -> impl Iterator<Item = &str> {
        self.digests.keys().map(String::as_str)
    }

    pub(super) fn add(&mut self, row: &AllocationRow) {
        *self.slots.entry(row.slot).or_default() += 1;
        *self.nodes.entry(row.node_id).or_default() += 1;
        self.containers += 1;
        self.running += usize::from(is_running(row));
        self.checked += usize::from(is_running(row) && row.healthy == Some(true));
        *self.hashes.entry(row.spec_hash.clone()).or_default() += 1;
        if let Some(digest) = &row.image_digest {
            *self.digests.entry(digest.clone()).or_default() += 1;
        }
    }

    /// Takes away what [`Self::add`] has added for the same row.
    pub(super) fn subtract(&mut self, row: &AllocationRow) {
        take(&mut self.slots, &row.slot);
        take(&mut self.nodes, &row.node_id);
        self.containers = self.containers.saturating_sub(1);
        let running = usize::from(is_running(row));
        let checked = usize::from(is_running(row) && row.healthy == Some(true));
        self.running = self.running.saturating_sub(running);
        self.checked = self.checked.saturating_sub(checked);
        take(&mut self.hashes, &row.spec_hash);
        if let Some(digest) = &row.image_digest {
            take(&mut self.digests, digest);
        }
    }
}

/// It holds resources: it runs or will, or may still run on a lost node until that says otherwise.
pub(crate) fn is_resident(row: &AllocationRow) -> bool {
    row.phase.is_live() || row.phase == Phase::Lost
}

/// A container of it was made, so that the node has its image.
fn has_made(row: &AllocationRow) -> bool {
    row.running_since.is_some() || row.phase == Phase::Created
}

fn is_lost(row: &AllocationRow) -> bool {
    row.phase == Phase::Lost && row.stop.is_none()
}

fn is_running(row: &AllocationRow) -> bool {
    row.phase == Phase::Running && row.stop.is_none() && row.healthy != Some(false)
}

fn published(container: &ContainerSpec) -> impl Iterator<Item = u16> {
    container.ports.iter().filter_map(|port| port.published)
}

/// One less; what nobody has is forgotten.
fn take<K: Ord + ?Sized, Q: Ord + std::borrow::Borrow<K>>(counts: &mut BTreeMap<Q, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
