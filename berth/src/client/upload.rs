//! A form with an order and a large file, and the lines that come back.

use super::{Client, http::accepted, stream::Lines};
use crate::exit::{Failure, Outcome};
use berth_api::IDEMPOTENCY_HEADER;
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use reqwest::{Body, Method, header};
use serde::Serialize;
use std::io;

/// A name of a file that has no meaning for the platform.
const FILE_NAME: &str = "context.tar.gz";

impl Client {
    /// Sends a form with the parts `order`, as JSON, and `context`, an archive. It is sent once: the archive cannot
    /// be read again.
    ///
    /// # Errors
    /// What the API answered, or why there is no answer.
    pub async fn upload(
        &self,
        path: &str,
        order: &impl Serialize,
        context: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Outcome<Lines> {
        let boundary = format!("berth-{}", uuid::Uuid::new_v4().simple());
        let order =
            serde_json::to_string(order).map_err(|error| Failure::from_error("write as JSON", &error))?;
        let before = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"order\"\r\nContent-Type: application/json\r\n\r\n\
             {order}\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"context\"; filename=\"{FILE_NAME}\"\r\n\
             Content-Type: application/gzip\r\n\r\n"
        );
        let after = format!("\r\n--{boundary}--\r\n");
        let part = |text: String| stream::iter([Ok(Bytes::from(text))]);
        let body = part(before).chain(context).chain(part(after));
        let response = self
            .request(Method::POST, path)
            .header(IDEMPOTENCY_HEADER, self.next_key())
            .header(
                header::CONTENT_TYPE,
                format!("multipart/form-data; boundary={boundary}"),
            )
            .body(Body::wrap_stream(body))
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        Ok(Lines::new(accepted(response).await?))
    }
}
