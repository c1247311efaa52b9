//! Whether registries have other content under a name than what runs: asked by a node that has its login, at most
//! once an interval for each image.

use crate::app::App;
use berth_api::ImageNews;
use berth_bus::subject;
use berth_events::{LookAtRegistry, LookedImage, MAX_LOOKED_IMAGES, RegistryLook};
use berth_gateway_core::PinnedImage;
use berth_ids::{ClusterId, NodeId, Timestamp};
use berth_service_kit::Clock;
use futures::StreamExt;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use uuid::Uuid;

/// A registry is not asked again for an image before this.
const INTERVAL: Duration = Duration::from_secs(300);
/// The longest wait for a node's answer; who asks waits for it.
const PATIENCE: Duration = Duration::from_secs(4);
/// Images remembered; past it, old answers are forgotten.
const MAX_KNOWN: usize = 10_000;

/// What a registry has said of an image.
#[derive(Debug, Clone)]
struct Answer {
    asked: Instant,
    /// The digest, and when it was learnt. `None`: nothing was to be learnt.
    learnt: Option<(String, Timestamp)>,
}

/// What registries have said, by cluster and image.
#[derive(Default)]
pub(crate) struct Registries(Mutex<HashMap<(ClusterId, String), Answer>>);

impl Registries {
    /// Those that are to be asked; nobody else asks for them meanwhile.
    fn take(&self, cluster: ClusterId, images: &[PinnedImage], now: Instant) -> Vec<PinnedImage> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |answer: &Answer| now.saturating_duration_since(answer.asked) < INTERVAL;
        if known.len() >= MAX_KNOWN {
            known.retain(|_, answer| fresh(answer));
        }
        let mut taken = Vec::new();
        for image in images.iter().take(MAX_LOOKED_IMAGES) {
            let key = (cluster, image.image.clone());
            if known.get(&key).is_some_and(fresh) || known.len() >= MAX_KNOWN {
                continue;
            }
            let learnt = known.get(&key).and_then(|answer| answer.learnt.clone());
            known.insert(key, Answer { asked: now, learnt });
            taken.push(image.clone());
        }
        taken
    }

    fn keep(&self, cluster: ClusterId, digests: BTreeMap<String, String>) {
        let learnt_at = Clock::now();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (image, digest) in digests {
            if let Some(answer) = known.get_mut(&(cluster, image)) {
                answer.learnt = Some((digest, learnt_at));
            }
        }
    }

    fn news(&self, cluster: ClusterId, images: Vec<PinnedImage>) -> Vec<ImageNews> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let news = images.into_iter().filter_map(|pinned| {
            let answer = known.get(&(cluster, pinned.image.clone()))?;
            let (registry, asked_at) = answer.learnt.clone()?;
            if registry == pinned.digest {
                return None;
            }
            Some(ImageNews {
                image: pinned.image,
                running: pinned.digest,
                registry,
                asked_at,
            })
        });
        news.collect()
    }
}

impl App {
    /// Which of these images have other content in their registry.
    pub(crate) async fn image_news(&self, cluster: ClusterId, images: Vec<PinnedImage>) -> Vec<ImageNews> {
        let mut by_node: BTreeMap<NodeId, Vec<LookedImage>> = BTreeMap::new();
        for pinned in self.registries.take(cluster, &images, Instant::now()) {
            by_node.entry(pinned.node_id).or_default().push(LookedImage {
                image: pinned.image,
                allocation_id: pinned.allocation_id,
            });
        }
        let asked = by_node
            .into_iter()
            .map(|(node, images)| self.ask_node(node, images));
        for digests in futures::future::join_all(asked).await {
            self.registries.keep(cluster, digests);
        }
        self.registries.news(cluster, images)
    }

    /// Nothing is told of what cannot be learnt: the next one to ask tries again.
    async fn ask_node(&self, node: NodeId, images: Vec<LookedImage>) -> BTreeMap<String, String> {
        let session = Uuid::new_v4().simple().to_string();
        let bus = &self.context.bus;
        let Ok(mut answers) = bus
            .client()
            .subscribe(subject::terminal(node, &session, "out"))
            .await
        else {
            return BTreeMap::new();
        };
        let look = LookAtRegistry { session, images };
        if let Err(error) = bus.tell(format!("ctl.{node}.registry"), &look).await {
            tracing::debug!(%error, "a node could not be asked what registries have");
            return BTreeMap::new();
        }
        match tokio::time::timeout(PATIENCE, answers.next()).await {
            Ok(Some(message)) => serde_json::from_slice::<RegistryLook>(&message.payload)
                .map(|look| look.digests)
                .unwrap_or_default(),
            Ok(None) | Err(_) => BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pinned(image: &str, digest: &str) -> PinnedImage {
        PinnedImage {
            image: image.into(),
            digest: digest.into(),
            node_id: NodeId::from_u128(1),
            allocation_id: berth_ids::AllocationId::from_u128(2),
        }
    }

    #[test]
    fn an_image_is_asked_for_once_an_interval_and_told_if_it_differs() {
        let (registries, cluster, now) = (Registries::default(), ClusterId::from_u128(3), Instant::now());
        let images = vec![pinned("web:1", "sha256:old"), pinned("db:1", "sha256:same")];
        assert_eq!(registries.take(cluster, &images, now).len(), 2);
        assert_eq!(registries.take(cluster, &images, now + INTERVAL / 2), vec![]);
        let other = ClusterId::from_u128(4);
        assert_eq!(
            registries.take(other, &images[..1], now).len(),
            1,
            "it has other logins"
        );
        assert_eq!(
            registries.news(cluster, images.clone()),
            vec![],
            "nothing is known yet"
        );
        let said = [("web:1", "sha256:new"), ("db:1", "sha256:same"), ("else", "x")];
        let said = said.map(|(image, digest)| (image.to_owned(), digest.to_owned()));
        registries.keep(cluster, said.into());
        let news = registries.news(cluster, images.clone());
        assert_eq!(news.len(), 1);
        assert_eq!(
            (
                news[0].image.as_str(),
                news[0].running.as_str(),
                news[0].registry.as_str()
            ),
            ("web:1", "sha256:old", "sha256:new")
        );
        assert_eq!(registries.take(cluster, &images, now + INTERVAL).len(), 2);
        assert_eq!(
            registries.news(cluster, images).len(),
            1,
            "what was known is told meanwhile"
        );
    }
}
