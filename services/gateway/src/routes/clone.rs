//! The same application once more, here or in another cluster.

use super::{
    ScopeQuery,
    applications::{deployed, destination, find, read, reveal},
};
use crate::{
    app::Shared,
    auth::Deploying,
    deploy::Purpose,
    extract::{Params, Segment, Write},
    problem::Fault,
    submit::At,
};
use axum::extract::State;
use berth_api::{CloneApplication, ComposeSource, Deploy, Deployed};
use berth_events::DeployMethod;
use berth_ids::Name;

/// Brings the same application live once more: template, parameters, counts and the values of the vault. Data in
/// volumes is not copied.
#[utoipa::path(post, path = "/v1/applications/{application}/clone", tag = "applications",
    request_body = CloneApplication,
    params(("application" = String, Path, description = "Id or name"), ScopeQuery),
    responses((status = 202, description = "On its way", body = Deployed)))]
pub(crate) async fn clone_application(
    State(app): State<Shared>,
    Segment(application): Segment,
    Params(query): Params<ScopeQuery>,
    Write { order, body, .. }: Write<Deploying, CloneApplication>,
) -> Result<At<Deployed>, Fault> {
    let found = find(&app, &order.access, &application, query.cluster.as_deref())?;
    let cluster = app
        .cluster_id(&order.access, body.cluster.as_deref())?
        .unwrap_or(found.cluster);
    let name = match body.name {
        Some(name) => name,
        None => Name::parse(&found.name).map_err(|error| Fault::internal(error.to_string()))?,
    };
    if cluster == found.cluster && name.as_str().eq_ignore_ascii_case(&found.name) {
        let detail = format!("`{}` is there already", found.name);
        return Err(Fault::invalid("application.clone_of_itself", detail)
            .cure("give the clone another name, or another cluster"));
    }
    let values = reveal(&app, &found, order.principal.actor.clone()).await?;
    let deploy = Deploy {
        name: Some(name.clone()),
        compose: Some(ComposeSource {
            file_name: format!("clone of {}", found.name),
            text: found.text(name.as_str(), &values),
            ..ComposeSource::default()
        }),
        ..Deploy::default()
    };
    let reading = read(&app, &order, cluster, deploy, Purpose::Live).await?;
    let method = DeployMethod::default();
    let to = destination(&app, &order.access, cluster, &name, method).if_exists(Some(false));
    let (accepted, id) = app.deploy(&order, &reading, to).await?;
    Ok(deployed(&accepted, id, name.to_string(), reading.warnings()))
}
