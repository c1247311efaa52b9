//! The view by what people see: states, counts, reasons, visibility, and rows that bring it back.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod world;

use berth_api::{
    ApplicationStatus, ClusterState, ContainerHealth, ContainerState, NodeStatus, ReleaseState, TokenState,
};
use berth_events::{
    AllocationEvent, AllocationFailed, AllocationHealthy, AllocationLost, AllocationRestarted,
    AllocationRetryScheduled, AllocationUnhealthy, ApplicationEvent, ApplicationRemoved, ApplicationScaled,
    ApplicationStopped, BlockReport, Category, ClusterDeleteRequested, ClusterEvent, FailureReason,
    NodeCordoned, NodeDrainStarted, NodeEvent, NodeLost, NodeReturned, PlacementBlocked, PlacementEvent,
    ReportMark, RetryStep, StreamName, TokenEvent, TokenGrant, TokenMinted, TokenRevoked, TokenUsed,
    spec::RestartCondition,
};
use berth_eventsourcing::View as _;
use berth_gateway_core::{Access, ApiView, ContainerFilter, EventFilter, FindError, Found, PageRequest};
use berth_ids::{ClusterId, NodeId, Timestamp, TokenId};
use std::collections::BTreeSet;
use world::*;

#[test]
fn a_cluster_is_what_its_nodes_are() {
    let mut world = World::default();
    world.cluster(CLUSTER, "main");
    assert_eq!(world.state(), ClusterState::Inactive);
    world.join(NODE, "n1", "0.1.0");
    assert_eq!(world.state(), ClusterState::Running);
    world.join(NodeId::from_u128(0x11), "n2", "0.2.0");
    assert_eq!(world.state(), ClusterState::Updating);
    world.node(
        NodeId::from_u128(0x11),
        NodeEvent::Lost(NodeLost { silent_ms: 2_000 }),
    );
    assert_eq!(world.state(), ClusterState::Running);
    world.node(NODE, NodeEvent::Lost(NodeLost { silent_ms: 2_000 }));
    assert_eq!(world.state(), ClusterState::Failed);
    let stream = StreamName::new(Category::Cluster, CLUSTER);
    world.record(
        stream,
        ClusterEvent::DeleteRequested(ClusterDeleteRequested { force: true }),
    );
    assert_eq!(world.state(), ClusterState::Deleting);
}

#[test]
fn a_node_has_one_word() {
    let mut world = world();
    assert_eq!(world.node_status(), NodeStatus::Ready);
    world.node(
        NODE,
        NodeEvent::Cordoned(NodeCordoned {
            reason: "disk".into(),
        }),
    );
    assert_eq!(world.node_status(), NodeStatus::Cordoned);
    let deadline_at = Timestamp::from_millis(99_000);
    world.node(
        NODE,
        NodeEvent::DrainStarted(NodeDrainStarted {
            deadline_at,
            force: false,
        }),
    );
    assert_eq!(world.node_status(), NodeStatus::Draining);
    world.node(NODE, NodeEvent::Lost(NodeLost { silent_ms: 2_000 }));
    assert_eq!(world.node_status(), NodeStatus::Lost);
    world.node(NODE, NodeEvent::Returned(NodeReturned {}));
    let node = world
        .view
        .node(world.view.find_node(&everything(), "N1", None).unwrap());
    assert_eq!(
        (node.status, node.status_since),
        (NodeStatus::Draining, Timestamp::from_millis(6_000))
    );
    assert_eq!((node.reason.as_deref(), node.version), (Some("disk"), 5));
}

#[test]
fn nothing_is_said_to_run_on_a_lost_node() {
    let mut world = world();
    world.deploy(1, RestartCondition::Any);
    let id = world.place(1, 1, RestartCondition::Any);
    world.runs(id);
    world.settle();
    world.node(NODE, NodeEvent::Lost(NodeLost { silent_ms: 2_000 }));
    let shown = |world: &World| {
        let row = world.view.find_container(&everything(), &id.to_string()).unwrap();
        (
            world.view.container(row).state,
            world.view.application(world.row()).containers.running,
        )
    };
    assert_eq!(shown(&world), (ContainerState::Lost, 0));
    assert_eq!(world.status(), ApplicationStatus::Degraded);
    world.node(NODE, NodeEvent::Returned(NodeReturned {}));
    assert_eq!(shown(&world), (ContainerState::Running, 1));
    assert_eq!(world.status(), ApplicationStatus::Running);
}

#[test]
fn an_application_goes_from_deploying_to_running_and_degraded() {
    let mut world = world();
    world.deploy(2, RestartCondition::Any);
    assert_eq!(world.status(), ApplicationStatus::Deploying);
    let (one, two) = (
        world.place(1, 1, RestartCondition::Any),
        world.place(2, 2, RestartCondition::Any),
    );
    world.runs(one);
    world.runs(two);
    assert_eq!(world.status(), ApplicationStatus::Deploying, "not settled yet");
    world.settle();
    assert_eq!(world.status(), ApplicationStatus::Running);
    let report = ReportMark::default();
    world.saw(AllocationEvent::Unhealthy(AllocationUnhealthy {
        allocation_id: one,
        report,
        output: "503".into(),
    }));
    assert_eq!(world.status(), ApplicationStatus::Degraded);
    world.saw(AllocationEvent::Healthy(AllocationHealthy {
        allocation_id: one,
        report,
    }));
    assert_eq!(world.status(), ApplicationStatus::Running);
    world.exits(two, 1);
    assert_eq!(world.status(), ApplicationStatus::Degraded);
    let three = world.place(3, 2, RestartCondition::Any);
    assert_eq!(world.status(), ApplicationStatus::Deploying);
    world.runs(three);
    let answer = world.view.application(world.row());
    let web = &answer.services[0];
    assert_eq!(
        (web.wanted, web.running, web.healthy, web.unhealthy),
        (2, 2, 1, 0)
    );
    assert_eq!(
        (answer.containers.total, answer.releases[0].state),
        (2, ReleaseState::Running)
    );
    let cluster = world
        .view
        .cluster(world.view.find_cluster(&everything(), "main").unwrap());
    assert_eq!(
        (
            cluster.cpu_reserved_millis,
            cluster.containers.running,
            cluster.applications
        ),
        (500, 2, 1)
    );
    let scaled = ApplicationScaled {
        service: "web".into(),
        replicas: 3,
        previous: 2,
    };
    world.app(ApplicationEvent::Scaled(scaled));
    assert_eq!(world.status(), ApplicationStatus::Deploying);
    world.app(ApplicationEvent::Stopped(ApplicationStopped {}));
    assert_eq!(world.status(), ApplicationStatus::Stopped);
}

#[test]
fn a_job_that_ended_well_is_running_as_wanted() {
    let mut world = world();
    world.deploy(1, RestartCondition::OnFailure);
    let one = world.place(1, 1, RestartCondition::OnFailure);
    world.runs(one);
    world.exits(one, 0);
    world.settle();
    assert_eq!(world.status(), ApplicationStatus::Running);
    assert_eq!(world.view.application(world.row()).services[0].completed, 1);
}

#[test]
fn what_waits_says_why() {
    let mut world = world();
    world.deploy(1, RestartCondition::Any);
    let blocked = |slots: &[u32]| PlacementBlocked {
        cluster_id: CLUSTER,
        application_id: APP,
        service: "web".into(),
        slots: slots.iter().copied().collect(),
        report: BlockReport {
            summary: "no node has 4 GiB free".into(),
            nodes: 1,
            ..BlockReport::default()
        },
    };
    let stream = || StreamName::new(Category::Placement, CLUSTER);
    world.record(stream(), PlacementEvent::Blocked(blocked(&[1])));
    assert_eq!(world.status(), ApplicationStatus::Pending);
    let why = world.view.why(world.row(), Some("web"));
    assert_eq!(
        why.services[0].pending.as_ref().unwrap().summary,
        "no node has 4 GiB free"
    );
    assert!(world.view.why(world.row(), Some("db")).services.is_empty());
    world.record(stream(), PlacementEvent::Blocked(blocked(&[])));
    assert_eq!(world.status(), ApplicationStatus::Deploying);
}

#[test]
fn a_container_tells_its_story() {
    let mut world = world();
    world.deploy(1, RestartCondition::Any);
    let first = world.place(1, 1, RestartCondition::Any);
    let (report, message) = (ReportMark::default(), "no such image".into());
    let failed = AllocationFailed {
        allocation_id: first,
        report,
        reason: FailureReason::Pull,
        message,
    };
    world.saw(AllocationEvent::Failed(failed));
    let second = world.place(2, 1, RestartCondition::Any);
    let access = everything();
    let starting = world
        .view
        .container_why(world.view.find_container(&access, &second.to_string()).unwrap());
    let before = "the one before failed on node `n1`: its image is not to be had: no such image";
    assert_eq!(starting.explanation[1], before);
    assert_eq!(starting.container.message.as_deref(), Some(before));
    world.runs(second);
    let found = world.view.find_container(&access, "shop_web_1").unwrap();
    assert_eq!(found.id, second, "of two with one name the living one is meant");
    let why = world.view.container_why(found);
    assert_eq!(
        (why.predecessors.len(), why.predecessors[0].failure),
        (1, Some(FailureReason::Pull))
    );
    let told = why.explanation.join("\n");
    assert!(
        told.contains("it runs on node `n1`") && told.contains("refused by memory 1"),
        "{told}"
    );
    let of_first = world
        .view
        .container_why(world.view.find_container(&access, &first.to_string()).unwrap());
    assert!(
        of_first.explanation[0].contains("no such image"),
        "{:?}",
        of_first.explanation
    );
    let history: Vec<&str> = of_first
        .container
        .history
        .iter()
        .map(|change| change.event.as_str())
        .collect();
    assert_eq!(history, ["placement.decided", "allocation.failed"]);
    let ambiguous = world.view.find_container(&access, "abcd");
    assert!(
        matches!(ambiguous, Err(FindError::Ambiguous { .. })),
        "{ambiguous:?}"
    );
    assert!(world.view.find_container(&access, "abc").is_err());
    world.saw(AllocationEvent::Lost(AllocationLost {
        allocation_id: second,
        report,
    }));
    let lost = world
        .view
        .container(world.view.find_container(&access, &second.to_string()).unwrap());
    assert_eq!(
        (lost.state, lost.health),
        (ContainerState::Lost, ContainerHealth::Unknown)
    );
}

#[test]
fn one_that_ended_and_waits_is_restarting_with_its_last_words_and_the_next_try() {
    let mut world = world();
    world.deploy(1, RestartCondition::Any);
    let id = world.place(1, 1, RestartCondition::Any);
    let retry = |step, exit_code| {
        AllocationEvent::RetryScheduled(AllocationRetryScheduled {
            allocation_id: id,
            report: ReportMark::default(),
            step,
            message: "no database".into(),
            attempt: 2,
            exit_code,
            oom_killed: false,
            next_try_at: Timestamp::from_millis(90_000),
        })
    };
    let why = |world: &World| {
        let access = everything();
        let row = world.view.find_container(&access, &id.to_string()).unwrap();
        world.view.container_why(row)
    };
    world.saw(retry(RetryStep::Pull, None));
    let told = why(&world);
    assert_eq!(told.container.state, ContainerState::Placed);
    assert_eq!(
        told.explanation[1],
        "pulling its image failed (attempt 2); the next try is at 1970-01-01T00:01:30.000000Z: no database"
    );
    world.runs(id);
    world.settle();
    assert_eq!(why(&world).container.retry, None);
    assert_eq!(world.status(), ApplicationStatus::Running);
    world.saw(retry(RetryStep::Run, Some(3)));
    let told = why(&world);
    assert_eq!(told.container.state, ContainerState::Restarting);
    assert_eq!(told.container.exit_code, Some(3));
    assert_eq!(told.container.retry.map(|retry| retry.attempt), Some(2));
    assert_eq!(
        told.container.restarts, 2,
        "two attempts have failed: the second restart is under way"
    );
    world.saw(retry(RetryStep::Run, Some(3)));
    assert_eq!(
        why(&world).container.restarts,
        2,
        "told twice is not two restarts"
    );
    assert_eq!(world.status(), ApplicationStatus::Degraded);
    world.saw(AllocationEvent::Restarted(AllocationRestarted {
        allocation_id: id,
        report: ReportMark::default(),
        restarts: 2,
        exit_code: 3,
        oom_killed: false,
    }));
    world.runs(id);
    assert_eq!(why(&world).container.restarts, 2, "it has worked");
    assert_eq!(world.status(), ApplicationStatus::Running);
    world.exits(id, 3);
    let message = why(&world).container.message;
    assert_eq!(message.as_deref(), Some("it said before a restart: no database"));
}

#[test]
fn old_containers_of_a_slot_are_forgotten() {
    let mut world = world();
    world.deploy(1, RestartCondition::Any);
    for number in 1..=15 {
        let id = world.place(number, 1, RestartCondition::Any);
        world.exits(id, 1);
    }
    let filter = ContainerFilter {
        all: true,
        ..ContainerFilter::default()
    };
    let page = PageRequest::new("containers", None, None).unwrap();
    let (items, _) = world.view.list_containers(&everything(), &filter, &page);
    assert_eq!(
        items.len(),
        11,
        "the ten newest that had ended when the last was placed, and the last"
    );
    assert!(!items.iter().any(|container| container.id == allocation(1)));
    world.app(ApplicationEvent::Removed(ApplicationRemoved {}));
    assert_eq!(world.view.list_containers(&everything(), &filter, &page).0, []);
}

#[test]
fn others_objects_do_not_exist() {
    let mut world = world();
    world.deploy(1, RestartCondition::Any);
    let id = world.place(1, 1, RestartCondition::Any);
    let other = ClusterId::from_u128(2);
    world.cluster(other, "other");
    let foreign = Access {
        tenant: "foreign".into(),
        clusters: BTreeSet::new(),
    };
    let confined = Access {
        tenant: "main".into(),
        clusters: BTreeSet::from([other]),
    };
    for access in [&foreign, &confined] {
        for text in [
            CLUSTER.to_string(),
            "main".into(),
            NODE.to_string(),
            "shop".into(),
            id.to_string(),
        ] {
            assert!(world.view.find_any(access, &text).is_err(), "{text}");
        }
        let page = PageRequest::new("nodes", None, None).unwrap();
        assert_eq!(world.view.list_nodes(access, None, &page).0, []);
    }
    assert!(matches!(
        world.view.find_any(&confined, "other"),
        Ok(Found::Cluster(_))
    ));
    let seen = |access: &Access| {
        world
            .log
            .after(0)
            .iter()
            .filter(|event| world.view.sees_event(access, event))
            .count()
    };
    assert_eq!((seen(&everything()), seen(&foreign), seen(&confined)), (6, 0, 1));
}

#[test]
fn events_are_found_by_what_they_are_about() {
    let mut world = world();
    world.deploy(1, RestartCondition::Any);
    let id = world.place(1, 1, RestartCondition::Any);
    world.runs(id);
    let count = |filter: EventFilter| {
        world
            .log
            .after(0)
            .iter()
            .filter(|event| filter.takes(&world.view, event))
            .count()
    };
    assert_eq!(
        count(EventFilter {
            application: Some(APP),
            ..Default::default()
        }),
        4
    );
    assert_eq!(
        count(EventFilter {
            node: Some(NODE),
            ..Default::default()
        }),
        3
    );
    assert_eq!(
        count(EventFilter {
            allocation: Some(id),
            ..Default::default()
        }),
        2
    );
    assert_eq!(
        count(EventFilter {
            cluster: Some(CLUSTER),
            ..Default::default()
        }),
        6
    );
    assert_eq!(
        count(EventFilter {
            types: BTreeSet::from(["application.*".into()]),
            ..Default::default()
        }),
        2
    );
    assert_eq!(
        count(EventFilter {
            types: BTreeSet::from(["node.joined".into()]),
            ..Default::default()
        }),
        1
    );
    assert_eq!(
        count(EventFilter {
            types: BTreeSet::from(["node".into()]),
            ..Default::default()
        }),
        0
    );
}

#[test]
fn a_token_says_whether_it_opens() {
    let mut world = world();
    let id = TokenId::from_u128(7);
    let stream = || StreamName::new(Category::Token, id);
    let minted = TokenMinted {
        token_id: id,
        grant: TokenGrant::Join {
            cluster_id: CLUSTER,
            max_uses: 1,
        },
        hash: "h".into(),
        label: "rack 4".into(),
        expires_at: Some(Timestamp::from_millis(60_000)),
    };
    world.record(stream(), TokenEvent::Minted(minted));
    let state = |world: &World, seconds: i64| {
        let row = world.view.find_token(&everything(), &id.to_string()).unwrap();
        row.answer(Timestamp::from_millis(seconds * 1_000)).state
    };
    assert_eq!(
        (state(&world, 59), state(&world, 60)),
        (TokenState::Active, TokenState::Expired)
    );
    world.record(stream(), TokenEvent::Used(TokenUsed { node_id: NODE }));
    assert_eq!(state(&world, 59), TokenState::UsedUp);
    world.record(stream(), TokenEvent::Revoked(TokenRevoked {}));
    assert_eq!(state(&world, 59), TokenState::Revoked);
}

#[test]
fn the_rows_are_the_whole_view() {
    let mut world = world();
    world.deploy(2, RestartCondition::Any);
    for number in 1..=12 {
        let id = world.place(number, 1, RestartCondition::Any);
        world.runs(id);
        world.exits(id, 1);
    }
    let last = world.place(13, 2, RestartCondition::Any);
    world.runs(last);
    world.settle();
    let mut restored = ApiView::default();
    for key in &world.touched {
        if let Some(row) = world.view.row(key) {
            restored.restore(key.clone(), &row).unwrap();
        }
    }
    let access = everything();
    let answers = |view: &ApiView| {
        let row = view.find_application(&access, "shop", None).unwrap();
        let node = view.node(view.find_node(&access, "n1", None).unwrap());
        let cluster = view.cluster(view.find_cluster(&access, "main").unwrap());
        (view.application(row), view.why(row, None), node, cluster)
    };
    assert_eq!(answers(&restored), answers(&world.view));
    for key in &world.touched {
        assert_eq!(restored.row(key), world.view.row(key), "{key:?}");
    }
}
