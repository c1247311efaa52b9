//! A log in memory with cluster-svc's decisions on top: what the shell does, without IO.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step fails the test"
)]

use berth_cluster_core::{ClusterView, Context, decide, report};
use berth_events::{ClusterCommand, Event, Meta, NodeFacts, NodeReport, Rejection, StreamName};
use berth_eventsourcing::{
    AppendError, AppendRequest, Decision, Expected, MAX_DECISION_STREAMS, MemoryLog, NewEvent, StreamAppend,
    Streams, Undecided, View,
};
use berth_ids::{ClusterId, EventId, Name, NodeId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

pub const CLUSTER: ClusterId = ClusterId::from_u128(0xc1);
pub const NODE: NodeId = NodeId::from_u128(0xa1);

pub fn node(n: u128) -> NodeId {
    NodeId::from_u128(0xa0 + n)
}

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

pub fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

#[derive(Default, Clone)]
pub struct World {
    pub log: MemoryLog,
    pub view: ClusterView,
    pub now: i64,
    events: u128,
}

impl World {
    /// Decides as the shell does: loads what is asked for until there is a decision.
    pub fn decide(&self, tenant: &str, command: &ClusterCommand) -> Result<Decision, Rejection> {
        let context = Context {
            tenant,
            now: at(self.now),
            view: &self.view,
        };
        self.until_decided(|streams| decide(command, context, streams))
    }

    fn until_decided(
        &self,
        decide: impl Fn(&Streams) -> Result<Decision, Undecided>,
    ) -> Result<Decision, Rejection> {
        let mut streams = Streams::default();
        loop {
            assert!(streams.len() <= MAX_DECISION_STREAMS);
            match decide(&streams) {
                Ok(decision) => return Ok(decision),
                Err(Undecided::Refused(rejection)) => return Err(rejection),
                Err(Undecided::Needs(stream)) => {
                    let loaded = self.log.load(&stream);
                    streams.insert(stream, loaded);
                }
            }
        }
    }

    pub fn append(&mut self, decision: &Decision) -> Result<u64, AppendError> {
        let changes = decision.changes.clone();
        let mut id = self.events;
        let streams = changes
            .iter()
            .map(|change| StreamAppend {
                stream: change.stream.clone(),
                expected: change.expected,
                events: change
                    .events
                    .iter()
                    .map(|event| {
                        id += 1;
                        NewEvent::encode(EventId::from_u128(id), event).unwrap()
                    })
                    .collect(),
            })
            .collect();
        self.events = id;
        let request = AppendRequest {
            tenant: "main".into(),
            meta: Meta::default(),
            streams,
            guards: decision.guards.clone(),
            command: None,
        };
        let before = self.log.head();
        let caller = match changes.first().map(|change| change.stream.category().owner()) {
            Some("*") | None => "cluster",
            Some(owner) => owner,
        };
        let appended = self.log.append(caller, &request, at(self.now))?;
        for recorded in self.log.after(before).to_vec() {
            self.view.apply(&recorded, &recorded.event().unwrap());
        }
        Ok(appended.last_position)
    }

    /// Runs a command; answers the wire names of the events it caused.
    pub fn run(&mut self, command: ClusterCommand) -> Result<Vec<String>, Rejection> {
        let decision = self.decide("main", &command)?;
        let before = self.log.head();
        self.append(&decision).unwrap();
        Ok(self.names_after(before))
    }

    pub fn report(&mut self, facts: NodeFacts, address: &str) -> Vec<String> {
        let item = NodeReport {
            node_id: NODE,
            facts,
            address: address.into(),
        };
        let decision = self.until_decided(|streams| report(&item, streams)).unwrap();
        let before = self.log.head();
        self.append(&decision).unwrap();
        self.names_after(before)
    }

    pub fn names_after(&self, position: u64) -> Vec<String> {
        self.log
            .after(position)
            .iter()
            .map(|event| event.type_name.to_string())
            .collect()
    }

    /// Events of another service.
    pub fn given(&mut self, stream: StreamName, event: impl Into<Event>) {
        let mut decision = Decision::nothing();
        decision.changes.push(berth_eventsourcing::Change {
            stream,
            expected: Expected::Any,
            events: vec![event.into()],
        });
        self.append(&decision).unwrap();
    }

    pub fn code(&mut self, command: ClusterCommand) -> String {
        match self.run(command) {
            Ok(events) => panic!("accepted with {events:?}"),
            Err(rejection) => rejection.code,
        }
    }

    /// A world with a cluster `shop`.
    pub fn with_cluster() -> Self {
        let mut world = Self {
            now: 1_000,
            ..Self::default()
        };
        world.run(create(CLUSTER, "shop")).unwrap();
        world
    }

    /// …and a node in it.
    pub fn with_node() -> Self {
        let mut world = Self::with_cluster();
        world.run(join(NODE, None, "web-1")).unwrap();
        world
    }
}

pub fn create(cluster_id: ClusterId, text: &str) -> ClusterCommand {
    ClusterCommand::CreateCluster {
        cluster_id,
        name: name(text),
        region: "eu-1".into(),
        zones: BTreeSet::new(),
        policy: Default::default(),
        strategy: Default::default(),
    }
}

pub fn join(node_id: NodeId, wanted: Option<&str>, hostname: &str) -> ClusterCommand {
    ClusterCommand::JoinNode {
        node_id,
        cluster_id: CLUSTER,
        name: wanted.map(name),
        zone: None,
        address: "10.0.0.1".into(),
        labels: BTreeMap::new(),
        resources: BTreeMap::new(),
        facts: NodeFacts {
            hostname: hostname.into(),
            ..NodeFacts::default()
        },
    }
}
