//! Containers of the steps of builds. The engine takes them away, unless it dies meanwhile: then the agent does,
//! also one that was started anew.

use crate::{engine::Engine, state::StateDir};
use berth_ids::BuildId;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Tries to take a container away while the engine is gone, and the wait between them.
const MAX_TRIES: u32 = 60;
const DELAY: Duration = Duration::from_secs(5);
/// Containers remembered of one build.
const MAX_NOTED: usize = 100;

/// Containers that may have been left, by the build that they are of. Cheap to clone.
#[derive(Clone)]
pub(super) struct Leftovers {
    engine: Engine,
    state: StateDir,
    noted: Arc<Mutex<BTreeMap<BuildId, BTreeSet<String>>>>,
}

impl Leftovers {
    /// Knows what the agent has noted before it was started, as of no build.
    pub(super) fn new(engine: Engine, state: StateDir) -> Self {
        let noted = state.steps_of_builds().unwrap_or_else(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what builds have left is not known"
            );
            BTreeSet::new()
        });
        Self {
            engine,
            state,
            noted: Arc::new(Mutex::new(BTreeMap::from([(BuildId::default(), noted)]))),
        }
    }

    /// A step runs in a container.
    pub(super) fn note(&self, build: BuildId, id: &str) {
        let news = self.with(|noted| {
            let of_build = noted.entry(build).or_default();
            of_build.len() < MAX_NOTED && of_build.insert(id.to_owned())
        });
        if news {
            self.keep();
        }
    }

    /// Takes away what a build has left; those of before the start are of the default id.
    pub(super) async fn clear(&self, build: BuildId) {
        let left = self.with(|noted| noted.get(&build).cloned().unwrap_or_default());
        if left.is_empty() {
            return;
        }
        for id in left {
            self.remove(&id).await;
        }
        self.with(|noted| noted.remove(&build));
        self.keep();
    }

    async fn remove(&self, id: &str) {
        for _ in 0..MAX_TRIES {
            match self.engine.remove(id).await {
                Ok(()) => return,
                Err(error) if error.is_away() => {
                    self.engine.forget().await;
                    tokio::time::sleep(DELAY).await;
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    return tracing::warn!(error, "the container {id} of a build's step is left");
                }
            }
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut BTreeMap<BuildId, BTreeSet<String>>) -> T) -> T {
        change(&mut self.noted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep(&self) {
        let noted = self.with(|noted| noted.values().flatten().cloned().collect());
        if let Err(error) = self.state.keep_steps_of_builds(&noted) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what builds may leave was not noted"
            );
        }
    }
}
