//! A form with an order and a large file, taken piece by piece.

use crate::{
    app::Shared,
    auth::{Caller, Need},
    build::{Piece, pieces},
    extract::{Order, command_id, idempotency_key, request_hash},
    problem::Fault,
};
use axum::{
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, Multipart, Request, multipart::Field},
    http::StatusCode,
};
use berth_api::{MAX_BUILD_ORDER_BYTES, MAX_CONTEXT_BYTES};
use berth_service_kit::new_id;
use serde::de::DeserializeOwned;
use std::{marker::PhantomData, time::Duration};
use tokio::sync::mpsc;

/// The longest wait for the next piece.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);
/// What a form may have besides the file: the order, and the lines between the parts.
const MAX_REST_BYTES: usize = MAX_BUILD_ORDER_BYTES + 64 * 1024;

/// A form whose first part is read, and whose second is still coming.
pub(crate) struct Upload<N, T> {
    pub(crate) order: Order,
    /// The part `order`.
    pub(crate) body: T,
    form: Multipart,
    need: PhantomData<N>,
}

impl<N: Need, T: DeserializeOwned> FromRequest<Shared> for Upload<N, T> {
    type Rejection = Fault;
    async fn from_request(mut request: Request, app: &Shared) -> Result<Self, Fault> {
        let caller = Caller::<N>::of(app, request.headers()).await?;
        let key = idempotency_key(request.headers())?;
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let most = usize::try_from(MAX_CONTEXT_BYTES).unwrap_or(usize::MAX);
        DefaultBodyLimit::max(most.saturating_add(MAX_REST_BYTES)).apply(&mut request);
        let mut form = Multipart::from_request(request, app).await.map_err(|error| {
            Fault::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "request.media_type",
                error.body_text(),
            )
            .cure("send `Content-Type: multipart/form-data` with the parts `order` and `context`")
        })?;
        let bytes = order_of(&mut form).await?;
        let body = serde_json::from_slice(&bytes).map_err(|error| {
            let detail = format!("the part `order` does not have its shape: {error}");
            Fault::invalid("request.shape", detail).cure("see /docs for the shape")
        })?;
        let command_id = match &key {
            Some(key) => command_id(&caller.principal, key),
            None => new_id(),
        };
        let target = uri.path_and_query().map_or("", |target| target.as_str());
        let order = Order {
            principal: caller.principal.clone(),
            access: caller.access.clone(),
            command_id,
            keyed: key.is_some(),
            request_hash: request_hash(&method, target, &bytes),
            correlation_id: new_id(),
            expected_version: None,
        };
        Ok(Self {
            order,
            body,
            form,
            need: PhantomData,
        })
    }
}

async fn order_of(form: &mut Multipart) -> Result<Bytes, Fault> {
    let mut field = part(form, "order").await?;
    let mut bytes = Vec::new();
    while let Some(piece) = piece(&mut field).await? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > MAX_BUILD_ORDER_BYTES {
            let detail = format!("the part `order` has more than {MAX_BUILD_ORDER_BYTES} bytes");
            return Err(Fault::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "request.too_large",
                detail,
            ));
        }
    }
    Ok(bytes.into())
}

/// The next part, which must have this name.
async fn part<'f>(form: &'f mut Multipart, name: &str) -> Result<Field<'f>, Fault> {
    let next = tokio::time::timeout(PIECE_TIMEOUT, form.next_field()).await;
    let field = next
        .map_err(|_| slow())?
        .map_err(|error| Fault::bad("request.form", error.body_text()))?;
    field.filter(|field| field.name() == Some(name)).ok_or_else(|| {
        Fault::bad(
            "request.form",
            format!("the part `{name}` is not there where it is due"),
        )
        .cure("send the part `order`, as JSON, and behind it the part `context`, a tar archive")
    })
}

async fn piece(field: &mut Field<'_>) -> Result<Option<Bytes>, Fault> {
    let next = tokio::time::timeout(PIECE_TIMEOUT, field.chunk()).await;
    next.map_err(|_| slow())?.map_err(|error| {
        let status = error.status();
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            return too_large();
        }
        Fault::new(status, "request.form", error.body_text())
    })
}

fn slow() -> Fault {
    let detail = format!("nothing came for {} s", PIECE_TIMEOUT.as_secs());
    Fault::new(StatusCode::REQUEST_TIMEOUT, "request.slow", detail)
}

fn too_large() -> Fault {
    let detail = format!("the context has more than {MAX_CONTEXT_BYTES} bytes");
    Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "build.context_size", detail)
        .cure("leave out by .dockerignore what the image does not need")
}

impl<N, T> Upload<N, T> {
    /// Hands the part `context` on, piece by piece. When no more are wanted, the rest is read and dropped, so that
    /// the client hears the answer.
    pub(crate) async fn context(&mut self, to: &mpsc::Sender<Piece>) -> Result<(), Fault> {
        let mut field = part(&mut self.form, "context").await?;
        let mut sum = 0_u64;
        while let Some(bytes) = piece(&mut field).await? {
            sum = sum.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            if sum > MAX_CONTEXT_BYTES {
                return Err(too_large());
            }
            for piece in pieces(&bytes) {
                if to.send(Piece::Bytes(piece)).await.is_err() {
                    break;
                }
            }
        }
        // Closed: it has ended already, and its lines say how.
        let _ = to.send(Piece::End).await;
        Ok(())
    }
}
