//! Clusters.

use super::{ForceQuery, ListQuery};
use crate::{
    app::Shared,
    auth::{Operating, Reading},
    extract::{NoBody, Params, Read, Segment, Write},
    problem::Fault,
    submit::At,
};
use axum::{extract::State, http::StatusCode};
use berth_api::{Cluster, CreateCluster, Page, PatchCluster, Written, schema::ClusterPage};
use berth_events::{Category, ClusterCommand, CommandBody, StreamName};
use berth_ids::ClusterId;

/// Region of a cluster that names none.
const DEFAULT_REGION: &str = "default";

/// Makes a cluster. It is inactive until a node joins.
#[utoipa::path(post, path = "/v1/clusters", tag = "clusters", request_body = CreateCluster,
    responses((status = 201, description = "Made", body = Written)))]
pub(crate) async fn create_cluster(
    State(app): State<Shared>,
    Write {
        order, body, caller, ..
    }: Write<Operating, CreateCluster>,
) -> Result<At<Written>, Fault> {
    if caller.access.confined() {
        return Err(
            Fault::forbidden("access.cluster", "the token is confined to clusters that exist")
                .cure("use a token for all clusters"),
        );
    }
    let cluster_id: ClusterId = order.derived("cluster");
    let command = ClusterCommand::CreateCluster {
        cluster_id,
        name: body.name.clone(),
        region: body.region.unwrap_or_else(|| DEFAULT_REGION.to_owned()),
        zones: body.zones,
        policy: body.policy.unwrap_or_default(),
        strategy: body.strategy.unwrap_or_default(),
    };
    let accepted = app.submit(&order, None, CommandBody::Cluster(command)).await?;
    let written = accepted.written(cluster_id, Some(body.name.to_string()));
    Ok(At::shown(accepted.position, written).status(StatusCode::CREATED))
}

/// Lists clusters by name.
#[utoipa::path(get, path = "/v1/clusters", tag = "clusters", params(ListQuery),
    responses((status = 200, description = "A page", body = ClusterPage)))]
pub(crate) async fn list_clusters(
    State(app): State<Shared>,
    Read(caller): Read<Reading>,
    Params(query): Params<ListQuery>,
) -> Result<At<Page<Cluster>>, Fault> {
    let page = query.page("clusters")?;
    let position = app.view.position();
    let items = app.view.read(|view| view.list_clusters(&caller.access, &page));
    Ok(At::page(position, items))
}

/// Shows a cluster.
#[utoipa::path(get, path = "/v1/clusters/{cluster}", tag = "clusters",
    params(("cluster" = String, Path, description = "Id or name")),
    responses((status = 200, description = "The cluster", body = Cluster)))]
pub(crate) async fn get_cluster(
    State(app): State<Shared>,
    Read(caller): Read<Reading>,
    Segment(cluster): Segment,
) -> Result<At<Cluster>, Fault> {
    let position = app.view.position();
    let answer = app.view.read(|view| {
        view.find_cluster(&caller.access, &cluster)
            .map(|row| view.cluster(row))
    })?;
    let version = answer.version;
    Ok(At::shown(position, answer).versioned(version))
}

/// Changes a cluster's name, or its policy and strategy.
#[utoipa::path(patch, path = "/v1/clusters/{cluster}", tag = "clusters", request_body = PatchCluster,
    params(("cluster" = String, Path, description = "Id or name")),
    responses((status = 200, description = "Changed", body = Written)))]
pub(crate) async fn patch_cluster(
    State(app): State<Shared>,
    Segment(cluster): Segment,
    Write { order, body, .. }: Write<Operating, PatchCluster>,
) -> Result<At<Written>, Fault> {
    let (cluster_id, known) = app.view.read(|view| {
        view.find_cluster(&order.access, &cluster)
            .map(|row| (row.id, row.name.clone()))
    })?;
    let expected_version = order.expected_version;
    let settings = body.policy.is_some()
        || body.strategy.is_some()
        || body.quota.is_some()
        || body.application_quota.is_some();
    let (name, command) = match (body.name, settings) {
        (Some(name), false) => {
            let command = ClusterCommand::RenameCluster {
                cluster_id,
                name: name.clone(),
                expected_version,
            };
            (name, command)
        }
        (None, false) => {
            return Err(Fault::invalid("cluster.nothing", "nothing is to be changed")
                .cure("name a new `name`, `policy`, `strategy`, `quota` or `application_quota`"));
        }
        (None, true) => {
            let command = ClusterCommand::ChangeSettings {
                cluster_id,
                policy: body.policy,
                strategy: body.strategy,
                quota: body.quota,
                application_quota: body.application_quota,
                expected_version,
            };
            (known, command)
        }
        (Some(_), true) => {
            return Err(
                Fault::invalid("cluster.two_changes", "a name and settings are two changes")
                    .cure("send two requests"),
            );
        }
    };
    let accepted = app
        .submit(&order, Some(cluster_id), CommandBody::Cluster(command))
        .await?;
    let stream = StreamName::new(Category::Cluster, cluster_id);
    let written = accepted.written(cluster_id, Some(name.to_string()));
    Ok(At::shown(accepted.position, written).changed(&accepted, &stream, expected_version))
}

/// Deletes a cluster. Refused while it has applications, unless forced: then they go first.
#[utoipa::path(delete, path = "/v1/clusters/{cluster}", tag = "clusters",
    params(("cluster" = String, Path, description = "Id or name"), ForceQuery),
    responses((status = 202, description = "Being deleted", body = Written)))]
pub(crate) async fn delete_cluster(
    State(app): State<Shared>,
    Segment(cluster): Segment,
    Params(query): Params<ForceQuery>,
    Write { order, .. }: Write<Operating, NoBody>,
) -> Result<At<Written>, Fault> {
    let cluster_id = app
        .view
        .read(|view| view.find_cluster(&order.access, &cluster).map(|row| row.id))?;
    let command = ClusterCommand::DeleteCluster {
        cluster_id,
        force: query.force,
    };
    let accepted = app
        .submit(&order, Some(cluster_id), CommandBody::Cluster(command))
        .await?;
    Ok(At::shown(accepted.position, accepted.written(cluster_id, None)).status(StatusCode::ACCEPTED))
}
