//! Changes of applications that are there.

use super::ScopeQuery;
use crate::{
    app::{App, Shared},
    auth::Deploying,
    extract::{NoBody, Order, Params, Segment, Write},
    problem::Fault,
    submit::At,
};
use axum::{extract::State, http::StatusCode};
use berth_api::{AbandonVolume, Restart, Scale, Written};
use berth_events::{Category, CommandBody, SchedulerCommand, StreamName};
use berth_ids::{ApplicationId, ClusterId};
use serde::Deserialize;
use utoipa::IntoParams;

/// What goes with an application.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RemoveQuery {
    /// Its named volumes go too.
    #[serde(default)]
    volumes: bool,
    /// The cluster in which a name is looked for, by id or name.
    cluster: Option<String>,
}

/// Changes the wanted number of containers of a service.
#[utoipa::path(post, path = "/v1/applications/{application}/scale", tag = "applications",
    request_body = Scale, params(("application" = String, Path, description = "Id or name"), ScopeQuery),
    responses((status = 202, description = "On its way", body = Written)))]
pub(crate) async fn scale(
    State(app): State<Shared>,
    Segment(application): Segment,
    Params(query): Params<ScopeQuery>,
    Write { order, body, .. }: Write<Deploying, Scale>,
) -> Result<At<Written>, Fault> {
    let target = Target::find(&app, &order, &application, query.cluster.as_deref())?;
    let command = SchedulerCommand::Scale {
        application_id: target.application,
        service: body.service,
        replicas: body.replicas,
        expected_version: order.expected_version,
    };
    target.change(&app, &order, command).await
}

/// Stops all containers; the application stays.
#[utoipa::path(post, path = "/v1/applications/{application}/stop", tag = "applications",
    params(("application" = String, Path, description = "Id or name"), ScopeQuery),
    responses((status = 202, description = "On its way", body = Written)))]
pub(crate) async fn stop(
    State(app): State<Shared>,
    Segment(application): Segment,
    Params(query): Params<ScopeQuery>,
    Write { order, .. }: Write<Deploying, NoBody>,
) -> Result<At<Written>, Fault> {
    let target = Target::find(&app, &order, &application, query.cluster.as_deref())?;
    let command = SchedulerCommand::Stop {
        application_id: target.application,
    };
    target.change(&app, &order, command).await
}

/// Runs a stopped application again.
#[utoipa::path(post, path = "/v1/applications/{application}/start", tag = "applications",
    params(("application" = String, Path, description = "Id or name"), ScopeQuery),
    responses((status = 202, description = "On its way", body = Written)))]
pub(crate) async fn start(
    State(app): State<Shared>,
    Segment(application): Segment,
    Params(query): Params<ScopeQuery>,
    Write { order, .. }: Write<Deploying, NoBody>,
) -> Result<At<Written>, Fault> {
    let target = Target::find(&app, &order, &application, query.cluster.as_deref())?;
    let command = SchedulerCommand::Start {
        application_id: target.application,
    };
    target.change(&app, &order, command).await
}

/// Replaces containers by new ones of the same specification.
#[utoipa::path(post, path = "/v1/applications/{application}/restart", tag = "applications",
    request_body = Restart, params(("application" = String, Path, description = "Id or name"), ScopeQuery),
    responses((status = 202, description = "On its way", body = Written)))]
pub(crate) async fn restart(
    State(app): State<Shared>,
    Segment(application): Segment,
    Params(query): Params<ScopeQuery>,
    Write { order, body, .. }: Write<Deploying, Restart>,
) -> Result<At<Written>, Fault> {
    let target = Target::find(&app, &order, &application, query.cluster.as_deref())?;
    let command = SchedulerCommand::Restart {
        application_id: target.application,
        services: body.services,
    };
    target.change(&app, &order, command).await
}

/// Lets go of local volumes that hold slots to nodes: their containers start elsewhere, with empty ones.
#[utoipa::path(post, path = "/v1/applications/{application}/abandon-volume", tag = "applications",
    request_body = AbandonVolume,
    params(("application" = String, Path, description = "Id or name"), ScopeQuery),
    responses((status = 202, description = "On its way", body = Written)))]
pub(crate) async fn abandon_volume(
    State(app): State<Shared>,
    Segment(application): Segment,
    Params(query): Params<ScopeQuery>,
    Write { order, body, .. }: Write<Deploying, AbandonVolume>,
) -> Result<At<Written>, Fault> {
    let target = Target::find(&app, &order, &application, query.cluster.as_deref())?;
    let command = SchedulerCommand::AbandonVolume {
        application_id: target.application,
        service: body.service,
        slots: body.slots,
    };
    target.change(&app, &order, command).await
}

/// Removes an application with its containers.
#[utoipa::path(delete, path = "/v1/applications/{application}", tag = "applications",
    params(("application" = String, Path, description = "Id or name"), RemoveQuery),
    responses((status = 202, description = "Being removed", body = Written)))]
pub(crate) async fn delete_application(
    State(app): State<Shared>,
    Segment(application): Segment,
    Params(query): Params<RemoveQuery>,
    Write { order, .. }: Write<Deploying, NoBody>,
) -> Result<At<Written>, Fault> {
    let target = Target::find(&app, &order, &application, query.cluster.as_deref())?;
    let command = SchedulerCommand::Remove {
        application_id: target.application,
        volumes: query.volumes,
    };
    target.change(&app, &order, command).await
}

/// The application that a write is about.
pub(super) struct Target {
    pub(super) application: ApplicationId,
    cluster: ClusterId,
    name: String,
}

impl Target {
    pub(super) fn find(app: &App, order: &Order, text: &str, cluster: Option<&str>) -> Result<Self, Fault> {
        let cluster = app.cluster_id(&order.access, cluster)?;
        let found = app.view.read(|view| {
            view.find_application(&order.access, text, cluster)
                .map(|row| Self {
                    application: row.id,
                    cluster: row.cluster_id,
                    name: row.name.to_string(),
                })
        });
        Ok(found?)
    }

    pub(super) async fn change(
        self,
        app: &App,
        order: &Order,
        command: SchedulerCommand,
    ) -> Result<At<Written>, Fault> {
        let accepted = app
            .submit(order, Some(self.cluster), CommandBody::Scheduler(command))
            .await?;
        let stream = StreamName::new(Category::Application, self.application);
        let written = accepted.written(self.application, Some(self.name));
        Ok(At::shown(accepted.position, written)
            .changed(&accepted, &stream, order.expected_version)
            .status(StatusCode::ACCEPTED))
    }
}
