//! Local volumes hold a slot to its node.

use crate::lab::{GIB, Lab, app, service, with_memory, with_volume};
use berth_events::{
    NodeEvent, NodeRemoved, SchedulerCommand,
    spec::{ApplicationSpec, ReschedulePolicy, VolumeSpec},
};
use std::time::Duration;

fn database(memory: u64) -> ApplicationSpec {
    let mut spec = app([("db", with_memory(with_volume(service(1, "pg"), "data"), memory))]);
    spec.volumes.insert("data".into(), VolumeSpec::default());
    spec
}

#[test]
fn a_volume_keeps_its_slot_on_the_lost_node_until_it_is_abandoned() {
    let mut lab = Lab::new();
    let first = lab.node("n1");
    let id = lab.deploy("shop", database(0));
    lab.settle();
    lab.node("n2");
    lab.lose(first);
    lab.settle();
    assert_eq!(lab.shown(), ["db.1@n1 running"]);
    let report = lab.view.blocked(id, "db").unwrap().report.clone();
    assert_eq!(
        report.summary,
        "pending: volume on node n1, which does not answer"
    );
    let cure = report.cure.unwrap();
    assert!(
        cure.contains("bring node n1 back") && cure.contains("`berth app abandon-volume`"),
        "{cure}"
    );
    lab.command(SchedulerCommand::AbandonVolume {
        application_id: id,
        service: "db".into(),
        slots: Default::default(),
    });
    lab.settle();
    assert!(lab.shown().contains(&"db.1@n2 running".to_owned()));
    assert!(lab.view.blocked(id, "db").is_none());
}

#[test]
fn a_rule_in_the_file_leaves_the_volume_behind() {
    let mut lab = Lab::new();
    let first = lab.node("n1");
    let mut spec = database(0);
    spec.services.get_mut("db").unwrap().reschedule = ReschedulePolicy::OnNodeFailure;
    lab.deploy("shop", spec);
    lab.settle();
    lab.node("n2");
    lab.lose(first);
    lab.settle();
    assert!(lab.shown().contains(&"db.1@n2 running".to_owned()));
}

#[test]
fn a_new_container_of_the_slot_goes_home() {
    let mut lab = Lab::new();
    let first = lab.node("n1");
    let mut spec = database(0);
    let id = lab.deploy("shop", spec.clone());
    lab.settle();
    lab.node("n2");
    // An update, a crash, and a stop with a later start.
    spec.services.get_mut("db").unwrap().container.image = "pg:2".into();
    lab.deploy("shop", spec);
    lab.settle();
    assert_eq!(lab.holder("db", 1).node_id, first);
    let holder = lab.holder("db", 1).allocation_id;
    lab.exit(holder, 1);
    lab.pass(Duration::from_secs(5));
    lab.settle();
    assert_eq!(lab.holder("db", 1).node_id, first);
    lab.command(SchedulerCommand::Stop { application_id: id });
    lab.settle();
    lab.command(SchedulerCommand::Start { application_id: id });
    lab.settle();
    assert_eq!(lab.holder("db", 1).node_id, first);
}

#[test]
fn a_full_home_is_reported_with_both_ways_out() {
    let mut lab = Lab::new();
    lab.node("n1");
    let id = lab.deploy("shop", database(4 * GIB));
    lab.settle();
    lab.command(SchedulerCommand::Stop { application_id: id });
    lab.settle();
    lab.deploy("big", app([("web", with_memory(service(1, "x"), 6 * GIB))]));
    lab.settle();
    lab.node("n2");
    lab.command(SchedulerCommand::Start { application_id: id });
    lab.settle();
    let report = lab.view.blocked(id, "db").unwrap().report.clone();
    assert_eq!(
        report.summary,
        "pending: volume on node n1, which needs 4 GiB, 2 GiB free"
    );
    let cure = report.cure.unwrap();
    assert!(cure.starts_with("free 2 GiB of memory on n1"), "{cure}");
    assert!(cure.contains("`berth app abandon-volume`"), "{cure}");
}

#[test]
fn a_drain_leaves_a_volume_where_it_is() {
    let mut lab = Lab::new();
    let first = lab.node("n1");
    lab.deploy("shop", database(0));
    lab.settle();
    lab.node("n2");
    lab.drain(first, Duration::from_secs(60), false);
    lab.settle();
    assert_eq!(lab.shown(), ["db.1@n1 running"]);
    assert_eq!(
        lab.plan().drains().next().unwrap().1,
        0,
        "nothing movable is left"
    );
}

#[test]
fn a_volume_on_a_removed_node_is_named() {
    let mut lab = Lab::new();
    let first = lab.node("n1");
    let id = lab.deploy("shop", database(0));
    lab.settle();
    lab.node("n2");
    lab.node_event(first, NodeEvent::Removed(NodeRemoved { forced: true }));
    lab.settle();
    let report = &lab.view.blocked(id, "db").unwrap().report;
    assert_eq!(report.summary, "pending: volume on node n1, which is gone");
    assert_eq!(report.refusals[0].filter, "volume");
}

#[test]
fn a_volume_that_is_still_going_is_not_used_again() {
    let mut lab = Lab::new();
    let first = lab.node("n1");
    let id = lab.deploy("shop", database(0));
    lab.settle();
    lab.lose(first);
    lab.command(SchedulerCommand::Remove {
        application_id: id,
        volumes: true,
    });
    lab.settle();
    assert!(
        lab.view.application(id).is_none(),
        "a lost node is not waited for"
    );
    let again = lab.deploy("shop", database(0));
    lab.bring_back(first);
    lab.plan_all();
    let report = &lab.view.blocked(again, "db").unwrap().report;
    assert_eq!(report.summary, "pending: volume shop_data is still being removed");
    lab.settle();
    assert_eq!(lab.shown(), ["db.1@n1 running"]);
}

#[test]
fn a_network_volume_binds_nobody() {
    let mut lab = Lab::new();
    let first = lab.node("n1");
    let mut spec = database(0);
    spec.volumes.get_mut("data").unwrap().driver = Some("ossfs".into());
    lab.deploy("shop", spec);
    lab.settle();
    lab.node("n2");
    lab.lose(first);
    lab.settle();
    assert!(lab.shown().contains(&"db.1@n2 running".to_owned()));
}
