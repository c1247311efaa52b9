//! Containers.

use super::platform::usage_of;
use crate::{
    app::{App, Shared},
    auth::Reading,
    extract::{Params, Read, Segment},
    problem::Fault,
    submit::At,
};
use axum::extract::State;
use berth_api::{Container, ContainerState, ContainerWhy, Page, schema::ContainerPage};
use berth_gateway_core::{ContainerFilter, PageRequest};
use berth_ids::{ClusterId, NodeId};
use serde::Deserialize;
use std::collections::BTreeSet;
use utoipa::IntoParams;

/// Which containers are listed.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ContainerQuery {
    /// Of this cluster, by id or name.
    cluster: Option<String>,
    /// Of this application, by id or name.
    application: Option<String>,
    /// Of this service.
    service: Option<String>,
    /// On this node, by id or name.
    node: Option<String>,
    /// Those that have ended too; without it, of these only those whose slot waits for its next container.
    #[serde(default)]
    all: bool,
    /// Items of a page, 1 to 500; absent: 100.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists containers by application, service and slot.
#[utoipa::path(get, path = "/v1/containers", tag = "containers", params(ContainerQuery),
    responses((status = 200, description = "A page", body = ContainerPage)))]
pub(crate) async fn list_containers(
    State(app): State<Shared>,
    Read(caller): Read<Reading>,
    Params(query): Params<ContainerQuery>,
) -> Result<At<Page<Container>>, Fault> {
    let page = PageRequest::new("containers", query.cursor.as_deref(), query.limit)?;
    let access = &caller.access;
    let cluster = app.cluster_id(access, query.cluster.as_deref())?;
    let position = app.view.position();
    let (mut items, next_cursor) = app.view.read(|view| {
        let application = query.application.as_deref();
        let application = application
            .map(|text| view.find_application(access, text, cluster))
            .transpose()?;
        let node = query.node.as_deref();
        let node = node
            .map(|text| view.find_node(access, text, cluster))
            .transpose()?;
        let filter = ContainerFilter {
            cluster,
            application: application.map(|row| row.id),
            service: query.service.clone(),
            node: node.map(|row| row.id),
            all: query.all,
        };
        Ok::<_, Fault>(view.list_containers(access, &filter, &page))
    })?;
    tell_pulls(&app, &mut items).await;
    Ok(At::shown(
        position,
        Page {
            items,
            next_cursor,
            position,
        },
    ))
}

/// Shows a container with its history.
#[utoipa::path(get, path = "/v1/containers/{container}", tag = "containers",
    params(("container" = String, Path, description = "Id, its beginning, or name or id in the engine")),
    responses((status = 200, description = "The container", body = Container)))]
pub(crate) async fn get_container(
    State(app): State<Shared>,
    Read(caller): Read<Reading>,
    Segment(container): Segment,
) -> Result<At<Container>, Fault> {
    let position = app.view.position();
    let mut answer = app.view.read(|view| {
        view.find_container(&caller.access, &container)
            .map(|row| view.container_in_full(row))
    })?;
    tell_pulls(&app, std::slice::from_mut(&mut answer)).await;
    Ok(At::shown(position, answer))
}

/// Adds how far images are that are fetched. Nobody is asked while none is; a monitor that does not answer
/// leaves it unsaid.
async fn tell_pulls(app: &App, containers: &mut [Container]) {
    let pulling = |container: &&Container| container.state == ContainerState::Pulling;
    let clusters: BTreeSet<ClusterId> = containers
        .iter()
        .filter(pulling)
        .map(|container| container.cluster_id)
        .collect();
    for cluster in clusters {
        let Ok(samples) = usage_of(app, cluster).await else {
            continue;
        };
        let progress = |node: NodeId, image: &str| {
            let sample = samples.iter().find(|sample| sample.node_id == node)?;
            let pull = sample.pulls.iter().find(|pull| pull.image == image)?;
            pull.percent()
        };
        for container in containers
            .iter_mut()
            .filter(|container| container.cluster_id == cluster && container.state == ContainerState::Pulling)
        {
            container.pull_percent = progress(container.node_id, &container.image);
        }
    }
}

/// Says why a container is where it is, or why it does not run.
#[utoipa::path(get, path = "/v1/containers/{container}/why", tag = "containers",
    params(("container" = String, Path, description = "Id, its beginning, or name or id in the engine")),
    responses((status = 200, description = "The reasons", body = ContainerWhy)))]
pub(crate) async fn why_container(
    State(app): State<Shared>,
    Read(caller): Read<Reading>,
    Segment(container): Segment,
) -> Result<At<ContainerWhy>, Fault> {
    let position = app.view.position();
    let answer = app.view.read(|view| {
        view.find_container(&caller.access, &container)
            .map(|row| view.container_why(row))
    })?;
    Ok(At::shown(position, answer))
}
