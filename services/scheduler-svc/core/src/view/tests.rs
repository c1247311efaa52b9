//! What the view answers.

use super::*;
use crate::{
    explain::{why_allocation, why_service},
    lab::{GIB, Lab, app, service, with_memory, with_volume},
};

#[test]
fn why_tells_where_and_why_not() {
    let mut lab = Lab::new();
    lab.node("n1");
    let web = with_memory(with_volume(service(2, "nginx"), "data"), 5 * GIB);
    let id = lab.deploy("shop", app([("web", web)]));
    lab.settle();
    let holder = lab.holder("web", 1);
    let why = why_allocation(&lab.view, holder.allocation_id).unwrap();
    assert_eq!(why.placed.cause, "new");
    assert_eq!(why.home.as_deref(), Some("n1"));
    let why = why_service(&lab.view, id, "web").unwrap();
    assert_eq!(why.blocked, [2].into());
    assert_eq!(why.report.unwrap().refusals[0].filter, "memory");
    assert_eq!(why_service(&lab.view, id, "nobody"), None);
    assert_eq!(why_allocation(&lab.view, AllocationId::from_u128(1)), None);
}

#[test]
fn failures_are_told_in_order() {
    let mut lab = Lab::new();
    lab.node("n1");
    let id = lab.deploy("shop", app([("web", service(1, "nginx"))]));
    for code in [3, 4] {
        lab.settle();
        let holder = lab.holder("web", 1).allocation_id;
        lab.exit(holder, code);
        lab.pass(std::time::Duration::from_secs(60));
    }
    assert_eq!(
        why_service(&lab.view, id, "web").unwrap().failures,
        ["slot 1: exited with code 3", "slot 1: exited with code 4"]
    );
}

#[test]
fn specifications_go_with_their_last_allocation() {
    let mut lab = Lab::new();
    lab.node("n1");
    let id = lab.deploy("shop", app([("web", service(2, "nginx"))]));
    lab.settle();
    assert_eq!(lab.view.specs.len(), 1);
    lab.scale(id, "web", 0);
    lab.settle();
    assert!(lab.view.specs.is_empty());
    assert!(lab.view.allocations.is_empty());
}

#[test]
fn rows_of_unknown_kinds_and_shapes_are_refused() {
    let mut view = SchedulerView::default();
    assert!(view.restore(RowKey::new("nothing", "1"), "{}").is_err());
    assert!(view.restore(RowKey::new("node", "1"), "{}").is_err());
    let id = NodeId::from_u128(1);
    let error = view.restore(RowKey::new("node", id), "{}").unwrap_err();
    assert_eq!(error.kind, "node");
}
