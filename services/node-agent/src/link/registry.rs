//! What registries have under the names of images that run here.

use super::{BusSecrets, Link};
use crate::{
    engine::{Engine, Key},
    worker::{SecretError, SecretSource as _},
};
use berth_bus::subject;
use berth_events::{LookAtRegistry, LookedImage, MAX_LOOKED_IMAGES, RegistryLook, spec::registry_of};
use futures::{StreamExt, stream};
use std::{sync::Arc, time::Duration};

/// Registries asked at the same time.
const PARALLEL: usize = 4;
/// The longest wait for one.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest name of a session.
const MAX_SESSION_NAME: usize = 64;

/// Asks for each image, and answers once with what came of it.
pub(super) async fn serve(link: Link, engine: Engine, secrets: Arc<BusSecrets>, look: LookAtRegistry) {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if look.session.is_empty() || look.session.len() > MAX_SESSION_NAME || !look.session.chars().all(plain) {
        return tracing::warn!("`{}` names no session", look.session);
    }
    let images = look.images.into_iter().take(MAX_LOOKED_IMAGES);
    let digests = stream::iter(images)
        .map(|image| one(&engine, &secrets, image))
        .buffer_unordered(PARALLEL)
        .filter_map(async |found| found)
        .collect()
        .await;
    let out = subject::terminal(link.node_id, &look.session, "out");
    if let Err(error) = link.tell(out, &RegistryLook { digests }).await {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "what registries have was not told"
        );
    }
}

async fn one(engine: &Engine, secrets: &BusSecrets, looked: LookedImage) -> Option<(String, String)> {
    let asked = async {
        let key = match secrets
            .login(looked.allocation_id, registry_of(&looked.image))
            .await
        {
            Ok(Some(login)) => Key::Stored(login),
            Ok(None) => Key::None,
            Err(SecretError::Refused(_) | SecretError::Away(_)) => return None,
        };
        match engine.registry_digest(&looked.image, &key).await {
            Ok(digest) => digest,
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "`{}` was not looked up",
                    looked.image
                );
                None
            }
        }
    };
    let digest = tokio::time::timeout(PATIENCE, asked).await.ok().flatten()?;
    Some((looked.image, digest))
}
