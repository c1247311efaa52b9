//! What waits says for what.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod world;

use world::*;

use berth_events::{
    ApplicationEvent, ApplicationRemoved, BlockReport, Category, ClusterDeleteRequested, ClusterEvent,
    NodeEvent, NodeLost, PlacementBlocked, PlacementEvent, RemoveRequested, StreamName,
    spec::RestartCondition,
};
use berth_gateway_core::{ContainerFilter, PageRequest};

#[test]
fn an_ended_container_whose_slot_waits_is_listed_with_the_reason() {
    let mut world = world();
    world.deploy(1, RestartCondition::Any);
    let (first, second) = (
        world.place(1, 1, RestartCondition::Any),
        world.place(2, 1, RestartCondition::Any),
    );
    world.exits(first, 1);
    world.exits(second, 1);
    let listed = |world: &World| {
        let page = PageRequest::new("containers", None, None).unwrap();
        let filter = ContainerFilter::default();
        world.view.list_containers(&everything(), &filter, &page).0
    };
    assert_eq!(listed(&world), [], "what has ended is not listed");
    let blocked = PlacementBlocked {
        cluster_id: CLUSTER,
        application_id: APP,
        service: "web".into(),
        slots: [1].into(),
        report: BlockReport {
            summary: "waiting: next attempt at noon".into(),
            ..BlockReport::default()
        },
    };
    let stream = StreamName::new(Category::Placement, CLUSTER);
    world.record(stream, PlacementEvent::Blocked(blocked));
    let waiting = listed(&world);
    assert_eq!(waiting.len(), 1, "the last of the slot: {waiting:?}");
    assert_eq!(waiting[0].id, second);
    assert_eq!(
        waiting[0].pending.as_deref(),
        Some("waiting: next attempt at noon")
    );
}

#[test]
fn a_deletion_says_what_it_waits_for() {
    let mut world = world();
    world.deploy(1, RestartCondition::Any);
    let id = world.place(1, 1, RestartCondition::Any);
    world.runs(id);
    let of_cluster = |world: &World| {
        let row = world.view.find_cluster(&everything(), "main").unwrap();
        world.view.cluster(row).waits_for
    };
    assert!(of_cluster(&world).is_empty(), "nothing is deleted");
    let delete = ClusterEvent::DeleteRequested(ClusterDeleteRequested { force: false });
    world.record(StreamName::new(Category::Cluster, CLUSTER), delete);
    let told = of_cluster(&world).join("\n");
    assert!(
        told.contains("`shop` is there") && told.contains("berth cluster rm main --force"),
        "{told}"
    );
    world.app(ApplicationEvent::RemoveRequested(RemoveRequested {
        volumes: false,
    }));
    let told = world.view.why(world.row(), None).waits_for;
    assert_eq!(told, ["container shop_web_1 on node `n1` is there"]);
    world.node(NODE, NodeEvent::Lost(NodeLost { silent_ms: 2_000 }));
    let told = of_cluster(&world).join("\n");
    assert!(
        told.starts_with("application `shop` is being removed: container shop_web_1 on node `n1`")
            && told.contains("node `n1` does not answer since")
            && told.contains("berth node rm n1 --force"),
        "{told}"
    );
    world.app(ApplicationEvent::Removed(ApplicationRemoved {}));
    assert_eq!(of_cluster(&world), ["node `n1` is to be removed"]);
}
