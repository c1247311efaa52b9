//! When a release counts as running.

use crate::{
    lab::{Lab, app, running, service},
    limits::SETTLE_AFTER,
};
use berth_events::spec::HealthcheckSpec;
use std::time::Duration;

#[test]
fn a_release_without_a_watch_settles_when_its_containers_have_run_for_a_while() {
    let mut lab = Lab::new();
    lab.node("n1");
    let id = lab.deploy("shop", app([("web", service(1, "bad"))]));
    let settled = |lab: &Lab| lab.view.application(id).unwrap().settled;
    lab.plan();
    lab.obey();
    let plan = lab.plan();
    assert!(!settled(&lab), "it has only just begun to run");
    assert_eq!(plan.wake_at, Some(lab.now.plus(SETTLE_AFTER)));
    for restarts in 1..=3 {
        // It ends and is started again by its agent before it has run for long enough.
        lab.pass(SETTLE_AFTER - Duration::from_millis(1));
        let row = lab.holder("web", 1).allocation_id;
        lab.report(row, running(row, restarts, None));
        lab.plan();
        assert!(!settled(&lab), "restart {restarts}");
    }
    lab.pass(SETTLE_AFTER);
    lab.plan();
    assert!(settled(&lab));
}

#[test]
fn a_check_that_passes_is_enough() {
    let mut lab = Lab::new();
    lab.node("n1");
    let mut web = service(1, "web");
    web.container.healthcheck = Some(HealthcheckSpec {
        test: vec!["CMD".into(), "true".into()],
        ..HealthcheckSpec::default()
    });
    let id = lab.deploy("shop", app([("web", web)]));
    lab.plan();
    lab.obey();
    let row = lab.holder("web", 1).allocation_id;
    lab.report(row, running(row, 0, Some(true)));
    lab.plan();
    assert!(lab.view.application(id).unwrap().settled);
}

#[test]
fn what_a_release_leaves_alone_needs_no_second_watch() {
    let mut lab = Lab::new();
    lab.node("n1");
    let id = lab.deploy("shop", app([("web", service(1, "web"))]));
    lab.settle();
    lab.deploy("shop", app([("web", service(1, "web"))]));
    lab.plan();
    assert!(lab.view.application(id).unwrap().settled);
}
