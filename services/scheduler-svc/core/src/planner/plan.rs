//! The plan as data, and the events of what has come to its end.

use crate::application::application_name_stream;
use berth_events::{
    AllocationEvent, AllocationLost, ApplicationEvent, ApplicationRemoved, Category, Event, ImagesPinned,
    NameEvent, NameReleased, PlacementBlocked, PlacementDecided, ReleaseOutcome, ReleaseSettled,
    RemoveRequested, ReportMark, StreamName,
};
use berth_eventsourcing::{Expected, Guard};
use berth_ids::{AllocationId, ApplicationId, ClusterId, Name, NodeId, ReleaseId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// What should be recorded and asked now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// Version of `placement/<cluster>` that the plan rests on.
    pub decisions_version: u64,
    /// At most one change a node.
    pub changes: Vec<PlacementDecided>,
    /// How large each of them is, encoded, at most, in bytes.
    pub(super) sizes: Vec<usize>,
    /// Services whose answer to "why not" has changed.
    pub blocked: Vec<PlacementBlocked>,
    /// What has come to its end.
    pub settle: Vec<Settle>,
    /// What must not have changed meanwhile.
    pub guards: Vec<Guard>,
    /// Nothing may happen before, and yet this moment changes the plan.
    pub wake_at: Option<Timestamp>,
    /// A limit cut the plan: plan again at once after recording it.
    pub more: bool,
}

/// Something that has come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settle {
    /// Every container of a release runs or has completed.
    Release {
        /// Application.
        application_id: ApplicationId,
        /// Release.
        release_id: ReleaseId,
        /// Version of the application that this rests on.
        version: u64,
    },
    /// It has become known which bytes a release runs.
    ImagesPinned {
        /// Application.
        application_id: ApplicationId,
        /// Release.
        release_id: ReleaseId,
        /// Version of the application that this rests on.
        version: u64,
        /// Digests by image.
        images: BTreeMap<String, String>,
    },
    /// Too many new containers failed: the release is paused or taken back.
    ReleaseFailed {
        /// Application.
        application_id: ApplicationId,
        /// Version of the application that this rests on.
        version: u64,
        /// What that comes to.
        events: Vec<ApplicationEvent>,
    },
    /// The cluster is being deleted by force: its applications go.
    RemoveRequested {
        /// Application.
        application_id: ApplicationId,
        /// Version of the application that this rests on.
        version: u64,
    },
    /// Nothing of an application is left.
    Removed {
        /// Application.
        application_id: ApplicationId,
        /// Its name, free again.
        name: Name,
        /// Version of the application that this rests on.
        version: u64,
    },
    /// Allocations of a lost node are given up, so that their slots are free.
    Lost {
        /// Node.
        node_id: NodeId,
        /// Allocations.
        allocations: BTreeSet<AllocationId>,
        /// Version of `allocation/<node>` that this rests on.
        version: u64,
    },
    /// A drain has come to its end: `ClusterCommand::SettleDrain` is to be sent. Told in every plan until
    /// cluster-svc has recorded it; `position` makes the command's id the same each time.
    Drain {
        /// Node.
        node_id: NodeId,
        /// Containers left.
        remaining: u32,
        /// Position of the event that began the drain.
        position: u64,
    },
}

impl Plan {
    pub(super) fn empty(cluster_id: ClusterId) -> Self {
        Self {
            cluster_id,
            decisions_version: 0,
            changes: Vec::new(),
            sizes: Vec::new(),
            blocked: Vec::new(),
            settle: Vec::new(),
            guards: Vec::new(),
            wake_at: None,
            more: false,
        }
    }

    /// Nothing is to be recorded. Drains may still be to be settled.
    pub fn is_empty(&self) -> bool {
        let recorded = |settle: &Settle| !matches!(settle, Settle::Drain { .. });
        self.changes.is_empty() && self.blocked.is_empty() && !self.settle.iter().any(recorded)
    }

    /// Drains to be settled by a command to cluster-svc.
    pub fn drains(&self) -> impl Iterator<Item = (NodeId, u32, u64)> {
        self.settle.iter().filter_map(|settle| match settle {
            Settle::Drain {
                node_id,
                remaining,
                position,
            } => Some((*node_id, *remaining, *position)),
            _ => None,
        })
    }

    pub(super) fn settle_events(&self, settle: &Settle) -> Vec<(StreamName, Expected, Event)> {
        let application = |id: ApplicationId, version: u64, event: ApplicationEvent| {
            let stream = StreamName::new(Category::Application, id);
            (stream, Expected::Version(version), Event::from(event))
        };
        match settle {
            Settle::Release {
                application_id,
                release_id,
                version,
            } => {
                let event = ApplicationEvent::ReleaseSettled(ReleaseSettled {
                    release_id: *release_id,
                    outcome: ReleaseOutcome::Running,
                    failure: None,
                });
                vec![application(*application_id, *version, event)]
            }
            Settle::ImagesPinned {
                application_id,
                release_id,
                version,
                images,
            } => {
                let event = ApplicationEvent::ImagesPinned(ImagesPinned {
                    release_id: *release_id,
                    images: images.clone(),
                });
                vec![application(*application_id, *version, event)]
            }
            Settle::ReleaseFailed {
                application_id,
                version,
                events,
            } => events
                .iter()
                .map(|event| application(*application_id, *version, event.clone()))
                .collect(),
            Settle::RemoveRequested {
                application_id,
                version,
            } => {
                let event = ApplicationEvent::RemoveRequested(RemoveRequested { volumes: false });
                vec![application(*application_id, *version, event)]
            }
            Settle::Removed {
                application_id,
                name,
                version,
            } => {
                let released = NameEvent::Released(NameReleased {
                    owner: application_id.to_string(),
                });
                let removed = ApplicationEvent::Removed(ApplicationRemoved {});
                vec![
                    application(*application_id, *version, removed),
                    // Only the owner of a name releases it, and the application's version guards that.
                    (
                        application_name_stream(self.cluster_id, name),
                        Expected::Any,
                        released.into(),
                    ),
                ]
            }
            Settle::Lost {
                node_id,
                allocations,
                version,
            } => allocations
                .iter()
                .map(|id| {
                    let lost = AllocationEvent::Lost(AllocationLost {
                        allocation_id: *id,
                        report: ReportMark::default(),
                    });
                    (
                        StreamName::new(Category::Allocation, node_id),
                        Expected::Version(*version),
                        lost.into(),
                    )
                })
                .collect(),
            Settle::Drain { .. } => vec![],
        }
    }
}
