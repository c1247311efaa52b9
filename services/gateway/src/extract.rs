//! What handlers take out of a request, with every failure as a problem.

use crate::{
    app::{App, Shared},
    auth::{Caller, Need},
    problem::Fault,
};
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
};
use berth_api::{Diagnostic, IDEMPOTENCY_HEADER, MAX_BODY_BYTES, MIN_POSITION_HEADER, Severity};
use berth_events::Principal;
use berth_gateway_core::Access;
use berth_ids::{CommandId, CorrelationId, Uuid};
use berth_service_kit::{derived_id, new_id};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// The longest `Idempotency-Key`.
const MAX_KEY_CHARS: usize = 256;
/// The longest time that a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The part of the path in braces; several: a tuple.
pub(crate) struct Segment<T = String>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Segment<T> {
    type Rejection = Fault;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let Path(text) = Path::<T>::from_request_parts(parts, state)
            .await
            .map_err(|error| Fault::bad("request.path", error.body_text()))?;
        Ok(Self(text))
    }
}

/// The query.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Fault;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let Query(query) = Query::<T>::from_request_parts(parts, state)
            .await
            .map_err(|error| Fault::bad("request.query", error.body_text()))?;
        Ok(Self(query))
    }
}

/// A read: its caller may, and the read model shows what `Min-Position` asks for.
pub(crate) struct Read<N>(pub(crate) Caller<N>);

impl<N: Need> FromRequestParts<Shared> for Read<N> {
    type Rejection = Fault;
    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Fault> {
        let caller = Caller::of(app, &parts.headers).await?;
        reach(app, &parts.headers).await?;
        Ok(Self(caller))
    }
}

/// Waits for the position that the caller has seen elsewhere.
async fn reach(app: &App, headers: &HeaderMap) -> Result<(), Fault> {
    let Some(text) = headers.get(MIN_POSITION_HEADER) else {
        return Ok(());
    };
    let wanted: u64 = text
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| {
            Fault::bad("request.min_position", "`Min-Position` is not a position")
                .cure("send a number such as 42")
        })?;
    if app.view.position() >= wanted {
        return Ok(());
    }
    let head = app.context.log().head().await?;
    if wanted > head {
        return Err(Fault::bad(
            "request.min_position",
            format!("`Min-Position` is {wanted}, but the log ends at {head}"),
        )
        .cure("send a position that an answer of this platform has named"));
    }
    app.view.at_least(wanted).await?;
    Ok(())
}

/// Who wants a change, and how it is told from others.
pub(crate) struct Order {
    pub(crate) principal: Principal,
    pub(crate) access: Access,
    /// Key of idempotency.
    pub(crate) command_id: CommandId,
    /// The caller gave a key, so this may be a repeat.
    pub(crate) keyed: bool,
    pub(crate) request_hash: String,
    pub(crate) correlation_id: CorrelationId,
    /// From `If-Match`.
    pub(crate) expected_version: Option<u64>,
}

impl Order {
    /// An id for what the command makes, the same in a repeat.
    pub(crate) fn derived<T: From<Uuid>>(&self, what: &str) -> T {
        derived_id(self.command_id.as_uuid(), what)
    }
}

/// A write with a body: its caller may, and its command has an id.
pub(crate) struct Write<N, T> {
    pub(crate) order: Order,
    pub(crate) caller: Caller<N>,
    pub(crate) body: T,
}

/// No body at all.
#[derive(serde::Deserialize)]
pub(crate) struct NoBody {}

impl<N: Need, T: DeserializeOwned> FromRequest<Shared> for Write<N, T> {
    type Rejection = Fault;
    async fn from_request(request: Request, app: &Shared) -> Result<Self, Fault> {
        let caller = Caller::<N>::of(app, request.headers()).await?;
        let (parts, bytes) = received(request).await?;
        let body = parsed(&parts.headers, &bytes)?;
        let key = idempotency_key(&parts.headers)?;
        let command_id = match &key {
            Some(key) => command_id(&caller.principal, key),
            None => new_id(),
        };
        let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
        let order = Order {
            principal: caller.principal.clone(),
            access: caller.access.clone(),
            command_id,
            keyed: key.is_some(),
            request_hash: request_hash(&parts.method, target, &bytes),
            correlation_id: new_id(),
            expected_version: if_match(&parts.headers)?,
        };
        Ok(Self { order, caller, body })
    }
}

/// A body that is read by nobody known: only joining has it.
pub(crate) struct Open<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Shared> for Open<T> {
    type Rejection = Fault;
    async fn from_request(request: Request, _: &Shared) -> Result<Self, Fault> {
        let (parts, bytes) = received(request).await?;
        parsed(&parts.headers, &bytes).map(Self)
    }
}

async fn received(request: Request) -> Result<(Parts, Bytes), Fault> {
    let (parts, body) = request.into_parts();
    let read = axum::body::to_bytes(body, MAX_BODY_BYTES);
    match tokio::time::timeout(BODY_TIMEOUT, read).await {
        Ok(Ok(bytes)) => Ok((parts, bytes)),
        Ok(Err(_)) => Err(Fault::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request.too_large",
            format!("the body has more than {MAX_BODY_BYTES} bytes, or broke off"),
        )
        .cure("send less: a Compose file needs no data in it")),
        Err(_) => Err(Fault::new(
            StatusCode::REQUEST_TIMEOUT,
            "request.slow",
            format!("the body did not arrive within {} s", BODY_TIMEOUT.as_secs()),
        )),
    }
}

fn parsed<T: DeserializeOwned>(headers: &HeaderMap, bytes: &Bytes) -> Result<T, Fault> {
    if bytes.is_empty() {
        return from_json(b"{}");
    }
    let media = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = media
        .and_then(|media| media.split(';').next())
        .unwrap_or_default()
        .trim();
    if !(essence.eq_ignore_ascii_case("application/json") || essence.ends_with("+json")) {
        return Err(Fault::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "request.media_type",
            "the body is not said to be JSON",
        )
        .cure("send `Content-Type: application/json`"));
    }
    from_json(bytes)
}

fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes).map_err(|error| {
        let place = Diagnostic {
            severity: Severity::Error,
            code: "request.body".into(),
            message: error.to_string(),
            line: u32::try_from(error.line()).unwrap_or(0),
            column: u32::try_from(error.column()).unwrap_or(0),
            ..Diagnostic::default()
        };
        let fault = if error.is_data() {
            Fault::invalid(
                "request.shape",
                format!("the body does not have its shape: {error}"),
            )
        } else {
            Fault::bad("request.json", format!("the body is not JSON: {error}"))
        };
        fault.cure("see /docs for the shape").errors(vec![place])
    })
}

pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Fault> {
    let Some(value) = headers.get(IDEMPOTENCY_HEADER) else {
        return Ok(None);
    };
    let key = value.to_str().unwrap_or_default().trim();
    if key.is_empty() || key.len() > MAX_KEY_CHARS {
        return Err(Fault::bad(
            "request.idempotency_key",
            format!("`Idempotency-Key` has 1 to {MAX_KEY_CHARS} visible ASCII characters"),
        ));
    }
    Ok(Some(key.to_owned()))
}

/// `uuid5(principal, key)`: two principals never share a command.
pub(crate) fn command_id(principal: &Principal, key: &str) -> CommandId {
    let speaker = format!("{}/{}", principal.tenant, principal.actor);
    derived_id(Uuid::new_v5(&Uuid::NAMESPACE_OID, speaker.as_bytes()), key)
}

/// SHA-256 of method, target and body, each with its length before it.
pub(crate) fn request_hash(method: &Method, target: &str, body: &[u8]) -> String {
    let mut sha = Sha256::new();
    for part in [method.as_str().as_bytes(), target.as_bytes(), body] {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part);
    }
    hex::encode(sha.finalize())
}

fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Fault> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let version = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    version
        .and_then(|version| version.parse().ok())
        .map(Some)
        .ok_or_else(|| {
            Fault::bad(
                "request.if_match",
                format!("`If-Match: {text}` is not an ETag of this API"),
            )
            .cure("send the `ETag` of an answer as it is, quotes included")
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn with(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn if_match_takes_our_etags_only() {
        assert_eq!(if_match(&HeaderMap::new()).unwrap(), None);
        assert_eq!(if_match(&with(header::IF_MATCH, "\"12\"")).unwrap(), Some(12));
        assert_eq!(if_match(&with(header::IF_MATCH, "*")).unwrap(), None);
        for wrong in ["12", "W/\"12\"", "\"x\"", "\"1\", \"2\""] {
            assert!(if_match(&with(header::IF_MATCH, wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_same_key_of_two_principals_is_two_commands() {
        let who = |actor: &str| Principal {
            actor: actor.into(),
            tenant: "main".into(),
            scopes: Default::default(),
            clusters: Default::default(),
        };
        assert_eq!(command_id(&who("a"), "k"), command_id(&who("a"), "k"));
        assert_ne!(command_id(&who("a"), "k"), command_id(&who("b"), "k"));
        assert_ne!(command_id(&who("a"), "k"), command_id(&who("a"), "l"));
    }

    #[test]
    fn the_hash_tells_path_from_body() {
        let hash = |target: &str, body: &str| request_hash(&Method::POST, target, body.as_bytes());
        assert_ne!(hash("/a", "b"), hash("/ab", ""));
        assert_eq!(hash("/a", "b"), hash("/a", "b"));
    }

    #[test]
    fn a_wrong_body_names_its_place() {
        let headers = with(header::CONTENT_TYPE, "application/json");
        let parse = |text: &'static str| {
            parsed::<berth_api::Scale>(&headers, &Bytes::from_static(text.as_bytes())).unwrap_err()
        };
        assert_eq!(parse("{\n x").code(), "request.json");
        assert_eq!(parse("{\"service\": 3}").code(), "request.shape");
        assert_eq!(
            parse("{\"service\":\"a\",\"replicas\":1,\"repilcas\":2}").code(),
            "request.shape"
        );
    }
}
