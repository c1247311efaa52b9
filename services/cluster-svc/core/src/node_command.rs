//! Commands about one node, decided over the streams that they touch.

use crate::{
    NodeAction, NodeAggregate,
    decide::{Context, check_version, decide, load_node, node_name, released},
    name::look_up,
};
use berth_events::ClusterCommand;
use berth_eventsourcing::{Aggregate, Decision, Streams, Undecided};
use berth_ids::NodeId;
use serde_json::json;

pub(crate) fn node_command(
    command: &ClusterCommand,
    context: Context<'_>,
    streams: &Streams,
) -> Result<Decision, Undecided> {
    use ClusterCommand as C;
    let now = context.now;
    let (node_id, action, expected) = match command.clone() {
        C::LabelNode {
            node_id,
            set,
            remove,
            expected_version,
        } => (node_id, NodeAction::Label { set, remove }, expected_version),
        C::SetResources {
            node_id,
            set,
            remove,
            expected_version,
        } => (
            node_id,
            NodeAction::SetResources { set, remove },
            expected_version,
        ),
        C::CordonNode { node_id, reason } => (node_id, NodeAction::Cordon { reason }, None),
        C::UncordonNode { node_id } => (node_id, NodeAction::Uncordon, None),
        C::DrainNode {
            node_id,
            deadline_at,
            force,
        } => {
            let drain = NodeAction::Drain {
                deadline_at,
                force,
                now,
            };
            (node_id, drain, None)
        }
        C::SettleDrain { node_id, remaining } => (node_id, NodeAction::SettleDrain { remaining, now }, None),
        C::MarkLost { node_id, silent_ms } => (node_id, NodeAction::MarkLost { silent_ms }, None),
        C::MarkReturned { node_id } => (node_id, NodeAction::MarkReturned, None),
        C::RemoveNode { node_id, force } => return remove_node(node_id, force, context, streams),
        C::CreateCluster { .. }
        | C::RenameCluster { .. }
        | C::ChangeSettings { .. }
        | C::DeleteCluster { .. }
        | C::FinishDelete { .. }
        | C::JoinNode { .. } => return decide(command, context, streams),
    };
    let node = load_node(node_id, context, streams)?;
    check_version("node", node.version, expected)?;
    let events = NodeAggregate::decide(&node.state, &action)?;
    Ok(Decision::nothing()
        .with(node.stream, node.version, events)
        .answering(json!({ "node_id": node_id })))
}

fn remove_node(
    id: NodeId,
    force: bool,
    context: Context<'_>,
    streams: &Streams,
) -> Result<Decision, Undecided> {
    let at = load_node(id, context, streams)?;
    let containers = context.view.containers(id);
    let events = NodeAggregate::decide(&at.state, &NodeAction::Remove { force, containers })?;
    let answer = json!({ "node_id": id });
    let Some(name) = at.state.name.filter(|_| !events.is_empty()) else {
        return Ok(Decision::nothing().answering(answer));
    };
    let name = node_name(at.state.cluster_id, &name);
    let named_at = look_up(streams, &name)?.version;
    Ok(Decision::nothing()
        .with(at.stream, at.version, events)
        .with(name, named_at, [released(id)])
        .answering(answer))
}
