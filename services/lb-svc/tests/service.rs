//! Endpoint sets on a real log: documents, answers, and a restart.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use berth_bus::{Bus, subject};
use berth_events::{
    AllocationEvent, AllocationRemoved, AllocationRunning, Category, EndpointSet, NodeEvent, NodeFacts,
    NodeJoined, Placed, PlacementDecided, PlacementEvent, PlacementReason, StreamName,
};
use berth_ids::{AllocationId, ApplicationId, ClusterId, Name, NodeId, ReleaseId};
use berth_lb_svc::run;
use berth_service_kit::new_id;
use berth_testlog::{TestLog, eventually};
use std::collections::{BTreeMap, BTreeSet};

async fn placed(log: &TestLog, cluster_id: ClusterId, node_id: NodeId) -> (ApplicationId, AllocationId) {
    let (application_id, allocation_id) = (new_id(), new_id());
    let joined = NodeEvent::Joined(NodeJoined {
        node_id,
        cluster_id,
        name: Name::parse("n").unwrap(),
        index: 1,
        zone: "default".into(),
        address: "10.0.0.1".into(),
        labels: BTreeMap::new(),
        resources: BTreeMap::new(),
        facts: NodeFacts::default(),
    });
    log.record(StreamName::new(Category::Node, node_id), joined)
        .await
        .unwrap();
    let decided = PlacementEvent::Decided(PlacementDecided {
        cluster_id,
        node_id,
        previous: 0,
        place: vec![Placed {
            allocation_id,
            application_id,
            release_id: ReleaseId::from_u128(1),
            service: "web.front".into(),
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
    });
    log.record(StreamName::new(Category::Placement, cluster_id), decided)
        .await
        .unwrap();
    (application_id, allocation_id)
}

async fn document(bus: &Bus, subject: &str) -> Option<EndpointSet> {
    let stream = bus.jetstream().get_stream(subject::DOC).await.ok()?;
    let message = stream.get_last_raw_message_by_subject(subject).await.ok()?;
    serde_json::from_slice(&message.payload).ok()
}

#[tokio::test]
async fn a_set_is_published_when_it_changes_and_again_after_a_restart() {
    let log = TestLog::start().await.unwrap();
    let context = log.context("lb").await.unwrap();
    let first = context.shutdown.clone();
    let running = tokio::spawn(run(context));
    let (cluster, node) = (new_id::<ClusterId>(), new_id::<NodeId>());
    let (application, allocation_id) = placed(&log, cluster, node).await;
    let of_node = StreamName::new(Category::Allocation, node);
    let event = AllocationEvent::Running(AllocationRunning {
        allocation_id,
        report: Default::default(),
        container_id: "c".into(),
        addresses: BTreeMap::from([("net".into(), "172.18.0.2".into())]),
        ports: vec![],
    });
    log.record(of_node.clone(), event).await.unwrap();
    let bus = log.bus("gateway").await.unwrap();
    let subject = format!("doc.{cluster}.endpoints.{application}.web%2Efront");
    let published = eventually("the set is published", || async {
        document(&bus, &subject)
            .await
            .filter(|set| set.endpoints.len() == 1)
    })
    .await
    .unwrap();
    assert_eq!(published.endpoints[0].node_address, "10.0.0.1");
    let sets: Vec<EndpointSet> = bus
        .ask("lb", "endpoints", &cluster.to_string(), &())
        .await
        .unwrap();
    assert_eq!(sets.as_slice(), std::slice::from_ref(&published));

    first.cancel();
    running.await.unwrap().unwrap();
    let gone = AllocationEvent::Removed(AllocationRemoved {
        allocation_id,
        report: Default::default(),
    });
    log.record(of_node, gone).await.unwrap();
    tokio::spawn(run(log.context("lb").await.unwrap()));
    let emptied = eventually("the empty set is published", || async {
        document(&bus, &subject)
            .await
            .filter(|set| set.endpoints.is_empty())
    })
    .await
    .unwrap();
    assert!(emptied.generation > published.generation);
}
