//! Agents that do what a test says, and report it as the real ones do.

use super::{CLUSTER, Lab};
use crate::{
    allocation::{AllocationAggregate, AllocationCommand, Phase, take},
    view::AllocationRow,
};
use berth_events::{
    AllocationReport, Category, Event, ExitStatus, Observation, ObservationKind, Observed, StreamName,
};
use berth_eventsourcing::{Aggregate, Decision};
use berth_ids::{AllocationId, NodeId};
use std::collections::BTreeMap;

impl Lab {
    /// Reports one observation as the node's agent would.
    pub(crate) fn report(&mut self, allocation: AllocationId, state: Observed) {
        let Some(row) = self.view.allocation(allocation) else {
            return;
        };
        let node = row.node_id;
        let what = ObservationKind::Allocation {
            allocation_id: allocation,
            state,
        };
        self.report_kind(node, what);
    }

    pub(crate) fn report_kind(&mut self, node: NodeId, what: ObservationKind) {
        let stream = StreamName::new(Category::Allocation, node);
        let events: Vec<_> = self
            .log
            .stream(&stream)
            .filter_map(|recorded| match recorded.event().unwrap() {
                Event::Allocation(event) => Some(event),
                _ => None,
            })
            .collect();
        let state = AllocationAggregate::fold(&events);
        let mut known = state.clone();
        if let Some(before) = self.reported.get(&node) {
            known.note(before.mark);
            known.hole = before.hole;
        }
        let report = AllocationReport {
            node_id: node,
            cluster_id: CLUSTER,
            journal: 7,
            items: vec![Observation {
                number: known.mark.number + 1,
                seen_at: self.now,
                what,
            }],
            digest: None,
            traceparent: None,
        };
        let stopping = self.view.stopping_on(node);
        let taken = take(&known, &report, &stopping);
        assert!(!taken.recorded.resend);
        assert_eq!(
            taken.events,
            AllocationAggregate::decide(&known, &AllocationCommand::Report(report, stopping)).unwrap()
        );
        let decision = Decision::nothing().with(stream, state.version, taken.events);
        self.append("scheduler", &decision);
        self.reported.insert(node, taken.state);
    }

    /// Every agent that answers does at once all it was told.
    pub(crate) fn obey(&mut self) {
        for row in self.rows() {
            let node = self.view.node(row.node_id).unwrap();
            if !node.lost {
                self.obey_row(&row);
            }
        }
        let dropping: Vec<_> = self
            .view
            .assigned
            .iter()
            .filter(|(node, row)| !row.drop_volumes.is_empty() && !self.view.node(**node).unwrap().lost)
            .map(|(node, row)| (*node, row.drop_volumes.clone()))
            .collect();
        for (node, volumes) in dropping {
            self.report_kind(node, ObservationKind::VolumesDropped { volumes });
        }
    }

    fn obey_row(&mut self, row: &AllocationRow) {
        let id = row.allocation_id;
        if row.stop.is_some() {
            self.report(id, Observed::Removed);
        } else if row.phase < Phase::Running {
            self.report(id, created(id));
            self.run(id);
        }
    }

    /// Every agent stops what it was told to stop, and starts nothing.
    pub(crate) fn obey_stops(&mut self) {
        for row in self.rows().iter().filter(|row| row.stop.is_some()) {
            self.report(row.allocation_id, Observed::Removed);
        }
    }

    pub(crate) fn run(&mut self, id: AllocationId) {
        self.report(id, running(id, 0, None));
    }

    pub(crate) fn exit(&mut self, id: AllocationId, exit_code: i64) {
        let status = ExitStatus {
            exit_code,
            oom_killed: false,
        };
        self.report(id, Observed::Exited(status));
    }
}

pub(crate) fn created(id: AllocationId) -> Observed {
    created_of(id, None)
}

pub(crate) fn created_of(id: AllocationId, image_digest: Option<String>) -> Observed {
    Observed::Created {
        container_id: format!("c-{id}"),
        container_name: "x".into(),
        image_id: "i".into(),
        image_digest,
    }
}

pub(crate) fn running(id: AllocationId, restarts: u32, healthy: Option<bool>) -> Observed {
    Observed::Running {
        container_id: format!("c-{id}"),
        addresses: BTreeMap::new(),
        ports: vec![],
        restarts,
        healthy,
        health_output: String::new(),
        last_exit: None,
    }
}
