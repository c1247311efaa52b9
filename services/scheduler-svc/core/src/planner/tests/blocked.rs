//! Reports of slots that have no place.

use super::choosing::constraint;
use crate::lab::{GIB, Lab, app, service, with_memory, with_port};
use berth_events::{BlockReport, NodeCordoned, NodeEvent, spec::ServiceSpec};

fn report_of(lab: &mut Lab, spec: ServiceSpec) -> BlockReport {
    let id = lab.deploy("shop", app([("web", spec)]));
    lab.settle();
    lab.view.blocked(id, "web").unwrap().report.clone()
}

#[test]
fn a_cluster_without_nodes_says_how_to_get_one() {
    let report = report_of(&mut Lab::new(), service(1, "nginx"));
    assert_eq!(report.summary, "pending: the cluster has no node");
    assert!(report.cure.unwrap().contains("berth agent join"));
}

#[test]
fn too_little_memory_names_the_closest_node() {
    let mut lab = Lab::new();
    lab.node_with("n1", |node| node.facts.memory_bytes = 4 * GIB);
    lab.node_with("n2", |node| node.facts.memory_bytes = 2 * GIB);
    lab.deploy("other", app([("x", with_memory(service(1, "x"), 3 * GIB))]));
    let report = report_of(&mut lab, with_memory(service(1, "nginx"), 4 * GIB));
    assert_eq!(report.summary, "pending: no node has 4 GiB of memory free");
    assert_eq!(report.refusals[0].nodes, 2);
    assert_eq!(report.refusals[0].examples["n1"], "needs 4 GiB, 1 GiB free");
    assert_eq!(
        report.cure.as_deref(),
        Some("add a node with 4 GiB of memory, or reserve less"),
        "n2, which is closest, could never hold it"
    );
}

#[test]
fn memory_that_others_hold_can_be_freed() {
    let mut lab = Lab::new();
    lab.node_with("n1", |node| node.facts.memory_bytes = 5 * GIB);
    lab.deploy("other", app([("x", with_memory(service(1, "x"), 3 * GIB))]));
    let report = report_of(&mut lab, with_memory(service(1, "nginx"), 4 * GIB));
    assert_eq!(
        report.cure.as_deref(),
        Some("free 2 GiB of memory on n1, or add a node with 4 GiB")
    );
}

#[test]
fn a_missing_label_comes_with_the_command() {
    let mut lab = Lab::new();
    lab.node("n1");
    let mut spec = service(1, "nginx");
    spec.placement.constraints = vec![constraint("node.labels.disk", "ssd")];
    let report = report_of(&mut lab, spec);
    assert_eq!(report.summary, "pending: no node has node.labels.disk==ssd");
    assert_eq!(
        report.cure.as_deref(),
        Some("label a node with disk=ssd: `berth node label n1 disk=ssd`")
    );
}

#[test]
fn several_filters_are_counted() {
    let mut lab = Lab::new();
    let first = lab.node("n1");
    lab.node("n2");
    lab.deploy("other", app([("x", with_port(service(1, "x"), 80))]));
    lab.settle();
    let taken = lab.holder("x", 1).node_id;
    let other = if taken == first {
        lab.view.nodes_of(crate::lab::CLUSTER).last().unwrap().node_id
    } else {
        first
    };
    lab.node_event(
        other,
        NodeEvent::Cordoned(NodeCordoned {
            reason: String::new(),
        }),
    );
    let report = report_of(&mut lab, with_port(service(2, "nginx"), 80));
    assert_eq!(
        report.summary,
        "pending: none of 2 nodes will do: state 1, port 1"
    );
    assert!(
        report
            .cure
            .unwrap()
            .contains("publish another port than 80/tcp, stop other_x_1")
    );
}

#[test]
fn a_pending_slot_heals_when_capacity_comes() {
    let mut lab = Lab::new();
    lab.node("n1");
    let id = lab.deploy("shop", app([("web", with_memory(service(3, "nginx"), 5 * GIB))]));
    lab.settle();
    assert_eq!(lab.view.blocked(id, "web").unwrap().slots, [2, 3].into());
    let head = lab.log.head();
    assert!(lab.plan().is_empty());
    assert_eq!(lab.log.head(), head, "the same answer is not recorded twice");
    lab.node("n2");
    lab.settle();
    assert_eq!(lab.view.blocked(id, "web").unwrap().slots, [3].into());
    lab.node("n3");
    lab.settle();
    assert!(lab.view.blocked(id, "web").is_none());
    assert!(lab.view.application(id).unwrap().settled);
}
