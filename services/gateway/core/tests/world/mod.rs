//! A log and the view of it, filled as the services would.
#![allow(dead_code, clippy::unwrap_used)] // each test file uses its part

use berth_api::{ApplicationStatus, ClusterState, NodeStatus};
use berth_events::{
    AllocationEvent, AllocationExited, AllocationRunning, ApplicationCreated, ApplicationEvent, Category,
    ClusterCreated, ClusterEvent, Event, Meta, NodeEvent, NodeFacts, NodeJoined, Placed, PlacementDecided,
    PlacementEvent, PlacementReason, Recorded, ReleaseOutcome, ReleaseSettled, ReleaseSource, ReleaseStarted,
    ReportMark, StreamName,
    spec::{
        ApplicationSpec, ContainerSpec, ResourceSpec, RestartCondition, RestartPolicy, ServiceMode,
        ServiceSpec,
    },
};
use berth_eventsourcing::{AppendRequest, Expected, MemoryLog, NewEvent, RowKey, StreamAppend, View as _};
use berth_gateway_core::{Access, ApiView, ApplicationRow};
use berth_ids::{AllocationId, ApplicationId, ClusterId, EventId, Name, NodeId, ReleaseId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

pub const CLUSTER: ClusterId = ClusterId::from_u128(1);
pub const NODE: NodeId = NodeId::from_u128(0x10);
pub const APP: ApplicationId = ApplicationId::from_u128(0x20);
pub const RELEASE: ReleaseId = ReleaseId::from_u128(0x30);

pub fn allocation(number: u128) -> AllocationId {
    AllocationId::from_u128(0xabcd_0000_0000_0000_0000_0000_0000_0000 + number)
}

#[derive(Default)]
pub struct World {
    pub log: MemoryLog,
    pub view: ApiView,
    pub touched: BTreeSet<RowKey>,
    pub events: u128,
}

impl World {
    pub fn tenant(&mut self, tenant: &str, stream: StreamName, event: impl Into<Event>) -> Recorded {
        self.events += 1;
        let event = event.into();
        let owner = stream.category().owner();
        let before = self.log.head();
        let request = AppendRequest {
            tenant: tenant.into(),
            meta: Meta {
                actor: "token:1".into(),
                ..Meta::default()
            },
            streams: vec![StreamAppend {
                stream,
                expected: Expected::Any,
                events: vec![NewEvent::encode(EventId::from_u128(self.events), &event).unwrap()],
            }],
            guards: vec![],
            command: None,
        };
        let now = Timestamp::from_millis(i64::try_from(self.events).unwrap() * 1_000);
        self.log.append(owner, &request, now).unwrap();
        let recorded = self.log.after(before)[0].clone();
        self.touched.extend(self.view.apply(&recorded, &event));
        recorded
    }

    pub fn record(&mut self, stream: StreamName, event: impl Into<Event>) -> Recorded {
        self.tenant("main", stream, event)
    }

    pub fn cluster(&mut self, id: ClusterId, name: &str) {
        let created = ClusterCreated {
            cluster_id: id,
            name: Name::parse(name).unwrap(),
            region: "eu".into(),
            zones: BTreeSet::new(),
            policy: Default::default(),
            strategy: Default::default(),
        };
        self.record(
            StreamName::new(Category::Cluster, id),
            ClusterEvent::Created(created),
        );
    }

    pub fn join(&mut self, id: NodeId, name: &str, agent: &str) {
        let joined = NodeJoined {
            node_id: id,
            cluster_id: CLUSTER,
            name: Name::parse(name).unwrap(),
            index: 1,
            zone: "a".into(),
            address: "10.0.0.1".into(),
            labels: BTreeMap::new(),
            resources: BTreeMap::new(),
            facts: NodeFacts {
                agent_version: agent.into(),
                cpu_millis: 4_000,
                ..NodeFacts::default()
            },
        };
        self.node(id, NodeEvent::Joined(joined));
    }

    pub fn node(&mut self, id: NodeId, event: NodeEvent) {
        self.record(StreamName::new(Category::Node, id), event);
    }

    pub fn app(&mut self, event: ApplicationEvent) {
        self.record(StreamName::new(Category::Application, APP), event);
    }

    pub fn deploy(&mut self, replicas: u32, restart: RestartCondition) {
        let service = ServiceSpec {
            mode: ServiceMode::Replicated { replicas },
            container: container(),
            restart: RestartPolicy {
                condition: restart,
                ..RestartPolicy::default()
            },
            ..ServiceSpec::default()
        };
        let name = Name::parse("shop").unwrap();
        self.app(ApplicationEvent::Created(ApplicationCreated {
            application_id: APP,
            cluster_id: CLUSTER,
            name,
        }));
        self.app(ApplicationEvent::ReleaseStarted(ReleaseStarted {
            method: Default::default(),
            release_id: RELEASE,
            number: 1,
            spec: ApplicationSpec {
                services: BTreeMap::from([("web".into(), service)]),
                ..Default::default()
            },
            source: ReleaseSource::Image {
                image: "nginx".into(),
            },
            warnings: vec![],
        }));
    }

    pub fn settle(&mut self) {
        let settled = ReleaseSettled {
            failure: None,
            release_id: RELEASE,
            outcome: ReleaseOutcome::Running,
        };
        self.app(ApplicationEvent::ReleaseSettled(settled));
    }

    pub fn place(&mut self, number: u128, slot: u32, restart: RestartCondition) -> AllocationId {
        let placed = Placed {
            allocation_id: allocation(number),
            application_id: APP,
            release_id: RELEASE,
            service: "web".into(),
            slot,
            spec_hash: "h".into(),
            restart: RestartPolicy {
                condition: restart,
                ..RestartPolicy::default()
            },
            why: PlacementReason {
                cause: if number == 1 { "new" } else { "crashed" }.into(),
                candidates: 2,
                refused: BTreeMap::from([("memory".into(), 1)]),
                score: BTreeMap::from([("spread".into(), 7)]),
            },
            image_digest: None,
        };
        let decided = PlacementDecided {
            cluster_id: CLUSTER,
            node_id: NODE,
            previous: 0,
            place: vec![placed],
            stop: vec![],
            containers: BTreeMap::from([("h".into(), container())]),
            projects: BTreeMap::new(),
            drop_volumes: BTreeSet::new(),
        };
        self.record(
            StreamName::new(Category::Placement, CLUSTER),
            PlacementEvent::Decided(decided),
        );
        allocation(number)
    }

    pub fn saw(&mut self, event: AllocationEvent) {
        self.record(StreamName::new(Category::Allocation, NODE), event);
    }

    pub fn runs(&mut self, id: AllocationId) {
        self.saw(AllocationEvent::Running(AllocationRunning {
            allocation_id: id,
            report: ReportMark::default(),
            container_id: format!("{:064x}", id.as_uuid().as_u128()),
            addresses: BTreeMap::new(),
            ports: vec![],
        }));
    }

    pub fn exits(&mut self, id: AllocationId, exit_code: i64) {
        let report = ReportMark::default();
        let exited = AllocationExited {
            allocation_id: id,
            report,
            exit_code,
            oom_killed: false,
        };
        self.saw(AllocationEvent::Exited(exited));
    }

    pub fn row(&self) -> &ApplicationRow {
        self.view.find_application(&everything(), "shop", None).unwrap()
    }

    pub fn status(&self) -> ApplicationStatus {
        self.view.application_status(self.row())
    }

    pub fn state(&self) -> ClusterState {
        let access = everything();
        self.view
            .cluster(self.view.find_cluster(&access, "main").unwrap())
            .state
    }

    pub fn node_status(&self) -> NodeStatus {
        self.view
            .node(self.view.find_node(&everything(), "n1", None).unwrap())
            .status
    }
}

pub fn container() -> ContainerSpec {
    ContainerSpec {
        image: "nginx".into(),
        resources: ResourceSpec {
            cpu_reserved_millis: 250,
            memory_reserved_bytes: 1_000,
            ..ResourceSpec::default()
        },
        ..ContainerSpec::default()
    }
}

pub fn everything() -> Access {
    Access {
        tenant: "main".into(),
        clusters: BTreeSet::new(),
    }
}

pub fn world() -> World {
    let mut world = World::default();
    world.cluster(CLUSTER, "main");
    world.join(NODE, "n1", "0.1.0");
    world
}
