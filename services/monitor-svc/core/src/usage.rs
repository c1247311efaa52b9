//! The newest sample of each node; old ones are no answer.

use berth_events::UsageSample;
use berth_ids::{ClusterId, NodeId};
use std::collections::BTreeMap;

/// Age after which a sample is dropped.
pub const SAMPLE_MAX_AGE_MS: u64 = 30_000;
/// Nodes whose samples are held; further ones are refused.
pub const MAX_SAMPLE_NODES: usize = 20_000;

/// The newest sample of each node.
#[derive(Debug, Clone, Default)]
pub struct UsageStore {
    samples: BTreeMap<NodeId, (u64, UsageSample)>,
}

impl UsageStore {
    /// Takes a sample; false if it is refused because too many nodes send samples.
    pub fn take(&mut self, sample: UsageSample, now: u64) -> bool {
        if !self.samples.contains_key(&sample.node_id) && self.samples.len() >= MAX_SAMPLE_NODES {
            self.drop_old(now);
            if self.samples.len() >= MAX_SAMPLE_NODES {
                return false;
            }
        }
        self.samples.insert(sample.node_id, (now, sample));
        true
    }

    /// The samples of a cluster that are not too old, by node.
    pub fn of(&self, cluster: ClusterId, now: u64) -> Vec<UsageSample> {
        self.samples
            .values()
            .filter(|(at, sample)| sample.cluster_id == cluster && fresh(*at, now))
            .map(|(_, sample)| sample.clone())
            .collect()
    }

    /// Drops samples that are too old.
    pub fn drop_old(&mut self, now: u64) {
        self.samples.retain(|_, (at, _)| fresh(*at, now));
    }
}

fn fresh(at: u64, now: u64) -> bool {
    now.saturating_sub(at) <= SAMPLE_MAX_AGE_MS
}
