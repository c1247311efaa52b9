//! Changes of applications that are there.

use super::ScopeQuery;
use crate::{
    app::Shared,
    auth::Deploying,
    extract::{NoBody, Order, Params, Segment, Write},
    problem::Fault,
    submit::At,
};
use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::StatusCode,
};
use berth_api::{AbandonVolume, Restart, Scale, Written};
use berth_events::{Category, CommandBody, SchedulerCommand, StreamName};
use berth_ids::{ApplicationId, ClusterId};
use serde::{Deserialize, de::DeserializeOwned};
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
pub(crate) async fn scale(change: Change<Scale>) -> Result<At<Written>, Fault> {
    change
        .send(|application_id, order, body| SchedulerCommand::Scale {
            application_id,
            service: body.service,
            replicas: body.replicas,
            expected_version: order.expected_version,
        })
        .await
}

/// Stops all containers; the application stays.
#[utoipa::path(post, path = "/v1/applications/{application}/stop", tag = "applications",
    params(("application" = String, Path, description = "Id or name"), ScopeQuery),
    responses((status = 202, description = "On its way", body = Written)))]
pub(crate) async fn stop(change: Change) -> Result<At<Written>, Fault> {
    change
        .send(|application_id, _, _| SchedulerCommand::Stop { application_id })
        .await
}

/// Runs a stopped application again.
#[utoipa::path(post, path = "/v1/applications/{application}/start", tag = "applications",
    params(("application" = String, Path, description = "Id or name"), ScopeQuery),
    responses((status = 202, description = "On its way", body = Written)))]
pub(crate) async fn start(change: Change) -> Result<At<Written>, Fault> {
    change
        .send(|application_id, _, _| SchedulerCommand::Start { application_id })
        .await
}

/// Replaces containers by new ones of the same specification.
#[utoipa::path(post, path = "/v1/applications/{application}/restart", tag = "applications",
    request_body = Restart, params(("application" = String, Path, description = "Id or name"), ScopeQuery),
    responses((status = 202, description = "On its way", body = Written)))]
pub(crate) async fn restart(change: Change<Restart>) -> Result<At<Written>, Fault> {
    change
        .send(|application_id, _, body| SchedulerCommand::Restart {
            application_id,
            services: body.services,
        })
        .await
}

/// Lets go of local volumes that hold slots to nodes: their containers start elsewhere, with empty ones.
#[utoipa::path(post, path = "/v1/applications/{application}/abandon-volume", tag = "applications",
    request_body = AbandonVolume,
    params(("application" = String, Path, description = "Id or name"), ScopeQuery),
    responses((status = 202, description = "On its way", body = Written)))]
pub(crate) async fn abandon_volume(change: Change<AbandonVolume>) -> Result<At<Written>, Fault> {
    change
        .send(|application_id, _, body| SchedulerCommand::AbandonVolume {
            application_id,
            service: body.service,
            slots: body.slots,
        })
        .await
}

/// Removes an application with its containers.
#[utoipa::path(delete, path = "/v1/applications/{application}", tag = "applications",
    params(("application" = String, Path, description = "Id or name"), RemoveQuery),
    responses((status = 202, description = "Being removed", body = Written)))]
pub(crate) async fn delete_application(change: Change<NoBody, RemoveQuery>) -> Result<At<Written>, Fault> {
    let volumes = change.query.volumes;
    change
        .send(|application_id, _, _| SchedulerCommand::Remove {
            application_id,
            volumes,
        })
        .await
}

/// Where a name is looked for.
pub(crate) trait InCluster {
    /// The cluster, by id or name.
    fn cluster(&self) -> Option<&str>;
}

impl InCluster for ScopeQuery {
    fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }
}

impl InCluster for RemoveQuery {
    fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }
}

/// A write about an application: its caller may, and the application is there.
pub(crate) struct Change<T = NoBody, Q = ScopeQuery> {
    app: Shared,
    order: Order,
    body: T,
    query: Q,
    application: ApplicationId,
    cluster: ClusterId,
    name: String,
}

impl<T, Q> FromRequest<Shared> for Change<T, Q>
where
    T: DeserializeOwned + Send,
    Q: DeserializeOwned + InCluster + Send,
{
    type Rejection = Fault;
    async fn from_request(request: Request, app: &Shared) -> Result<Self, Fault> {
        let (mut parts, body) = request.into_parts();
        let Segment(text) = Segment::<String>::from_request_parts(&mut parts, app).await?;
        let Params(query) = Params::<Q>::from_request_parts(&mut parts, app).await?;
        let request = Request::from_parts(parts, body);
        let Write { order, body, .. } = Write::<Deploying, T>::from_request(request, app).await?;
        let cluster = app.cluster_id(&order.access, query.cluster())?;
        let (application, cluster, name) = app.view.read(|view| {
            view.find_application(&order.access, &text, cluster)
                .map(|row| (row.id, row.cluster_id, row.name.to_string()))
        })?;
        Ok(Self {
            app: app.clone(),
            order,
            body,
            query,
            application,
            cluster,
            name,
        })
    }
}

impl<T, Q> Change<T, Q> {
    /// Sends the command that `make` makes of the application, the order and the body.
    pub(super) async fn send(
        self,
        make: impl FnOnce(ApplicationId, &Order, T) -> SchedulerCommand,
    ) -> Result<At<Written>, Fault> {
        let command = make(self.application, &self.order, self.body);
        let accepted = self
            .app
            .submit(&self.order, Some(self.cluster), CommandBody::Scheduler(command))
            .await?;
        let stream = StreamName::new(Category::Application, self.application);
        let written = accepted.written(self.application, Some(self.name));
        Ok(At::shown(accepted.position, written)
            .changed(&accepted, &stream, self.order.expected_version)
            .status(StatusCode::ACCEPTED))
    }
}
