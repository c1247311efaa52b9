//! The copy on which a change is tried out: a log that nobody keeps, and agents that do all they are told.

use crate::{
    allocation::Phase,
    limits::MAX_REHEARSAL_PLANS,
    planner::{self, Plan},
    reject,
    view::{AllocationRow, SchedulerView},
};
use berth_events::{
    AllocationCreated, AllocationEvent, AllocationExited, AllocationHealthy, AllocationRemoved,
    AllocationRunning, Category, Event, Meta, Rejection, RejectionKind, ReportMark, StreamName,
    VolumesDropped, spec::DependencyCondition,
};
use berth_eventsourcing::{
    AppendError, AppendRequest, Change, Expected, NewEvent, Sequencer, StreamAppend, View,
};
use berth_ids::{AllocationId, ClusterId, EventId, NodeId, Timestamp};
use std::collections::HashMap;

/// The service in whose name everything is appended.
const CALLER: &str = "scheduler";

#[derive(Debug)]
pub(super) struct Stage {
    pub(super) view: SchedulerView,
    pub(super) now: Timestamp,
    cluster: ClusterId,
    tenant: String,
    end: Sequencer,
}

impl Stage {
    pub(super) fn new(view: SchedulerView, cluster: ClusterId, tenant: String, position: u64) -> Self {
        let mut end = Sequencer::empty("rehearsal");
        end.position = position;
        Self {
            view,
            now: Timestamp::default(),
            cluster,
            tenant,
            end,
        }
    }

    /// Folds events as if they had been recorded.
    ///
    /// # Errors
    /// What the log would say against them.
    pub(super) fn append(
        &mut self,
        stream: StreamName,
        expected: Expected,
        events: Vec<Event>,
    ) -> Result<(), Rejection> {
        self.append_all(vec![Change {
            stream,
            expected,
            events,
        }])
    }

    fn append_all(&mut self, changes: Vec<Change>) -> Result<(), Rejection> {
        let mut heads: HashMap<StreamName, u64> = HashMap::new();
        let mut appends = Vec::with_capacity(changes.len());
        for Change {
            stream,
            expected,
            events,
        } in changes
        {
            if let Expected::Version(version) = expected {
                heads.insert(stream.clone(), version);
            }
            let encoded: Result<Vec<NewEvent>, _> = events
                .iter()
                .map(|event| NewEvent::encode(EventId::from_u128(u128::from(self.end.position)), event))
                .collect();
            appends.push(StreamAppend {
                stream,
                expected,
                events: encoded.map_err(|error| refused(&error))?,
            });
        }
        let request = AppendRequest {
            tenant: self.tenant.clone(),
            meta: Meta::default(),
            streams: appends,
            guards: Vec::new(),
            command: None,
        };
        let sequenced = self.end.sequence(CALLER, &request, &heads, self.now);
        let (recorded, _) = sequenced.map_err(|error: AppendError| refused(&error))?;
        for one in recorded {
            let event = one.event().map_err(|error| refused(&error))?;
            self.view.apply(&one, &event);
        }
        Ok(())
    }

    /// Plans until nothing is to be recorded.
    pub(super) fn plan(&mut self, ids: &mut dyn FnMut() -> AllocationId) -> Result<Vec<Plan>, Rejection> {
        let mut plans = Vec::new();
        for _ in 0..MAX_REHEARSAL_PLANS {
            let plan = planner::plan(&self.view, self.cluster, self.now, ids);
            let last = plan.is_empty();
            for part in plan.clone().into_decisions() {
                self.append_all(part.changes)?;
            }
            plans.push(plan);
            if last {
                break;
            }
        }
        Ok(plans)
    }

    /// Every agent that answers does what it was told, and everything comes up; whether there was anything.
    pub(super) fn obey(&mut self) -> Result<bool, Rejection> {
        let told: Vec<AllocationRow> = self
            .view
            .allocations()
            .filter(|row| self.view.node(row.node_id).is_some_and(|node| !node.lost))
            .filter(|row| row.stop.is_some() || self.is_on_its_way(row))
            .cloned()
            .collect();
        for row in &told {
            let events = self.reports(row).into_iter().map(Event::from).collect();
            self.report(row.node_id, events)?;
        }
        let going: Vec<_> = self
            .view
            .assigned
            .iter()
            .filter(|(_, assigned)| !assigned.drop_volumes.is_empty())
            .filter(|(node, _)| self.view.node(**node).is_some_and(|node| !node.lost))
            .map(|(node, assigned)| (*node, assigned.drop_volumes.clone()))
            .collect();
        let acted = !told.is_empty() || !going.is_empty();
        for (node, volumes) in going {
            let dropped = AllocationEvent::VolumesDropped(VolumesDropped {
                volumes,
                report: ReportMark::default(),
            });
            self.report(node, vec![dropped.into()])?;
        }
        Ok(acted)
    }

    fn report(&mut self, node: NodeId, events: Vec<Event>) -> Result<(), Rejection> {
        let version = self.view.assigned(node).allocations_version;
        let stream = StreamName::new(Category::Allocation, node);
        self.append(stream, Expected::Version(version), events)
    }

    /// It has been placed and does not run yet, or its first check is still to come.
    fn is_on_its_way(&self, row: &AllocationRow) -> bool {
        let checked = || {
            let spec = self.view.container(&row.spec_hash);
            spec.is_some_and(|spec| spec.has_check()) && row.healthy.is_none()
        };
        row.phase < Phase::Running || (row.phase == Phase::Running && checked())
    }

    /// What the agent would report of a container.
    fn reports(&self, row: &AllocationRow) -> Vec<AllocationEvent> {
        let (allocation_id, report) = (row.allocation_id, ReportMark::default());
        if row.stop.is_some() {
            return vec![AllocationEvent::Removed(AllocationRemoved {
                allocation_id,
                report,
            })];
        }
        let mut events = Vec::new();
        if row.phase < Phase::Created {
            events.push(AllocationEvent::ContainerCreated(AllocationCreated {
                allocation_id,
                report,
                container_id: String::new(),
                container_name: String::new(),
                image_id: String::new(),
                image_digest: None,
            }));
        }
        if row.phase < Phase::Running {
            events.push(AllocationEvent::Running(AllocationRunning {
                allocation_id,
                report,
                container_id: String::new(),
                addresses: Default::default(),
                ports: Vec::new(),
            }));
        }
        if self.is_awaited(row) {
            events.push(AllocationEvent::Exited(AllocationExited {
                allocation_id,
                report,
                exit_code: 0,
                oom_killed: false,
            }));
        } else {
            events.push(AllocationEvent::Healthy(AllocationHealthy {
                allocation_id,
                report,
            }));
        }
        events
    }

    /// Another service waits until it has done its work.
    fn is_awaited(&self, row: &AllocationRow) -> bool {
        let done = DependencyCondition::ServiceCompletedSuccessfully;
        let application = self.view.application(row.application_id);
        application.is_some_and(|application| {
            let mut services = application.spec.services.values();
            services.any(|service| service.depends_on.get(&row.service) == Some(&done))
        })
    }
}

fn refused(error: &dyn std::fmt::Display) -> Rejection {
    reject(
        RejectionKind::Invalid,
        "log.refused",
        error.to_string(),
        "make the request smaller",
    )
}
