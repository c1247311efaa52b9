//! How events change a node's row, and the status that people see.

use crate::{DrainRow, NodeRow};
use berth_api::NodeStatus;
use berth_events::{NodeEvent, NodeJoined, Recorded};

/// The row of a server that has just joined.
pub(crate) fn joined(recorded: &Recorded, joined: &NodeJoined) -> NodeRow {
    NodeRow {
        id: joined.node_id,
        cluster_id: joined.cluster_id,
        name: joined.name.clone(),
        index: joined.index,
        zone: joined.zone.clone(),
        address: joined.address.clone(),
        labels: joined.labels.clone(),
        resources: joined.resources.clone(),
        facts: joined.facts.clone(),
        cordoned: None,
        drain: None,
        lost: false,
        status_since: recorded.recorded_at,
        joined_at: recorded.recorded_at,
        version: recorded.version,
    }
}

/// Changes a row; answers whether the node is gone.
pub(crate) fn change(row: &mut NodeRow, recorded: &Recorded, event: &NodeEvent) -> bool {
    let before = row.status();
    row.version = recorded.version;
    match event {
        NodeEvent::Joined(_) => {}
        NodeEvent::FactsChanged(changed) => {
            row.facts = changed.facts.clone();
            row.address.clone_from(&changed.address);
        }
        NodeEvent::LabelsChanged(changed) => {
            row.labels.retain(|label, _| !changed.removed.contains(label));
            row.labels.extend(
                changed
                    .set
                    .iter()
                    .map(|(label, value)| (label.clone(), value.clone())),
            );
        }
        NodeEvent::ResourcesChanged(changed) => {
            row.resources.retain(|kind, _| !changed.removed.contains(kind));
            row.resources
                .extend(changed.set.iter().map(|(kind, count)| (kind.clone(), *count)));
        }
        NodeEvent::Cordoned(cordoned) => row.cordoned = Some(cordoned.reason.clone()),
        NodeEvent::Uncordoned(_) => {
            row.cordoned = None;
            row.drain = None;
        }
        NodeEvent::DrainStarted(started) => {
            row.drain = Some(DrainRow {
                deadline_at: started.deadline_at,
                force: started.force,
                done: false,
                expired: None,
            });
        }
        NodeEvent::Drained(_) => {
            if let Some(drain) = &mut row.drain {
                drain.done = true;
            }
        }
        NodeEvent::DrainExpired(expired) => {
            if let Some(drain) = &mut row.drain {
                drain.expired = Some(expired.remaining);
            }
        }
        NodeEvent::Lost(_) => row.lost = true,
        NodeEvent::Returned(_) => row.lost = false,
        NodeEvent::Removed(_) => return true,
    }
    if row.status() != before {
        row.status_since = recorded.recorded_at;
    }
    false
}

impl NodeRow {
    /// The one word that people see.
    pub fn status(&self) -> NodeStatus {
        match (&self.drain, &self.cordoned) {
            _ if self.lost => NodeStatus::Lost,
            (Some(drain), _) if drain.done => NodeStatus::Drained,
            (Some(_), _) => NodeStatus::Draining,
            (None, Some(_)) => NodeStatus::Cordoned,
            (None, None) => NodeStatus::Ready,
        }
    }
}
