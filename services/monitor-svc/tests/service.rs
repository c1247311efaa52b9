//! The watch on a real log and bus, with heartbeats as agents send them.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use berth_bus::{CommandSink, Handled, subject};
use berth_events::{
    Category, ClusterCommand, Command, CommandBody, CommandOutcome, NodeEvent, NodeFacts, NodeJoined,
    NodeLost, StreamName, UsageSample,
};
use berth_ids::{ClusterId, Name, NodeId};
use berth_monitor_svc::run;
use berth_service_kit::{Clock, new_id};
use berth_testlog::{TestLog, eventually};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

const BEAT: Duration = Duration::from_millis(500);

async fn joined(log: &TestLog, cluster_id: ClusterId) -> NodeId {
    let node_id = new_id::<NodeId>();
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
    node_id
}

/// Stands where cluster-svc is, and tells what it is asked.
async fn asked(log: &TestLog) -> mpsc::Receiver<Command> {
    let context = log.context("cluster").await.unwrap();
    let (sender, receiver) = mpsc::channel(64);
    let sink = CommandSink {
        service: "cluster".into(),
        shutdown: context.shutdown.clone(),
    };
    tokio::spawn(async move {
        let bus = context.bus.clone();
        bus.serve_commands(sink, move |command| {
            let sender = sender.clone();
            async move {
                sender.send(command).await.ok();
                Handled::Outcome(CommandOutcome::Accepted {
                    position: 0,
                    result: serde_json::Value::Null,
                })
            }
        })
        .await;
    });
    receiver
}

async fn next(commands: &mut mpsc::Receiver<Command>, within: Duration) -> Option<Command> {
    tokio::time::timeout(within, commands.recv()).await.ok().flatten()
}

#[tokio::test]
async fn a_silent_node_is_lost_within_two_seconds_and_is_back_when_it_is_heard() {
    let log = TestLog::start().await.unwrap();
    let cluster = new_id::<ClusterId>();
    let (silent, alive) = (joined(&log, cluster).await, joined(&log, cluster).await);
    let mut commands = asked(&log).await;
    tokio::spawn(run(log.context("monitor").await.unwrap()));
    let agent = log.bus("agent").await.unwrap();
    let beat = async |nodes: &[NodeId]| {
        for node in nodes {
            agent.tell(subject::heartbeat(*node), &"beat").await.unwrap();
        }
        tokio::time::sleep(BEAT).await;
    };
    for _ in 0..6 {
        beat(&[silent, alive]).await;
    }
    assert!(commands.try_recv().is_err(), "nobody is lost while all are heard");

    let silent_from = Instant::now();
    let lost = loop {
        beat(&[alive]).await;
        if let Ok(command) = commands.try_recv() {
            break command;
        }
        assert!(silent_from.elapsed() < Duration::from_secs(5));
    };
    // Two seconds, and what this test's own beat adds to seeing it.
    assert!(
        silent_from.elapsed() <= Duration::from_secs(2) + BEAT,
        "{:?}",
        silent_from.elapsed()
    );
    let CommandBody::Cluster(ClusterCommand::MarkLost { node_id, silent_ms }) = lost.body else {
        unreachable!("{:?}", lost.body);
    };
    assert_eq!(node_id, silent);
    assert!(silent_ms >= 1_500);
    assert_eq!(lost.actor, "service:monitor");

    let stream = StreamName::new(Category::Node, silent);
    log.record(stream, NodeEvent::Lost(NodeLost { silent_ms }))
        .await
        .unwrap();
    while commands.try_recv().is_ok() {}
    for _ in 0..3 {
        beat(&[silent, alive]).await;
    }
    let back = next(&mut commands, Duration::from_secs(2)).await.unwrap();
    let wanted = ClusterCommand::MarkReturned { node_id: silent };
    assert_eq!(back.body, CommandBody::Cluster(wanted));
}

#[tokio::test]
async fn samples_are_answered_and_only_of_the_node_that_sent_them() {
    let log = TestLog::start().await.unwrap();
    tokio::spawn(run(log.context("monitor").await.unwrap()));
    let (cluster, node) = (new_id::<ClusterId>(), new_id::<NodeId>());
    let sample = |node_id, cpu_millis| UsageSample {
        node_id,
        cluster_id: cluster,
        taken_at: Clock::now(),
        cpu_millis,
        memory_bytes: 1,
        memory_total_bytes: 2,
        containers: vec![],
        pulls: vec![],
    };
    let agent = log.bus("agent").await.unwrap();
    let own = format!("met.{cluster}.{node}");
    let found = eventually("the samples are answered", || async {
        agent.tell(own.clone(), &sample(new_id(), 9)).await.unwrap();
        agent.tell(own.clone(), &sample(node, 1)).await.unwrap();
        agent.tell(own.clone(), &sample(node, 2)).await.unwrap();
        let key = cluster.to_string();
        let samples: Vec<UsageSample> = agent.ask("monitor", "usage", &key, &()).await.ok()?;
        (samples.first()?.cpu_millis == 2).then_some(samples)
    })
    .await
    .unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].node_id, node);
}
