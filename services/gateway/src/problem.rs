//! Errors as callers see them (RFC 9457), and the one place where each kind gets its status.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use berth_api::{Diagnostic, PROBLEM_TYPE, Problem};
use berth_bus::{AskError, SubmitError};
use berth_events::{Rejection, RejectionKind};
use berth_gateway_core::{CursorError, FindError};
use berth_service_kit::{Lagging, LogError};

/// Code of a read whose view is not there in time.
pub(crate) const LAGGING: &str = "read.lagging";

/// After how many seconds a caller should try again what was not possible now.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Why a request was not carried out.
#[derive(Debug, Clone)]
pub(crate) struct Fault(Box<Problem>);

impl Fault {
    /// An error with status, code and what is the matter.
    pub(crate) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem {
            problem_type: format!("urn:berth:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            code: code.to_owned(),
            detail: detail.into(),
            ..Problem::default()
        }))
    }

    /// With what to do about it.
    pub(crate) fn cure(mut self, cure: impl Into<String>) -> Self {
        self.0.cure = Some(cure.into());
        self
    }

    /// With faults and their places.
    pub(crate) fn errors(mut self, errors: Vec<Diagnostic>) -> Self {
        self.0.errors = errors;
        self
    }

    /// The request does not make sense.
    pub(crate) fn bad(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// The content breaks a rule.
    pub(crate) fn invalid(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    /// Nobody is known to have this token.
    pub(crate) fn unauthorized(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, detail)
    }

    /// The principal may not.
    pub(crate) fn forbidden(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail)
    }

    /// Not now.
    pub(crate) fn unavailable(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).cure("try again in a moment")
    }

    /// A fault of our own.
    pub(crate) fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "gateway.internal", detail)
            .cure("report it with the trace id")
    }

    /// The code, for logs.
    pub(crate) fn code(&self) -> &str {
        &self.0.code
    }
}

/// The HTTP status of a refusal: here and nowhere else.
const fn status_of(kind: RejectionKind) -> StatusCode {
    match kind {
        RejectionKind::NotFound => StatusCode::NOT_FOUND,
        RejectionKind::Conflict => StatusCode::CONFLICT,
        RejectionKind::VersionMismatch => StatusCode::PRECONDITION_FAILED,
        RejectionKind::Invalid | RejectionKind::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
        RejectionKind::Forbidden => StatusCode::FORBIDDEN,
        RejectionKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Self {
        let mut fault = Self::new(status_of(rejection.kind), &rejection.code, rejection.message);
        fault.0.cure = rejection.cure;
        fault
    }
}

impl From<AskError> for Fault {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Refused(rejection) => rejection.into(),
            AskError::Silent { service, .. } => {
                Self::unavailable("service.silent", format!("service `{service}` does not answer"))
            }
        }
    }
}

impl From<SubmitError> for Fault {
    fn from(error: SubmitError) -> Self {
        let detail = error.to_string();
        match error {
            SubmitError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "command.too_large", detail)
                    .cure("split the application, or make its file smaller")
            }
            SubmitError::NotTaken(_) => Self::unavailable("bus.unavailable", detail),
            SubmitError::Unknown(id) => {
                let mut fault = Self::new(StatusCode::GATEWAY_TIMEOUT, "command.unknown", detail)
                    .cure("repeat it with the same Idempotency-Key, or ask GET /v1/commands/{command_id}");
                fault.0.command_id = Some(id);
                fault
            }
        }
    }
}

impl From<Lagging> for Fault {
    fn from(lagging: Lagging) -> Self {
        Self::unavailable(LAGGING, lagging.to_string())
    }
}

impl From<LogError> for Fault {
    fn from(error: LogError) -> Self {
        tracing::warn!(%error, "the log could not be read");
        Self::unavailable("log.unavailable", "the log cannot be read now")
    }
}

impl From<FindError> for Fault {
    fn from(error: FindError) -> Self {
        let detail = error.to_string();
        match error {
            FindError::Missing { kind, .. } => {
                Self::new(StatusCode::NOT_FOUND, &format!("{kind}.not_found"), detail)
                    .cure("list what is there, and call it by id or name")
            }
            FindError::Ambiguous { kind, .. } => {
                Self::new(StatusCode::CONFLICT, &format!("{kind}.ambiguous"), detail)
                    .cure("call it by id, or name its cluster with `?cluster=`")
            }
        }
    }
}

impl From<CursorError> for Fault {
    fn from(error: CursorError) -> Self {
        Self::bad("page.invalid", error.to_string())
    }
}

impl IntoResponse for Fault {
    fn into_response(mut self) -> Response {
        self.0.trace_id = trace_id();
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(&*self.0)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE));
        match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, RETRY_AFTER);
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}

/// Trace of the current request.
pub(crate) fn trace_id() -> Option<String> {
    let traceparent = berth_service_kit::telemetry::current_traceparent()?;
    traceparent.split('-').nth(1).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn body(fault: Fault) -> (Response<()>, Problem) {
        let (parts, body) = fault.into_response().into_parts();
        let bytes = axum::body::to_bytes(body, 10_000).await.unwrap();
        (
            Response::from_parts(parts, ()),
            serde_json::from_slice(&bytes).unwrap(),
        )
    }

    #[tokio::test]
    async fn a_refusal_keeps_its_code_and_cure() {
        let rejection = Rejection {
            kind: RejectionKind::Conflict,
            code: "cluster.name_taken".into(),
            message: "the name is taken".into(),
            cure: Some("take another".into()),
        };
        let (response, problem) = body(rejection.into()).await;
        assert_eq!(response.status(), 409);
        assert_eq!(response.headers()["content-type"], PROBLEM_TYPE);
        assert_eq!(problem.code, "cluster.name_taken");
        assert_eq!(problem.problem_type, "urn:berth:problem:cluster.name_taken");
        assert_eq!(problem.cure.as_deref(), Some("take another"));
    }

    #[tokio::test]
    async fn every_kind_of_refusal_has_its_status() {
        for (kind, status) in [
            (RejectionKind::NotFound, 404),
            (RejectionKind::Conflict, 409),
            (RejectionKind::VersionMismatch, 412),
            (RejectionKind::Invalid, 422),
            (RejectionKind::Forbidden, 403),
            (RejectionKind::KeyReused, 422),
            (RejectionKind::Unavailable, 503),
        ] {
            assert_eq!(status_of(kind).as_u16(), status, "{kind:?}");
        }
    }

    #[tokio::test]
    async fn an_unknown_outcome_names_the_command_and_never_says_accepted() {
        let id = berth_ids::CommandId::from_u128(7);
        let (response, problem) = body(SubmitError::Unknown(id).into()).await;
        assert_eq!(response.status(), 504);
        assert_eq!(problem.command_id, Some(id));
    }

    #[tokio::test]
    async fn what_may_work_later_says_when() {
        let (response, _) = body(Fault::unavailable("x", "y")).await;
        assert_eq!(response.headers()["retry-after"], "1");
    }
}
