//! Volumes that should go and networks that nobody needs.

use super::{
    Worker,
    done::{Done, Task},
};
use berth_ids::ApplicationId;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// Wait before something that was still in use is removed again.
const CLEAN_DELAY: Duration = Duration::from_secs(5);

impl Worker {
    /// Removes volumes that should go, else looks for networks that nobody needs. Gives when to try again.
    pub(super) fn clean(&mut self, volumes: &BTreeSet<String>) -> Option<Instant> {
        let networks = self.check_networks && self.node.is_idle();
        if self.cleaning || (volumes.is_empty() && !networks) {
            return None;
        }
        if self.clean_at > Instant::now() {
            return Some(self.clean_at);
        }
        self.cleaning = true;
        let context = Arc::clone(&self.context);
        if volumes.is_empty() {
            self.check_networks = false;
            self.spawn(Task::Clean, async move {
                Done::Networks(context.our_networks().await)
            });
        } else {
            let volumes = volumes.clone();
            self.spawn(Task::Clean, async move {
                let asked = volumes.len();
                let volumes = context.drop_volumes(volumes).await;
                let left = volumes.len() < asked;
                Done::Cleaned { volumes, left }
            });
        }
        None
    }

    /// Removes those of our networks that nobody needs.
    pub(super) fn remove_networks(&mut self, networks: &BTreeMap<String, ApplicationId>) {
        let useless = self.node.leftover_networks(networks);
        let context = Arc::clone(&self.context);
        self.spawn(Task::Clean, async move {
            context.remove_networks(useless).await;
            Done::Cleaned {
                volumes: BTreeSet::new(),
                left: false,
            }
        });
    }

    /// Removes files of containers that are neither wanted nor there.
    pub(super) fn sweep_files(&self) {
        let wanted = self.node.assignment().wanted().keys();
        let known: BTreeSet<_> = wanted.chain(self.node.seen().keys()).copied().collect();
        let files = self.context.files.clone();
        drop(tokio::task::spawn_blocking(move || files.sweep(&known)));
    }

    /// A cleaning ended; `left` says that something stays because it is used.
    pub(super) fn cleaned(&mut self, volumes: BTreeSet<String>, left: bool) {
        self.cleaning = false;
        if left {
            self.clean_at = Instant::now() + CLEAN_DELAY;
        }
        let moment = self.moment();
        self.node.volumes_dropped(volumes, moment);
    }
}
