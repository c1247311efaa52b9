//! Rules of nodes: given events, when command, then events.

mod world;

use berth_cluster_core::{MAX_LABELS, host_name_candidate};
use berth_events::{
    AllocationEvent, AllocationExited, Category, ClusterCommand, NodeFacts, Placed, PlacementDecided,
    PlacementEvent, PlacementReason, StreamName,
};
use berth_ids::{AllocationId, ApplicationId, ReleaseId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use world::{CLUSTER, NODE, World, at, join, node};

const NOTHING: [&str; 0] = [];
const ALLOCATION: AllocationId = AllocationId::from_u128(5);

fn cordon() -> ClusterCommand {
    ClusterCommand::CordonNode {
        node_id: NODE,
        reason: "disk".into(),
    }
}
fn uncordon() -> ClusterCommand {
    ClusterCommand::UncordonNode { node_id: NODE }
}
fn drain(deadline_at: Timestamp) -> ClusterCommand {
    ClusterCommand::DrainNode {
        node_id: NODE,
        deadline_at,
        force: false,
    }
}
fn settle(remaining: u32) -> ClusterCommand {
    ClusterCommand::SettleDrain {
        node_id: NODE,
        remaining,
    }
}
fn remove(force: bool) -> ClusterCommand {
    ClusterCommand::RemoveNode { node_id: NODE, force }
}
fn label(set: &[(&str, &str)], remove: &[&str]) -> ClusterCommand {
    ClusterCommand::LabelNode {
        node_id: NODE,
        set: set.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        remove: remove.iter().map(|k| (*k).to_owned()).collect(),
        expected_version: None,
    }
}

#[test]
fn a_join_claims_name_and_index_in_one_append() {
    let mut world = World::with_cluster();
    assert_eq!(
        world.run(join(NODE, None, "web-1")).unwrap(),
        ["node.joined", "name.claimed", "name.claimed"]
    );
    let again = world.decide("main", &join(NODE, None, "web-1")).unwrap();
    assert!(again.changes.is_empty());
    assert_eq!(again.result["name"], "web-1");
    assert_eq!(again.result["index"], 1);
}

#[test]
fn taken_host_names_get_a_number_and_taken_names_are_refused() {
    let mut world = World::with_node();
    world.run(join(node(2), None, "WEB-1")).unwrap();
    world.run(join(node(3), None, "web-1")).unwrap();
    assert_eq!(world.view.node(node(2)).unwrap().name.as_str(), "WEB-1-2");
    assert_eq!(world.view.node(node(3)).unwrap().name.as_str(), "web-1-3");
    assert_eq!(world.code(join(node(4), Some("web-1"), "x")), "node.name_taken");
}

#[test]
fn two_joins_at_once_cannot_get_the_same_index() {
    let mut world = World::with_cluster();
    let one = world.decide("main", &join(node(1), None, "a")).unwrap();
    let two = world.decide("main", &join(node(2), None, "b")).unwrap();
    world.append(&one).unwrap();
    world.append(&two).unwrap_err();
    let two = world.decide("main", &join(node(2), None, "b")).unwrap();
    world.append(&two).unwrap();
    assert_eq!(world.view.node(node(2)).unwrap().index, 2);
}

#[test]
fn a_view_that_lags_still_gives_a_free_name_and_index() {
    let mut world = World::with_cluster();
    let lagging = world.view.clone();
    world.run(join(node(1), None, "a")).unwrap();
    world.view = lagging;
    world.run(join(node(2), None, "a")).unwrap();
    let joined = world.view.node(node(2)).unwrap();
    assert_eq!((joined.name.as_str(), joined.index), ("a-2", 2));
}

#[test]
fn a_deletion_that_came_first_stops_a_join() {
    let mut world = World::with_cluster();
    let joining = world.decide("main", &join(NODE, None, "a")).unwrap();
    world
        .run(ClusterCommand::DeleteCluster {
            cluster_id: CLUSTER,
            force: false,
        })
        .unwrap();
    world.append(&joining).unwrap_err();
}

#[test]
fn an_index_is_never_used_again() {
    let mut world = World::with_node();
    assert_eq!(
        world.run(remove(false)).unwrap(),
        ["node.removed", "name.released"]
    );
    assert_eq!(world.run(remove(false)).unwrap(), NOTHING);
    assert_eq!(world.code(join(NODE, None, "web-1")), "node.removed");
    world.run(join(node(2), None, "web-1")).unwrap();
    let joined = world.view.node(node(2)).unwrap();
    assert_eq!((joined.name.as_str(), joined.index), ("web-1", 2));
}

#[test]
fn host_names_become_names() {
    for (hostname, name) in [
        ("ip-10-0-0-1.internal", "ip-10-0-0-1.internal"),
        ("my host!", "my-host-"),
        ("---", "node"),
        ("", "node"),
    ] {
        assert_eq!(host_name_candidate(hostname, 1).unwrap().as_str(), name);
    }
    let long = host_name_candidate(&"x".repeat(300), 10_000).unwrap();
    assert!(long.as_str().ends_with("-10000"));
}

#[test]
fn cordoning_twice_records_one_event() {
    let mut world = World::with_node();
    assert_eq!(world.run(cordon()).unwrap(), ["node.cordoned"]);
    assert_eq!(world.run(cordon()).unwrap(), NOTHING);
    assert_eq!(world.run(uncordon()).unwrap(), ["node.uncordoned"]);
    assert_eq!(world.run(uncordon()).unwrap(), NOTHING);
}

#[test]
fn a_drain_needs_a_deadline_in_the_future_and_holds_until_it_ends() {
    let mut world = World::with_node();
    assert_eq!(world.code(settle(0)), "node.not_draining");
    assert_eq!(world.code(drain(at(999))), "node.deadline_past");
    assert_eq!(world.run(drain(at(1_100))).unwrap(), ["node.drain_started"]);
    assert_eq!(world.run(drain(at(1_100))).unwrap(), NOTHING);
    assert_eq!(world.run(cordon()).unwrap(), NOTHING);
    assert_eq!(world.code(uncordon()), "node.drain_in_progress");
    assert_eq!(world.code(settle(2)), "node.drain_not_due");
    world.now = 1_200;
    assert_eq!(world.run(settle(2)).unwrap(), ["node.drain_expired"]);
    assert_eq!(world.run(settle(2)).unwrap(), NOTHING);
    assert_eq!(world.run(settle(0)).unwrap(), ["node.drained"]);
    assert_eq!(world.run(settle(0)).unwrap(), NOTHING);
    assert_eq!(world.run(uncordon()).unwrap(), ["node.uncordoned"]);
}

#[test]
fn a_node_is_lost_and_back_once() {
    let mut world = World::with_node();
    let lost = ClusterCommand::MarkLost {
        node_id: NODE,
        silent_ms: 2_000,
    };
    let back = ClusterCommand::MarkReturned { node_id: NODE };
    assert_eq!(world.run(back.clone()).unwrap(), NOTHING);
    assert_eq!(world.run(lost.clone()).unwrap(), ["node.lost"]);
    assert_eq!(world.run(lost.clone()).unwrap(), NOTHING);
    assert_eq!(world.run(back).unwrap(), ["node.returned"]);
    world.run(remove(false)).unwrap();
    assert_eq!(world.code(lost), "node.removed");
}

#[test]
fn a_node_with_containers_is_removed_only_by_force() {
    let mut world = World::with_node();
    world.given(
        StreamName::new(Category::Placement, CLUSTER),
        PlacementEvent::Decided(PlacementDecided {
            cluster_id: CLUSTER,
            node_id: NODE,
            previous: 0,
            place: vec![Placed {
                allocation_id: ALLOCATION,
                application_id: ApplicationId::from_u128(1),
                release_id: ReleaseId::from_u128(1),
                service: "web".into(),
                slot: 1,
                spec_hash: "h".into(),
                restart: Default::default(),
                why: PlacementReason::default(),
                image_digest: None,
            }],
            stop: vec![],
            containers: BTreeMap::new(),
            projects: BTreeMap::new(),
            drop_volumes: BTreeSet::new(),
        }),
    );
    assert_eq!(world.code(remove(false)), "node.has_containers");
    let mut forced = world.clone();
    assert_eq!(
        forced.run(remove(true)).unwrap(),
        ["node.removed", "name.released"]
    );
    world.given(
        StreamName::new(Category::Allocation, NODE),
        AllocationEvent::Exited(AllocationExited {
            allocation_id: ALLOCATION,
            report: Default::default(),
            exit_code: 0,
            oom_killed: false,
        }),
    );
    world.run(remove(false)).unwrap();
}

#[test]
fn labels_are_checked_and_only_news_is_recorded() {
    let mut world = World::with_node();
    assert_eq!(world.code(label(&[("-bad", "x")], &[])), "label.key_invalid");
    assert_eq!(world.code(label(&[("a", "x\ny")], &[])), "label.value_invalid");
    assert_eq!(world.code(label(&[("a", "x")], &["a"])), "label.set_and_removed");
    assert_eq!(world.run(label(&[], &["absent"])).unwrap(), NOTHING);
    assert_eq!(
        world.run(label(&[("disk", "ssd")], &[])).unwrap(),
        ["node.labels_changed"]
    );
    assert_eq!(
        world.run(label(&[("disk", "ssd")], &["absent"])).unwrap(),
        NOTHING
    );
    let many: Vec<String> = (0..=MAX_LABELS).map(|n| format!("k{n}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|key| (key.as_str(), "v")).collect();
    assert_eq!(world.code(label(&many, &[])), "label.too_many");
}

#[test]
fn facts_are_recorded_only_if_they_differ() {
    let mut world = World::with_node();
    let facts = NodeFacts {
        hostname: "web-1".into(),
        cpu_millis: 4_000,
        ..NodeFacts::default()
    };
    assert_eq!(world.report(facts.clone(), "10.0.0.1"), ["node.facts_changed"]);
    assert_eq!(world.report(facts.clone(), "10.0.0.1"), NOTHING);
    assert_eq!(world.report(facts.clone(), "10.0.0.2"), ["node.facts_changed"]);
    world.run(remove(false)).unwrap();
    assert_eq!(world.report(facts, "10.0.0.3"), NOTHING);
}
