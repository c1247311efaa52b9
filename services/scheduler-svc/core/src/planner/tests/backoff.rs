//! What is told of a slot that waits for its next attempt, and what others may do meanwhile.

use crate::lab::{Lab, app, running, service};
use berth_events::{
    FailureReason, Observed,
    spec::{RestartPolicy, ServiceSpec, UpdatePolicy},
};
use std::time::Duration;

fn crash(lab: &mut Lab, service: &str, slot: u32) {
    let allocation = lab.holder(service, slot).allocation_id;
    let failed = Observed::Failed {
        reason: FailureReason::CrashLoop,
        message: "boom".into(),
    };
    lab.report(allocation, failed);
}

/// Two replicas, replaced one at a time, which wait a minute after a failure.
fn one_by_one(image: &str) -> ServiceSpec {
    ServiceSpec {
        update: Some(UpdatePolicy {
            parallelism: 1,
            max_failure_permille: 1_000,
            ..UpdatePolicy::default()
        }),
        restart: RestartPolicy {
            delay_ms: 60_000,
            ..RestartPolicy::default()
        },
        ..service(2, image)
    }
}

#[test]
fn a_waiting_slot_says_when_the_next_attempt_is_and_why() {
    let mut lab = Lab::new();
    lab.node("n1");
    let id = lab.deploy("shop", app([("web", service(1, "bad"))]));
    for failures in 1..=2 {
        lab.settle();
        assert!(lab.view.blocked(id, "web").is_none(), "it has a container");
        crash(&mut lab, "web", 1);
        let due = lab.now.plus(Duration::from_secs(failures));
        lab.plan();
        let blocked = lab.view.blocked(id, "web").unwrap();
        assert_eq!(blocked.slots, [1].into());
        let said = &blocked.report.summary;
        let attempts = ["", "a failed attempt", "2 failed attempts"][usize::try_from(failures).unwrap()];
        let wanted = format!("waiting after {attempts}: next attempt at {due}; ");
        assert!(said.starts_with(&wanted) && said.contains("boom"), "{said}");
        let plan = lab.plan();
        assert!(plan.is_empty(), "told once: {plan:?}");
        assert_eq!(plan.wake_at, Some(due));
        lab.pass(Duration::from_secs(failures));
    }
}

#[test]
fn what_does_not_pass_by_itself_is_told_first() {
    let mut lab = Lab::new();
    lab.node("n1");
    let mut web = service(2, "bad");
    web.restart.max_attempts = 2;
    let id = lab.deploy("shop", app([("web", web)]));
    lab.settle();
    crash(&mut lab, "web", 1);
    let often = lab.holder("web", 2).allocation_id;
    lab.report(often, running(often, 2, None));
    crash(&mut lab, "web", 2);
    lab.plan();
    let blocked = lab.view.blocked(id, "web").unwrap();
    assert_eq!(blocked.slots, [1, 2].into());
    assert!(
        blocked.report.summary.starts_with("given up after"),
        "{}",
        blocked.report.summary
    );
}

#[test]
fn a_waiting_slot_counts_as_out_until_its_next_container_is_ready() {
    let mut lab = Lab::new();
    lab.node("n1");
    lab.deploy("shop", app([("web", one_by_one("v1"))]));
    lab.settle();
    lab.deploy("shop", app([("web", one_by_one("v2"))]));
    lab.plan();
    lab.obey();
    // The first successor fails before the other slot is touched.
    lab.plan();
    lab.obey();
    crash(&mut lab, "web", 1);
    let kept = lab.holder("web", 2).allocation_id;
    for _ in 0..3 {
        lab.plan();
        assert_eq!(lab.holder("web", 2).allocation_id, kept, "the last one that runs");
        assert!(lab.holder("web", 2).stop.is_none(), "it is left alone");
    }
    // Also in the plan in which the wait is over, whose report still speaks of it.
    lab.pass(Duration::from_secs(60));
    let plan = lab.plan();
    let stopped = plan.changes.iter().flat_map(|change| &change.stop);
    assert!(
        stopped.clone().all(|order| order.allocation_id != kept),
        "{stopped:?}"
    );
    lab.settle();
    assert_eq!(lab.shown().len(), 2);
}
