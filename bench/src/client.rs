//! The platform as a program uses it: REST, and the stream of events.

use crate::moment;
use anyhow::{Context, Result, ensure};
use berth_api::{ComposeSource, Deploy, Deployed, IDEMPOTENCY_HEADER};
use berth_e2e::Platform;
use berth_events::Recorded;
use berth_ids::{Name, Timestamp};
use futures::StreamExt;
use std::time::Duration;
use tokio::{sync::mpsc, time::timeout};
use uuid::Uuid;

/// Events held for a benchmark that does not read.
const BUFFERED_EVENTS: usize = 65_536;
/// Streams opened for one follower, and the wait before each but the first.
const MAX_STREAMS: u32 = 1_000;
const REOPEN_DELAY: Duration = Duration::from_millis(20);
/// The longest request.
const REQUEST_PATIENCE: Duration = Duration::from_secs(30);

/// Speaks to a platform over loopback.
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

/// An event and when it was seen here.
pub struct Seen {
    /// The event.
    pub event: Recorded,
    /// When it came.
    pub arrived: Timestamp,
}

/// New events, in order.
pub struct Follower {
    events: mpsc::Receiver<Result<Seen>>,
}

/// What a deploy was, and when.
pub struct Sent {
    /// The application.
    pub application: String,
    /// Just before the request was sent.
    pub asked: Timestamp,
    /// When the answer was there.
    pub answered: Timestamp,
}

impl Client {
    /// With the token that the platform wrote for this machine.
    pub fn of(platform: &Platform) -> Result<Self> {
        let path = platform.data().join("client.toml");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("could not read `{}`", path.display()))?;
        let table: toml::Table = text.parse()?;
        let token = table.get("token").and_then(toml::Value::as_str);
        Ok(Self {
            http: reqwest::Client::builder().build()?,
            base: platform.http(),
            token: token
                .with_context(|| format!("`{}` has no token", path.display()))?
                .to_owned(),
        })
    }

    /// Deploys a Compose text.
    pub async fn deploy(&self, name: &str, compose: &str) -> Result<Sent> {
        let body = Deploy {
            name: Some(name.parse::<Name>()?),
            compose: Some(ComposeSource {
                file_name: "compose.yml".into(),
                text: compose.to_owned(),
                ..ComposeSource::default()
            }),
            image: None,
            template: None,
            method: Default::default(),
        };
        let request = self
            .http
            .post(format!("{}/v1/clusters/main/applications", self.base));
        let request = self.prepared(request).json(&body);
        let asked = moment::now();
        let answer: Deployed = serde_json::from_str(&accepted(request).await?)?;
        ensure!(
            answer.release_id.is_some(),
            "the deploy of {name} changed nothing"
        );
        Ok(Sent {
            application: answer.application_id.to_string(),
            asked,
            answered: moment::now(),
        })
    }

    /// Removes an application.
    pub async fn remove(&self, application: &str) -> Result<()> {
        let request = self
            .http
            .delete(format!("{}/v1/applications/{application}", self.base));
        accepted(self.prepared(request)).await?;
        Ok(())
    }

    /// Follows the log from now on, across streams that the platform ends: it does so when it is behind.
    pub async fn follow(&self) -> Result<Follower> {
        let (http, url) = (self.http.clone(), format!("{}/v1/events", self.base));
        let token = self.token.clone();
        let page = self.http.get(format!("{url}?last=1")).bearer_auth(&token);
        let page: serde_json::Value = serde_json::from_str(&accepted(page).await?)?;
        let mut last = page["position"].as_u64();
        let open = async move |last: Option<u64>| {
            let mut request = http.get(&url).bearer_auth(&token);
            request = request.header(reqwest::header::ACCEPT, "text/event-stream");
            if let Some(position) = last {
                request = request.header("last-event-id", position);
            }
            anyhow::Ok(request.send().await?.error_for_status()?)
        };
        let mut response = open(last).await?;
        let (sender, events) = mpsc::channel(BUFFERED_EVENTS);
        tokio::spawn(async move {
            for _ in 0..MAX_STREAMS {
                let ended = match read(response, &sender, &mut last).await {
                    Ok(()) => open(last).await,
                    Err(error) => Err(error),
                };
                match ended {
                    Ok(next) => response = next,
                    Err(error) => {
                        // Nobody follows any more: then nobody needs to know.
                        let _ = sender.send(Err(error)).await;
                        return;
                    }
                }
                tokio::time::sleep(REOPEN_DELAY).await;
            }
        });
        Ok(Follower { events })
    }

    fn prepared(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        request
            .bearer_auth(&self.token)
            .header(IDEMPOTENCY_HEADER, Uuid::now_v7().to_string())
            .timeout(REQUEST_PATIENCE)
    }
}

impl Follower {
    async fn next(&mut self, patience: Duration) -> Result<Seen> {
        self.within(patience)
            .await?
            .with_context(|| format!("no event within {patience:?}"))
    }

    /// The next event if it comes in time.
    pub async fn within(&mut self, time: Duration) -> Result<Option<Seen>> {
        match timeout(time, self.events.recv()).await {
            Ok(event) => event.context("the stream of events ended")?.map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Waits for an event of a type, and shows each event on the way to `look`.
    pub async fn until(
        &mut self,
        type_name: &str,
        patience: Duration,
        mut look: impl FnMut(&Seen),
    ) -> Result<Seen> {
        let waiting = async {
            loop {
                let seen = self.next(patience).await?;
                look(&seen);
                if &*seen.event.type_name == type_name {
                    return anyhow::Ok(seen);
                }
            }
        };
        timeout(patience, waiting)
            .await
            .with_context(|| format!("no {type_name} within {patience:?}"))?
    }
}

async fn accepted(request: reqwest::RequestBuilder) -> Result<String> {
    let response = request.send().await?;
    let (status, url) = (response.status(), response.url().to_string());
    let text = response.text().await?;
    ensure!(status.is_success(), "`{url}` answered {status}: {text}");
    Ok(text)
}

/// Reads a stream to its end.
async fn read(
    response: reqwest::Response,
    sender: &mpsc::Sender<Result<Seen>>,
    last: &mut Option<u64>,
) -> Result<()> {
    let mut body = response.bytes_stream();
    let (mut held, mut is_event): (Vec<u8>, bool) = (Vec::new(), true);
    while let Some(bytes) = body.next().await {
        held.extend_from_slice(&bytes?);
        let arrived = moment::now();
        while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = held.drain(..=end).collect();
            if let Some(name) = line.strip_prefix(b"event:") {
                is_event = name.trim_ascii() != b"error";
            }
            let Some(data) = line.strip_prefix(b"data:").filter(|_| is_event) else {
                continue;
            };
            let event: Recorded = serde_json::from_slice(data)
                .with_context(|| format!("no event: {}", String::from_utf8_lossy(data)))?;
            *last = Some(event.position);
            if sender.send(Ok(Seen { event, arrived })).await.is_err() {
                anyhow::bail!("nobody follows any more");
            }
        }
    }
    Ok(())
}
