//! Which node is asked for a log, and what is refused.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use berth_events::{
    AllocationEvent, AllocationExited, AllocationRemoved, Category, Event, NodeEvent, NodeLost, NodeReturned,
    OpenLog, Placed, PlacementDecided, PlacementEvent, PlacementReason, StreamName,
};
use berth_eventsourcing::{MemoryLog, RowKey, View};
use berth_ids::{AllocationId, ApplicationId, ClusterId, NodeId, ReleaseId, Timestamp};
use berth_log_core::{LogView, open};
use std::collections::{BTreeMap, BTreeSet};

const CLUSTER: ClusterId = ClusterId::from_u128(1);
const NODE: NodeId = NodeId::from_u128(2);
const ALLOCATION: AllocationId = AllocationId::from_u128(3);

#[derive(Default)]
struct World {
    log: MemoryLog,
    view: LogView,
}

impl World {
    fn given(&mut self, category: Category, key: impl std::fmt::Display, event: impl Into<Event>) {
        let event = event.into();
        let stream = StreamName::new(category, key);
        let recorded = self
            .log
            .record(stream, event.clone(), Timestamp::default())
            .unwrap();
        self.view.apply(&recorded, &event);
    }

    fn placed() -> Self {
        let mut world = Self::default();
        world.given(
            Category::Placement,
            CLUSTER,
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
        world
    }

    fn code(&self, cluster: ClusterId, asked: &OpenLog) -> String {
        open(&self.view, cluster.as_uuid(), asked, "fresh")
            .unwrap_err()
            .code
    }
}

fn ask() -> OpenLog {
    OpenLog {
        allocation_id: ALLOCATION,
        session: None,
        follow: true,
        tail: Some(10),
        since: None,
        timestamps: false,
    }
}

#[test]
fn the_node_that_has_the_container_is_asked_also_when_it_has_ended() {
    let mut world = World::placed();
    world.given(
        Category::Allocation,
        NODE,
        AllocationEvent::Exited(AllocationExited {
            allocation_id: ALLOCATION,
            report: Default::default(),
            exit_code: 1,
            oom_killed: false,
        }),
    );
    let (order, answer) = open(&world.view, CLUSTER.as_uuid(), &ask(), "fresh").unwrap();
    assert_eq!((answer.node_id, answer.session.as_str()), (NODE, "fresh"));
    assert_eq!((order.session.as_str(), order.tail), ("fresh", Some(10)));
    world.given(
        Category::Allocation,
        NODE,
        AllocationEvent::Removed(AllocationRemoved {
            allocation_id: ALLOCATION,
            report: Default::default(),
        }),
    );
    assert_eq!(world.code(CLUSTER, &ask()), "log.unknown");
}

#[test]
fn the_asker_may_choose_the_session_but_not_a_subject() {
    let world = World::placed();
    let mut asked = ask();
    asked.session = Some("mine-1".into());
    assert_eq!(
        open(&world.view, CLUSTER.as_uuid(), &asked, "fresh")
            .unwrap()
            .1
            .session,
        "mine-1"
    );
    for session in ["", "a.b", "*", ">", &"x".repeat(65)] {
        asked.session = Some(session.into());
        assert_eq!(world.code(CLUSTER, &asked), "log.session_invalid", "{session}");
    }
}

#[test]
fn another_cluster_a_lost_node_and_too_many_lines_are_refused() {
    let mut world = World::placed();
    assert_eq!(world.code(ClusterId::from_u128(9), &ask()), "log.unknown");
    let mut asked = ask();
    asked.tail = Some(u32::MAX);
    assert_eq!(world.code(CLUSTER, &asked), "log.tail_too_long");
    world.given(
        Category::Node,
        NODE,
        NodeEvent::Lost(NodeLost { silent_ms: 2_000 }),
    );
    assert_eq!(world.code(CLUSTER, &ask()), "log.node_lost");
    let key = RowKey::new("lost", NODE);
    let mut restored = LogView::default();
    restored
        .restore(key.clone(), &world.view.row(&key).unwrap())
        .unwrap();
    assert!(restored.is_lost(NODE));
    world.given(Category::Node, NODE, NodeEvent::Returned(NodeReturned {}));
    assert_eq!(world.view.row(&key), None);
    open(&world.view, CLUSTER.as_uuid(), &ask(), "fresh").unwrap();
}
