//! Events: pages of the past, and a stream that goes on.

use crate::{
    app::Shared,
    auth::Reading,
    extract::{Params, Read},
    follow, history,
    problem::Fault,
    submit::At,
};
use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use berth_api::{Event, Page, schema::EventPage};
use berth_gateway_core::{Access, EventFilter, PageRequest};
use berth_ids::Timestamp;
use berth_service_kit::Clock;
use serde::Deserialize;
use std::time::Duration;
use utoipa::IntoParams;

/// Name of the list in cursors.
const LIST: &str = "events";
/// The longest `since`: a hundred years.
const MAX_SINCE_SECONDS: u64 = 100 * 366 * 24 * 3_600;

/// Which events, and from where on.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventQuery {
    /// About this cluster, by id or name.
    cluster: Option<String>,
    /// About this application, by id or name.
    application: Option<String>,
    /// About this node, by id or name.
    node: Option<String>,
    /// About this container.
    container: Option<String>,
    /// Of these types, separated by commas; `node.*` takes all that begin with `node.`.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    types: Option<String>,
    /// After this position, moment (RFC 3339) or age (`90s`, `15m`, `2h`, `7d`); absent: from the beginning.
    since: Option<String>,
    /// Only the last so many, 1 to 500. Not together with `since` and `cursor`.
    #[param(minimum = 1, maximum = 500)]
    last: Option<u32>,
    /// Items of a page, 1 to 500; absent: 100.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists events, oldest first; with `Accept: text/event-stream` follows the log.
///
/// In a stream each event's `id` is its position: `Last-Event-ID` goes on after it, without a hole. A
/// stream without `since` and `Last-Event-ID` begins now.
#[utoipa::path(get, path = "/v1/events", tag = "events",
    params(EventQuery, ("Last-Event-ID" = Option<u64>, Header, description = "Go on after this position")),
    responses((status = 200, description = "A page, or a stream of events", content(
        (EventPage = "application/json"), (Event = "text/event-stream")))))]
pub(crate) async fn list_events(
    State(app): State<Shared>,
    Read(caller): Read<Reading>,
    headers: HeaderMap,
    Params(query): Params<EventQuery>,
) -> Result<Response, Fault> {
    let access = caller.access;
    let filter = filter(&app, &access, &query)?;
    if follow::is_wanted(&headers) {
        let last_id = headers.get("last-event-id").and_then(|id| id.to_str().ok());
        let from = match (last_id, &query.since, query.last) {
            (Some(id), ..) => id.trim().parse().map_err(|_| {
                Fault::bad(
                    "events.last_event_id",
                    format!("`Last-Event-ID: {id}` is not a position"),
                )
            })?,
            (None, Some(since), _) => since_position(&app, since).await?,
            (None, None, Some(last)) => {
                let limit = PageRequest::new(LIST, None, Some(last))?.limit();
                let events = history::last(&app, &access, &filter, limit).await?;
                events
                    .first()
                    .map_or(app.view.position(), |event| event.position.saturating_sub(1))
            }
            (None, None, None) => app.view.position(),
        };
        return follow::stream(app, access, filter, from);
    }
    let body = page(&app, &access, &filter, &query).await?;
    Ok(([(header::VARY, "accept")], At::shown(body.position, body)).into_response())
}

async fn page(
    app: &Shared,
    access: &Access,
    filter: &EventFilter,
    query: &EventQuery,
) -> Result<Page<Event>, Fault> {
    let position = app.view.position();
    if let Some(last) = query.last {
        if query.since.is_some() || query.cursor.is_some() {
            return Err(Fault::bad(
                "events.last",
                "`last` does not go together with `since` or `cursor`",
            ));
        }
        let limit = PageRequest::new(LIST, None, Some(last))?.limit();
        let events = history::last(app, access, filter, limit).await?;
        let items = events.into_iter().map(Event::from).collect();
        return Ok(Page {
            items,
            next_cursor: None,
            position,
        });
    }
    let request = PageRequest::new(LIST, query.cursor.as_deref(), query.limit)?;
    let from = match (request.after_key(), &query.since) {
        (Some(key), _) => key
            .parse()
            .map_err(|_| Fault::from(berth_gateway_core::CursorError::Foreign))?,
        (None, Some(since)) => since_position(app, since).await?,
        (None, None) => 0,
    };
    let found = history::after(app, access, filter, from, request.limit()).await?;
    Ok(Page {
        items: found.events.into_iter().map(Event::from).collect(),
        next_cursor: found.more.then(|| request.cursor(found.reached, "").encode()),
        position,
    })
}

fn filter(app: &Shared, access: &Access, query: &EventQuery) -> Result<EventFilter, Fault> {
    let cluster = app.cluster_id(access, query.cluster.as_deref())?;
    let types = query.types.iter().flat_map(|types| types.split(','));
    let types = types
        .map(|word| word.trim().to_owned())
        .filter(|word| !word.is_empty())
        .collect();
    app.view.read(|view| {
        let application = query.application.as_deref();
        let application = application
            .map(|text| view.find_application(access, text, cluster))
            .transpose()?;
        let node = query.node.as_deref();
        let node = node
            .map(|text| view.find_node(access, text, cluster))
            .transpose()?;
        let container = query.container.as_deref();
        let container = container
            .map(|text| view.find_container(access, text))
            .transpose()?;
        Ok(EventFilter {
            cluster,
            node: node.map(|row| row.id),
            application: application.map(|row| row.id),
            allocation: container.map(|row| row.id),
            stream: None,
            types,
        })
    })
}

/// What `since` means.
#[derive(Debug, PartialEq, Eq)]
enum Since {
    Position(u64),
    Moment(Timestamp),
}

async fn since_position(app: &Shared, text: &str) -> Result<u64, Fault> {
    match since(text, Clock::now()) {
        Some(Since::Position(position)) => Ok(position),
        Some(Since::Moment(moment)) => history::before(app, moment).await,
        None => Err(Fault::bad(
            "events.since",
            format!("`since={text}` is neither a position, nor a moment, nor an age"),
        )
        .cure("send 42, 2026-11-24T10:00:00Z or 15m")),
    }
}

fn since(text: &str, now: Timestamp) -> Option<Since> {
    if let Ok(position) = text.parse() {
        return Some(Since::Position(position));
    }
    if let Ok(moment) = text.parse() {
        return Some(Since::Moment(moment));
    }
    let unit = text.chars().last()?;
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 24 * 3_600,
        _ => return None,
    };
    let age = number
        .checked_mul(seconds)
        .filter(|age| *age <= MAX_SINCE_SECONDS)?;
    let micros = i64::try_from(Duration::from_secs(age).as_micros()).ok()?;
    Some(Since::Moment(Timestamp::from_micros(
        now.as_micros().saturating_sub(micros),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_position_a_moment_or_an_age() {
        let now = Timestamp::from_millis(10_000_000);
        assert_eq!(since("42", now), Some(Since::Position(42)));
        assert_eq!(
            since("15m", now),
            Some(Since::Moment(Timestamp::from_millis(9_100_000)))
        );
        assert_eq!(
            since("1970-01-01T00:00:01Z", now),
            Some(Since::Moment(Timestamp::from_millis(1_000)))
        );
        for wrong in ["", "m", "5y", "-1s", "99999999999999d", "tomorrow", "5ü"] {
            assert_eq!(since(wrong, now), None, "{wrong}");
        }
    }
}
