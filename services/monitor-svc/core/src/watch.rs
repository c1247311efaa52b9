//! Who has fallen silent, and who is heard again.
//!
//! One or two nodes of several that fall silent are lost after [`SILENCE_MS`]. When many or all of a cluster
//! fall silent at once the fault is more likely here than there. Then the watcher asks before it calls anyone
//! lost: the nodes for a heartbeat, and the rest of the platform whether its own link carries. Without that proof
//! nobody is lost; with it, many have a second window to be heard. A watcher that was cut off or held up begins
//! anew.

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
    /// Since when so many nodes of a cluster are silent that the watcher doubts itself.
    doubted_since: BTreeMap<ClusterId, u64>,
    /// When the last question was asked that proved the watcher's own link by its answer.
    proven_at: Option<u64>,
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

    /// The watcher's own link carries: a question asked at this moment was answered.
    pub fn link_proven(&mut self, asked_at: u64) {
        self.proven_at = self.proven_at.max(Some(asked_at));
    }

    /// Nodes that are to be asked for a heartbeat before anyone is called lost; while there are any, the
    /// watcher's own link is to be proven too.
    pub fn doubted(&self, now: u64) -> Vec<NodeId> {
        let doubted = |watched: &&Watched| {
            watched.is_silent(now) && self.doubted_since.contains_key(&watched.known.cluster_id)
        };
        let nodes = self.nodes.iter().filter(|(_, watched)| doubted(watched));
        nodes.map(|(id, _)| *id).collect()
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
        self.doubted_since
            .retain(|cluster, _| silent.contains_key(cluster));
        let mut judged = BTreeSet::new();
        for (cluster, nodes) in silent {
            let of_cluster = || {
                let nodes = self.nodes.values();
                nodes.filter(|watched| watched.known.cluster_id == *cluster)
            };
            let few = FEW_NODES.max(of_cluster().count() / FEW_SHARE_DIVISOR);
            let here = of_cluster().filter(|watched| !watched.known.lost).count();
            let many = nodes.len() > few;
            if !many && nodes.len() < here && !self.doubted_since.contains_key(cluster) {
                judged.extend(nodes);
                continue;
            }
            let since = *self.doubted_since.entry(*cluster).or_insert(now);
            let proven = self.proven_at.is_some_and(|asked_at| asked_at >= since);
            let window = if many { SILENCE_MS } else { 0 };
            if proven && now.saturating_sub(since) >= window {
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
