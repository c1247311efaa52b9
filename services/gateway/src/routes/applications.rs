//! Applications: bringing them live and looking at them.

use super::{ListQuery, ScopeQuery};
use crate::{
    app::Shared,
    auth::{Deploying, Reading},
    deploy::{self, Destination, Purpose, diagnostic},
    extract::{Order, Params, Read, Segment, Write},
    problem::Fault,
    submit::At,
};
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use berth_api::{
    Application, Checked, Deploy, Deployed, Page, Severity, Template, Why, schema::ApplicationPage,
};
use berth_events::{
    DeployMethod, RevealSecrets, Scope,
    spec::{ApplicationSpec, EnvironmentValue, SecretRef},
};
use berth_gateway_core::Access;
use berth_ids::{ApplicationId, ClusterId, Name};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use utoipa::IntoParams;

/// Whether the application must be there already.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeployQuery {
    /// Refuse unless an application of this name is (`true`) or is not (`false`) there.
    pub(super) must_exist: Option<bool>,
}

/// Whether secret values are shown.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TemplateQuery {
    /// Show secret values; needs scope `admin` or `deploy`.
    #[serde(default)]
    reveal: bool,
    /// The cluster in which a name is looked for, by id or name.
    cluster: Option<String>,
}

/// Of which service.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WhyQuery {
    /// Only this service.
    service: Option<String>,
    /// The cluster in which a name is looked for, by id or name.
    cluster: Option<String>,
}

/// Brings an application live: a new one, or a new release of the one with this name.
#[utoipa::path(post, path = "/v1/clusters/{cluster}/applications", tag = "applications",
    request_body = Deploy,
    params(("cluster" = String, Path, description = "Id or name"), DeployQuery),
    responses((status = 202, description = "On its way", body = Deployed)))]
pub(crate) async fn deploy_application(
    State(app): State<Shared>,
    Segment(cluster): Segment,
    Params(query): Params<DeployQuery>,
    Write { order, body, .. }: Write<Deploying, Deploy>,
) -> Result<At<Deployed>, Fault> {
    let cluster = app
        .view
        .read(|view| view.find_cluster(&order.access, &cluster).map(|row| row.id))?;
    let method = body.method;
    let reading = read(&app, &order, cluster, body, Purpose::Live).await?;
    let name = reading.name()?;
    let to = destination(&app, &order.access, cluster, &name, method).if_exists(query.must_exist);
    let (accepted, application) = app.deploy(&order, &reading, to).await?;
    Ok(deployed(
        &accepted,
        application,
        name.to_string(),
        reading.warnings(),
    ))
}

/// Brings a new release of an application live.
#[utoipa::path(put, path = "/v1/applications/{application}", tag = "applications", request_body = Deploy,
    params(("application" = String, Path, description = "Id or name"), ScopeQuery),
    responses((status = 202, description = "On its way", body = Deployed)))]
pub(crate) async fn update_application(
    State(app): State<Shared>,
    Segment(application): Segment,
    Params(query): Params<ScopeQuery>,
    Write { order, mut body, .. }: Write<Deploying, Deploy>,
) -> Result<At<Deployed>, Fault> {
    let cluster = app.cluster_id(&order.access, query.cluster.as_deref())?;
    let (name, cluster) = app.view.read(|view| {
        view.find_application(&order.access, &application, cluster)
            .map(|row| (row.name.clone(), row.cluster_id))
    })?;
    if body.name.as_ref().is_some_and(|wanted| *wanted != name) {
        return Err(Fault::invalid(
            "application.rename",
            format!("the application is called `{name}`"),
        )
        .cure("leave `name` out: an application keeps its name"));
    }
    body.name = Some(name.clone());
    let method = body.method;
    let reading = read(&app, &order, cluster, body, Purpose::Live).await?;
    let to = destination(&app, &order.access, cluster, &name, method).if_exists(Some(true));
    let (accepted, application) = app.deploy(&order, &reading, to).await?;
    Ok(deployed(
        &accepted,
        application,
        name.to_string(),
        reading.warnings(),
    ))
}

/// Reads what a deploy brings, for the cluster that it goes to.
pub(super) async fn read(
    app: &Shared,
    order: &Order,
    cluster: ClusterId,
    mut body: Deploy,
    purpose: Purpose,
) -> Result<deploy::Reading, Fault> {
    let keep = app.fill_in(&order.access, Some(cluster), &mut body)?;
    let reading = deploy::read(body, &keep, purpose).await?;
    let nodes = app.view.read(|view| {
        let row = view.cluster_row(&order.access, cluster);
        row.map_or(0, |row| view.cluster(row).nodes.total)
    });
    Ok(if nodes > 1 { reading } else { reading.on_one_node() })
}

/// Where a deploy goes, with what the cluster's policy is now; whether the application is there does not matter.
pub(super) fn destination(
    app: &Shared,
    access: &Access,
    cluster: ClusterId,
    name: &Name,
    method: DeployMethod,
) -> Destination {
    let policy = app
        .view
        .read(|view| view.cluster_row(access, cluster).map(|row| row.policy));
    Destination {
        cluster,
        policy: policy.unwrap_or_default(),
        name: name.clone(),
        must_exist: None,
        method,
    }
}

pub(super) fn deployed(
    accepted: &crate::submit::Accepted,
    application_id: ApplicationId,
    name: String,
    warnings: Vec<berth_api::Diagnostic>,
) -> At<Deployed> {
    let changed = accepted.field::<bool>("changed").unwrap_or(true);
    let answer = Deployed {
        position: accepted.position,
        command_id: accepted.command_id,
        application_id,
        name,
        release_id: accepted.field("release_id").filter(|_| changed),
        warnings,
    };
    At::shown(accepted.position, answer).status(StatusCode::ACCEPTED)
}

/// Reads a file as a deploy would, and does nothing.
#[utoipa::path(post, path = "/v1/applications:check", tag = "applications", request_body = Deploy,
    responses((status = 200, description = "What was read", body = Checked)))]
pub(crate) async fn check_application(
    State(app): State<Shared>,
    Write { order, mut body, .. }: Write<Reading, Deploy>,
) -> Result<At<Checked>, Fault> {
    let position = app.view.position();
    let keep = app.fill_in(&order.access, None, &mut body)?;
    let name = body.name.as_ref().map(ToString::to_string);
    let answer = match &body.compose {
        // A file with faults is an answer here, not an error.
        Some(compose) if body.image.is_none() => match deploy::parse(compose, name.as_deref(), Purpose::Look)
        {
            Ok(_) => checked(&deploy::read(body, &keep, Purpose::Look).await?),
            Err(faults) => Checked {
                valid: false,
                name,
                diagnostics: faults.iter().map(diagnostic).collect(),
                spec: None,
            },
        },
        _ => checked(&deploy::read(body, &keep, Purpose::Look).await?),
    };
    Ok(At::shown(position, answer))
}

fn checked(reading: &deploy::Reading) -> Checked {
    let diagnostics = reading.warnings();
    Checked {
        valid: diagnostics.iter().all(|fault| fault.severity != Severity::Error),
        name: reading.parsed.name.clone(),
        diagnostics,
        spec: Some(reading.redacted()),
    }
}

/// Lists applications by name.
#[utoipa::path(get, path = "/v1/applications", tag = "applications", params(ListQuery),
    responses((status = 200, description = "A page", body = ApplicationPage)))]
pub(crate) async fn list_applications(
    State(app): State<Shared>,
    Read(caller): Read<Reading>,
    Params(query): Params<ListQuery>,
) -> Result<At<Page<Application>>, Fault> {
    let page = query.page("applications")?;
    let cluster = app.cluster_id(&caller.access, query.cluster.as_deref())?;
    let position = app.view.position();
    let items = app
        .view
        .read(|view| view.list_applications(&caller.access, cluster, &page));
    Ok(At::page(position, items))
}

/// What is shown of an application.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ShowQuery {
    /// The cluster in which a name is looked for, by id or name.
    cluster: Option<String>,
    /// Ask registries whether they have other content than what runs, at most every 5 minutes for each image.
    #[serde(default)]
    registry: bool,
}

/// Shows an application.
#[utoipa::path(get, path = "/v1/applications/{application}", tag = "applications",
    params(("application" = String, Path, description = "Id or name"), ShowQuery),
    responses((status = 200, description = "The application", body = Application)))]
pub(crate) async fn get_application(
    State(app): State<Shared>,
    Read(caller): Read<Reading>,
    Segment(application): Segment,
    Params(query): Params<ShowQuery>,
) -> Result<At<Application>, Fault> {
    let cluster = app.cluster_id(&caller.access, query.cluster.as_deref())?;
    let position = app.view.position();
    let (mut answer, pinned) = app.view.read(|view| {
        let row = view.find_application(&caller.access, &application, cluster)?;
        Ok::<_, berth_gateway_core::FindError>((view.application(row), view.pinned_images(row)))
    })?;
    if query.registry {
        answer.image_news = app.image_news(answer.cluster_id, pinned).await;
    }
    let version = answer.version;
    Ok(At::shown(position, answer).versioned(version))
}

/// Says why an application is as it is: why each container is where it is, and why others wait.
#[utoipa::path(get, path = "/v1/applications/{application}/why", tag = "applications",
    params(("application" = String, Path, description = "Id or name"), WhyQuery),
    responses((status = 200, description = "The reasons", body = Why)))]
pub(crate) async fn why_application(
    State(app): State<Shared>,
    Read(caller): Read<Reading>,
    Segment(application): Segment,
    Params(query): Params<WhyQuery>,
) -> Result<At<Why>, Fault> {
    let cluster = app.cluster_id(&caller.access, query.cluster.as_deref())?;
    let position = app.view.position();
    let answer = app.view.read(|view| {
        let row = view.find_application(&caller.access, &application, cluster)?;
        Ok::<_, berth_gateway_core::FindError>(view.why(row, query.service.as_deref()))
    })?;
    if let (Some(service), true) = (&query.service, answer.services.is_empty()) {
        let detail = format!("application `{}` has no service `{service}`", answer.name);
        return Err(Fault::new(StatusCode::NOT_FOUND, "service.not_found", detail));
    }
    Ok(At::shown(position, answer))
}

/// Shows an application as a Compose file.
#[utoipa::path(get, path = "/v1/applications/{application}/template", tag = "applications",
    params(("application" = String, Path, description = "Id or name"), TemplateQuery),
    responses((status = 200, description = "The file", body = Template)))]
pub(crate) async fn get_template(
    State(app): State<Shared>,
    Read(caller): Read<Reading>,
    Segment(application): Segment,
    Params(query): Params<TemplateQuery>,
) -> Result<impl IntoResponse, Fault> {
    if query.reveal && !caller.has(Scope::Deploy) {
        return Err(
            Fault::forbidden("access.scope", "secret values need scope `admin` or `deploy`")
                .cure("leave `reveal` out, or use another token"),
        );
    }
    let position = app.view.position();
    let found = find(&app, &caller.access, &application, query.cluster.as_deref())?;
    let values = match query.reveal {
        true => reveal(&app, &found, caller.principal.actor.clone()).await?,
        false => BTreeMap::new(),
    };
    let text = found.text(&found.name, &values);
    let template = Template {
        application_id: found.id,
        name: found.name,
        release_id: found.release,
        text,
        revealed: query.reveal,
    };
    Ok((
        [(header::CACHE_CONTROL, "no-store")],
        At::shown(position, template),
    ))
}

/// What an application is now.
pub(super) struct FoundSpec {
    id: ApplicationId,
    pub(super) name: String,
    pub(super) cluster: ClusterId,
    release: berth_ids::ReleaseId,
    spec: ApplicationSpec,
}

impl FoundSpec {
    /// As a Compose file, with the values of the vault that are given.
    pub(super) fn text(&self, name: &str, values: &BTreeMap<String, String>) -> String {
        berth_compose::render(Some(name), &self.spec, &|_, _, value| match value {
            EnvironmentValue::Plain(text) => Some(text.clone()),
            EnvironmentValue::Secret(reference) => values.get(&key_of(reference)).cloned(),
        })
    }
}

pub(super) fn find(
    app: &Shared,
    access: &Access,
    text: &str,
    cluster: Option<&str>,
) -> Result<FoundSpec, Fault> {
    let cluster = app.cluster_id(access, cluster)?;
    let found = app.view.read(|view| {
        view.find_application(access, text, cluster).map(|row| FoundSpec {
            id: row.id,
            name: row.name.to_string(),
            cluster: row.cluster_id,
            release: row.releases.last().map(|release| release.id).unwrap_or_default(),
            spec: row.spec.clone(),
        })
    });
    Ok(found?)
}

/// Asks the vault, in the caller's name, for all values of an application.
pub(super) async fn reveal(
    app: &Shared,
    found: &FoundSpec,
    actor: String,
) -> Result<BTreeMap<String, String>, Fault> {
    let containers = found.spec.services.values().map(|service| &service.container);
    let values = containers.flat_map(|container| {
        let files = container.files.iter().map(|file| &file.content);
        container.environment.values().chain(files)
    });
    let wanted: BTreeSet<SecretRef> = values
        .filter_map(|value| match value {
            EnvironmentValue::Secret(reference) => Some(reference.clone()),
            EnvironmentValue::Plain(_) => None,
        })
        .collect();
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    tracing::info!(target: "audit", actor, application = %found.id, "secret values were shown");
    let question = RevealSecrets { wanted, actor };
    Ok(app
        .context
        .bus
        .ask("access", "reveal", &found.cluster.to_string(), &question)
        .await?)
}

/// How answers of the vault name a value.
fn key_of(reference: &SecretRef) -> String {
    format!("{}@{}/{}", reference.secret_id, reference.version, reference.key)
}
