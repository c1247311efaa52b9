//! Images: present, or fetched; each fetched once however many containers wait for it.

use super::{Engine, EngineError, pulls::Following};
use berth_agent_core::names;
use berth_events::PullProgress;
use berth_events::spec::{DEFAULT_REGISTRY, PullPolicy, registry_of};
use berth_ids::Timestamp;
use bollard::{auth::DockerCredentials, query_parameters::CreateImageOptionsBuilder};
use futures::StreamExt;
use secrecy::{ExposeSecret, SecretString};
use std::time::{Duration, Instant};

/// The longest silence of an engine that fetches an image.
const PULL_SILENCE: Duration = Duration::from_secs(300);
/// What engines call the default registry in a login.
const DEFAULT_REGISTRY_LOGIN: &str = "https://index.docker.io/v1/";
/// A user at a registry.
#[derive(Debug, Clone)]
pub struct Login {
    /// Name of the user.
    pub username: String,
    /// Its password or token.
    pub password: SecretString,
}

/// What was found when the login of a registry was asked for.
#[derive(Debug, Clone)]
pub enum Key {
    /// One is stored.
    Stored(Login),
    /// None is stored.
    None,
    /// Nobody could be asked now.
    Unknown,
}

/// What an image is needed for.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// Its name.
    pub image: &'a str,
    /// When it is fetched.
    pub policy: PullPolicy,
    /// For this platform.
    pub platform: Option<&'a str>,
    /// Its digest in the registry, if its release names one.
    pub digest: Option<&'a str>,
}

/// An image that the node has.
struct Local {
    /// `name@digest`, for each registry that knows it.
    digests: Vec<String>,
    /// When it got its name.
    named_at: Option<Timestamp>,
}

impl Local {
    fn is_older_than(&self, seconds: u64) -> bool {
        let age = |at: Timestamp| crate::worker::wall_clock().since(at);
        self.named_at
            .is_none_or(|at| age(at) > Duration::from_secs(seconds))
    }
}

/// A fetch that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// In words, with a cure.
    pub message: String,
    /// Trying again will not help.
    pub is_final: bool,
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
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// The engine does not answer.
    #[error(transparent)]
    Engine(EngineError),
}

impl Engine {
    /// Makes an image present as the policy says. `fetching` is called when it has to be fetched, `key` when this
    /// call is the one that fetches it.
    ///
    /// # Errors
    /// [`ImageError`].
    pub async fn ensure_image(
        &self,
        order: Order<'_>,
        fetching: impl AsyncFnOnce(),
        key: impl AsyncFnOnce(&str) -> Key,
    ) -> Result<(), ImageError> {
        let image = names::pinned_image(order.image, order.digest);
        let came_at = Instant::now();
        // A digest is what it is: there is no newer content to look for.
        let policy = match order.policy {
            PullPolicy::Always | PullPolicy::Every { .. } if image.contains('@') => PullPolicy::Missing,
            policy => policy,
        };
        if policy != PullPolicy::Always {
            match (self.local_image(&image).await?, policy) {
                (Some(local), PullPolicy::Every { seconds }) if local.is_older_than(seconds) => {}
                (Some(_), _) => return Ok(()),
                (None, PullPolicy::Never) => return Err(ImageError::Forbidden(image)),
                (None, _) => {}
            }
        }
        fetching().await;
        let lock = self.images.lock_of(&image);
        let mut last = lock.lock().await;
        if let Some((_, result)) = last.as_ref().filter(|(moment, _)| *moment >= came_at) {
            return result.clone().map_err(ImageError::Refused);
        }
        // Never closed.
        let _slot = self.images.slots.acquire().await;
        let key = key(registry_of(&image)).await;
        let following = self.images.follow(order.image);
        let result = match self.pull(&image, order.platform, &key, &following).await {
            Ok(()) => Ok(()),
            Err(EngineError::Refused { status, message }) => Err(refusal(&image, status, &message, &key)),
            Err(error) => return Err(ImageError::Engine(error)),
        };
        *last = Some((Instant::now(), result.clone()));
        result.map_err(ImageError::Refused)
    }

    /// How far the images are that are fetched now.
    pub fn pulls(&self) -> Vec<PullProgress> {
        self.images.progress()
    }

    /// The digest that an image of this node has in its registry; none if it came from no registry.
    pub async fn image_digest(&self, image: &str, pinned: Option<&str>) -> Option<String> {
        let name = names::pinned_image(image, pinned);
        let local = self.local_image(&name).await.ok().flatten()?;
        names::digest_of(&name, local.digests.iter().map(String::as_str)).map(str::to_owned)
    }

    /// The digest that an image has in its registry now; none if the engine does not say.
    ///
    /// # Errors
    /// [`EngineError`]: the engine or the registry refused.
    pub async fn registry_digest(&self, image: &str, key: &Key) -> Result<Option<String>, EngineError> {
        let docker = self.docker().await?;
        let found = docker
            .inspect_registry_image(image, credentials(image, key))
            .await;
        Ok(found.map_err(|e| self.error(e))?.descriptor.digest)
    }

    async fn local_image(&self, image: &str) -> Result<Option<Local>, ImageError> {
        // Never closed.
        let _slot = self.images.looks.acquire().await;
        let docker = self.docker().await.map_err(ImageError::Engine)?;
        match docker.inspect_image(image).await.map_err(|e| self.error(e)) {
            Ok(answer) => Ok(Some(Local {
                digests: answer.repo_digests.unwrap_or_default(),
                named_at: answer
                    .metadata
                    .and_then(|metadata| metadata.last_tag_time)
                    .and_then(|moment| moment.to_string().parse().ok()),
            })),
            Err(error) if error.is_absent() => Ok(None),
            Err(EngineError::Refused { status, message }) => {
                Err(ImageError::Refused(refusal(image, status, &message, &Key::None)))
            }
            Err(error) => Err(ImageError::Engine(error)),
        }
    }

    async fn pull(
        &self,
        image: &str,
        platform: Option<&str>,
        key: &Key,
        following: &Following,
    ) -> Result<(), EngineError> {
        let mut options = CreateImageOptionsBuilder::default().from_image(image);
        if let Some(platform) = platform {
            options = options.platform(platform);
        }
        let docker = self.docker().await?;
        let mut progress = docker.create_image(Some(options.build()), None, credentials(image, key));
        loop {
            match tokio::time::timeout(PULL_SILENCE, progress.next()).await {
                Ok(None) => return Ok(()),
                Ok(Some(Ok(line))) => {
                    if let Some(detail) = &line.error_detail {
                        let message = detail.message.clone().unwrap_or_default();
                        return Err(EngineError::Refused { status: 500, message });
                    }
                    following.take(&line);
                }
                Ok(Some(Err(error))) => return Err(self.error(error)),
                Err(_) => {
                    let message = format!("nothing came for {} s", PULL_SILENCE.as_secs());
                    return Err(EngineError::Refused { status: 500, message });
                }
            }
        }
    }
}

/// What the engine hands to the registry.
pub(super) fn credentials(image: &str, key: &Key) -> Option<DockerCredentials> {
    match key {
        Key::Stored(login) => Some(DockerCredentials {
            username: Some(login.username.clone()),
            password: Some(login.password.expose_secret().to_owned()),
            serveraddress: Some(match registry_of(image) {
                DEFAULT_REGISTRY => DEFAULT_REGISTRY_LOGIN.to_owned(),
                registry => registry.to_owned(),
            }),
            ..DockerCredentials::default()
        }),
        Key::None | Key::Unknown => None,
    }
}

/// What a registry says when it wants another login. Some say so too of images that are not there.
pub(super) const LOGIN: [&str; 5] = [
    "unauthorized",
    "no basic auth credentials",
    "authentication required",
    "pull access denied",
    "denied: ",
];

/// What a registry says of content that it does not have.
const VANISHED: [&str; 3] = ["not found", "manifest unknown", "manifest for "];

/// What a registry says when trying again will not help.
const FINAL: [&str; 4] = [
    "not found",
    "manifest unknown",
    "no matching manifest",
    "invalid reference",
];

/// What came to nothing, in words that name the cure.
fn refusal(image: &str, status: u16, said: &str, key: &Key) -> Refusal {
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let registry = registry_of(image);
    let cure = format!("store one with `berth registry login {registry} --username NAME`");
    if has(&LOGIN) {
        let message = match key {
            Key::Stored(login) => format!(
                "the registry `{registry}` refused the login of user `{}` for the image `{image}`: {said}; {cure}",
                login.username
            ),
            Key::None => format!(
                "the registry `{registry}` gives the image `{image}` to nobody without a login, and none is \
                 stored ({said}); check the name, or {cure}"
            ),
            Key::Unknown => format!(
                "the registry `{registry}` wants a login for the image `{image}`, and the platform could not be \
                 asked for it; it is tried again"
            ),
        };
        let is_final = !matches!(key, Key::Unknown);
        return Refusal { message, is_final };
    }
    if let Some((name, digest)) = image.split_once('@')
        && has(&VANISHED)
    {
        let message = format!(
            "the registry `{registry}` no longer has the content {digest} of the image `{name}`, which this \
             release runs ({said}); deploy anew to run what the name means now (a digest that stands in the file \
             must be changed there), roll back, or push that content again"
        );
        return Refusal {
            message,
            is_final: true,
        };
    }
    Refusal {
        message: format!(
            "the image `{image}` cannot be pulled: {said}; check name and tag, or load it on the node"
        ),
        is_final: (400..500).contains(&status) || has(&FINAL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, key: &Key) -> Refusal {
        refusal("r.example:5000/web:1", 500, text, key)
    }

    fn user() -> Key {
        Key::Stored(Login {
            username: "ada".into(),
            password: "hidden-word".into(),
        })
    }

    #[test]
    fn a_refused_login_names_registry_user_and_cure_and_never_the_password() {
        let words = "Get http://r.example:5000/v2/web/manifests/1: unauthorized: authentication required";
        let refused = said(words, &user());
        assert!(refused.is_final);
        for part in [
            "`r.example:5000`",
            "user `ada`",
            "berth registry login r.example:5000",
        ] {
            assert!(refused.message.contains(part), "{}", refused.message);
        }
        assert!(!refused.message.contains("hidden-word"));
        let none = said("no basic auth credentials", &Key::None);
        assert!(
            none.is_final && none.message.contains("none is stored"),
            "{none:?}"
        );
        assert!(!said("unauthorized", &Key::Unknown).is_final);
    }

    #[test]
    fn content_that_is_gone_is_told_with_image_digest_registry_and_cure() {
        let words =
            "manifest for r.example:5000/web@sha256:0ab not found: manifest unknown: manifest unknown";
        let refused = refusal("r.example:5000/web:1@sha256:0ab", 404, words, &user());
        assert!(refused.is_final);
        for part in [
            "`r.example:5000` no longer has",
            "content sha256:0ab",
            "`r.example:5000/web:1`",
            "deploy anew",
        ] {
            assert!(refused.message.contains(part), "{}", refused.message);
        }
        let refused = refusal("r.example:5000/web:1", 404, words, &user());
        assert!(
            refused.message.contains("check name and tag"),
            "{}",
            refused.message
        );
    }

    #[test]
    fn only_what_may_change_is_tried_again() {
        assert!(said("manifest for r/web:1 not found: manifest unknown", &Key::None).is_final);
        assert!(!said("connection refused", &Key::None).is_final);
        assert!(refusal("web", 404, "", &Key::None).is_final);
    }
}
