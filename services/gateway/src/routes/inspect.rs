//! Everything known of any object.

use crate::{
    app::Shared,
    auth::Reading,
    extract::{Read, Segment},
    history,
    problem::Fault,
    submit::At,
};
use axum::extract::State;
use berth_api::{Event, Inspection};
use berth_gateway_core::{ApiView, EventFilter, Found};
use berth_service_kit::Clock;
use serde::Serialize;

/// Events of an object that are shown.
const INSPECTED_EVENTS: usize = 50;

/// Shows everything known of an object, whatever it is: as its own route, and its last events.
#[utoipa::path(get, path = "/v1/inspect/{object}", tag = "platform",
    params(("object" = String, Path, description = "Id or name of any object")),
    responses((status = 200, description = "What is known", body = Inspection)))]
pub(crate) async fn inspect(
    State(app): State<Shared>,
    Read(caller): Read<Reading>,
    Segment(object): Segment,
) -> Result<At<Inspection>, Fault> {
    let position = app.view.position();
    let (mut inspection, filter) = app
        .view
        .read(|view| describe(view, view.find_any(&caller.access, &object)?))?;
    let events = history::last(&app, &caller.access, &filter, INSPECTED_EVENTS).await?;
    inspection.events = events.into_iter().rev().map(Event::from).collect();
    Ok(At::shown(position, inspection))
}

fn value(answer: &impl Serialize) -> Result<serde_json::Value, Fault> {
    serde_json::to_value(answer).map_err(|error| Fault::internal(error.to_string()))
}

fn describe(view: &ApiView, found: Found<'_>) -> Result<(Inspection, EventFilter), Fault> {
    let mut filter = EventFilter::default();
    let (kind, id, object) = match found {
        Found::Cluster(row) => {
            filter.cluster = Some(row.id);
            ("cluster", row.id.to_string(), value(&view.cluster(row))?)
        }
        Found::Node(row) => {
            filter.node = Some(row.id);
            ("node", row.id.to_string(), value(&view.node(row))?)
        }
        Found::Application(row) => {
            filter.application = Some(row.id);
            ("application", row.id.to_string(), value(&view.application(row))?)
        }
        Found::Container(row) => {
            filter.allocation = Some(row.id);
            ("container", row.id.to_string(), value(&view.container_why(row))?)
        }
        Found::Token(row) => {
            filter.stream = Some(format!("token/{}", row.id));
            ("token", row.id.to_string(), value(&row.answer(Clock::now()))?)
        }
    };
    let spec = match found {
        Found::Application(row) => Some(value(&row.spec)?),
        _ => None,
    };
    let inspection = Inspection {
        kind: kind.to_owned(),
        id,
        object,
        spec,
        events: Vec::new(),
    };
    Ok((inspection, filter))
}
