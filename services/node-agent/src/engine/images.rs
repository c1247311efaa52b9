//! Images: present, or fetched; each fetched once however many containers wait for it.

use super::{Engine, EngineError};
use berth_agent_core::names;
use berth_events::spec::PullPolicy;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::StreamExt;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The longest silence of an engine that fetches an image.
const PULL_SILENCE: Duration = Duration::from_secs(300);

/// Held while an image is fetched; the moment at which the last fetch ended well.
type Fetch = Arc<tokio::sync::Mutex<Option<Instant>>>;

/// Fetches under way, by image.
#[derive(Clone, Default)]
pub(super) struct Pulls(Arc<Mutex<HashMap<String, Fetch>>>);

impl Pulls {
    fn lock_of(&self, image: &str) -> Fetch {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody waits for these any more.
        all.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(all.entry(image.to_owned()).or_default())
    }
}

/// Why an image is not there.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The policy forbids fetching, and the node does not have it.
    #[error(
        "this node does not have the image `{0}` and its pull policy is `never`; load it on the node or change pull_policy"
    )]
    Forbidden(String),
    /// The registry or the engine refused.
    #[error("the image `{image}` cannot be pulled: {message}; check name and tag, or load it on the node")]
    Refused {
        /// The image.
        image: String,
        /// The engine's words.
        message: String,
        /// Trying again will not help.
        is_final: bool,
    },
    /// The engine does not answer.
    #[error(transparent)]
    Engine(EngineError),
}

impl Engine {
    /// Makes an image present as the policy says. `fetching` is called when it has to be fetched.
    ///
    /// # Errors
    /// [`ImageError`].
    pub async fn ensure_image(
        &self,
        image: &str,
        policy: PullPolicy,
        platform: Option<&str>,
        fetching: impl AsyncFnOnce(),
    ) -> Result<(), ImageError> {
        let image = names::full_image(image);
        let came_at = Instant::now();
        match policy {
            PullPolicy::Missing if self.has_image(&image).await? => return Ok(()),
            PullPolicy::Never if self.has_image(&image).await? => return Ok(()),
            PullPolicy::Never => return Err(ImageError::Forbidden(image)),
            PullPolicy::Missing | PullPolicy::Always => {}
        }
        fetching().await;
        let lock = self.images.lock_of(&image);
        let mut last = lock.lock().await;
        if last.is_some_and(|moment| moment >= came_at) {
            return Ok(());
        }
        self.pull(&image, platform).await?;
        *last = Some(Instant::now());
        Ok(())
    }

    async fn has_image(&self, image: &str) -> Result<bool, ImageError> {
        let docker = self.docker().await.map_err(ImageError::Engine)?;
        match docker.inspect_image(image).await.map_err(|e| self.error(e)) {
            Ok(_) => Ok(true),
            Err(error) if error.is_absent() => Ok(false),
            Err(error) => Err(refused(image, error)),
        }
    }

    async fn pull(&self, image: &str, platform: Option<&str>) -> Result<(), ImageError> {
        let mut options = CreateImageOptionsBuilder::default().from_image(image);
        if let Some(platform) = platform {
            options = options.platform(platform);
        }
        let docker = self.docker().await.map_err(ImageError::Engine)?;
        let mut progress = docker.create_image(Some(options.build()), None, None);
        loop {
            match tokio::time::timeout(PULL_SILENCE, progress.next()).await {
                Ok(None) => return Ok(()),
                Ok(Some(Ok(line))) => {
                    if let Some(detail) = line.error_detail {
                        let message = detail.message.unwrap_or_default();
                        return Err(refused(image, EngineError::Refused { status: 500, message }));
                    }
                }
                Ok(Some(Err(error))) => return Err(refused(image, self.error(error))),
                Err(_) => {
                    let message = format!("nothing came for {} s", PULL_SILENCE.as_secs());
                    return Err(refused(image, EngineError::Refused { status: 500, message }));
                }
            }
        }
    }
}

/// What a registry says when trying again will not help.
const FINAL: [&str; 6] = [
    "not found",
    "manifest unknown",
    "pull access denied",
    "unauthorized",
    "no matching manifest",
    "invalid reference",
];

fn refused(image: &str, error: EngineError) -> ImageError {
    match error {
        EngineError::Refused { status, message } => ImageError::Refused {
            image: image.to_owned(),
            is_final: (400..500).contains(&status) || FINAL.iter().any(|word| message.contains(word)),
            message,
        },
        error => ImageError::Engine(error),
    }
}
