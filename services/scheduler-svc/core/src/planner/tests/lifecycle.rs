//! Deploy, scale, update, stop, remove.

use crate::{
    lab::{Lab, app, running, service, with_volume},
    planner::Settle,
};
use berth_events::{
    Observed, SchedulerCommand, StopReason,
    spec::{DependencyCondition, HealthcheckSpec, RestartCondition, RestartPolicy, ServiceMode},
};
use std::time::Duration;

#[test]
fn a_deploy_places_every_replica_and_settles_when_all_run() {
    let mut lab = Lab::new();
    lab.node("n1");
    lab.node("n2");
    let id = lab.deploy("shop", app([("web", service(3, "nginx"))]));
    let plan = lab.plan();
    assert_eq!(plan.changes.len(), 2);
    assert_eq!(
        plan.changes
            .iter()
            .map(|change| change.place.len())
            .sum::<usize>(),
        3
    );
    assert!(lab.plan().is_empty(), "a plan after its own events is empty");
    assert!(!lab.view.application(id).unwrap().settled);
    lab.settle();
    assert!(lab.view.application(id).unwrap().settled);
    assert_eq!(
        lab.shown(),
        ["web.1@n1 running", "web.2@n2 running", "web.3@n1 running"]
    );
}

#[test]
fn each_change_begins_at_the_generation_before() {
    let mut lab = Lab::new();
    let node = lab.node("n1");
    let id = lab.deploy("shop", app([("web", service(1, "nginx"))]));
    assert_eq!(lab.plan().changes[0].previous, 0);
    let generation = lab.log.head();
    lab.scale(id, "web", 2);
    assert_eq!(lab.plan().changes[0].previous, generation);
    let assignment = lab.view.assignment(node).unwrap();
    assert_eq!(assignment.generation, lab.log.head());
    assert_eq!(assignment.change.place.len(), 2);
    assert_eq!(assignment.change.containers.len(), 1);
}

#[test]
fn scaling_down_stops_the_highest_slots() {
    let mut lab = Lab::new();
    lab.node("n1");
    let id = lab.deploy("shop", app([("web", service(30, "nginx"))]));
    lab.settle();
    lab.scale(id, "web", 3);
    let plan = lab.plan();
    assert_eq!(plan.changes[0].stop.len(), 27);
    assert!(
        plan.changes[0]
            .stop
            .iter()
            .all(|order| order.reason == StopReason::Surplus)
    );
    lab.settle();
    assert_eq!(
        lab.shown(),
        ["web.1@n1 running", "web.2@n1 running", "web.3@n1 running"]
    );
}

#[test]
fn an_update_stops_first_and_never_more_than_half_at_once() {
    let mut lab = Lab::new();
    lab.node("n1");
    lab.deploy(
        "shop",
        app([("web", service(4, "nginx:1")), ("db", service(1, "pg"))]),
    );
    lab.settle();
    let db = lab.holder("db", 1).allocation_id;
    lab.deploy(
        "shop",
        app([("web", service(4, "nginx:2")), ("db", service(1, "pg"))]),
    );
    let plan = lab.plan();
    assert_eq!(plan.changes[0].stop.len(), 2);
    assert!(plan.changes[0].place.is_empty(), "the old ones end first");
    assert!(lab.plan().is_empty());
    lab.settle();
    for slot in 1..=4 {
        assert_eq!(lab.holder("web", slot).why.cause, "changed");
    }
    assert_eq!(
        lab.holder("db", 1).allocation_id,
        db,
        "what has not changed stays"
    );
}

#[test]
fn a_restart_replaces_what_was_placed_before_it() {
    let mut lab = Lab::new();
    lab.node("n1");
    let id = lab.deploy("shop", app([("web", service(2, "a")), ("db", service(1, "b"))]));
    lab.settle();
    let before = (
        lab.holder("web", 1).allocation_id,
        lab.holder("db", 1).allocation_id,
    );
    lab.command(SchedulerCommand::Restart {
        application_id: id,
        services: ["web".to_owned()].into(),
    });
    lab.settle();
    assert_ne!(lab.holder("web", 1).allocation_id, before.0);
    assert_eq!(lab.holder("db", 1).allocation_id, before.1);
    assert!(lab.plan().is_empty());
}

#[test]
fn stop_and_start_end_and_begin_every_container() {
    let mut lab = Lab::new();
    lab.node("n1");
    let id = lab.deploy("shop", app([("web", service(2, "a"))]));
    lab.settle();
    lab.command(SchedulerCommand::Stop { application_id: id });
    lab.settle();
    assert!(lab.rows().is_empty());
    lab.command(SchedulerCommand::Start { application_id: id });
    lab.settle();
    assert_eq!(lab.shown(), ["web.1@n1 running", "web.2@n1 running"]);
}

#[test]
fn a_removed_application_goes_with_its_volumes_and_frees_its_name() {
    let mut lab = Lab::new();
    lab.node("n1");
    let mut spec = app([("db", with_volume(service(1, "pg"), "data"))]);
    spec.volumes.insert("data".into(), Default::default());
    let id = lab.deploy("shop", spec.clone());
    lab.settle();
    lab.command(SchedulerCommand::Remove {
        application_id: id,
        volumes: true,
    });
    let plan = lab.plan();
    assert_eq!(plan.changes[0].stop[0].reason, StopReason::ApplicationRemoved);
    assert!(plan.changes[0].drop_volumes.contains("shop_data"));
    lab.settle();
    assert!(lab.view.application(id).is_none());
    assert!(lab.view.slots.is_empty());
    let again = lab.deploy("shop", spec);
    assert_ne!(again, id);
}

#[test]
fn a_service_that_left_the_file_goes() {
    let mut lab = Lab::new();
    lab.node("n1");
    lab.deploy("shop", app([("web", service(1, "a")), ("old", service(2, "b"))]));
    lab.settle();
    lab.deploy("shop", app([("web", service(1, "a"))]));
    lab.settle();
    assert_eq!(lab.shown(), ["web.1@n1 running"]);
}

#[test]
fn a_service_starts_after_those_it_depends_on() {
    let mut lab = Lab::new();
    lab.node("n1");
    let mut db = service(1, "pg");
    db.container.healthcheck = Some(HealthcheckSpec {
        test: vec!["CMD".into(), "true".into()],
        ..HealthcheckSpec::default()
    });
    let mut web = service(1, "nginx");
    web.depends_on
        .insert("db".into(), DependencyCondition::ServiceHealthy);
    let id = lab.deploy("shop", app([("db", db), ("web", web)]));
    let plan = lab.plan();
    assert_eq!(plan.changes[0].place.len(), 1);
    assert_eq!(
        plan.blocked[0].report.summary,
        "waiting for service db to be healthy"
    );
    let db = lab.holder("db", 1).allocation_id;
    lab.run(db);
    assert_eq!(lab.plan_all()[0].changes.len(), 0, "running is not healthy");
    lab.report(db, running(db, 0, Some(true)));
    let plans = lab.plan_all();
    assert_eq!(plans[0].changes[0].place[0].service, "web");
    assert!(lab.view.blocked(id, "web").is_none());
    // Once it has run it comes back without waiting.
    let web = lab.holder("web", 1).allocation_id;
    lab.run(web);
    lab.report(db, running(db, 0, Some(false)));
    lab.report(web, Observed::Removed);
    lab.pass(Duration::from_secs(2));
    assert_eq!(lab.plan().changes[0].place[0].service, "web");
}

#[test]
fn a_job_that_completed_is_not_run_again_until_it_changes() {
    let mut lab = Lab::new();
    lab.node("n1");
    let mut job = service(1, "migrate:1");
    job.restart = RestartPolicy {
        condition: RestartCondition::OnFailure,
        ..RestartPolicy::default()
    };
    let id = lab.deploy("shop", app([("job", job.clone())]));
    lab.settle();
    let first = lab.holder("job", 1).allocation_id;
    lab.exit(first, 0);
    lab.pass(Duration::from_secs(1_000));
    let plans = lab.plan_all();
    assert!(plans.iter().all(|plan| plan.changes.is_empty()));
    assert!(lab.view.application(id).unwrap().settled);
    job.container.image = "migrate:2".into();
    lab.deploy("shop", app([("job", job)]));
    let plan = lab.plan();
    assert_eq!(plan.changes[0].place.len(), 1);
    assert_eq!(plan.changes[0].stop[0].allocation_id, first);
    assert_eq!(plan.changes[0].stop[0].reason, StopReason::Ended);
}

#[test]
fn a_global_service_runs_on_every_node_that_suits() {
    let mut lab = Lab::new();
    lab.node("n1");
    lab.node_with("n2", |node| {
        node.labels.insert("disk".into(), "ssd".into());
    });
    lab.node_with("n3", |node| {
        node.labels.insert("disk".into(), "ssd".into());
    });
    let mut agent = service(1, "agent");
    agent.mode = ServiceMode::Global;
    agent.placement.constraints = vec![super::choosing::constraint("disk", "ssd")];
    let id = lab.deploy("mon", app([("agent", agent)]));
    lab.settle();
    assert_eq!(lab.shown(), ["agent.2@n2 running", "agent.3@n3 running"]);
    assert!(lab.view.application(id).unwrap().settled);
    lab.node_with("n4", |node| {
        node.labels.insert("disk".into(), "ssd".into());
    });
    lab.settle();
    assert_eq!(
        lab.shown(),
        ["agent.2@n2 running", "agent.3@n3 running", "agent.4@n4 running"]
    );
}

#[test]
fn a_large_deploy_comes_in_several_changes() {
    let mut lab = Lab::new();
    for node in 1..=3 {
        lab.node(&format!("n{node}"));
    }
    lab.deploy("big", app([("web", service(1_000, "nginx"))]));
    let first = lab.plan();
    assert!(first.more);
    assert!(first.changes.iter().all(|change| change.place.len() <= 200));
    assert!(first.blocked.is_empty());
    lab.plan_all();
    assert_eq!(lab.shown().len(), 1_000);
}

#[test]
fn applications_of_a_cluster_deleted_by_force_are_removed() {
    let mut lab = Lab::new();
    lab.node("n1");
    let id = lab.deploy("shop", app([("web", service(1, "a"))]));
    lab.settle();
    lab.record(
        "cluster",
        berth_events::StreamName::new(berth_events::Category::Cluster, crate::lab::CLUSTER),
        berth_events::ClusterEvent::DeleteRequested(berth_events::ClusterDeleteRequested { force: true }),
    );
    assert!(matches!(lab.plan().settle[0], Settle::RemoveRequested { .. }));
    lab.settle();
    assert!(lab.view.application(id).is_none());
}
