//! Who has fallen silent, and who is heard again.
//!
//! One or two nodes that fall silent are lost after [`SILENCE_MS`]. When many fall silent at once, or the
//! watcher itself was cut off or held up, the fault is more likely here than there: a second window passes
//! before anyone is called lost.

use berth_ids::{ClusterId, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// Silence after which a node is lost. With the shell's ticks a loss is seen within 2 seconds.
pub const SILENCE_MS: u64 = 1_500;
/// Time that a node has until its first heartbeat, after it is known.
pub const FIRST_HEARD_MS: u64 = 6_000;
/// How long an engine may be away, for an upgrade or after a crash, before its node counts as lost: without an
/// engine the agent can neither see nor start a container.
pub const ENGINE_AWAY_MS: u64 = 20_000;
/// A watcher that was not asked for so long was held up itself.
pub const STALL_MS: u64 = 750;
/// A verdict that has had no effect is given again after this time.
pub const REPEAT_MS: u64 = 1_000;
/// Nodes of a cluster that may fall silent in one window without a second look; or this share of them.
const FEW_NODES: usize = 2;
const FEW_SHARE_DIVISOR: usize = 10;

/// What the log says of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// It is recorded as lost.
    pub lost: bool,
    /// Version of its stream.
    pub version: u64,
}

/// What should be recorded. The version makes a command id that is the same when it is said again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A node is not heard.
    Lost {
        /// The node.
        node_id: NodeId,
        /// For how long.
        silent_ms: u64,
        /// Version of its stream on which this rests.
        version: u64,
    },
    /// A lost node is heard.
    Returned {
        /// The node.
        node_id: NodeId,
        /// Version of its stream on which this rests.
        version: u64,
    },
}

#[derive(Debug, Clone, Copy)]
struct Watched {
    known: Known,
    /// When it was last heard; before its first heartbeat: when it became known.
    heard_at: u64,
    /// It was heard at least once.
    heard: bool,
    /// Since when its agent says that the engine does not answer.
    engine_away_since: Option<u64>,
    /// When a verdict was given on this version.
    said: Option<(u64, u64)>,
}

/// The state of the watch.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    nodes: BTreeMap<NodeId, Watched>,
    /// Since when too many nodes of a cluster are silent.
    mass_since: BTreeMap<ClusterId, u64>,
    ticked_at: Option<u64>,
}

impl Watch {
    /// Takes what the log says of all nodes; who is not named is watched no more.
    pub fn know(&mut self, nodes: impl IntoIterator<Item = (NodeId, Known)>, now: u64) {
        let mut named = BTreeSet::new();
        for (id, known) in nodes {
            named.insert(id);
            let watched = self.nodes.entry(id).or_insert(Watched {
                known,
                heard_at: now,
                heard: false,
                engine_away_since: None,
                said: None,
            });
            if watched.known.version != known.version {
                watched.said = None;
            }
            watched.known = known;
        }
        self.nodes.retain(|id, _| named.contains(id));
    }

    /// A heartbeat came.
    pub fn heard(&mut self, node: NodeId, now: u64) {
        if let Some(watched) = self.nodes.get_mut(&node) {
            watched.heard_at = watched.heard_at.max(now);
            watched.heard = true;
            watched.engine_away_since = None;
        }
    }

    /// A heartbeat came that says that the engine does not answer: good for a while only.
    pub fn heard_without_engine(&mut self, node: NodeId, now: u64) {
        if let Some(watched) = self.nodes.get_mut(&node) {
            let since = *watched.engine_away_since.get_or_insert(now);
            watched.heard = true;
            if now.saturating_sub(since) < ENGINE_AWAY_MS {
                watched.heard_at = watched.heard_at.max(now);
            }
        }
    }

    /// The watcher was cut off until now: silence before does not count.
    pub fn reconnected(&mut self, now: u64) {
        for watched in self.nodes.values_mut().filter(|watched| !watched.known.lost) {
            watched.heard_at = watched.heard_at.max(now);
        }
    }

    /// Who is lost, who is back. Called several times a second.
    pub fn tick(&mut self, now: u64) -> Vec<Verdict> {
        let stalled = self
            .ticked_at
            .is_some_and(|before| now.saturating_sub(before) > STALL_MS);
        self.ticked_at = Some(now);
        if stalled {
            // Heartbeats of the pause are still in the queue.
            self.reconnected(now);
        }
        let silent = self.silent(now);
        let judged = self.judge(&silent, now);
        let mut verdicts = Vec::new();
        for (id, watched) in &mut self.nodes {
            let verdict = if judged.contains(id) {
                Verdict::Lost {
                    node_id: *id,
                    silent_ms: now.saturating_sub(watched.heard_at),
                    version: watched.known.version,
                }
            } else if watched.is_back(now) {
                Verdict::Returned {
                    node_id: *id,
                    version: watched.known.version,
                }
            } else {
                continue;
            };
            if watched.may_say(now) {
                verdicts.push(verdict);
            }
        }
        verdicts
    }

    /// Nodes by cluster that are silent and not yet recorded as lost.
    fn silent(&self, now: u64) -> BTreeMap<ClusterId, BTreeSet<NodeId>> {
        let mut silent: BTreeMap<ClusterId, BTreeSet<NodeId>> = BTreeMap::new();
        for (id, watched) in &self.nodes {
            if watched.is_silent(now) {
                silent.entry(watched.known.cluster_id).or_default().insert(*id);
            }
        }
        silent
    }

    /// Of the silent ones, those that need no second look, or have had it.
    fn judge(&mut self, silent: &BTreeMap<ClusterId, BTreeSet<NodeId>>, now: u64) -> BTreeSet<NodeId> {
        self.mass_since.retain(|cluster, _| silent.contains_key(cluster));
        let mut judged = BTreeSet::new();
        for (cluster, nodes) in silent {
            let all = self
                .nodes
                .values()
                .filter(|watched| watched.known.cluster_id == *cluster)
                .count();
            let few = FEW_NODES.max(all / FEW_SHARE_DIVISOR);
            if nodes.len() <= few && !self.mass_since.contains_key(cluster) {
                judged.extend(nodes);
                continue;
            }
            let since = *self.mass_since.entry(*cluster).or_insert(now);
            if now.saturating_sub(since) >= SILENCE_MS {
                judged.extend(nodes);
            }
        }
        judged
    }
}

impl Watched {
    fn is_silent(&self, now: u64) -> bool {
        let limit = if self.heard { SILENCE_MS } else { FIRST_HEARD_MS };
        !self.known.lost && now.saturating_sub(self.heard_at) >= limit
    }

    fn is_back(&self, now: u64) -> bool {
        self.known.lost
            && self.heard
            && self.engine_away_since.is_none()
            && now.saturating_sub(self.heard_at) < SILENCE_MS
    }

    /// True once a version, and again after a while if nothing came of it.
    fn may_say(&mut self, now: u64) -> bool {
        match self.said {
            Some((version, at)) if version == self.known.version && now.saturating_sub(at) < REPEAT_MS => {
                false
            }
            Some(_) | None => {
                self.said = Some((self.known.version, now));
                true
            }
        }
    }
}
