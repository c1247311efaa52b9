//! Promises and wishes to be spread over the values of any label of nodes.

use crate::lab::{GIB, Lab, app, service, with_memory};
use berth_events::spec::{DomainSpread, ServiceSpec, Strategy, UpdateOrder, UpdatePolicy};
use berth_ids::ApplicationId;
use std::collections::BTreeSet;

fn racked(lab: &mut Lab, nodes: &[(&str, &str)]) {
    for (name, rack) in nodes {
        lab.node_with(name, |node| {
            node.facts.memory_bytes = 4 * GIB;
            if !rack.is_empty() {
                node.labels.insert("rack".into(), (*rack).into());
            }
        });
    }
}

fn promised(replicas: u32, domains: u32, soft: bool) -> ServiceSpec {
    let mut spec = service(replicas, "a");
    spec.placement.domains.push(DomainSpread {
        label: "node.labels.rack".into(),
        domains,
        soft,
    });
    spec
}

fn racks(lab: &Lab, id: ApplicationId) -> BTreeSet<String> {
    let rows = lab.view.allocations_of(id, "web").filter(|row| row.is_kept());
    rows.filter_map(|row| lab.view.node(row.node_id)?.labels.get("rack").cloned())
        .collect()
}

#[test]
fn a_promise_over_racks_is_refused_with_too_few_and_a_wish_is_not() {
    let mut lab = Lab::new();
    racked(&mut lab, &[("n1", "r1"), ("n2", "r1"), ("n3", "r2"), ("n4", "")]);
    let soft = lab.deploy("soft", app([("web", promised(4, 3, true))]));
    let hard = lab.deploy("hard", app([("web", promised(4, 3, false))]));
    lab.settle();
    assert!(lab.view.blocked(soft, "web").is_none());
    assert_eq!(lab.view.allocations_of(hard, "web").count(), 0);
    let report = &lab.view.blocked(hard, "web").unwrap().report;
    assert_eq!(
        report.summary,
        "pending: the service is promised 3 values of rack, and 2 have a node for it"
    );
    let examples = &report.refusals[0].examples;
    assert_eq!(report.refusals[0].filter, "domains");
    assert_eq!(examples["n1"], "needs 3 values of rack, there are 2: r1, r2");
    assert_eq!(examples["n4"], "has no label rack");
    racked(&mut lab, &[("n5", "r3")]);
    lab.settle();
    assert_eq!(racks(&lab, hard).len(), 3);
    let none_on_n4 = lab
        .view
        .allocations_of(hard, "web")
        .all(|row| lab.view.node(row.node_id).unwrap().name.as_str() != "n4");
    assert!(none_on_n4, "a node in no rack keeps no promise");
}

#[test]
fn the_last_slots_go_to_the_domains_that_are_missing_or_wait() {
    let mut lab = Lab::new();
    racked(&mut lab, &[("n1", "r1"), ("n2", "r1"), ("n3", "r2")]);
    let mut big = with_memory(service(1, "b"), 4 * GIB);
    big.placement.constraints = vec![super::choosing::constraint("rack", "r2")];
    lab.deploy("first", app([("big", big)]));
    lab.settle();
    let id = lab.deploy("shop", app([("web", with_memory(promised(3, 2, false), GIB))]));
    lab.settle();
    assert_eq!(
        lab.view.allocations_of(id, "web").count(),
        2,
        "one is kept for r2"
    );
    let report = &lab.view.blocked(id, "web").unwrap().report;
    assert!(report.summary.contains("domains 2"), "{report:?}");
    let text = &report
        .refusals
        .iter()
        .find(|one| one.filter == "domains")
        .unwrap()
        .examples["n1"];
    assert_eq!(
        text,
        "rack r1 has a container of the service, and 2 values of rack are promised"
    );
    lab.remove("first");
    lab.settle();
    assert_eq!(racks(&lab, id).len(), 2);
}

#[test]
fn a_release_keeps_the_promise_whichever_of_two_comes_first() {
    for order in [UpdateOrder::StartFirst, UpdateOrder::StopFirst] {
        let mut lab = Lab::new();
        racked(
            &mut lab,
            &[("n1", "r1"), ("n2", "r1"), ("n3", "r2"), ("n4", "r3")],
        );
        let spec = |image: &str| {
            let mut spec = promised(3, 3, false);
            spec.container.image = image.into();
            spec.update = Some(UpdatePolicy {
                order,
                ..UpdatePolicy::default()
            });
            app([("web", spec)])
        };
        let id = lab.deploy("shop", spec("a"));
        lab.settle();
        lab.deploy("shop", spec("b"));
        lab.settle();
        let new = lab.view.allocations_of(id, "web");
        assert!(
            new.filter(|row| row.is_kept())
                .all(|row| lab.view.is_current(row))
        );
        assert_eq!(racks(&lab, id).len(), 3, "{:?}", lab.shown());
    }
}

#[test]
fn what_runs_on_a_cordoned_node_keeps_the_promise() {
    let mut lab = Lab::new();
    racked(&mut lab, &[("n1", "r1"), ("n2", "r2")]);
    let id = lab.deploy("shop", app([("web", promised(2, 2, false))]));
    lab.settle();
    let second = lab.holder("web", 2);
    lab.cordon(second.node_id);
    let first = lab.holder("web", 1);
    lab.exit(first.allocation_id, 1);
    lab.pass(std::time::Duration::from_secs(5));
    lab.settle();
    assert_eq!(racks(&lab, id).len(), 2);
}

#[test]
fn preferences_of_the_file_spread_in_a_packing_cluster_too() {
    let mut lab = Lab::new();
    racked(&mut lab, &[("n1", "r1"), ("n2", "r1"), ("n3", "r2")]);
    let mut web = with_memory(service(2, "a"), GIB);
    web.placement.spread = vec!["node.labels.rack".into()];
    lab.strategy(Strategy::Binpack);
    let id = lab.deploy("shop", app([("web", web)]));
    lab.settle();
    assert_eq!(racks(&lab, id).len(), 2);
    assert_eq!(lab.holder("web", 2).why.score["spread node.labels.rack"], 0);
}
