//! A change on its way: command out, outcome back.

use crate::{app::App, extract::Order, problem::Fault};
use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use berth_api::{POSITION_HEADER, Page, Written};
use berth_events::{COMMAND_VERSION, Command, CommandBody, CommandOutcome, StreamName};
use berth_ids::{ClusterId, CommandId};
use berth_service_kit::{Clock, telemetry};
use serde::Serialize;

/// What came of a command that was not refused.
pub(crate) struct Accepted {
    pub(crate) position: u64,
    pub(crate) command_id: CommandId,
    pub(crate) result: serde_json::Value,
}

impl Accepted {
    /// A field of the result.
    pub(crate) fn field<T: serde::de::DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_value(self.result.get(name)?.clone()).ok()
    }

    /// The version of a stream that this change led to; none: nothing has changed.
    pub(crate) fn version_of(&self, stream: &StreamName) -> Option<u64> {
        self.result.get("versions")?.get(stream.as_str())?.as_u64()
    }

    /// The plain answer to a write.
    pub(crate) fn written(&self, id: impl ToString, name: Option<String>) -> Written {
        Written {
            position: self.position,
            command_id: self.command_id,
            id: id.to_string(),
            name,
        }
    }
}

impl App {
    /// Sends a command in the name of its caller and waits for what comes of it.
    pub(crate) async fn submit(
        &self,
        order: &Order,
        cluster: Option<ClusterId>,
        body: CommandBody,
    ) -> Result<Accepted, Fault> {
        let command = Command {
            version: COMMAND_VERSION,
            command_id: order.command_id,
            tenant: order.principal.tenant.clone(),
            actor: order.principal.actor.clone(),
            correlation_id: order.correlation_id,
            issued_at: Clock::now(),
            request_hash: order.request_hash.clone(),
            traceparent: telemetry::current_traceparent(),
            body,
        };
        self.send(&command, cluster).await
    }

    /// Sends a command and writes into the audit log what came of it.
    pub(crate) async fn send(
        &self,
        command: &Command,
        cluster: Option<ClusterId>,
    ) -> Result<Accepted, Fault> {
        let outcome = self.context.bus.submit(command, cluster).await;
        let (said, answer) = match outcome {
            Ok(CommandOutcome::Accepted { position, result }) => {
                let accepted = Accepted {
                    position,
                    command_id: command.command_id,
                    result,
                };
                ("accepted".to_owned(), Ok(accepted))
            }
            Ok(CommandOutcome::Rejected(rejection)) => (rejection.code.clone(), Err(rejection.into())),
            Err(error) => {
                let fault = Fault::from(error);
                (fault.code().to_owned(), Err(fault))
            }
        };
        tracing::info!(
            target: "audit",
            actor = command.actor,
            tenant = command.tenant,
            verb = command.body.verb(),
            command.id = %command.command_id,
            outcome = said,
            "write"
        );
        answer
    }
}

/// An answer with the position that it shows.
pub(crate) struct At<T> {
    pub(crate) status: StatusCode,
    pub(crate) position: u64,
    pub(crate) etag: Option<u64>,
    pub(crate) body: T,
}

impl<T> At<T> {
    /// The answer to a read.
    pub(crate) fn shown(position: u64, body: T) -> Self {
        Self {
            status: StatusCode::OK,
            position,
            etag: None,
            body,
        }
    }

    /// With the version for `If-Match`.
    pub(crate) fn versioned(mut self, version: u64) -> Self {
        self.etag = Some(version);
        self
    }

    /// With the version that a change led to, or that it was checked against and has left as it was.
    pub(crate) fn changed(mut self, accepted: &Accepted, stream: &StreamName, checked: Option<u64>) -> Self {
        self.etag = accepted.version_of(stream).or(checked);
        self
    }

    /// With another status than 200.
    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

impl<T> At<Page<T>> {
    /// A page of a list: its items, and the cursor of the next.
    pub(crate) fn page(position: u64, (items, next_cursor): (Vec<T>, Option<String>)) -> Self {
        Self::shown(
            position,
            Page {
                items,
                next_cursor,
                position,
            },
        )
    }
}

impl<T: Serialize> IntoResponse for At<T> {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            HeaderName::from_static(POSITION_HEADER),
            HeaderValue::from(self.position),
        );
        if let Some(version) = self.etag
            && let Ok(value) = HeaderValue::from_str(&format!("\"{version}\""))
        {
            headers.insert(header::ETAG, value);
        }
        response
    }
}
