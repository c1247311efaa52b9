//! GPUs and other countable resources.

use crate::lab::{Lab, app, service};
use berth_events::{
    NodeEvent, NodeResourcesChanged,
    spec::{DeviceRequest, ServiceMode, ServiceSpec},
};

fn with_gpus(mut spec: ServiceSpec, count: u64) -> ServiceSpec {
    spec.container.generic_resources.insert("gpu".into(), count);
    spec
}

fn asking(replicas: u32, count: i64) -> ServiceSpec {
    let mut spec = service(replicas, "a");
    spec.container.engine.device_requests.push(DeviceRequest {
        count: Some(count),
        capabilities: vec!["gpu".into()],
        ..DeviceRequest::default()
    });
    spec
}

/// `n1` has no GPU, `n2` two, `n3` four by its engine.
fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.node("n1");
    lab.node_with("n2", |node| {
        node.resources.insert("gpu".into(), 2);
    });
    lab.node_with("n3", |node| {
        node.facts.generic_resources.insert("gpu".into(), 4);
    });
    lab
}

#[test]
fn gpus_are_reserved_and_never_more_than_there_are() {
    let mut lab = lab();
    let id = lab.deploy("shop", app([("web", with_gpus(service(4, "a"), 2))]));
    lab.settle();
    let mut shown = lab.shown();
    shown.sort();
    assert_eq!(
        shown,
        ["web.1@n2 running", "web.2@n3 running", "web.3@n3 running"]
    );
    let report = &lab.view.blocked(id, "web").unwrap().report;
    assert_eq!(report.summary, "pending: no node has 2 gpu free");
    let examples = &report.refusals[0].examples;
    assert_eq!(report.refusals[0].filter, "resource");
    assert_eq!(examples["n1"], "needs 2 gpu, 0 of 0 free");
    assert_eq!(examples["n3"], "needs 2 gpu, 0 of 4 free");
    assert!(
        report.cure.as_ref().unwrap().contains("free gpu on"),
        "{report:?}"
    );
}

#[test]
fn what_people_name_counts_more_than_what_the_engine_names() {
    let mut lab = lab();
    let n3 = lab
        .view
        .nodes
        .values()
        .find(|node| node.name.as_str() == "n3")
        .unwrap()
        .node_id;
    let change = |set: &[(&str, u64)], removed: &[&str]| {
        NodeEvent::ResourcesChanged(NodeResourcesChanged {
            set: set
                .iter()
                .map(|(kind, count)| ((*kind).to_owned(), *count))
                .collect(),
            removed: removed.iter().map(|kind| (*kind).to_owned()).collect(),
        })
    };
    lab.node_event(n3, change(&[("gpu", 1)], &[]));
    let id = lab.deploy("shop", app([("web", asking(1, 3))]));
    lab.settle();
    assert!(lab.view.blocked(id, "web").is_some());
    lab.node_event(n3, change(&[], &["gpu"]));
    lab.settle();
    assert_eq!(lab.shown(), ["web.1@n3 running"]);
}

#[test]
fn all_gpus_of_a_node_are_one_or_more_and_all_free() {
    let mut lab = lab();
    let mut all = asking(1, -1);
    all.mode = ServiceMode::Replicated { replicas: 3 };
    let id = lab.deploy("shop", app([("web", all)]));
    lab.settle();
    let mut shown = lab.shown();
    shown.sort();
    assert_eq!(shown, ["web.1@n2 running", "web.2@n3 running"]);
    let report = &lab.view.blocked(id, "web").unwrap().report;
    let examples = &report.refusals[0].examples;
    assert_eq!(examples["n1"], "needs 1 gpu, 0 of 0 free");
    assert_eq!(examples["n2"], "needs 2 gpu, 0 of 2 free");
}

#[test]
fn a_new_release_gets_the_gpus_of_the_one_before_in_their_place() {
    let mut lab = lab();
    lab.deploy("shop", app([("web", with_gpus(service(1, "a"), 4))]));
    lab.settle();
    lab.deploy("shop", app([("web", with_gpus(service(1, "b"), 3))]));
    lab.settle();
    assert_eq!(lab.shown(), ["web.1@n3 running"]);
    lab.deploy("other", app([("more", with_gpus(service(1, "c"), 2))]));
    lab.settle();
    assert!(
        lab.shown().contains(&"more.1@n2 running".to_owned()),
        "{:?}",
        lab.shown()
    );
}
