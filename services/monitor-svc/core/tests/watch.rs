//! Who is lost and who is back, on a clock of our own.

use berth_events::UsageSample;
use berth_ids::{ClusterId, NodeId, Timestamp};
use berth_monitor_core::{
    ENGINE_AWAY_MS, FIRST_HEARD_MS, Known, SAMPLE_MAX_AGE_MS, SILENCE_MS, UsageStore, Verdict, Watch,
};
use std::collections::BTreeSet;

const CLUSTER: ClusterId = ClusterId::from_u128(1);
/// As often as agents beat and the shell looks.
const BEAT_MS: u64 = 500;
const TICK_MS: u64 = 100;

struct World {
    watch: Watch,
    now: u64,
    nodes: Vec<(NodeId, Known)>,
    silent: BTreeSet<NodeId>,
    engineless: BTreeSet<NodeId>,
    /// The watcher's own link carries.
    linked: bool,
}

fn node(n: u128) -> NodeId {
    NodeId::from_u128(n)
}

impl World {
    fn with_nodes(count: u128) -> Self {
        let known = Known {
            cluster_id: CLUSTER,
            lost: false,
            version: 1,
        };
        let mut world = Self {
            watch: Watch::default(),
            now: 0,
            nodes: (1..=count).map(|n| (node(n), known)).collect(),
            silent: BTreeSet::new(),
            engineless: BTreeSet::new(),
            linked: true,
        };
        world.run(2_000);
        world
    }

    /// Lets time pass; verdicts are recorded at once. Answers each with its moment.
    fn run(&mut self, millis: u64) -> Vec<(u64, Verdict)> {
        let mut said = Vec::new();
        let end = self.now + millis;
        while self.now < end {
            self.now += TICK_MS;
            self.watch.know(self.nodes.clone(), self.now);
            if self.now.is_multiple_of(BEAT_MS) {
                for (id, _) in self.nodes.iter().filter(|(id, _)| !self.silent.contains(id)) {
                    if self.engineless.contains(id) {
                        self.watch.heard_without_engine(*id, self.now);
                    } else {
                        self.watch.heard(*id, self.now);
                    }
                }
            }
            for verdict in self.watch.tick(self.now) {
                self.record(verdict);
                said.push((self.now, verdict));
            }
            if self.linked && !self.watch.doubted(self.now).is_empty() {
                self.watch.link_proven(self.now);
            }
        }
        said
    }

    fn record(&mut self, verdict: Verdict) {
        let (id, lost) = match verdict {
            Verdict::Lost { node_id, .. } => (node_id, true),
            Verdict::Returned { node_id, .. } => (node_id, false),
        };
        for (node, known) in self.nodes.iter_mut().filter(|(node, _)| *node == id) {
            assert_ne!(known.lost, lost, "said of {node} what is recorded");
            known.lost = lost;
            known.version += 1;
        }
    }
}

#[test]
fn one_silent_node_is_lost_within_two_seconds_and_once() {
    let mut world = World::with_nodes(3);
    let silent_from = world.now;
    world.silent.insert(node(1));
    let said = world.run(10_000);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].0 - silent_from <= 2_000, "{said:?}");
    assert!(matches!(said[0].1, Verdict::Lost { silent_ms, .. } if silent_ms >= SILENCE_MS));
}

#[test]
fn a_node_that_is_heard_again_is_back_within_two_seconds() {
    let mut world = World::with_nodes(3);
    world.silent.insert(node(1));
    world.run(3_000);
    let back_from = world.now;
    world.silent.clear();
    let said = world.run(5_000);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(matches!(said[0].1, Verdict::Returned { .. }));
    assert!(said[0].0 - back_from <= 1_000);
}

#[test]
fn many_at_once_get_a_second_window() {
    let mut world = World::with_nodes(10);
    let silent_from = world.now;
    world.silent = (1..=3).map(node).collect();
    let said = world.run(10_000);
    assert_eq!(said.len(), 3);
    assert!(said.iter().all(|(at, _)| at - silent_from >= 2 * SILENCE_MS));
}

#[test]
fn nobody_is_lost_while_the_own_link_is_in_doubt() {
    for (count, silent) in [(10, 3), (10, 10), (3, 3), (1, 1)] {
        let mut world = World::with_nodes(count);
        world.linked = false;
        world.silent = (1..=silent).map(node).collect();
        assert_eq!(world.run(60_000), [], "{silent} of {count}");
        let asked: BTreeSet<NodeId> = world.watch.doubted(world.now).into_iter().collect();
        assert_eq!(asked, world.silent, "they are asked for a heartbeat");
        world.linked = true;
        let said = world.run(1_000);
        assert_eq!(
            said.len(),
            world.silent.len(),
            "the link carries, and they are silent"
        );
    }
}

#[test]
fn all_of_a_small_cluster_are_lost_within_two_seconds_once_the_link_is_proven() {
    for count in [1, 2] {
        let mut world = World::with_nodes(count);
        let silent_from = world.now;
        world.silent = (1..=count).map(node).collect();
        let said = world.run(10_000);
        assert_eq!(said.len(), world.silent.len(), "{said:?}");
        assert!(said.iter().all(|(at, _)| at - silent_from <= 2_000), "{said:?}");
    }
}

#[test]
fn an_answer_from_before_the_silence_proves_nothing() {
    let mut world = World::with_nodes(3);
    world.watch.link_proven(world.now);
    world.linked = false;
    world.silent = (1..=3).map(node).collect();
    assert_eq!(world.run(10_000), []);
}

#[test]
fn many_that_come_back_in_the_second_window_are_no_loss() {
    let mut world = World::with_nodes(10);
    world.silent = (1..=10).map(node).collect();
    assert!(world.run(2_500).is_empty());
    world.silent.clear();
    assert!(world.run(10_000).is_empty());
}

#[test]
fn a_tenth_of_a_big_cluster_is_few() {
    let mut world = World::with_nodes(50);
    let silent_from = world.now;
    world.silent = (1..=5).map(node).collect();
    let said = world.run(3_000);
    assert_eq!(said.len(), 5);
    assert!(said.iter().all(|(at, _)| at - silent_from <= 2_000));
}

#[test]
fn a_watcher_that_was_held_up_accuses_nobody() {
    let mut world = World::with_nodes(2);
    world.now += 20_000;
    assert!(world.run(5_000).is_empty());
}

#[test]
fn silence_while_the_link_was_down_does_not_count() {
    let mut world = World::with_nodes(1);
    world.silent.insert(node(1));
    world.run(1_200);
    world.watch.reconnected(world.now);
    world.silent.clear();
    assert!(world.run(5_000).is_empty());
}

#[test]
fn a_new_node_has_time_for_its_first_heartbeat() {
    let mut world = World::with_nodes(2);
    let known = world.nodes[0].1;
    world.nodes.push((node(9), known));
    world.silent.insert(node(9));
    assert!(world.run(FIRST_HEARD_MS - 200).is_empty());
    assert_eq!(world.run(1_000).len(), 1);
}

#[test]
fn a_verdict_without_effect_is_given_again_with_the_same_version() {
    let known = Known {
        cluster_id: CLUSTER,
        lost: false,
        version: 4,
    };
    let mut watch = Watch::default();
    watch.know([(node(1), known)], 0);
    watch.heard(node(1), 0);
    let mut said = Vec::new();
    for now in (0..4_000).step_by(100) {
        said.extend(watch.tick(now));
        watch.link_proven(now);
    }
    assert_eq!(said.len(), 3);
    assert!(
        said.iter()
            .all(|verdict| matches!(verdict, Verdict::Lost { version: 4, .. }))
    );
}

#[test]
fn only_fresh_samples_are_answers() {
    let sample = |n: u128, cluster: u128| UsageSample {
        node_id: node(n),
        cluster_id: ClusterId::from_u128(cluster),
        taken_at: Timestamp::default(),
        cpu_millis: 1,
        memory_bytes: 1,
        memory_total_bytes: 2,
        containers: vec![],
        pulls: vec![],
    };
    let mut store = UsageStore::default();
    assert!(store.take(sample(1, 1), 0));
    assert!(store.take(sample(2, 1), 20_000));
    assert!(store.take(sample(3, 2), 20_000));
    assert_eq!(store.of(CLUSTER, 20_000).len(), 2);
    assert_eq!(store.of(CLUSTER, SAMPLE_MAX_AGE_MS + 1).len(), 1);
}

#[test]
fn a_node_without_its_engine_is_lost_after_a_while_and_back_with_it() {
    let mut world = World::with_nodes(3);
    world.engineless.insert(node(2));
    assert_eq!(
        world.run(ENGINE_AWAY_MS - BEAT_MS),
        [],
        "an engine may be upgraded"
    );
    world.engineless.clear();
    assert_eq!(world.run(5_000), []);
    world.engineless.insert(node(2));
    let said = world.run(ENGINE_AWAY_MS + 2 * SILENCE_MS);
    assert!(
        matches!(said[..], [(_, Verdict::Lost { node_id, .. })] if node_id == node(2)),
        "{said:?}"
    );
    world.engineless.clear();
    let said = world.run(1_000);
    assert!(matches!(said[..], [(_, Verdict::Returned { .. })]), "{said:?}");
}
