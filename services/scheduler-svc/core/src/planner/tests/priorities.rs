//! More important containers get room; what gives way is as little as will do, and does not fight back.

use crate::{
    allocation::Phase,
    lab::{GIB, Lab, app, service, with_memory, with_volume},
    planner::Plan,
};
use berth_events::{
    StopReason,
    spec::{ReschedulePolicy, ServiceMode, ServiceSpec},
};

fn needing(gibibytes: u64, priority: u32, replicas: u32) -> ServiceSpec {
    let mut spec = with_memory(service(replicas, "x"), gibibytes * GIB);
    spec.labels.priority = priority;
    spec
}

/// A node of 8 GiB with four containers of 2 GiB that are not important.
fn full() -> Lab {
    let mut lab = Lab::new();
    lab.node("n1");
    lab.deploy("batch", app([("job", needing(2, 0, 4))]));
    lab.settle();
    lab
}

fn pushed_out(plans: &[Plan]) -> Vec<String> {
    let orders = plans
        .iter()
        .flat_map(|plan| &plan.changes)
        .flat_map(|change| &change.stop);
    let orders = orders.filter(|order| order.reason == StopReason::PushedOut);
    orders
        .map(|order| order.by.as_ref().unwrap())
        .map(|by| format!("{}/{}.{}", by.application, by.service, by.slot))
        .collect()
}

fn running(lab: &Lab, service: &str) -> usize {
    let rows = lab.rows();
    let kept = rows.iter().filter(|row| row.service == service && row.is_kept());
    kept.filter(|row| row.phase == Phase::Running).count()
}

#[test]
fn an_important_container_pushes_out_as_few_as_will_do() {
    let mut lab = full();
    lab.deploy("shop", app([("web", needing(3, 10, 1))]));
    let plans = lab.plan_all();
    assert_eq!(
        pushed_out(&plans),
        ["shop/web.1", "shop/web.1"],
        "two of 2 GiB for one of 3"
    );
    let shop = lab.applications["shop"];
    let waits = lab.view.blocked(shop, "web").unwrap();
    assert!(
        waits.report.summary.contains("waiting for room on node n1"),
        "{}",
        waits.report.summary
    );
    assert!(
        pushed_out(&lab.plan_all()).is_empty(),
        "planned again, nobody else goes"
    );
    lab.settle();
    assert_eq!((running(&lab, "web"), running(&lab, "job")), (1, 2));
    let batch = lab.applications["batch"];
    let pending = &lab.view.blocked(batch, "job").unwrap().report.summary;
    assert!(
        pending.starts_with("pushed out by shop_web_1 (priority 10); pending: no node has 2 GiB"),
        "{pending}"
    );
    assert!(lab.view.blocked(shop, "web").is_none());
    for _ in 0..5 {
        lab.pass(std::time::Duration::from_secs(61));
        assert!(pushed_out(&lab.plan_all()).is_empty(), "nobody fights back");
        lab.settle();
    }
}

#[test]
fn as_important_is_not_more_important() {
    let mut lab = full();
    lab.deploy("shop", app([("web", needing(2, 0, 1))]));
    assert!(pushed_out(&lab.plan_all()).is_empty());
}

#[test]
fn data_global_services_and_those_that_stay_are_not_pushed_out() {
    let stays = |change: &dyn Fn(ServiceSpec) -> ServiceSpec| {
        let mut lab = Lab::new();
        lab.node("n1");
        let mut spec = app([("job", change(needing(7, 0, 1)))]);
        spec.volumes.insert("data".into(), Default::default());
        lab.deploy("batch", spec);
        lab.settle();
        lab.deploy("shop", app([("web", needing(7, 10, 1))]));
        pushed_out(&lab.plan_all()).is_empty()
    };
    assert!(stays(&|spec| with_volume(spec, "data")));
    assert!(stays(&|mut spec| {
        spec.mode = ServiceMode::Global;
        spec
    }));
    assert!(stays(&|mut spec| {
        spec.reschedule = ReschedulePolicy::Off;
        spec
    }));
    assert!(!stays(&|spec| spec), "without all that it goes");
}

#[test]
fn room_that_is_there_is_taken_first() {
    let mut lab = full();
    lab.node("n2");
    lab.deploy("shop", app([("web", needing(3, 10, 1))]));
    assert!(pushed_out(&lab.plan_all()).is_empty());
    lab.settle();
    assert_eq!((running(&lab, "web"), running(&lab, "job")), (1, 4));
}

#[test]
fn what_nothing_helps_pushes_nobody_out() {
    let mut lab = full();
    lab.deploy("shop", app([("web", needing(9, 10, 1))]));
    assert!(pushed_out(&lab.plan_all()).is_empty());
    let why = &lab
        .view
        .blocked(lab.applications["shop"], "web")
        .unwrap()
        .report
        .summary;
    assert!(why.contains("no node has 9 GiB"), "{why}");
}

#[test]
fn the_least_important_goes_and_may_go_elsewhere() {
    let mut lab = Lab::new();
    lab.node("n1");
    lab.deploy("a", app([("low", needing(4, 1, 1)), ("lower", needing(4, 0, 1))]));
    lab.settle();
    lab.deploy("shop", app([("web", needing(4, 10, 1))]));
    lab.settle();
    assert_eq!(
        (running(&lab, "web"), running(&lab, "low"), running(&lab, "lower")),
        (1, 1, 0)
    );
    lab.node("n2");
    lab.settle();
    assert_eq!(running(&lab, "lower"), 1, "with room elsewhere it comes back");
}

#[test]
fn an_important_container_that_crashes_keeps_its_room() {
    let mut lab = Lab::new();
    lab.node("n1");
    lab.deploy("shop", app([("web", needing(8, 10, 1))]));
    lab.deploy("batch", app([("job", needing(8, 0, 1))]));
    lab.settle();
    for _ in 0..3 {
        let web = lab.holder("web", 1).allocation_id;
        lab.exit(web, 1);
        let plans = lab.plan_all();
        assert!(pushed_out(&plans).is_empty());
        assert_eq!(running(&lab, "job"), 0, "it would only be pushed out again");
        lab.obey();
        lab.pass(std::time::Duration::from_secs(61));
        lab.settle();
        assert_eq!(running(&lab, "web"), 1);
    }
}
