//! Nodes.

use super::{ForceQuery, ListQuery, ScopeQuery};
use crate::{
    app::{App, Shared},
    auth::{Operating, Reading},
    extract::{NoBody, Order, Params, Read, Segment, Write},
    problem::Fault,
    submit::At,
};
use axum::{extract::State, http::StatusCode};
use berth_api::{CordonNode, DrainNode, Node, Page, PatchNode, PatchResources, Written, schema::NodePage};
use berth_events::{Category, ClusterCommand, CommandBody, StreamName};
use berth_ids::{ClusterId, NodeId};
use berth_service_kit::Clock;
use std::time::Duration;

/// Time to move containers unless a drain says otherwise.
const DEFAULT_DRAIN_SECONDS: u64 = 600;
/// The longest time of a drain.
const MAX_DRAIN_SECONDS: u64 = 7 * 24 * 3_600;

/// Lists nodes by name.
#[utoipa::path(get, path = "/v1/nodes", tag = "nodes", params(ListQuery),
    responses((status = 200, description = "A page", body = NodePage)))]
pub(crate) async fn list_nodes(
    State(app): State<Shared>,
    Read(caller): Read<Reading>,
    Params(query): Params<ListQuery>,
) -> Result<At<Page<Node>>, Fault> {
    let page = query.page("nodes")?;
    let cluster = app.cluster_id(&caller.access, query.cluster.as_deref())?;
    let position = app.view.position();
    let items = app
        .view
        .read(|view| view.list_nodes(&caller.access, cluster, &page));
    Ok(At::page(position, items))
}

/// Shows a node.
#[utoipa::path(get, path = "/v1/nodes/{node}", tag = "nodes",
    params(("node" = String, Path, description = "Id or name"), ScopeQuery),
    responses((status = 200, description = "The node", body = Node)))]
pub(crate) async fn get_node(
    State(app): State<Shared>,
    Read(caller): Read<Reading>,
    Segment(node): Segment,
    Params(query): Params<ScopeQuery>,
) -> Result<At<Node>, Fault> {
    let cluster = app.cluster_id(&caller.access, query.cluster.as_deref())?;
    let position = app.view.position();
    let answer = app.view.read(|view| {
        view.find_node(&caller.access, &node, cluster)
            .map(|row| view.node(row))
    })?;
    let version = answer.version;
    Ok(At::shown(position, answer).versioned(version))
}

/// Changes a node's labels.
#[utoipa::path(patch, path = "/v1/nodes/{node}", tag = "nodes", request_body = PatchNode,
    params(("node" = String, Path, description = "Id or name"), ScopeQuery),
    responses((status = 200, description = "Changed", body = Written)))]
pub(crate) async fn patch_node(
    State(app): State<Shared>,
    Segment(node): Segment,
    Params(query): Params<ScopeQuery>,
    Write { order, body, .. }: Write<Operating, PatchNode>,
) -> Result<At<Written>, Fault> {
    let target = Target::find(&app, &order, &node, query.cluster.as_deref())?;
    let command = ClusterCommand::LabelNode {
        node_id: target.node,
        set: body.set,
        remove: body.remove,
        expected_version: order.expected_version,
    };
    target.change(&app, &order, command).await
}

/// Changes the countable resources that people have named, such as GPUs.
#[utoipa::path(patch, path = "/v1/nodes/{node}/resources", tag = "nodes", request_body = PatchResources,
    params(("node" = String, Path, description = "Id or name"), ScopeQuery),
    responses((status = 200, description = "Changed", body = Written)))]
pub(crate) async fn patch_resources(
    State(app): State<Shared>,
    Segment(node): Segment,
    Params(query): Params<ScopeQuery>,
    Write { order, body, .. }: Write<Operating, PatchResources>,
) -> Result<At<Written>, Fault> {
    let target = Target::find(&app, &order, &node, query.cluster.as_deref())?;
    let command = ClusterCommand::SetResources {
        node_id: target.node,
        set: body.set,
        remove: body.remove,
        expected_version: order.expected_version,
    };
    target.change(&app, &order, command).await
}

/// Places nothing new on a node; what runs stays.
#[utoipa::path(post, path = "/v1/nodes/{node}/cordon", tag = "nodes", request_body = CordonNode,
    params(("node" = String, Path, description = "Id or name"), ScopeQuery),
    responses((status = 200, description = "Cordoned", body = Written)))]
pub(crate) async fn cordon_node(
    State(app): State<Shared>,
    Segment(node): Segment,
    Params(query): Params<ScopeQuery>,
    Write { order, body, .. }: Write<Operating, CordonNode>,
) -> Result<At<Written>, Fault> {
    let target = Target::find(&app, &order, &node, query.cluster.as_deref())?;
    let command = ClusterCommand::CordonNode {
        node_id: target.node,
        reason: body.reason,
    };
    target.change(&app, &order, command).await
}

/// Places containers on a node again; also takes a drain back.
#[utoipa::path(post, path = "/v1/nodes/{node}/uncordon", tag = "nodes",
    params(("node" = String, Path, description = "Id or name"), ScopeQuery),
    responses((status = 200, description = "It takes containers again", body = Written)))]
pub(crate) async fn uncordon_node(
    State(app): State<Shared>,
    Segment(node): Segment,
    Params(query): Params<ScopeQuery>,
    Write { order, .. }: Write<Operating, NoBody>,
) -> Result<At<Written>, Fault> {
    let target = Target::find(&app, &order, &node, query.cluster.as_deref())?;
    let command = ClusterCommand::UncordonNode { node_id: target.node };
    target.change(&app, &order, command).await
}

/// Moves containers away from a node.
#[utoipa::path(post, path = "/v1/nodes/{node}/drain", tag = "nodes", request_body = DrainNode,
    params(("node" = String, Path, description = "Id or name"), ScopeQuery),
    responses((status = 202, description = "Being drained", body = Written)))]
pub(crate) async fn drain_node(
    State(app): State<Shared>,
    Segment(node): Segment,
    Params(query): Params<ScopeQuery>,
    Write { order, body, .. }: Write<Operating, DrainNode>,
) -> Result<At<Written>, Fault> {
    let seconds = body.deadline_seconds.unwrap_or(DEFAULT_DRAIN_SECONDS);
    if seconds > MAX_DRAIN_SECONDS {
        let detail = format!("`deadline_seconds` is {seconds}, more than {MAX_DRAIN_SECONDS}");
        return Err(Fault::invalid("node.drain_deadline", detail));
    }
    let target = Target::find(&app, &order, &node, query.cluster.as_deref())?;
    let command = ClusterCommand::DrainNode {
        node_id: target.node,
        deadline_at: Clock::now().plus(Duration::from_secs(seconds)),
        force: body.force,
    };
    Ok(target
        .change(&app, &order, command)
        .await?
        .status(StatusCode::ACCEPTED))
}

/// Takes a node out of its cluster. Refused while containers are on it, unless forced.
#[utoipa::path(delete, path = "/v1/nodes/{node}", tag = "nodes",
    params(("node" = String, Path, description = "Id or name"), ForceQuery),
    responses((status = 200, description = "Removed", body = Written)))]
pub(crate) async fn delete_node(
    State(app): State<Shared>,
    Segment(node): Segment,
    Params(query): Params<ForceQuery>,
    Write { order, .. }: Write<Operating, NoBody>,
) -> Result<At<Written>, Fault> {
    let target = Target::find(&app, &order, &node, query.cluster.as_deref())?;
    let command = ClusterCommand::RemoveNode {
        node_id: target.node,
        force: query.force,
    };
    target.change(&app, &order, command).await
}

/// The node that a write is about.
struct Target {
    node: NodeId,
    cluster: ClusterId,
    name: String,
}

impl Target {
    fn find(app: &App, order: &Order, text: &str, cluster: Option<&str>) -> Result<Self, Fault> {
        let cluster = app.cluster_id(&order.access, cluster)?;
        let found = app.view.read(|view| {
            view.find_node(&order.access, text, cluster).map(|row| Self {
                node: row.id,
                cluster: row.cluster_id,
                name: row.name.to_string(),
            })
        });
        Ok(found?)
    }

    async fn change(self, app: &App, order: &Order, command: ClusterCommand) -> Result<At<Written>, Fault> {
        let accepted = app
            .submit(order, Some(self.cluster), CommandBody::Cluster(command))
            .await?;
        let stream = StreamName::new(Category::Node, self.node);
        let written = accepted.written(self.node, Some(self.name));
        Ok(At::shown(accepted.position, written).changed(&accepted, &stream, order.expected_version))
    }
}
