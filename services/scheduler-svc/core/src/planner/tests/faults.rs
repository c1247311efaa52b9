//! Crashes, lost nodes, drains.

use crate::lab::{GIB, Lab, app, running, service, with_memory};
use berth_events::{
    ExitStatus, FailureReason, NodeCordoned, NodeEvent, NodeRemoved, Observed, StopReason,
    spec::{ReschedulePolicy, RestartCondition, RestartPolicy},
};
use std::time::Duration;

fn crash(lab: &mut Lab, service: &str) {
    let id = lab.holder(service, 1).allocation_id;
    lab.report(
        id,
        Observed::Failed {
            reason: FailureReason::CrashLoop,
            message: "boom".into(),
        },
    );
}

#[test]
fn a_crashed_container_is_tried_elsewhere_after_a_wait_that_doubles() {
    let mut lab = Lab::new();
    lab.node("n1");
    lab.node("n2");
    lab.node("n3");
    lab.deploy("shop", app([("web", service(1, "bad"))]));
    lab.settle();
    let mut visited = vec![lab.holder("web", 1).node_id];
    for wait in [1, 2, 4] {
        crash(&mut lab, "web");
        let plan = lab.plan();
        assert!(plan.changes.is_empty());
        assert_eq!(plan.wake_at, Some(lab.now.plus(Duration::from_secs(wait))));
        lab.pass(Duration::from_secs(wait));
        let plan = lab.plan();
        let stops: Vec<_> = plan.changes.iter().flat_map(|change| &change.stop).collect();
        assert_eq!(stops[0].reason, StopReason::Ended);
        lab.settle();
        visited.push(lab.holder("web", 1).node_id);
    }
    assert_eq!(lab.holder("web", 1).why.cause, "crashed");
    visited[..3].sort();
    visited[..3]
        .windows(2)
        .for_each(|pair| assert_ne!(pair[0], pair[1]));
}

#[test]
fn a_container_that_ran_long_starts_the_count_anew() {
    let mut lab = Lab::new();
    lab.node("n1");
    lab.deploy("shop", app([("web", service(1, "x"))]));
    for _ in 0..3 {
        lab.settle();
        lab.pass(Duration::from_secs(3_600));
        crash(&mut lab, "web");
        assert_eq!(lab.plan().wake_at, Some(lab.now.plus(Duration::from_secs(1))));
        lab.pass(Duration::from_secs(1));
    }
}

#[test]
fn after_its_attempts_a_slot_is_given_up_and_says_so() {
    let mut lab = Lab::new();
    lab.node("n1");
    let mut job = service(1, "job");
    job.restart = RestartPolicy {
        condition: RestartCondition::OnFailure,
        max_attempts: 2,
        delay_ms: 0,
    };
    let id = lab.deploy("shop", app([("job", job)]));
    lab.settle();
    let holder = lab.holder("job", 1).allocation_id;
    lab.report(holder, running(holder, 2, None));
    lab.exit(holder, 3);
    lab.pass(Duration::from_secs(120));
    lab.settle();
    let blocked = lab.view.blocked(id, "job").unwrap();
    assert_eq!(
        blocked.report.summary,
        "given up after 2 restarts: exited with code 3"
    );
    lab.command(berth_events::SchedulerCommand::Restart {
        application_id: id,
        services: Default::default(),
    });
    lab.settle();
    assert_eq!(lab.shown(), ["job.1@n1 running"], "somebody asked for it");
}

#[test]
fn containers_of_a_lost_node_are_replaced_and_the_surplus_goes_when_it_is_back() {
    let mut lab = Lab::new();
    let first = lab.node("n1");
    lab.node("n2");
    lab.deploy("shop", app([("web", service(2, "nginx"))]));
    lab.settle();
    let old = lab.view.allocations_on(first).next().unwrap().clone();
    lab.lose(first);
    let plan = lab.plan();
    assert_eq!(plan.changes.len(), 1, "the replacement is in the same plan");
    assert_eq!(plan.changes[0].place[0].why.cause, "node_lost");
    assert!(lab.plan().is_empty());
    lab.settle();
    assert!(lab.view.assignment(first).unwrap().change.place.is_empty());
    lab.bring_back(first);
    let plan = lab.plan();
    assert_eq!(plan.changes[0].stop[0].allocation_id, old.allocation_id);
    assert_eq!(plan.changes[0].stop[0].reason, StopReason::Replaced);
    // It says it runs: what was given up stays given up.
    lab.report(old.allocation_id, running(old.allocation_id, 0, None));
    lab.settle();
    assert_eq!(lab.rows().len(), 2);
}

#[test]
fn off_keeps_the_container_on_the_lost_node() {
    let mut lab = Lab::new();
    let first = lab.node("n1");
    let mut web = service(1, "nginx");
    web.reschedule = ReschedulePolicy::Off;
    let id = lab.deploy("shop", app([("web", web)]));
    lab.settle();
    lab.node("n2");
    lab.lose(first);
    lab.settle();
    assert_eq!(lab.shown(), ["web.1@n1 running"]);
    let report = &lab.view.blocked(id, "web").unwrap().report;
    assert!(report.summary.contains("reschedule:off"), "{}", report.summary);
    lab.bring_back(first);
    lab.settle();
    assert!(lab.view.blocked(id, "web").is_none());
}

#[test]
fn containers_of_a_removed_node_are_placed_again() {
    let mut lab = Lab::new();
    let first = lab.node("n1");
    lab.deploy("shop", app([("web", service(1, "nginx"))]));
    lab.settle();
    lab.node("n2");
    lab.node_event(first, NodeEvent::Removed(NodeRemoved { forced: true }));
    lab.settle();
    assert_eq!(lab.shown(), ["web.1@n2 running"]);
    assert_eq!(lab.holder("web", 1).why.cause, "node_removed");
}

#[test]
fn a_cordoned_node_keeps_what_it_has_and_gets_nothing() {
    let mut lab = Lab::new();
    let first = lab.node("n1");
    lab.node("n2");
    let id = lab.deploy("shop", app([("web", service(2, "nginx"))]));
    lab.settle();
    lab.node_event(
        first,
        NodeEvent::Cordoned(NodeCordoned {
            reason: "disk".into(),
        }),
    );
    lab.scale(id, "web", 4);
    lab.settle();
    assert_eq!(
        lab.shown(),
        [
            "web.1@n1 running",
            "web.2@n2 running",
            "web.3@n2 running",
            "web.4@n2 running"
        ]
    );
}

#[test]
fn a_drain_moves_containers_in_batches_and_settles() {
    let mut lab = Lab::new();
    let first = lab.node("n1");
    lab.deploy("shop", app([("web", service(4, "nginx"))]));
    lab.settle();
    lab.node("n2");
    lab.drain(first, Duration::from_secs(60), false);
    let plan = lab.plan();
    assert_eq!(plan.changes[0].stop.len(), 2, "half of them");
    assert!(
        plan.changes[0]
            .stop
            .iter()
            .all(|order| order.reason == StopReason::Drained)
    );
    assert_eq!(plan.wake_at, Some(lab.now.plus(Duration::from_secs(60))));
    assert_eq!(plan.drains().count(), 0);
    lab.settle();
    assert!(lab.shown().iter().all(|shown| shown.contains("@n2")));
    let drains: Vec<_> = lab.plan().drains().collect();
    assert_eq!(drains[0].0, first);
    assert_eq!(drains[0].1, 0);
    assert_eq!(lab.holder("web", 1).why.cause, "drained");
}

#[test]
fn a_drained_container_without_another_place_stays_until_the_deadline() {
    let mut lab = Lab::new();
    let first = lab.node("n1");
    lab.deploy("shop", app([("web", with_memory(service(1, "nginx"), 4 * GIB))]));
    lab.settle();
    lab.node_with("small", |node| node.facts.memory_bytes = GIB);
    lab.drain(first, Duration::from_secs(60), false);
    lab.settle();
    assert_eq!(lab.shown(), ["web.1@n1 running"]);
    assert_eq!(lab.plan().drains().count(), 0);
    lab.pass(Duration::from_secs(60));
    assert_eq!(lab.plan().drains().next().unwrap().1, 1, "one is left");
    assert_eq!(lab.shown(), ["web.1@n1 running"]);
}

#[test]
fn a_forced_drain_stops_the_rest_at_the_deadline() {
    let mut lab = Lab::new();
    let first = lab.node("n1");
    lab.deploy("shop", app([("web", service(3, "nginx"))]));
    lab.settle();
    lab.drain(first, Duration::from_secs(60), true);
    lab.settle();
    assert_eq!(lab.shown().len(), 3);
    lab.pass(Duration::from_secs(60));
    lab.settle();
    assert!(lab.shown().is_empty());
    assert_eq!(lab.plan().drains().next().unwrap().1, 0);
}

#[test]
fn a_label_that_goes_moves_the_container_if_it_can_go_elsewhere() {
    let mut lab = Lab::new();
    let first = lab.node_with("n1", |node| {
        node.labels.insert("disk".into(), "ssd".into());
    });
    let mut web = service(1, "nginx");
    web.placement.constraints = vec![super::choosing::constraint("disk", "ssd")];
    lab.deploy("shop", app([("web", web)]));
    lab.settle();
    lab.node_event(
        first,
        NodeEvent::LabelsChanged(berth_events::NodeLabelsChanged {
            set: Default::default(),
            removed: ["disk".to_owned()].into(),
        }),
    );
    lab.settle();
    assert_eq!(lab.shown(), ["web.1@n1 running"], "better there than nowhere");
    lab.node_with("n2", |node| {
        node.labels.insert("disk".into(), "ssd".into());
    });
    lab.settle();
    assert_eq!(lab.shown(), ["web.1@n2 running"]);
}

#[test]
fn what_somebody_removed_by_hand_comes_back() {
    let mut lab = Lab::new();
    lab.node("n1");
    lab.deploy("shop", app([("web", service(1, "nginx"))]));
    lab.settle();
    let id = lab.holder("web", 1).allocation_id;
    lab.report(id, Observed::Removed);
    lab.pass(Duration::from_secs(1));
    lab.settle();
    assert_ne!(lab.holder("web", 1).allocation_id, id);
}

#[test]
fn an_end_by_order_is_no_failure() {
    let mut lab = Lab::new();
    lab.node("n1");
    lab.deploy("shop", app([("web", service(1, "nginx:1"))]));
    lab.settle();
    lab.deploy("shop", app([("web", service(1, "nginx:2"))]));
    lab.plan();
    let old = lab.rows()[0].allocation_id;
    lab.report(
        old,
        Observed::Exited(ExitStatus {
            exit_code: 137,
            oom_killed: false,
        }),
    );
    assert_eq!(lab.plan().changes[0].place.len(), 1, "without a wait");
}
