//! Releases: looking at them, pausing them, taking them back.

use super::{ScopeQuery, changes::Change};
use crate::{
    app::Shared,
    auth::Reading,
    extract::{Params, Read, Segment},
    problem::Fault,
    submit::At,
};
use axum::{extract::State, http::StatusCode};
use berth_api::{ConfirmRelease, ReleaseDetail, Releases, Rollback, Weights, Written};
use berth_events::{
    SchedulerCommand,
    spec::{ApplicationSpec, EnvironmentValue},
};
use berth_gateway_core::FindError;
use similar::TextDiff;

/// Lines around a difference.
const CONTEXT_LINES: usize = 3;

/// Lists the releases of an application, newest first.
#[utoipa::path(get, path = "/v1/applications/{application}/releases", tag = "releases",
    params(("application" = String, Path, description = "Id or name"), ScopeQuery),
    responses((status = 200, description = "The releases", body = Releases)))]
pub(crate) async fn list_releases(
    State(app): State<Shared>,
    Read(caller): Read<Reading>,
    Segment(application): Segment,
    Params(query): Params<ScopeQuery>,
) -> Result<At<Releases>, Fault> {
    let cluster = app.cluster_id(&caller.access, query.cluster.as_deref())?;
    let position = app.view.position();
    let items = app.view.read(|view| {
        let row = view.find_application(&caller.access, &application, cluster)?;
        Ok::<_, FindError>(
            row.releases
                .iter()
                .rev()
                .map(|release| release.answer())
                .collect(),
        )
    })?;
    Ok(At::shown(position, Releases { items, position }))
}

/// Shows a release: its file, what differs from the one before, its values, images, containers, shares of the
/// traffic, and what happened to it.
#[utoipa::path(get, path = "/v1/applications/{application}/releases/{number}", tag = "releases",
    params(("application" = String, Path, description = "Id or name"),
        ("number" = u32, Path, description = "Number of the release"), ScopeQuery),
    responses((status = 200, description = "The release", body = ReleaseDetail)))]
pub(crate) async fn get_release(
    State(app): State<Shared>,
    Read(caller): Read<Reading>,
    Segment((application, number)): Segment<(String, u32)>,
    Params(query): Params<ScopeQuery>,
) -> Result<At<ReleaseDetail>, Fault> {
    let cluster = app.cluster_id(&caller.access, query.cluster.as_deref())?;
    let position = app.view.position();
    let found = app.view.read(|view| {
        let row = view.find_application(&caller.access, &application, cluster)?;
        let at = row.releases.iter().position(|release| release.number == number);
        let Some(release) = at.and_then(|at| row.releases.get(at)) else {
            return Ok::<_, FindError>(None);
        };
        let before = at
            .and_then(|at| at.checked_sub(1))
            .and_then(|at| row.releases.get(at));
        Ok(Some((
            view.record(row, release),
            row.name.to_string(),
            release.spec.clone(),
            before.map(|before| before.spec.clone()),
        )))
    })?;
    let Some((mut record, name, spec, before)) = found else {
        let detail = format!("`{application}` has no release {number}, or it is too long ago");
        return Err(Fault::new(StatusCode::NOT_FOUND, "release.not_found", detail)
            .cure("`GET /v1/applications/{application}/releases` lists them"));
    };
    record.template = text(&name, &spec);
    if let Some(before) = before {
        let before = text(&name, &before);
        let diff = TextDiff::from_lines(&before, &record.template);
        record.difference = diff.unified_diff().context_radius(CONTEXT_LINES).to_string();
    }
    Ok(At::shown(position, record))
}

/// As a Compose file; values of the vault are left out.
fn text(name: &str, spec: &ApplicationSpec) -> String {
    berth_compose::render(Some(name), spec, &|_, _, value| match value {
        EnvironmentValue::Plain(text) => Some(text.clone()),
        EnvironmentValue::Secret(_) => None,
    })
}

/// Brings an earlier release back: its file, its values and its counts, as a new release.
#[utoipa::path(post, path = "/v1/applications/{application}/rollback", tag = "releases",
    request_body = Rollback,
    params(("application" = String, Path, description = "Id or name"), ScopeQuery),
    responses((status = 202, description = "On its way", body = Written)))]
pub(crate) async fn rollback(change: Change<Rollback>) -> Result<At<Written>, Fault> {
    change
        .send(|application_id, order, body| SchedulerCommand::Rollback {
            application_id,
            release_id: order.derived("release"),
            to: body.to,
            unsettled_only: false,
            expected_version: order.expected_version,
        })
        .await
}

/// Takes back the release that is going live: the last one before that ran comes back.
#[utoipa::path(post, path = "/v1/applications/{application}/abort-release", tag = "releases",
    params(("application" = String, Path, description = "Id or name"), ScopeQuery),
    responses((status = 202, description = "On its way", body = Written)))]
pub(crate) async fn abort_release(change: Change) -> Result<At<Written>, Fault> {
    change
        .send(|application_id, order, _| SchedulerCommand::Rollback {
            application_id,
            release_id: order.derived("release"),
            to: None,
            unsettled_only: true,
            expected_version: order.expected_version,
        })
        .await
}

/// Pauses the release that is going live: nothing more is replaced.
#[utoipa::path(post, path = "/v1/applications/{application}/pause-release", tag = "releases",
    params(("application" = String, Path, description = "Id or name"), ScopeQuery),
    responses((status = 202, description = "On its way", body = Written)))]
pub(crate) async fn pause_release(change: Change) -> Result<At<Written>, Fault> {
    change
        .send(|application_id, _, _| SchedulerCommand::PauseRelease { application_id })
        .await
}

/// Goes on with a paused release; failures before do not count any more.
#[utoipa::path(post, path = "/v1/applications/{application}/resume-release", tag = "releases",
    params(("application" = String, Path, description = "Id or name"), ScopeQuery),
    responses((status = 202, description = "On its way", body = Written)))]
pub(crate) async fn resume_release(change: Change) -> Result<At<Written>, Fault> {
    change
        .send(|application_id, _, _| SchedulerCommand::ResumeRelease { application_id })
        .await
}

/// Lets the old services of a blue-green release go.
#[utoipa::path(post, path = "/v1/applications/{application}/confirm-release", tag = "releases",
    request_body = ConfirmRelease,
    params(("application" = String, Path, description = "Id or name"), ScopeQuery),
    responses((status = 202, description = "On its way", body = Written)))]
pub(crate) async fn confirm_release(change: Change<ConfirmRelease>) -> Result<At<Written>, Fault> {
    change
        .send(|application_id, _, body| SchedulerCommand::ConfirmRelease {
            application_id,
            force: body.force,
        })
        .await
}

/// Shares traffic between services of an application.
#[utoipa::path(post, path = "/v1/applications/{application}/weights", tag = "releases",
    request_body = Weights,
    params(("application" = String, Path, description = "Id or name"), ScopeQuery),
    responses((status = 202, description = "On its way", body = Written)))]
pub(crate) async fn set_weights(change: Change<Weights>) -> Result<At<Written>, Fault> {
    change
        .send(|application_id, _, body| SchedulerCommand::SetWeights {
            application_id,
            weights: body.weights,
        })
        .await
}
