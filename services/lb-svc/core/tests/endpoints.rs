//! Endpoint sets follow what agents report.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use berth_events::{
    AllocationEvent, AllocationExited, AllocationHealthy, AllocationRunning, AllocationUnhealthy,
    ApplicationEvent, ApplicationRemoved, Category, EndpointHealth, EndpointSet, Event, NodeEvent, NodeFacts,
    NodeJoined, NodeLost, NodeRemoved, NodeReturned, Placed, PlacementDecided, PlacementEvent,
    PlacementReason, PortBinding, StopOrder, StopReason, StreamName,
    spec::{ContainerSpec, HealthcheckSpec},
};
use berth_eventsourcing::{MemoryLog, RowKey, View};
use berth_ids::{AllocationId, ApplicationId, ClusterId, Name, NodeId, ReleaseId, Timestamp};
use berth_lb_core::{EndpointView, Service};
use std::collections::{BTreeMap, BTreeSet};

const CLUSTER: ClusterId = ClusterId::from_u128(1);
const NODE: NodeId = NodeId::from_u128(2);
const APPLICATION: ApplicationId = ApplicationId::from_u128(3);

#[derive(Default)]
struct World {
    log: MemoryLog,
    view: EndpointView,
    rows: BTreeMap<RowKey, String>,
}

fn allocation(slot: u32) -> AllocationId {
    AllocationId::from_u128(u128::from(slot))
}

impl World {
    fn given(&mut self, category: Category, key: impl std::fmt::Display, event: impl Into<Event>) {
        let event = event.into();
        let stream = StreamName::new(category, key);
        let recorded = self
            .log
            .record(stream, event.clone(), Timestamp::default())
            .unwrap();
        for key in self.view.apply(&recorded, &event) {
            match self.view.row(&key) {
                Some(row) => self.rows.insert(key, row),
                None => self.rows.remove(&key),
            };
        }
    }

    fn reported(&mut self, event: AllocationEvent) {
        self.given(Category::Allocation, NODE, event);
    }

    fn node(&mut self, event: NodeEvent) {
        self.given(Category::Node, NODE, event);
    }

    fn running(&mut self, slot: u32) {
        self.reported(AllocationEvent::Running(AllocationRunning {
            allocation_id: allocation(slot),
            report: Default::default(),
            container_id: format!("c{slot}"),
            addresses: BTreeMap::from([("shop_default".into(), format!("172.18.0.{slot}"))]),
            ports: vec![PortBinding {
                target: 80,
                protocol: "tcp".into(),
                host_ip: "0.0.0.0".into(),
                host_port: 8_000,
            }],
        }));
    }

    fn set(&self) -> Option<EndpointSet> {
        let service = Service {
            application_id: APPLICATION,
            service: "web".into(),
        };
        let mut restored = EndpointView::default();
        for (key, row) in &self.rows {
            restored.restore(key.clone(), row).unwrap();
        }
        assert_eq!(
            restored.set(&service),
            self.view.set(&service),
            "rows are the whole state"
        );
        self.view.set(&service)
    }

    fn health(&self) -> Vec<(u32, EndpointHealth)> {
        let set = self.set().unwrap();
        set.endpoints
            .iter()
            .map(|endpoint| (endpoint.slot, endpoint.health))
            .collect()
    }

    /// Two slots of `web` placed on a node, with or without a check.
    fn placed(check: bool) -> Self {
        let mut world = Self::default();
        world.node(NodeEvent::Joined(NodeJoined {
            node_id: NODE,
            cluster_id: CLUSTER,
            name: Name::parse("n").unwrap(),
            index: 1,
            zone: "default".into(),
            address: "10.0.0.1".into(),
            labels: BTreeMap::new(),
            resources: BTreeMap::new(),
            facts: NodeFacts::default(),
        }));
        let place = |slot| Placed {
            allocation_id: allocation(slot),
            application_id: APPLICATION,
            release_id: ReleaseId::from_u128(1),
            service: "web".into(),
            slot,
            spec_hash: "h".into(),
            restart: Default::default(),
            why: PlacementReason::default(),
            image_digest: None,
        };
        let spec = ContainerSpec {
            healthcheck: check.then(|| HealthcheckSpec {
                test: vec!["CMD".into(), "true".into()],
                ..HealthcheckSpec::default()
            }),
            ..ContainerSpec::default()
        };
        world.given(
            Category::Placement,
            CLUSTER,
            PlacementEvent::Decided(PlacementDecided {
                cluster_id: CLUSTER,
                node_id: NODE,
                previous: 0,
                place: vec![place(2), place(1)],
                stop: vec![],
                containers: BTreeMap::from([("h".into(), spec)]),
                projects: BTreeMap::new(),
                drop_volumes: BTreeSet::new(),
            }),
        );
        world
    }
}

#[test]
fn what_is_told_to_stop_leaves_before_it_does() {
    let mut world = World::placed(false);
    world.running(1);
    world.running(2);
    let before = world.set().unwrap();
    world.given(
        Category::Placement,
        CLUSTER,
        PlacementEvent::Decided(PlacementDecided {
            cluster_id: CLUSTER,
            node_id: NODE,
            previous: 1,
            place: vec![],
            stop: vec![StopOrder {
                allocation_id: allocation(2),
                reason: StopReason::Changed,
                by: None,
            }],
            containers: BTreeMap::new(),
            projects: BTreeMap::new(),
            drop_volumes: BTreeSet::new(),
        }),
    );
    assert_eq!(world.health(), [(1, EndpointHealth::Unchecked)]);
    assert!(world.set().unwrap().generation > before.generation);
    world.running(2);
    assert_eq!(world.health().len(), 1, "it does not come back");
}

#[test]
fn what_runs_is_in_the_set_by_slot_and_what_ended_is_not() {
    let mut world = World::placed(false);
    assert!(world.set().unwrap().endpoints.is_empty());
    world.running(2);
    world.running(1);
    assert_eq!(
        world.health(),
        [(1, EndpointHealth::Unchecked), (2, EndpointHealth::Unchecked)]
    );
    let before = world.set().unwrap();
    assert_eq!(before.endpoints[0].node_address, "10.0.0.1");
    assert_eq!(before.endpoints[0].ports[0].host_port, 8_000);
    world.reported(AllocationEvent::Exited(AllocationExited {
        allocation_id: allocation(1),
        report: Default::default(),
        exit_code: 0,
        oom_killed: false,
    }));
    let after = world.set().unwrap();
    assert_eq!(after.endpoints.len(), 1);
    assert!(after.generation > before.generation);
    world.running(1);
    assert_eq!(world.health().len(), 1, "what has ended does not come back");
}

#[test]
fn a_check_decides_about_traffic() {
    let mut world = World::placed(true);
    let (allocation_id, report) = (allocation(1), Default::default());
    world.running(1);
    assert_eq!(world.health(), [(1, EndpointHealth::Starting)]);
    world.reported(AllocationEvent::Healthy(AllocationHealthy {
        allocation_id,
        report,
    }));
    assert_eq!(world.health(), [(1, EndpointHealth::Healthy)]);
    world.reported(AllocationEvent::Unhealthy(AllocationUnhealthy {
        allocation_id,
        report,
        output: String::new(),
    }));
    assert_eq!(world.health(), [(1, EndpointHealth::Unhealthy)]);
}

#[test]
fn a_lost_node_is_unknown_and_a_removed_one_leaves() {
    let mut world = World::placed(false);
    world.running(1);
    world.node(NodeEvent::Lost(NodeLost { silent_ms: 2_000 }));
    assert_eq!(world.health(), [(1, EndpointHealth::Unknown)]);
    world.node(NodeEvent::Returned(NodeReturned {}));
    assert_eq!(world.health(), [(1, EndpointHealth::Unchecked)]);
    world.node(NodeEvent::Removed(NodeRemoved { forced: true }));
    assert!(world.set().unwrap().endpoints.is_empty());
}

#[test]
fn only_news_changes_the_generation() {
    let mut world = World::placed(false);
    world.running(1);
    let generation = world.set().unwrap().generation;
    world.running(1);
    assert_eq!(world.set().unwrap().generation, generation);
    assert_eq!(world.view.all(), world.view.sets(CLUSTER));
}

#[test]
fn the_sets_of_a_removed_application_are_gone() {
    let mut world = World::placed(false);
    world.given(
        Category::Application,
        APPLICATION,
        ApplicationEvent::Removed(ApplicationRemoved {}),
    );
    assert_eq!(world.set(), None);
    assert!(world.view.sets(CLUSTER).is_empty());
}
