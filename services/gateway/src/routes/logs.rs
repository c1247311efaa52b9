//! Logs of a container, as its node's engine has them.

use crate::{
    app::Shared,
    auth::Reading,
    extract::{Params, Read, Segment},
    follow,
    problem::Fault,
    session::{Session, Target},
};
use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response, sse},
};
use berth_api::LogLine;
use berth_events::OpenLog;
use berth_ids::Timestamp;
use futures::StreamExt;
use serde::Deserialize;
use std::{convert::Infallible, time::Duration};
use tokio_stream::wrappers::ReceiverStream;
use utoipa::IntoParams;
use uuid::Uuid;

/// Media type of one JSON object a line.
const NDJSON: &str = "application/x-ndjson";
/// The most lines from the end.
const MAX_TAIL: u32 = 100_000;
/// Time between two signs of life of an event stream.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Which lines.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogQuery {
    /// Go on with new lines when the end is reached.
    #[serde(default)]
    follow: bool,
    /// Only the last so many lines; absent: all.
    tail: Option<u32>,
    /// Not before this moment (RFC 3339).
    #[param(value_type = Option<String>)]
    since: Option<Timestamp>,
    /// Put the engine's time before each line.
    #[serde(default)]
    timestamps: bool,
}

/// Streams the logs of a container: one JSON object a line, or with `Accept: text/event-stream` one an event.
///
/// A line whose `stream` is `error` is the last: the stream ended before its end, and `text` says why.
#[utoipa::path(get, path = "/v1/containers/{container}/logs", tag = "containers",
    params(("container" = String, Path, description = "Id, its beginning, or name or id in the engine"),
        LogQuery),
    responses((status = 200, description = "Lines", content(
        (LogLine = "application/x-ndjson"), (LogLine = "text/event-stream")))))]
pub(crate) async fn container_logs(
    State(app): State<Shared>,
    Read(caller): Read<Reading>,
    Segment(container): Segment,
    headers: HeaderMap,
    Params(query): Params<LogQuery>,
) -> Result<Response, Fault> {
    if query.tail.is_some_and(|tail| tail > MAX_TAIL) {
        return Err(Fault::bad("logs.tail", format!("`tail` is more than {MAX_TAIL}")));
    }
    let (allocation_id, node_id, cluster_id) = app.view.read(|view| {
        view.find_container(&caller.access, &container)
            .map(|row| (row.id, row.node_id, row.cluster_id))
    })?;
    let session = Uuid::new_v4().simple().to_string();
    let open = OpenLog {
        allocation_id,
        follow: query.follow,
        tail: query.tail,
        since: query.since,
        timestamps: query.timestamps,
        session: Some(session.clone()),
    };
    let target = Target {
        cluster_id,
        node_id,
        session,
        open,
    };
    let lines = Session::open(app, target).await?;
    let lines = ReceiverStream::new(lines);
    let no_store = [(header::CACHE_CONTROL, "no-store"), (header::VARY, "accept")];
    if follow::is_wanted(&headers) {
        let events = lines.map(|line| Ok::<_, Infallible>(frame(&line)));
        let heartbeat = sse::KeepAlive::new().interval(HEARTBEAT).text("alive");
        return Ok((no_store, sse::Sse::new(events).keep_alive(heartbeat)).into_response());
    }
    let body = Body::from_stream(lines.map(|line| Ok::<_, Infallible>(text(&line))));
    Ok((no_store, [(header::CONTENT_TYPE, NDJSON)], body).into_response())
}

fn text(line: &LogLine) -> Bytes {
    // Two texts always have a JSON form.
    let mut text = serde_json::to_vec(line).unwrap_or_default();
    text.push(b'\n');
    text.into()
}

fn frame(line: &LogLine) -> sse::Event {
    let name = if line.stream == "error" { "error" } else { "line" };
    let event = sse::Event::default().event(name);
    event.json_data(line).unwrap_or_default()
}
