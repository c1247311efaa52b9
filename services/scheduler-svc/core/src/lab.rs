//! A cluster in memory for tests: the real log and view, and agents that do what a test says.

mod agents;
mod check;
mod parts;
mod restore;
mod specs;

pub(crate) use agents::{created, created_of, running};
pub(crate) use restore::restored;
pub(crate) use specs::{app, service, with_memory, with_port, with_volume};

use crate::{
    allocation::NodeAllocations,
    application::{self, Context},
    planner::{self, PartLimit, Plan},
    view::{AllocationRow, SchedulerView},
};
use berth_events::{
    Category, ClusterCreated, ClusterEvent, DeployMethod, Event, Meta, NodeEvent, NodeFacts, NodeJoined,
    Rejection, SchedulerCommand, SecurityPolicy, StreamName,
    spec::{ApplicationSpec, Strategy, UpdateOrder},
};
use berth_eventsourcing::{
    AppendRequest, Change, Decision, Expected, LoadedStream, MemoryLog, NewEvent, StreamAppend, Streams,
    Undecided, View,
};
use berth_ids::{AllocationId, ApplicationId, ClusterId, EventId, Name, NodeId, ReleaseId, Timestamp};
use std::{collections::BTreeMap, time::Duration};

pub(crate) const CLUSTER: ClusterId = ClusterId::from_u128(1);
pub(crate) const GIB: u64 = 1 << 30;
/// Plans in a row before a test gives up.
const MAX_PLANS: usize = 200;

pub(crate) struct Lab {
    pub(crate) log: MemoryLog,
    pub(crate) view: SchedulerView,
    pub(crate) now: Timestamp,
    ids: u128,
    pub(crate) reported: BTreeMap<NodeId, NodeAllocations>,
    pub(crate) applications: BTreeMap<String, ApplicationId>,
    /// A specification with `start_first` was deployed.
    overlaps: bool,
    /// How large an append of a plan may be.
    pub(crate) parts: PartLimit,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let mut lab = Self {
            log: MemoryLog::default(),
            view: SchedulerView::default(),
            now: Timestamp::from_millis(1_000_000),
            ids: 1_000,
            reported: BTreeMap::new(),
            applications: BTreeMap::new(),
            overlaps: false,
            parts: PartLimit::default(),
        };
        let created = ClusterEvent::Created(ClusterCreated {
            cluster_id: CLUSTER,
            name: Name::parse("main").unwrap(),
            region: "here".into(),
            zones: Default::default(),
            policy: SecurityPolicy::Open,
            strategy: Strategy::Spread,
        });
        lab.record("cluster", StreamName::new(Category::Cluster, CLUSTER), created);
        lab
    }

    pub(crate) fn id(&mut self) -> u128 {
        self.ids += 1;
        self.ids
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now.plus(time);
    }

    pub(crate) fn record(&mut self, caller: &str, stream: StreamName, event: impl Into<Event>) {
        let decision = Decision {
            changes: vec![Change {
                stream,
                expected: Expected::Any,
                events: vec![event.into()],
            }],
            ..Decision::nothing()
        };
        self.append(caller, &decision);
    }

    pub(crate) fn append(&mut self, caller: &str, decision: &Decision) {
        let streams = decision
            .changes
            .iter()
            .map(|change| StreamAppend {
                stream: change.stream.clone(),
                expected: change.expected,
                events: change
                    .events
                    .iter()
                    .map(|event| NewEvent::encode(EventId::from_u128(self.id()), event).unwrap())
                    .collect(),
            })
            .collect();
        let request = AppendRequest {
            tenant: "main".into(),
            meta: Meta::default(),
            streams,
            guards: decision.guards.clone(),
            command: None,
        };
        let head = self.log.head();
        self.log.append(caller, &request, self.now).unwrap();
        for recorded in self.log.after(head).to_vec() {
            let event = recorded.event().unwrap();
            self.view.apply(&recorded, &event);
        }
    }

    /// A node with 4 CPUs and 8 GiB.
    pub(crate) fn node(&mut self, name: &str) -> NodeId {
        self.node_with(name, |_| {})
    }

    pub(crate) fn node_with(&mut self, name: &str, change: impl FnOnce(&mut NodeJoined)) -> NodeId {
        let node_id = NodeId::from_u128(self.id());
        let index = u32::try_from(self.view.nodes.len() + 1).unwrap();
        let mut joined = NodeJoined {
            node_id,
            cluster_id: CLUSTER,
            name: Name::parse(name).unwrap(),
            index,
            zone: "default".into(),
            address: "10.0.0.1".into(),
            labels: BTreeMap::new(),
            resources: BTreeMap::new(),
            facts: NodeFacts {
                hostname: name.to_owned(),
                os: "linux".into(),
                architecture: "amd64".into(),
                cpu_millis: 4_000,
                memory_bytes: 8 * GIB,
                ..NodeFacts::default()
            },
        };
        change(&mut joined);
        self.node_event(node_id, NodeEvent::Joined(joined));
        node_id
    }

    pub(crate) fn node_event(&mut self, node: NodeId, event: NodeEvent) {
        self.record("cluster", StreamName::new(Category::Node, node), event);
    }

    pub(crate) fn try_command(&mut self, command: &SchedulerCommand) -> Result<serde_json::Value, Rejection> {
        let mut streams = Streams::default();
        loop {
            let context = Context {
                tenant: "main",
                view: &self.view,
            };
            match application::decide(command, context, &streams) {
                Ok(decision) => {
                    self.append("scheduler", &decision);
                    return Ok(decision.result);
                }
                Err(Undecided::Refused(rejection)) => return Err(rejection),
                Err(Undecided::Needs(stream)) => {
                    let events: Vec<_> = self.log.stream(&stream).map(|r| r.event().unwrap()).collect();
                    let loaded = LoadedStream {
                        version: events.len() as u64,
                        tenant: (!events.is_empty()).then(|| "main".to_owned()),
                        events,
                    };
                    streams.insert(stream, loaded);
                }
            }
        }
    }

    pub(crate) fn deploy_as(
        &mut self,
        method: DeployMethod,
        name: &str,
        spec: ApplicationSpec,
    ) -> Result<serde_json::Value, Rejection> {
        let mut command = self.deploy_command(name, spec);
        if let SchedulerCommand::Deploy { method: asked, .. } = &mut command {
            *asked = method;
        }
        self.try_command(&command)
    }

    pub(crate) fn command(&mut self, command: SchedulerCommand) {
        self.try_command(&command).unwrap();
    }

    pub(crate) fn deploy_command(&mut self, name: &str, spec: ApplicationSpec) -> SchedulerCommand {
        let policies = spec
            .services
            .values()
            .flat_map(|service| [service.update, service.rollback]);
        self.overlaps |= policies
            .flatten()
            .any(|policy| policy.order == UpdateOrder::StartFirst);
        SchedulerCommand::Deploy {
            cluster_id: CLUSTER,
            name: Name::parse(name).unwrap(),
            application_id: ApplicationId::from_u128(self.id()),
            release_id: ReleaseId::from_u128(self.id()),
            spec: Box::new(spec),
            source: berth_events::ReleaseSource::Image { image: "x".into() },
            warnings: vec![],
            method: DeployMethod::Rolling,
            must_exist: None,
            expected_version: None,
        }
    }

    pub(crate) fn deploy(&mut self, name: &str, spec: ApplicationSpec) -> ApplicationId {
        let command = self.deploy_command(name, spec);
        let result = self.try_command(&command).unwrap();
        let id: ApplicationId = result["application_id"].as_str().unwrap().parse().unwrap();
        self.applications.insert(name.to_owned(), id);
        id
    }

    pub(crate) fn scale(&mut self, application_id: ApplicationId, service: &str, replicas: u32) {
        self.command(SchedulerCommand::Scale {
            application_id,
            service: service.into(),
            replicas,
            expected_version: None,
        });
    }

    /// One plan, recorded and checked.
    pub(crate) fn plan(&mut self) -> Plan {
        let mut next = self.ids;
        let plan = planner::plan(&self.view, CLUSTER, self.now, &mut || {
            next += 1;
            AllocationId::from_u128(next)
        });
        self.ids = next;
        for part in plan.clone().into_parts(self.parts) {
            self.append("scheduler", &part);
            self.check();
        }
        plan
    }

    /// Plans until nothing is to be recorded.
    pub(crate) fn plan_all(&mut self) -> Vec<Plan> {
        let mut plans = Vec::new();
        for _ in 0..MAX_PLANS {
            let plan = self.plan();
            let done = plan.is_empty() && !plan.more;
            plans.push(plan);
            if done {
                return plans;
            }
        }
        panic!("plans never end: {:#?}", plans.last());
    }

    pub(crate) fn rows(&self) -> Vec<AllocationRow> {
        self.view.allocations().cloned().collect()
    }

    /// Plans and obeys until nothing changes any more.
    pub(crate) fn settle(&mut self) {
        let mut watched = false;
        for _ in 0..MAX_PLANS {
            let head = self.log.head();
            self.plan_all();
            self.obey();
            if self.log.head() == head {
                if watched {
                    return;
                }
                // What runs must run for a while before it counts.
                self.pass(crate::limits::SETTLE_AFTER);
                watched = true;
            }
        }
        panic!("it never settles");
    }

    /// Containers that nobody told to stop, as `service.slot@node phase`.
    pub(crate) fn shown(&self) -> Vec<String> {
        let mut shown: Vec<_> = self
            .view
            .allocations()
            .filter(|row| row.stop.is_none())
            .map(|row| {
                let node = self.view.node(row.node_id).map_or("?", |node| node.name.as_str());
                format!("{}.{}@{node} {}", row.service, row.slot, row.phase.as_str())
            })
            .collect();
        shown.sort();
        shown
    }

    /// The one allocation of a slot that nobody told to stop.
    pub(crate) fn holder(&self, service: &str, slot: u32) -> AllocationRow {
        let rows: Vec<_> = self
            .view
            .allocations()
            .filter(|row| row.service == service && row.slot == slot && row.is_kept())
            .collect();
        assert_eq!(rows.len(), 1, "holders of {service}.{slot}: {rows:#?}");
        rows[0].clone()
    }

    pub(crate) fn lose(&mut self, node: NodeId) {
        self.node_event(node, NodeEvent::Lost(berth_events::NodeLost { silent_ms: 2_000 }));
    }

    pub(crate) fn bring_back(&mut self, node: NodeId) {
        self.node_event(node, NodeEvent::Returned(berth_events::NodeReturned {}));
    }

    pub(crate) fn drain(&mut self, node: NodeId, time: Duration, force: bool) {
        let deadline_at = self.now.plus(time);
        self.node_event(
            node,
            NodeEvent::DrainStarted(berth_events::NodeDrainStarted { deadline_at, force }),
        );
    }

    pub(crate) fn cordon(&mut self, node: NodeId) {
        let reason = String::new();
        self.node_event(node, NodeEvent::Cordoned(berth_events::NodeCordoned { reason }));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        let application_id = self.applications[name];
        self.command(SchedulerCommand::Remove {
            application_id,
            volumes: false,
        });
    }

    pub(crate) fn strategy(&mut self, strategy: Strategy) {
        let changed = ClusterEvent::SettingsChanged(berth_events::ClusterSettingsChanged {
            policy: SecurityPolicy::Open,
            strategy,
        });
        self.record("cluster", StreamName::new(Category::Cluster, CLUSTER), changed);
    }
}
