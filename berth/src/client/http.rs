//! Requests with retries that are safe: a write has one key for all its tries.

use super::{
    context::Resolved,
    problem::failure,
    stream::{Lines, SseStream},
};
use crate::exit::{Exit, Failure, Outcome, chain};
use berth_api::{API_TOKEN_PREFIX, IDEMPOTENCY_HEADER, MIN_POSITION_HEADER, Page, Problem};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Tries of one request while the platform answers 502, 503, 504, 429, or not at all.
const MAX_TRIES: u32 = 6;
/// Wait before the second try; doubled each time.
const FIRST_DELAY: Duration = Duration::from_millis(300);
/// The longest wait between two tries, also if the platform asks for more.
const MAX_DELAY: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest time of one request that is not a stream.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The most pages read of one list.
const MAX_PAGES: usize = 2_000;

/// Speaks to one platform.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
    /// Cluster to work in.
    pub cluster: Option<String>,
    /// Position of the last own write: reads wait for it.
    seen: Arc<AtomicU64>,
    /// Key of the command's writes, and how many there were.
    key: Option<String>,
    written: Arc<AtomicU64>,
}

/// Writes parameters behind a path; empty values are left out.
pub fn query(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut text = path.to_owned();
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        text.push(if text.contains('?') { '&' } else { '?' });
        text.push_str(name);
        text.push('=');
        text.push_str(&encode(value));
    }
    text
}

/// Percent-encodes what is not plain in a part of a URL.
pub fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

impl Client {
    /// Prepares a client; nothing is sent yet.
    ///
    /// # Errors
    /// The CA's certificate cannot be read, or the address is none.
    pub fn new(resolved: Resolved) -> Outcome<Self> {
        if !resolved.url.starts_with("https://") && !resolved.url.starts_with("http://") {
            let message = format!("`{}` is no address of a platform", resolved.url);
            return Err(Failure::usage(message).cure("write it like https://berth.example:7443"));
        }
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("berth/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = &resolved.ca {
            let certificates = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(|error| {
                Failure::usage(format!("the CA's certificate cannot be read: {}", chain(&error)))
            })?;
            builder = builder.tls_certs_only(certificates);
        }
        let http = builder
            .build()
            .map_err(|error| Failure::from_error("prepare HTTPS", &error))?;
        Ok(Self {
            http,
            base: resolved.url,
            token: resolved.token,
            cluster: resolved.cluster,
            seen: Arc::new(AtomicU64::new(0)),
            key: None,
            written: Arc::new(AtomicU64::new(0)),
        })
    }

    /// All writes have keys that come from this one, so that the command can be repeated.
    #[must_use]
    pub fn keyed(mut self, key: Option<String>) -> Self {
        self.key = key;
        self
    }

    /// The key of the next write: the one that was given, with a number from the second write on.
    pub(super) fn next_key(&self) -> String {
        let Some(key) = &self.key else {
            return berth_service_kit::new_id::<berth_ids::Uuid>().to_string();
        };
        match self.written.fetch_add(1, Ordering::Relaxed) {
            0 => key.clone(),
            before => format!("{key}/{}", before + 1),
        }
    }

    /// Address of the platform.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Later reads show everything up to a position.
    pub fn has_written(&self, position: u64) {
        self.seen.fetch_max(position, Ordering::Relaxed);
    }

    /// Reads one thing.
    ///
    /// # Errors
    /// What the API answered, or why there is no answer.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Outcome<T> {
        let response = self.send(Method::GET, path, None::<&()>, None).await?;
        read(path, response).await
    }

    /// Reads a list, all its pages.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn list<T: DeserializeOwned>(&self, path: &str) -> Outcome<Vec<T>> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        for _ in 0..MAX_PAGES {
            let page: Page<T> = self
                .get(&query(path, &[("limit", "500"), ("cursor", &cursor)]))
                .await?;
            items.extend(page.items);
            match page.next_cursor {
                Some(next) => cursor = next,
                None => return Ok(items),
            }
        }
        Err(Failure::other(format!("`{path}` has more than {MAX_PAGES} pages")).cure("narrow it down"))
    }

    /// Writes. All tries have one key, so that it is done once.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn write<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Outcome<T> {
        let key = self.next_key();
        let response = self.send(method, path, body, Some(&key)).await?;
        let value: serde_json::Value = read(path, response).await?;
        if let Some(position) = value.get("position").and_then(serde_json::Value::as_u64) {
            self.has_written(position);
        }
        serde_json::from_value(value).map_err(|error| shape(path, &error))
    }

    /// [`Client::write`] with `POST`.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Outcome<T> {
        self.write(Method::POST, path, Some(body)).await
    }

    /// [`Client::write`] with `DELETE`.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Outcome<T> {
        self.write(Method::DELETE, path, None::<&()>).await
    }

    /// Opens a stream of server-sent events.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn sse(&self, path: &str, last_event_id: Option<&str>) -> Outcome<SseStream> {
        let mut request = self
            .request(Method::GET, path)
            .header(header::ACCEPT, "text/event-stream");
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        Ok(SseStream::new(accepted(response).await?))
    }

    /// Opens a stream of lines.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn lines(&self, path: &str) -> Outcome<Lines> {
        let response = self
            .request(Method::GET, path)
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        Ok(Lines::new(accepted(response).await?))
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.trim());
        }
        request
    }

    async fn send<B: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
        key: Option<&str>,
    ) -> Outcome<Response> {
        let mut delay = FIRST_DELAY;
        let mut tried = 1;
        loop {
            let mut request = self.request(method.clone(), path).timeout(REQUEST_TIMEOUT);
            if let Some(body) = body {
                request = request.json(body);
            }
            match key {
                Some(key) => request = request.header(IDEMPOTENCY_HEADER, key),
                None => {
                    let position = self.seen.load(Ordering::Relaxed);
                    if position > 0 {
                        request = request.header(MIN_POSITION_HEADER, position);
                    }
                }
            }
            let wait = match request.send().await {
                Ok(response) if worth_another(response.status()) && tried < MAX_TRIES => {
                    retry_after(&response)
                }
                Ok(response) => return accepted(response).await,
                Err(error)
                    if tried < MAX_TRIES
                        && !refused_certificate(&error)
                        && !(tried > 2 && error.is_connect()) =>
                {
                    None
                }
                Err(error) => return Err(self.unreachable(&error)),
            };
            tried += 1;
            tokio::time::sleep(wait.unwrap_or(delay).min(MAX_DELAY)).await;
            delay = delay.saturating_mul(2);
        }
    }

    pub(super) fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let text = chain(error);
        let message = format!("the platform at {} does not answer: {text}", self.base);
        let refused = text.contains("certificate");
        let failure = Failure::new(if refused { Exit::Refused } else { Exit::Unavailable }, message);
        if text.contains("UnknownIssuer") {
            return failure.cure(
                "give its CA with --ca FILE or BERTH_CA; the server keeps it in its data folder as ca/ca.pem",
            );
        }
        if text.contains("xpired") {
            return failure.cure("its certificate has expired: look at the server's log");
        }
        failure.cure("see whether `berth server` runs there, and `journalctl -u berth-server`")
    }

    /// Whether a token is known that looks like one.
    pub fn has_token(&self) -> bool {
        self.token
            .as_deref()
            .is_some_and(|token| token.trim().starts_with(API_TOKEN_PREFIX))
    }
}

fn worth_another(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response
        .headers()
        .get(header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds))
}

fn refused_certificate(error: &reqwest::Error) -> bool {
    chain(error).contains("certificate")
}

pub(super) async fn accepted(response: Response) -> Outcome<Response> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let text = response.text().await.unwrap_or_default();
    let problem = serde_json::from_str::<Problem>(&text).unwrap_or_else(|_| Problem {
        status: status.as_u16(),
        title: status.to_string(),
        detail: format!("the platform answered {status}"),
        ..Problem::default()
    });
    let mut failed = failure(&problem);
    if status == StatusCode::UNAUTHORIZED && failed.cure.is_none() {
        failed = failed.cure("give a token with --token or BERTH_TOKEN, or `berth login`");
    }
    Err(failed)
}

async fn read<T: DeserializeOwned>(path: &str, response: Response) -> Outcome<T> {
    let bytes = response.bytes().await.map_err(|error| {
        Failure::new(
            Exit::Unavailable,
            format!("the answer to `{path}` broke off: {}", chain(&error)),
        )
    })?;
    serde_json::from_slice(&bytes).map_err(|error| shape(path, &error))
}

fn shape(path: &str, error: &serde_json::Error) -> Failure {
    Failure::other(format!("the answer to `{path}` does not have its shape: {error}"))
        .cure("see with `berth version` whether program and platform are of neighbouring releases")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded_and_empty_ones_left_out() {
        assert_eq!(
            query("/a", &[("x", "1 2"), ("y", ""), ("z", "ä/")]),
            "/a?x=1%202&z=%C3%A4%2F"
        );
    }
}
