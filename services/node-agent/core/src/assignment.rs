//! The complete set of containers that the node must run, with its generation.

use berth_events::{Placed, PlacementDecided, ProjectSpec, spec::ContainerSpec};
use berth_ids::{AllocationId, ClusterId, NodeId};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Most allocations that one node obeys; a larger assignment is refused.
pub const MAX_WANTED: usize = 5_000;

/// One container that should run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The order.
    pub placed: Placed,
    /// What it runs.
    pub container: Arc<ContainerSpec>,
    /// Volumes and networks of its application.
    pub project: Arc<ProjectSpec>,
}

/// What the node must run. `generation` is the position of the last placement event it obeys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assignment {
    generation: u64,
    known: bool,
    wanted: BTreeMap<AllocationId, Wanted>,
    drop_volumes: BTreeSet<String>,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The node obeys it now.
    Changed,
    /// It is not newer than what the node obeys already.
    Old,
}

/// Why a change cannot be applied; the cure is always to ask for the complete assignment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// A change before it is missing.
    #[error("the change follows generation {previous}, but the node obeys {own}")]
    Gap {
        /// Generation that the node obeys.
        own: u64,
        /// Generation that the change follows.
        previous: u64,
    },
    /// It names a specification that it does not carry.
    #[error("allocation {allocation_id} names specification `{spec_hash}`, which the change does not carry")]
    Incomplete {
        /// The allocation.
        allocation_id: AllocationId,
        /// The hash without a specification.
        spec_hash: String,
    },
    /// More than a node obeys.
    #[error("the assignment holds {0} allocations; a node obeys at most {MAX_WANTED}")]
    TooLarge(usize),
}

impl Assignment {
    /// Position of the last placement event that the node obeys; 0: none.
    pub const fn generation(&self) -> u64 {
        self.generation
    }
    /// Whether the node has ever been told. Until then it leaves alone what it finds.
    pub const fn is_known(&self) -> bool {
        self.known
    }
    /// What should run.
    pub const fn wanted(&self) -> &BTreeMap<AllocationId, Wanted> {
        &self.wanted
    }
    /// Engine volumes to be removed once no container uses them.
    pub const fn drop_volumes(&self) -> &BTreeSet<String> {
        &self.drop_volumes
    }

    /// Applies the change recorded at `position`, if it follows what the node obeys.
    ///
    /// # Errors
    /// [`ApplyError`] if it does not follow or is not complete; nothing has changed then.
    pub fn apply(&mut self, change: &PlacementDecided, position: u64) -> Result<Applied, ApplyError> {
        if self.known && position <= self.generation {
            return Ok(Applied::Old);
        }
        if change.previous != self.generation {
            let (own, previous) = (self.generation, change.previous);
            return Err(ApplyError::Gap { own, previous });
        }
        let added = resolve(change, &self.wanted)?;
        let stopped: BTreeSet<AllocationId> = change.stop.iter().map(|order| order.allocation_id).collect();
        let total = self.wanted.len() + added.len();
        if total.saturating_sub(stopped.len()) > MAX_WANTED {
            return Err(ApplyError::TooLarge(total));
        }
        self.wanted.extend(added);
        self.wanted.retain(|id, _| !stopped.contains(id));
        self.drop_volumes.extend(change.drop_volumes.iter().cloned());
        (self.generation, self.known) = (position, true);
        Ok(Applied::Changed)
    }

    /// Takes a complete assignment in place of this one; an older generation is ignored. One of the same generation
    /// says which volumes the scheduler still waits for: the word that they are gone may have died with the agent.
    ///
    /// # Errors
    /// [`ApplyError`] if it is not complete or too large; nothing has changed then.
    pub fn replace(&mut self, whole: &berth_events::Assignment) -> Result<Applied, ApplyError> {
        if self.known && whole.generation == self.generation {
            let known = self.drop_volumes.len();
            self.drop_volumes
                .extend(whole.change.drop_volumes.iter().cloned());
            let more = self.drop_volumes.len() > known;
            return Ok(if more { Applied::Changed } else { Applied::Old });
        }
        if self.known && whole.generation < self.generation {
            return Ok(Applied::Old);
        }
        let wanted = resolve(&whole.change, &self.wanted)?;
        if wanted.len() > MAX_WANTED {
            return Err(ApplyError::TooLarge(wanted.len()));
        }
        self.wanted = wanted;
        self.drop_volumes = whole.change.drop_volumes.clone();
        (self.generation, self.known) = (whole.generation, true);
        Ok(Applied::Changed)
    }

    /// These volumes are gone.
    pub fn volumes_dropped(&mut self, volumes: &BTreeSet<String>) {
        self.drop_volumes.retain(|name| !volumes.contains(name));
    }

    /// For the disk, in the shape of the bus, so that it is versioned with it; `None` if never told.
    pub fn store(&self, cluster_id: ClusterId, node_id: NodeId) -> Option<berth_events::Assignment> {
        if !self.known {
            return None;
        }
        let all = || self.wanted.values();
        let change = PlacementDecided {
            cluster_id,
            node_id,
            previous: 0,
            place: all().map(|w| w.placed.clone()).collect(),
            stop: Vec::new(),
            containers: all()
                .map(|w| (w.placed.spec_hash.clone(), (*w.container).clone()))
                .collect(),
            projects: all()
                .map(|w| (w.placed.application_id, (*w.project).clone()))
                .collect(),
            drop_volumes: self.drop_volumes.clone(),
        };
        Some(berth_events::Assignment {
            generation: self.generation,
            change,
        })
    }

    /// From the disk.
    ///
    /// # Errors
    /// [`ApplyError`] if what was stored is not complete.
    pub fn load(stored: &berth_events::Assignment) -> Result<Self, ApplyError> {
        let mut assignment = Self::default();
        assignment.replace(stored)?;
        Ok(assignment)
    }
}

/// Joins the orders of a change with their specifications; those that the node has already may be left out.
fn resolve(
    change: &PlacementDecided,
    before: &BTreeMap<AllocationId, Wanted>,
) -> Result<BTreeMap<AllocationId, Wanted>, ApplyError> {
    let mut containers: BTreeMap<&str, Arc<ContainerSpec>> = before
        .values()
        .map(|w| (w.placed.spec_hash.as_str(), Arc::clone(&w.container)))
        .collect();
    containers.extend(
        change
            .containers
            .iter()
            .map(|(hash, spec)| (hash.as_str(), Arc::new(spec.clone()))),
    );
    let mut projects: BTreeMap<_, Arc<ProjectSpec>> = before
        .values()
        .map(|w| (w.placed.application_id, Arc::clone(&w.project)))
        .collect();
    projects.extend(
        change
            .projects
            .iter()
            .map(|(id, project)| (*id, Arc::new(project.clone()))),
    );
    let mut wanted = BTreeMap::new();
    for placed in &change.place {
        let allocation_id = placed.allocation_id;
        let container = containers.get(placed.spec_hash.as_str()).cloned();
        let container = container.ok_or_else(|| ApplyError::Incomplete {
            allocation_id,
            spec_hash: placed.spec_hash.clone(),
        })?;
        wanted.insert(
            allocation_id,
            Wanted {
                placed: placed.clone(),
                container,
                project: projects.get(&placed.application_id).cloned().unwrap_or_default(),
            },
        );
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_events::{StopOrder, StopReason, spec::RestartPolicy};
    use berth_ids::{ApplicationId, ReleaseId};

    fn placed(id: u128) -> Placed {
        Placed {
            allocation_id: AllocationId::from_u128(id),
            application_id: ApplicationId::from_u128(1),
            release_id: ReleaseId::default(),
            service: "web".into(),
            slot: 1,
            spec_hash: "h".into(),
            restart: RestartPolicy::default(),
            why: berth_events::PlacementReason::default(),
            image_digest: None,
        }
    }

    fn change(previous: u64, place: &[u128], stop: &[u128]) -> PlacementDecided {
        PlacementDecided {
            cluster_id: ClusterId::default(),
            node_id: NodeId::default(),
            previous,
            place: place.iter().map(|id| placed(*id)).collect(),
            stop: stop
                .iter()
                .map(|id| StopOrder {
                    allocation_id: AllocationId::from_u128(*id),
                    reason: StopReason::Surplus,
                    by: None,
                })
                .collect(),
            containers: BTreeMap::from([("h".to_owned(), ContainerSpec::default())]),
            projects: BTreeMap::new(),
            drop_volumes: BTreeSet::new(),
        }
    }

    fn ids(assignment: &Assignment) -> Vec<u128> {
        assignment
            .wanted()
            .keys()
            .map(|id| id.as_uuid().as_u128())
            .collect()
    }

    #[test]
    fn changes_apply_in_order_and_only_once() {
        let mut own = Assignment::default();
        assert_eq!(own.apply(&change(0, &[1, 2], &[]), 5), Ok(Applied::Changed));
        assert_eq!(own.apply(&change(5, &[3], &[1]), 9), Ok(Applied::Changed));
        assert_eq!(own.apply(&change(5, &[4], &[]), 9), Ok(Applied::Old));
        assert_eq!((own.generation(), ids(&own)), (9, vec![2, 3]));
    }

    #[test]
    fn a_gap_changes_nothing() {
        let mut own = Assignment::default();
        own.apply(&change(0, &[1], &[]), 5).unwrap();
        let gap = ApplyError::Gap { own: 5, previous: 8 };
        assert_eq!(own.apply(&change(8, &[2], &[1]), 9), Err(gap));
        assert_eq!((own.generation(), ids(&own)), (5, vec![1]));
    }

    #[test]
    fn a_change_without_its_specification_is_refused() {
        let mut own = Assignment::default();
        let mut broken = change(0, &[1], &[]);
        broken.containers.clear();
        assert!(matches!(
            own.apply(&broken, 5),
            Err(ApplyError::Incomplete { .. })
        ));
        assert!(!own.is_known());
    }

    #[test]
    fn the_complete_assignment_replaces_but_never_goes_back() {
        let mut own = Assignment::default();
        own.apply(&change(0, &[1, 2], &[]), 5).unwrap();
        let whole = |generation, place: &[u128]| berth_events::Assignment {
            generation,
            change: change(0, place, &[]),
        };
        assert_eq!(own.replace(&whole(4, &[9])), Ok(Applied::Old));
        assert_eq!(own.replace(&whole(7, &[2, 3])), Ok(Applied::Changed));
        assert_eq!((own.generation(), ids(&own)), (7, vec![2, 3]));
    }

    #[test]
    fn volumes_whose_end_nobody_heard_of_are_dropped_again() {
        let mut own = Assignment::default();
        let dropping = PlacementDecided {
            drop_volumes: BTreeSet::from(["data".to_owned()]),
            ..change(0, &[], &[])
        };
        own.apply(&dropping, 5).unwrap();
        own.volumes_dropped(&BTreeSet::from(["data".to_owned()]));
        // The report died with the agent: the scheduler still waits.
        let whole = |change| berth_events::Assignment {
            generation: 5,
            change,
        };
        assert_eq!(own.replace(&whole(dropping.clone())), Ok(Applied::Changed));
        assert_eq!(own.drop_volumes().len(), 1);
        assert_eq!(own.replace(&whole(dropping)), Ok(Applied::Old), "it is known now");
        own.volumes_dropped(&BTreeSet::from(["data".to_owned()]));
        assert_eq!(own.replace(&whole(change(0, &[], &[]))), Ok(Applied::Old));
        assert!(own.drop_volumes().is_empty());
    }

    #[test]
    fn the_disk_gives_back_what_was_stored() {
        let mut own = Assignment::default();
        assert!(own.store(ClusterId::default(), NodeId::default()).is_none());
        own.apply(&change(0, &[1, 2], &[]), 5).unwrap();
        let stored = own.store(ClusterId::default(), NodeId::default()).unwrap();
        let text = serde_json::to_string(&stored).unwrap();
        assert_eq!(
            Assignment::load(&serde_json::from_str(&text).unwrap()).unwrap(),
            own
        );
    }
}
