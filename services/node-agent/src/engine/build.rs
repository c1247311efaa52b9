//! Making an image with the engine's own builder, and pushing it.

use super::{
    Engine, EngineError, Key,
    images::{LOGIN, credentials},
    logs::hide,
};
use berth_agent_core::names;
use berth_events::{
    BuildOrder, MAX_BUILD_MS,
    spec::{DEFAULT_REGISTRY, registry_of},
};
use bollard::{
    auth::DockerCredentials,
    body_try_stream,
    models::BuildInfo,
    query_parameters::{
        BuildImageOptionsBuilder, PushImageOptionsBuilder, RemoveImageOptions, TagImageOptionsBuilder,
    },
};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    io,
    time::Duration,
};
use tokio::sync::mpsc;

/// Lines of the builder that a failure shows.
const LAST_LINES: usize = 12;
/// Characters of a line that a failure shows.
const MAX_LINE_CHARS: usize = 300;
/// Bytes of a line of the builder that is held until its end comes.
const MAX_HELD_BYTES: usize = 16 * 1024;
/// How the builder tells which step it is at.
const STEP: &str = "Step ";
/// How it tells that the container of a step has gone.
const REMOVING: &str = "Removing intermediate container ";
/// How it tells in which container a step runs.
const RUNNING_IN: &str = " ---> Running in ";

/// An image that is in its registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Its digest there.
    pub digest: String,
    /// Its id on this node.
    pub image_id: String,
}

/// Why there is no image, in words; values of arguments are left out.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BuildFault(pub String);

/// What is told while an image is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Words of the builder or of a push.
    Text(String),
    /// A step runs in this container from now on.
    Container(String),
}

/// What an image is made with.
pub struct Making<'a> {
    /// What is made.
    pub order: &'a BuildOrder,
    /// Logins by registry.
    pub keys: &'a BTreeMap<String, Key>,
    /// Takes what is told meanwhile.
    pub progress: mpsc::Sender<Progress>,
}

impl Engine {
    /// Makes an image and pushes it under all its names. Dropped in the middle, the engine ends the step that runs
    /// and takes its container away.
    ///
    /// # Errors
    /// [`BuildFault`]: the builder, the registry or the engine refused. Names that the image has got are taken away.
    pub async fn build(
        &self,
        making: &Making<'_>,
        context: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<Built, BuildFault> {
        let image_id = self.carry_out(making, context).await?;
        let order = making.order;
        let mut digest = None;
        for name in std::iter::once(&order.image).chain(&order.tags) {
            let pushed = self.tag_and_push(&image_id, name, making).await?;
            digest.get_or_insert(pushed);
        }
        let digest = digest.unwrap_or_default();
        Ok(Built { digest, image_id })
    }

    async fn carry_out(
        &self,
        making: &Making<'_>,
        context: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<String, BuildFault> {
        let order = making.order;
        let docker = self.docker().await.map_err(|error| BuildFault(chain(&error)))?;
        let hosts = order.extra_hosts.clone();
        let docker = docker
            .with_timeout(Duration::from_millis(MAX_BUILD_MS))
            .with_request_modifier(move |mut request| {
                if let Ok(uri) = with_hosts(&request.uri().to_string(), &hosts).parse() {
                    *request.uri_mut() = uri;
                }
                request
            });
        let logins = logins(making.keys);
        let mut said = docker.build_image(options(order), Some(logins), Some(body_try_stream(context)));
        let mut words = Words::new(order);
        while let Some(item) = said.next().await {
            let info = match item.map_err(|error| self.error(error)) {
                Ok(info) => info,
                Err(EngineError::Refused { message, .. }) => return Err(words.fault(&message)),
                Err(error) => return Err(words.fault(&chain(&error))),
            };
            if let Some(detail) = &info.error_detail {
                return Err(words.fault(detail.message.as_deref().unwrap_or("no reason was given")));
            }
            for told in words.take(&info) {
                // Nobody listens any more only when this is dropped too.
                let _ = making.progress.send(told).await;
            }
        }
        words
            .image_id
            .take()
            .ok_or_else(|| words.fault("the builder ended without an image"))
    }

    /// Gives the digest.
    async fn tag_and_push(&self, id: &str, name: &str, making: &Making<'_>) -> Result<String, BuildFault> {
        let before = self.image_id(name).await;
        self.tag(id, name).await?;
        let pushed = self.push(name, making).await;
        if pushed.is_err() {
            // The node is left with the image that had the name before, or with none.
            let undone = match &before {
                Some(before) => self.tag(before, name).await,
                None => self.untag(name).await,
            };
            if let Err(error) = undone {
                tracing::warn!(%error, "the name `{name}` could not be taken back");
            }
        }
        pushed
    }

    async fn image_id(&self, name: &str) -> Option<String> {
        let docker = self.docker().await.ok()?;
        docker.inspect_image(name).await.ok()?.id
    }

    async fn tag(&self, id: &str, name: &str) -> Result<(), BuildFault> {
        let failed =
            |error: EngineError| BuildFault(format!("`{name}` is no name for an image: {}", chain(&error)));
        let (repository, tag) = names::split_tag(name);
        let options = TagImageOptionsBuilder::default()
            .repo(repository)
            .tag(tag)
            .build();
        let docker = self.docker().await.map_err(failed)?;
        let tagged = docker.tag_image(id, Some(options)).await;
        tagged.map_err(|error| failed(self.error(error)))
    }

    async fn untag(&self, name: &str) -> Result<(), BuildFault> {
        let failed = |error: EngineError| BuildFault(chain(&error));
        let docker = self.docker().await.map_err(failed)?;
        let removed = docker.remove_image(name, None::<RemoveImageOptions>, None).await;
        removed.map(drop).map_err(|error| failed(self.error(error)))
    }

    async fn push(&self, name: &str, making: &Making<'_>) -> Result<String, BuildFault> {
        let key = making.keys.get(registry_of(name)).unwrap_or(&Key::None);
        let (repository, tag) = names::split_tag(name);
        let options = PushImageOptionsBuilder::default().tag(tag).build();
        let docker = self.docker().await.map_err(|error| BuildFault(chain(&error)))?;
        let docker = docker.with_timeout(Duration::from_millis(MAX_BUILD_MS));
        let told = Progress::Text(format!("pushing {name}\n"));
        let _ = making.progress.send(told).await;
        let mut lines = docker.push_image(repository, Some(options), credentials(name, key));
        let mut digest = None;
        while let Some(item) = lines.next().await {
            let info = match item.map_err(|error| self.error(error)) {
                Ok(info) => info,
                Err(EngineError::Refused { message, .. }) => return Err(not_pushed(name, &message, key)),
                Err(error) => return Err(BuildFault(chain(&error))),
            };
            // How far each layer is would be too much.
            let Some(status) = info.status.filter(|_| info.progress_detail.is_none()) else {
                continue;
            };
            if let Some(found) = digest_in(&status) {
                digest = Some(found.to_owned());
                let _ = making.progress.send(Progress::Text(format!("{status}\n"))).await;
            }
        }
        digest.ok_or_else(|| BuildFault(format!("the registry has not told the digest of `{name}`")))
    }
}

fn options(order: &BuildOrder) -> bollard::query_parameters::BuildImageOptions {
    let table = |table: &BTreeMap<String, String>| -> HashMap<String, String> {
        table
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    let mut options = BuildImageOptionsBuilder::default()
        .dockerfile(&order.dockerfile)
        .nocache(order.no_cache)
        .rm(true)
        .forcerm(true)
        .buildargs(&table(&order.args))
        .labels(&table(&order.labels))
        .cachefrom(&order.cache_from)
        .target(order.target.as_deref().unwrap_or_default())
        .platform(order.platform.as_deref().unwrap_or_default());
    if order.pull {
        options = options.pull("1");
    }
    if let Some(network) = &order.network {
        options = options.networkmode(network);
    }
    if order.shm_bytes > 0 {
        options = options.shmsize(i32::try_from(order.shm_bytes).unwrap_or(i32::MAX));
    }
    options.build()
}

/// The engine takes as many hosts as there are parameters of this name; the client's options hold one.
fn with_hosts(uri: &str, hosts: &[String]) -> String {
    let mut uri = uri.to_owned();
    for host in hosts {
        uri.push_str("&extrahosts=");
        for byte in host.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
                uri.push(char::from(byte));
            } else {
                uri.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    uri
}

fn logins(keys: &BTreeMap<String, Key>) -> HashMap<String, DockerCredentials> {
    let known = keys.iter().filter_map(|(registry, key)| {
        let login = credentials(&format!("{registry}/x"), key)?;
        let server = match registry.as_str() {
            DEFAULT_REGISTRY => login.serveraddress.clone()?,
            registry => registry.to_owned(),
        };
        Some((server, login))
    });
    known.collect()
}

/// `1: digest: sha256:… size: 528`.
fn digest_in(status: &str) -> Option<&str> {
    let (_, rest) = status.split_once("digest: ")?;
    rest.split_whitespace()
        .next()
        .filter(|digest| digest.starts_with("sha256:"))
}

fn not_pushed(name: &str, said: &str, key: &Key) -> BuildFault {
    let registry = registry_of(name);
    let cure = format!("store one that may push with `berth registry login {registry} --username NAME`");
    let refused = LOGIN.iter().any(|word| said.contains(word)) || said.contains("denied");
    BuildFault(match key {
        Key::Stored(login) if refused => format!(
            "the registry `{registry}` does not take the image `{name}` from user `{}`: {said}; {cure}",
            login.username
        ),
        Key::None | Key::Unknown if refused => format!(
            "the registry `{registry}` takes the image `{name}` from nobody without a login, and none is stored \
             ({said}); {cure}"
        ),
        _ => format!(
            "the image `{name}` was built, but cannot be pushed: {said}; `image` must begin with a registry that \
             the nodes reach"
        ),
    })
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

/// What the builder has said so far.
struct Words {
    /// The step at which it is, as it named it.
    step: Option<String>,
    last: VecDeque<String>,
    /// A line whose end has not come.
    held: String,
    image_id: Option<String>,
    /// Values that no message may hold.
    hidden: Vec<String>,
}

impl Words {
    fn new(order: &BuildOrder) -> Self {
        Self {
            step: None,
            last: VecDeque::new(),
            held: String::new(),
            image_id: None,
            hidden: order.args.values().cloned().collect(),
        }
    }

    fn take(&mut self, info: &BuildInfo) -> Vec<Progress> {
        if let Some(id) = info.aux.as_ref().and_then(|aux| aux.id.clone()) {
            self.image_id = Some(id);
        }
        let mut told = Vec::new();
        // Of base images that are fetched, only the beginning and the end of each layer would be worth a line.
        if let Some(status) = info.status.as_ref().filter(|_| info.id.is_none()) {
            told.push(Progress::Text(format!("{status}\n")));
        }
        let Some(text) = &info.stream else { return told };
        told.push(Progress::Text(text.clone()));
        self.held.push_str(text);
        while let Some(end) = self.held.find(['\n', '\r']) {
            let line: String = self.held.drain(..=end).collect();
            told.extend(self.line(line.trim_end()));
        }
        if self.held.len() > MAX_HELD_BYTES {
            self.held.clear();
        }
        told
    }

    fn line(&mut self, line: &str) -> Option<Progress> {
        if line.trim().is_empty() || line.starts_with(REMOVING) {
            return None;
        }
        if let Some(id) = line.strip_prefix(RUNNING_IN) {
            return Some(Progress::Container(id.trim().to_owned()));
        }
        if line.starts_with(STEP) {
            self.step = Some(line.chars().take(MAX_LINE_CHARS).collect());
            self.last.clear();
            return None;
        }
        self.last.push_back(line.chars().take(MAX_LINE_CHARS).collect());
        if self.last.len() > LAST_LINES {
            self.last.pop_front();
        }
        None
    }

    /// A failure with its step and the last lines before it.
    fn fault(&self, said: &str) -> BuildFault {
        let said = said.trim();
        let mut text = match &self.step {
            Some(step) => format!("{} failed: {said}", place(step)),
            None => format!("the builder refused: {said}"),
        };
        if LOGIN.iter().any(|word| said.contains(word)) {
            text.push_str("; if its registry wants a login, store one with `berth registry login`");
        }
        let last: Vec<&str> = self.last.iter().map(String::as_str).collect();
        if !last.is_empty() {
            text.push_str("\nthe builder's last lines:\n");
            text.push_str(&last.join("\n"));
        }
        BuildFault(hide(&text, &self.hidden))
    }
}

/// `Step 2/3 : RUN make` as words.
fn place(step: &str) -> String {
    let rest = step.strip_prefix(STEP).unwrap_or(step);
    match rest.split_once(" : ") {
        Some((number, instruction)) => format!("step {number} `{instruction}`"),
        None => format!("step {rest}"),
    }
}

#[cfg(test)]
mod tests;
