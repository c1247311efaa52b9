//! What others ask of the view.

use super::{
    AllocationRow, ApplicationRow, AssignedRow, BlockedRow, ClusterRow, NodeRow, SchedulerView, SlotKey,
    SlotRow,
};
use crate::{allocation::Stopping, reject};
use berth_events::{
    Assignment, Placed, PlacementDecided, Rejection, RejectionKind,
    spec::{ContainerSpec, RestartCondition, ServiceMode},
};
use berth_ids::{AllocationId, ApplicationId, ClusterId, Name, NodeId};

impl SchedulerView {
    /// A cluster.
    pub fn cluster(&self, id: ClusterId) -> Option<&ClusterRow> {
        self.clusters.get(&id)
    }

    /// All clusters.
    pub fn clusters(&self) -> impl Iterator<Item = &ClusterRow> {
        self.clusters.values()
    }

    /// A node.
    pub fn node(&self, id: NodeId) -> Option<&NodeRow> {
        self.nodes.get(&id)
    }

    /// Nodes of a cluster.
    pub fn nodes_of(&self, cluster: ClusterId) -> impl Iterator<Item = &NodeRow> {
        self.nodes.values().filter(move |node| node.cluster_id == cluster)
    }

    /// What a node has been told and has said.
    pub fn assigned(&self, id: NodeId) -> AssignedRow {
        self.assigned.get(&id).cloned().unwrap_or_default()
    }

    /// An application; none if it is gone.
    pub fn application(&self, id: ApplicationId) -> Option<&ApplicationRow> {
        self.applications.get(&id)
    }

    /// Applications of a cluster, oldest first.
    pub fn applications_of(&self, cluster: ClusterId) -> impl Iterator<Item = &ApplicationRow> {
        self.applications
            .values()
            .filter(move |row| row.cluster_id == cluster)
    }

    /// The application of a name.
    pub fn application_named(&self, cluster: ClusterId, name: &Name) -> Option<&ApplicationRow> {
        self.applications_of(cluster)
            .find(|row| row.name.as_str().eq_ignore_ascii_case(name.as_str()))
    }

    /// An allocation; none if nothing of it is left.
    pub fn allocation(&self, id: AllocationId) -> Option<&AllocationRow> {
        self.allocations.get(&id)
    }

    /// All allocations, oldest first.
    pub fn allocations(&self) -> impl Iterator<Item = &AllocationRow> {
        self.allocations.values()
    }

    /// Allocations on a node, also ended ones that are still there.
    pub fn allocations_on(&self, node: NodeId) -> impl Iterator<Item = &AllocationRow> {
        self.index
            .of_node(node)
            .filter_map(|id| self.allocations.get(&id))
    }

    /// Allocations of a service, also ended ones that are still there.
    pub fn allocations_of(
        &self,
        application: ApplicationId,
        service: &str,
    ) -> impl Iterator<Item = &AllocationRow> {
        self.index
            .of_service(application, service)
            .filter_map(|id| self.allocations.get(&id))
    }

    /// Allocations of a node that were told to stop, with the position of that order: what [`take`] needs to
    /// know from outside the node's own stream.
    ///
    /// [`take`]: crate::allocation::take
    pub fn stopping_on(&self, node: NodeId) -> Stopping {
        self.allocations_on(node)
            .filter(|row| row.stop.is_some())
            .map(|row| (row.allocation_id, row.stop_at))
            .collect()
    }

    /// It runs what its service wants now, and nobody has asked for another since.
    pub fn is_current(&self, row: &AllocationRow) -> bool {
        let Some(application) = self.applications.get(&row.application_id) else {
            return false;
        };
        let restart = application.restarts.get(&row.service).copied().unwrap_or(0);
        application.hashes.get(&row.service) == Some(&row.spec_hash) && row.placed_at >= restart
    }

    /// Services of an application with slots that run nothing current and well, with their counts.
    pub fn not_ready(&self, id: ApplicationId) -> Vec<String> {
        let Some(application) = self.applications.get(&id) else {
            return vec![];
        };
        let services = application.spec.services.iter();
        let open = services.filter_map(|(name, spec)| {
            let ServiceMode::Replicated { replicas } = spec.mode else {
                return None;
            };
            let ready = |slot: &u32| {
                self.allocations_of(id, name)
                    .any(|row| row.slot == *slot && self.is_current(row) && row.is_well(&spec.container))
            };
            let ready = (1..=replicas).filter(ready).count();
            let job = spec.restart.condition != RestartCondition::Any;
            (ready < replicas as usize && !job).then(|| format!("{name} {ready} of {replicas}"))
        });
        open.collect()
    }

    /// What is remembered of a slot.
    pub fn slot(&self, key: &SlotKey) -> Option<&SlotRow> {
        self.slots.get(key)
    }

    /// What is remembered of the slots of a service, in order.
    pub(crate) fn slots_of_service<'a>(
        &'a self,
        application_id: ApplicationId,
        service: &'a str,
    ) -> impl Iterator<Item = (&'a SlotKey, &'a SlotRow)> {
        let from = SlotKey {
            application_id,
            service: service.to_owned(),
            slot: 0,
        };
        let slots = self.slots.range(from..);
        slots.take_while(move |(key, _)| key.application_id == application_id && key.service == service)
    }

    /// Why slots of a service are not placed, if some are not.
    pub fn blocked(&self, application: ApplicationId, service: &str) -> Option<&BlockedRow> {
        self.blocked.get(&(application, service.to_owned()))
    }

    /// A specification that an allocation uses.
    pub fn container(&self, hash: &str) -> Option<&ContainerSpec> {
        self.specs.get(hash).map(|row| &*row.container)
    }

    /// Version of `placement/<cluster>`.
    pub fn decisions_version(&self, cluster: ClusterId) -> u64 {
        self.decisions.get(&cluster).map_or(0, |row| row.version)
    }

    /// Refuses a deploy into a cluster that is not there (for the tenant) or is going.
    ///
    /// # Errors
    /// [`RejectionKind::NotFound`] or [`RejectionKind::Conflict`].
    pub fn accepts_deploys(&self, cluster: ClusterId, tenant: &str) -> Result<&ClusterRow, Rejection> {
        let own = self.clusters.get(&cluster).filter(|row| row.tenant == tenant);
        let row = own.ok_or_else(|| {
            reject(
                RejectionKind::NotFound,
                "cluster.not_found",
                "there is no such cluster".to_owned(),
                "`berth cluster ls` lists them",
            )
        })?;
        if row.deleting.is_some() {
            return Err(reject(
                RejectionKind::Conflict,
                "cluster.deleting",
                format!("cluster `{}` is being deleted", row.name),
                "choose another cluster",
            ));
        }
        Ok(row)
    }

    /// The complete assignment of a node: everything that should be on it, as one change from nothing.
    ///
    /// Ended containers that nobody told to go stay in it, so that their output can still be read.
    /// `None`: there is no such node.
    pub fn assignment(&self, node: NodeId) -> Option<Assignment> {
        let row = self.nodes.get(&node)?;
        let assigned = self.assigned(node);
        let mut change = PlacementDecided {
            cluster_id: row.cluster_id,
            node_id: node,
            previous: 0,
            place: Vec::new(),
            stop: Vec::new(),
            containers: Default::default(),
            projects: Default::default(),
            drop_volumes: assigned.drop_volumes,
        };
        for allocation in self.allocations_on(node) {
            let stays = allocation.is_kept() || (allocation.phase.is_ended() && allocation.stop.is_none());
            if !stays {
                continue;
            }
            if let Some(spec) = self.specs.get(&allocation.spec_hash) {
                change
                    .containers
                    .entry(allocation.spec_hash.clone())
                    .or_insert_with(|| (*spec.container).clone());
            }
            if let Some(application) = self.applications.get(&allocation.application_id) {
                change
                    .projects
                    .entry(allocation.application_id)
                    .or_insert_with(|| application.project.clone());
            }
            change.place.push(placed(allocation));
        }
        Some(Assignment {
            generation: assigned.generation,
            change,
        })
    }
}

fn placed(row: &AllocationRow) -> Placed {
    Placed {
        allocation_id: row.allocation_id,
        application_id: row.application_id,
        release_id: row.release_id,
        service: row.service.clone(),
        slot: row.slot,
        spec_hash: row.spec_hash.clone(),
        restart: row.restart,
        why: row.why.clone(),
        image_digest: row.image_digest.clone(),
    }
}
