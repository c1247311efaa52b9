//! Fetches under way: one an image however many wait for it, and how far each is.

use super::images::Refusal;
use berth_events::PullProgress;
use bollard::models::CreateImageInfo;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};
use tokio::sync::Semaphore;

/// Images fetched at the same time.
const MAX_PARALLEL_PULLS: usize = 3;
/// Images looked for at the same time.
const MAX_PARALLEL_LOOKS: usize = 8;

/// Held while an image is fetched; when the last fetch ended, and how.
pub(super) type Fetch = Arc<tokio::sync::Mutex<Option<(Instant, Result<(), Refusal>)>>>;

/// Fetches under way, by image.
#[derive(Clone)]
pub(super) struct Pulls {
    fetches: Arc<Mutex<HashMap<String, Fetch>>>,
    progress: Arc<Mutex<BTreeMap<String, Layers>>>,
    pub(super) slots: Arc<Semaphore>,
    pub(super) looks: Arc<Semaphore>,
}

impl Default for Pulls {
    fn default() -> Self {
        Self {
            fetches: Arc::default(),
            progress: Arc::default(),
            slots: Arc::new(Semaphore::new(MAX_PARALLEL_PULLS)),
            looks: Arc::new(Semaphore::new(MAX_PARALLEL_LOOKS)),
        }
    }
}

impl Pulls {
    pub(super) fn lock_of(&self, image: &str) -> Fetch {
        let mut all = self.fetches.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody waits for these any more.
        all.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(all.entry(image.to_owned()).or_default())
    }

    /// Says from now on how far an image is, until the answer is dropped.
    pub(super) fn follow(&self, image: &str) -> Following {
        self.known().insert(image.to_owned(), Layers::default());
        Following {
            pulls: self.clone(),
            image: image.to_owned(),
        }
    }

    /// How far each image is.
    pub(super) fn progress(&self) -> Vec<PullProgress> {
        let all = self.known();
        let progress = all.iter().map(|(image, layers)| layers.sum(image));
        progress.collect()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Layers>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One fetch under way.
pub(super) struct Following {
    pulls: Pulls,
    image: String,
}

impl Following {
    /// Takes a line of the engine.
    pub(super) fn take(&self, line: &CreateImageInfo) {
        if let Some(layers) = self.pulls.known().get_mut(&self.image) {
            layers.take(line);
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.pulls.known().remove(&self.image);
    }
}

/// Bytes that have come of each layer, and all of it.
#[derive(Default)]
struct Layers(BTreeMap<String, (u64, u64)>);

impl Layers {
    fn take(&mut self, line: &CreateImageInfo) {
        let (Some(id), Some(status)) = (&line.id, &line.status) else {
            return;
        };
        let number = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        let detail = line.progress_detail.as_ref();
        match status.as_str() {
            "Downloading" => {
                let current = number(detail.and_then(|detail| detail.current)).unwrap_or(0);
                let total = number(detail.and_then(|detail| detail.total)).unwrap_or(0);
                if total > 0 {
                    self.0.insert(id.clone(), (current.min(total), total));
                }
            }
            // Unpacking is told in bytes too, but those have come already.
            "Verifying Checksum" | "Download complete" | "Extracting" | "Pull complete" => {
                if let Some((current, total)) = self.0.get_mut(id) {
                    *current = *total;
                }
            }
            _ => {}
        }
    }

    fn sum(&self, image: &str) -> PullProgress {
        PullProgress {
            image: image.to_owned(),
            bytes: self.0.values().map(|(current, _)| current).sum(),
            total_bytes: self.0.values().map(|(_, total)| total).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::ProgressDetail;

    fn line(id: &str, status: &str, detail: Option<(i64, i64)>) -> CreateImageInfo {
        CreateImageInfo {
            id: Some(id.into()),
            status: Some(status.into()),
            progress_detail: detail.map(|(current, total)| ProgressDetail {
                current: Some(current),
                total: Some(total),
            }),
            ..CreateImageInfo::default()
        }
    }

    #[test]
    fn progress_is_what_came_of_what_is_known() {
        let pulls = Pulls::default();
        let following = pulls.follow("web:1");
        assert_eq!(pulls.progress()[0].percent(), None);
        following.take(&line("1", "Pulling from shop/web", None));
        following.take(&line("a", "Downloading", Some((25, 100))));
        following.take(&line("b", "Downloading", Some((75, 100))));
        assert_eq!(pulls.progress()[0].percent(), Some(50));
        following.take(&line("b", "Extracting", Some((1, 100))));
        following.take(&line("c", "Already exists", None));
        assert_eq!(
            (pulls.progress()[0].bytes, pulls.progress()[0].percent()),
            (125, Some(62))
        );
        drop(following);
        assert_eq!(pulls.progress(), vec![]);
    }
}
