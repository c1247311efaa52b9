//! The service on a real log: commands, reports, deletions.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

use berth_bus::{Bus, subject};
use berth_cluster_svc::run;
use berth_events::{
    ApplicationCreated, ApplicationEvent, ApplicationRemoved, Category, ClusterCommand, CommandBody,
    CommandOutcome, NodeFacts, NodeReport, SchedulerCommand, StreamName,
};
use berth_ids::{ApplicationId, ClusterId, Name, NodeId};
use berth_service_kit::{Log, new_id};
use berth_testlog::{TestLog, command, eventually, submit};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

struct World {
    log: TestLog,
    gateway: Bus,
    reader: Log,
    cluster: ClusterId,
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn facts(cpu_millis: u64) -> NodeFacts {
    NodeFacts {
        hostname: "web".into(),
        cpu_millis,
        ..NodeFacts::default()
    }
}

impl World {
    async fn start() -> Self {
        let log = TestLog::start().await.unwrap();
        tokio::spawn(run(log.context("cluster").await.unwrap()));
        let world = Self {
            gateway: log.bus("gateway").await.unwrap(),
            reader: log.context("cluster").await.unwrap().log(),
            cluster: new_id(),
            log,
        };
        let create = ClusterCommand::CreateCluster {
            cluster_id: world.cluster,
            name: name("shop"),
            region: "eu-1".into(),
            zones: BTreeSet::new(),
            policy: Default::default(),
            strategy: Default::default(),
        };
        world.accepted(create).await;
        world
    }

    async fn send(&self, command: ClusterCommand) -> CommandOutcome {
        let body = CommandBody::Cluster(command);
        submit(&self.gateway, body, Some(self.cluster)).await.unwrap()
    }

    async fn accepted(&self, command: ClusterCommand) -> serde_json::Value {
        match self.send(command).await {
            CommandOutcome::Accepted { result, .. } => result,
            CommandOutcome::Rejected(rejection) => panic!("{rejection:?}"),
        }
    }

    fn join(&self, node_id: NodeId) -> ClusterCommand {
        ClusterCommand::JoinNode {
            node_id,
            cluster_id: self.cluster,
            name: None,
            zone: None,
            address: "10.0.0.1".into(),
            labels: BTreeMap::new(),
            resources: BTreeMap::new(),
            facts: facts(1_000),
        }
    }

    async fn types(&self, category: Category, key: impl std::fmt::Display) -> Vec<String> {
        let events = self.reader.stream(&StreamName::new(category, key)).await.unwrap();
        events.iter().map(|event| event.type_name.to_string()).collect()
    }
}

#[tokio::test]
async fn joins_at_once_get_names_and_indexes_of_their_own() {
    let world = Arc::new(World::start().await);
    let joins: Vec<_> = (0..6)
        .map(|_| {
            let world = world.clone();
            tokio::spawn(async move { world.accepted(world.join(new_id())).await })
        })
        .collect();
    let (mut names, mut indexes) = (BTreeSet::new(), BTreeSet::new());
    for join in joins {
        let joined = join.await.unwrap();
        names.insert(joined["name"].as_str().unwrap().to_owned());
        indexes.insert(joined["index"].as_u64().unwrap());
    }
    assert_eq!(names.len(), 6, "{names:?}");
    assert_eq!(indexes, (1..=6).collect());
}

#[tokio::test]
async fn a_command_repeated_is_decided_once_and_another_under_its_key_is_refused() {
    let world = World::start().await;
    let node = new_id::<NodeId>();
    let mut join = command(CommandBody::Cluster(world.join(node)));
    let first = world.gateway.submit(&join, Some(world.cluster)).await.unwrap();
    let again = world.gateway.submit(&join, Some(world.cluster)).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(world.types(Category::Node, node).await, ["node.joined"]);
    join.request_hash = "00".into();
    let reused = world.gateway.submit(&join, Some(world.cluster)).await.unwrap();
    assert!(matches!(reused, CommandOutcome::Rejected(rejection) if rejection.code == "command.key_reused"));
}

#[tokio::test]
async fn a_report_is_recorded_if_it_is_news_and_comes_from_the_node() {
    let world = World::start().await;
    let (node, other) = (new_id::<NodeId>(), new_id::<NodeId>());
    world.accepted(world.join(node)).await;
    let agent = world.log.bus("agent").await.unwrap();
    let report = |cpu| NodeReport {
        node_id: node,
        facts: facts(cpu),
        address: "10.0.0.1".into(),
    };
    agent
        .store(subject::report("node", other), &report(9_000))
        .await
        .unwrap();
    for cpu in [1_000, 2_000, 2_000] {
        agent
            .store(subject::report("node", node), &report(cpu))
            .await
            .unwrap();
    }
    eventually("the report is recorded", || async {
        let types = world.types(Category::Node, node).await;
        (types == ["node.joined", "node.facts_changed"]).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_forced_deletion_removes_applications_then_nodes_then_the_cluster() {
    let world = World::start().await;
    let (node, application) = (new_id::<NodeId>(), new_id::<ApplicationId>());
    world.accepted(world.join(node)).await;
    let stream = StreamName::new(Category::Application, application);
    let created = ApplicationEvent::Created(ApplicationCreated {
        application_id: application,
        cluster_id: world.cluster,
        name: name("web"),
    });
    world.log.record(stream.clone(), created).await.unwrap();
    let delete = |force| ClusterCommand::DeleteCluster {
        cluster_id: world.cluster,
        force,
    };
    let refused = world.send(delete(false)).await;
    assert!(
        matches!(&refused, CommandOutcome::Rejected(rejection) if rejection.code == "cluster.has_applications"),
        "{refused:?}"
    );
    world.accepted(delete(true)).await;

    // The scheduler is not there: its command waits in the queue; then the application is gone.
    let queued = world.gateway.jetstream().get_stream(subject::CMD).await.unwrap();
    let wanted = subject::command("scheduler", "remove", Some(world.cluster));
    let message = eventually("the application's removal is asked", || async {
        queued.get_last_raw_message_by_subject(&wanted).await.ok()
    })
    .await
    .unwrap();
    let asked: berth_events::Command = serde_json::from_slice(&message.payload).unwrap();
    let remove = SchedulerCommand::Remove {
        application_id: application,
        volumes: false,
    };
    assert_eq!(asked.body, CommandBody::Scheduler(remove));
    assert_eq!(asked.actor, "service:cluster");
    world
        .log
        .record(stream, ApplicationEvent::Removed(ApplicationRemoved {}))
        .await
        .unwrap();
    eventually("the cluster is deleted", || async {
        let types = world.types(Category::Cluster, world.cluster).await;
        (types.last().map(String::as_str) == Some("cluster.deleted")).then_some(())
    })
    .await
    .unwrap();
    assert_eq!(
        world.types(Category::Node, node).await,
        ["node.joined", "node.removed"]
    );
}
