//! Stored templates: texts with parameters, version by version.

use super::ListQuery;
use crate::{
    app::Shared,
    auth::{Deploying, Reading},
    deploy,
    extract::{NoBody, Params, Read, Segment, Write},
    gallery::{Exhibit, GALLERY},
    problem::Fault,
    submit::At,
    template::parameters,
};
use axum::extract::State;
use berth_api::{
    ComposeSource, Page, SaveTemplate, StoredTemplate, TemplateItem, Written, schema::TemplatePage,
};
use berth_events::{CommandBody, SchedulerCommand, template_id, template_stream};
use berth_ids::Name;
use serde::Deserialize;
use std::collections::BTreeMap;
use utoipa::IntoParams;

/// Which version.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct VersionQuery {
    /// Number of the version; absent: the newest.
    number: Option<u32>,
}

/// Lists templates by name: those stored, and those that come with Berth.
#[utoipa::path(get, path = "/v1/templates", tag = "templates", params(ListQuery),
    responses((status = 200, description = "A page", body = TemplatePage)))]
pub(crate) async fn list_templates(
    State(app): State<Shared>,
    Read(caller): Read<Reading>,
    Params(query): Params<ListQuery>,
) -> Result<At<Page<TemplateItem>>, Fault> {
    let page = query.page("templates")?;
    let position = app.view.position();
    let gallery = GALLERY.iter().map(Exhibit::item).collect();
    let items = app
        .view
        .read(|view| view.list_templates(&caller.access, gallery, &page));
    Ok(At::page(position, items))
}

/// Shows a template with its text, its parameters and its versions.
#[utoipa::path(get, path = "/v1/templates/{template}", tag = "templates",
    params(("template" = String, Path, description = "Name"), VersionQuery),
    responses((status = 200, description = "The template", body = StoredTemplate)))]
pub(crate) async fn get_stored_template(
    State(app): State<Shared>,
    Read(caller): Read<Reading>,
    Segment(template): Segment,
    Params(query): Params<VersionQuery>,
) -> Result<At<StoredTemplate>, Fault> {
    let position = app.view.position();
    let (found, version) = app.template(&caller.access, &template, query.number)?;
    let answer = At::shown(position, found);
    Ok(match version {
        Some(version) => answer.versioned(version),
        None => answer,
    })
}

/// Stores a template, or a new version of the one with this name. The same text again changes nothing.
#[utoipa::path(put, path = "/v1/templates/{template}", tag = "templates", request_body = SaveTemplate,
    params(("template" = String, Path, description = "Name")),
    responses((status = 200, description = "Stored", body = Written)))]
pub(crate) async fn save_template(
    State(app): State<Shared>,
    Segment(template): Segment,
    Write { order, body, .. }: Write<Deploying, SaveTemplate>,
) -> Result<At<Written>, Fault> {
    let name = parse_name(&template)?;
    check(&name, &body.text)?;
    let id = template_id(&order.access.tenant, &name);
    let command = SchedulerCommand::SaveTemplate {
        template_id: id,
        name: name.clone(),
        description: body.description,
        text: body.text,
        expected_version: order.expected_version,
    };
    let accepted = app.submit(&order, None, CommandBody::Scheduler(command)).await?;
    let number = accepted.field::<u32>("number").unwrap_or_default();
    let written = accepted.written(format!("{name}@{number}"), Some(name.to_string()));
    Ok(
        At::shown(accepted.position, written).changed(
            &accepted,
            &template_stream(id),
            order.expected_version,
        ),
    )
}

/// Forgets a template with all its versions. Applications made from it stay.
#[utoipa::path(delete, path = "/v1/templates/{template}", tag = "templates",
    params(("template" = String, Path, description = "Name")),
    responses((status = 200, description = "Forgotten", body = Written)))]
pub(crate) async fn delete_template(
    State(app): State<Shared>,
    Segment(template): Segment,
    Write { order, .. }: Write<Deploying, NoBody>,
) -> Result<At<Written>, Fault> {
    let name = parse_name(&template)?;
    let stored = app
        .view
        .read(|view| view.find_template(&order.access, &template).is_ok());
    if let (false, Some(_)) = (stored, Exhibit::named(&template)) {
        let detail = format!("template `{name}` comes with Berth");
        return Err(
            Fault::invalid("template.gallery", detail).cure("store one with the same name, which hides it")
        );
    }
    let command = SchedulerCommand::RemoveTemplate {
        template_id: template_id(&order.access.tenant, &name),
        name: name.clone(),
        expected_version: order.expected_version,
    };
    let accepted = app.submit(&order, None, CommandBody::Scheduler(command)).await?;
    Ok(At::shown(
        accepted.position,
        accepted.written(name.to_string(), Some(name.to_string())),
    ))
}

fn parse_name(text: &str) -> Result<Name, Fault> {
    Name::parse(text).map_err(|error| Fault::invalid("template.name", error.to_string()))
}

/// A text whose parameters all have defaults is read as a deploy would; of others, what they declare is.
fn check(name: &Name, text: &str) -> Result<(), Fault> {
    let parameters = parameters(name.as_str(), text)?;
    let Ok(values) = berth_compose::fit(&parameters, &BTreeMap::new()) else {
        return Ok(());
    };
    let mut environment = values.given;
    for (name, length) in values.generate {
        environment.insert(name, "x".repeat(length as usize));
    }
    let compose = ComposeSource {
        file_name: format!("template {name}"),
        text: text.to_owned(),
        environment,
        ..ComposeSource::default()
    };
    let read = deploy::parse(&compose, Some(name.as_str()), deploy::Purpose::Live);
    read.map(|_| ()).map_err(|faults| deploy::refused(&faults))
}
