//! What a deletion still waits for, in words: the containers and nodes that are left.

use crate::{AllocationRow, ApiView, ApplicationRow, ClusterRow, Lifecycle, NodeRow};
use berth_api::ContainerState;

/// The most lines of one answer.
const MAX_LINES: usize = 20;

impl ApiView {
    /// What the removal of an application waits for; nothing if it is not being removed.
    pub(crate) fn remains_of(&self, row: &ApplicationRow) -> Vec<String> {
        if row.lifecycle != Lifecycle::Removing {
            return Vec::new();
        }
        let left: Vec<&AllocationRow> = self.allocations_of(row.id).filter(|row| is_left(row)).collect();
        if left.is_empty() {
            let silent = self
                .nodes
                .values()
                .filter(|node| node.cluster_id == row.cluster_id);
            let mut lines: Vec<String> = silent.filter(|node| node.lost).map(silence).collect();
            lines.insert(
                0,
                "no container is left; its volumes and its end are waited for".to_owned(),
            );
            return cut(lines);
        }
        cut(left.into_iter().map(|row| self.container_left(row)).collect())
    }

    /// What the deletion of a cluster waits for; nothing if it is not being deleted.
    pub(crate) fn remains_of_cluster(&self, row: &ClusterRow) -> Vec<String> {
        if !row.deleting {
            return Vec::new();
        }
        let applications = self.applications.values();
        let mut lines = Vec::new();
        for application in applications.filter(|application| application.cluster_id == row.id) {
            let name = &application.name;
            if application.lifecycle == Lifecycle::Removing {
                let left = self.remains_of(application).into_iter();
                lines.extend(left.map(|line| format!("application `{name}` is being removed: {line}")));
            } else {
                lines.push(format!(
                    "application `{name}` is there: remove it with `berth rm {name}`, or all with \
                     `berth cluster rm {} --force`",
                    row.name
                ));
            }
        }
        if lines.is_empty() {
            let nodes = self.nodes.values().filter(|node| node.cluster_id == row.id);
            lines.extend(nodes.map(|node| format!("node `{}` is to be removed", node.name)));
        }
        cut(lines)
    }

    fn container_left(&self, row: &AllocationRow) -> String {
        let (name, node) = (self.container_name(row), &row.node_name);
        let doing = match row.state {
            ContainerState::Stopping => "is being stopped",
            ContainerState::Exited | ContainerState::Failed => "has ended and is to be removed",
            _ if row.stop_reason.is_some() => "is to be stopped",
            _ => "is there",
        };
        let known = self.nodes.get(&row.node_id);
        let silent = known.filter(|node| node.lost).map(silence);
        let why = silent.map_or_else(String::new, |silence| format!("; {silence}"));
        format!("container {name} on node `{node}` {doing}{why}")
    }
}

/// Its node has not said that it is gone.
fn is_left(row: &AllocationRow) -> bool {
    !matches!(row.state, ContainerState::Removed | ContainerState::Lost)
}

fn silence(node: &NodeRow) -> String {
    format!(
        "node `{}` does not answer since {}: bring it back, or remove it with `berth node rm {} --force`",
        node.name, node.status_since, node.name
    )
}

fn cut(mut lines: Vec<String>) -> Vec<String> {
    if lines.len() > MAX_LINES {
        let more = lines.len() - MAX_LINES;
        lines.truncate(MAX_LINES);
        lines.push(format!("and {more} more"));
    }
    lines
}
