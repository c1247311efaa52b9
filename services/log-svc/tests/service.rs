//! Opening a log on a real bus: the node is told, the asker learns where the frames come.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use berth_bus::{AskError, subject};
use berth_events::{
    Category, LogOpened, OpenLog, OpenLogs, Placed, PlacementDecided, PlacementEvent, PlacementReason,
    StreamName,
};
use berth_ids::{AllocationId, ApplicationId, ClusterId, NodeId, ReleaseId};
use berth_log_svc::run;
use berth_service_kit::new_id;
use berth_testlog::{TestLog, eventually};
use futures::StreamExt;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

#[tokio::test]
async fn the_node_is_told_to_open_the_session_that_the_asker_chose() {
    let log = TestLog::start().await.unwrap();
    tokio::spawn(run(log.context("log").await.unwrap()));
    let (cluster, node_id) = (new_id::<ClusterId>(), new_id::<NodeId>());
    let allocation_id = new_id::<AllocationId>();
    let decided = PlacementEvent::Decided(PlacementDecided {
        cluster_id: cluster,
        node_id,
        previous: 0,
        place: vec![Placed {
            allocation_id,
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
    });
    let agent = log.bus("agent").await.unwrap();
    let control = subject::control(node_id, "logs");
    let mut orders = agent.client().subscribe(control).await.unwrap();
    agent.client().flush().await.unwrap();
    let gateway = log.bus("gateway").await.unwrap();
    let asked = OpenLog {
        allocation_id,
        session: Some("mine".into()),
        follow: true,
        tail: Some(5),
        since: None,
        timestamps: true,
    };
    let key = cluster.to_string();
    let unknown = eventually("log-svc answers", || async {
        match gateway.ask::<LogOpened>("log", "open", &key, &asked).await {
            Err(AskError::Refused(rejection)) => Some(rejection),
            Ok(_) | Err(AskError::Silent { .. }) => None,
        }
    })
    .await
    .unwrap();
    assert_eq!(unknown.code, "log.unknown");

    log.record(StreamName::new(Category::Placement, cluster), decided)
        .await
        .unwrap();
    // At once: the service looks again with everything that is committed.
    let opened: LogOpened = gateway.ask("log", "open", &key, &asked).await.unwrap();
    assert_eq!(
        opened,
        LogOpened {
            session: "mine".into(),
            node_id
        }
    );
    let order = tokio::time::timeout(Duration::from_secs(5), orders.next())
        .await
        .unwrap()
        .unwrap();
    let order: OpenLogs = serde_json::from_slice(&order.payload).unwrap();
    assert_eq!(
        (order.session.as_str(), order.tail, order.timestamps),
        ("mine", Some(5), true)
    );
}
