//! Filters and scores.

use crate::lab::{GIB, Lab, app, service, with_memory, with_port};
use berth_events::spec::{Affinity, Constraint, Operator, Strategy, ZoneSpread};

pub(super) fn constraint(key: &str, pattern: &str) -> Constraint {
    Constraint {
        key: key.into(),
        operator: Operator::Equal,
        pattern: pattern.into(),
        soft: false,
    }
}

fn affinity(subject: &str, operator: Operator, pattern: &str, soft: bool) -> Affinity {
    Affinity {
        subject: subject.into(),
        operator,
        pattern: pattern.into(),
        soft,
    }
}

fn zoned(lab: &mut Lab, nodes: &[(&str, &str)]) {
    for (name, zone) in nodes {
        lab.node_with(name, |node| node.zone = (*zone).to_owned());
    }
}

#[test]
fn replicas_spread_over_zones_before_nodes() {
    let mut lab = Lab::new();
    zoned(&mut lab, &[("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b")]);
    lab.deploy("shop", app([("web", service(4, "nginx"))]));
    lab.settle();
    assert_eq!(
        lab.shown(),
        [
            "web.1@a1 running",
            "web.2@b1 running",
            "web.3@a2 running",
            "web.4@b1 running"
        ]
    );
    let why = lab.holder("web", 2).why;
    assert_eq!(why.candidates, 4);
    assert_eq!(why.score["spread zone"], 0);
}

#[test]
fn binpack_fills_the_fullest_node_that_has_room() {
    let mut lab = Lab::new();
    lab.node("n1");
    lab.node("n2");
    let mut web = with_memory(service(5, "nginx"), 2 * GIB);
    web.placement.strategy = Some(Strategy::Binpack);
    lab.deploy("shop", app([("web", web)]));
    lab.settle();
    let on_first = lab.shown().iter().filter(|shown| shown.contains("@n1")).count();
    assert_eq!(on_first, 4);
}

#[test]
fn constraints_speak_of_labels_facts_and_patterns() {
    let cases: [(&str, Operator, &str, &[&str]); 9] = [
        ("node.labels.disk", Operator::Equal, "ssd", &["n1"]),
        ("disk", Operator::NotEqual, "ssd", &["n2", "n3"]),
        ("node.hostname", Operator::Equal, "n*", &["n1", "n2", "n3"]),
        ("node.hostname", Operator::Equal, "/n[23]/", &["n2", "n3"]),
        ("engine.labels.gpu", Operator::Equal, "yes", &["n3"]),
        ("gpu", Operator::Equal, "yes", &["n3"]),
        ("zone", Operator::Equal, "b", &["n2"]),
        ("aliyun.node_index", Operator::Equal, "2", &["n2"]),
        ("node.platform.arch", Operator::Equal, "arm64", &["n3"]),
    ];
    for (key, operator, pattern, expected) in cases {
        let mut lab = Lab::new();
        lab.node_with("n1", |node| {
            node.labels.insert("disk".into(), "ssd".into());
        });
        lab.node_with("n2", |node| {
            node.zone = "b".into();
            node.labels.insert("disk".into(), "hdd".into());
        });
        lab.node_with("n3", |node| {
            node.facts.engine_labels.insert("gpu".into(), "yes".into());
            node.facts.architecture = "arm64".into();
        });
        let mut web = service(3, "nginx");
        web.placement.max_replicas_per_node = 1;
        web.placement.constraints = vec![Constraint {
            operator,
            ..constraint(key, pattern)
        }];
        lab.deploy("shop", app([("web", web)]));
        lab.settle();
        let mut nodes: Vec<String> = lab
            .shown()
            .iter()
            .filter_map(|shown| shown.split(['@', ' ']).nth(1).map(str::to_owned))
            .collect();
        nodes.sort();
        assert_eq!(nodes, expected, "{key} {operator:?} {pattern}");
    }
}

#[test]
fn a_soft_constraint_is_preferred_and_not_required() {
    let mut lab = Lab::new();
    lab.node("n1");
    lab.node_with("n2", |node| {
        node.labels.insert("disk".into(), "ssd".into());
    });
    let mut web = with_memory(service(2, "nginx"), 5 * GIB);
    web.placement.constraints = vec![Constraint {
        soft: true,
        ..constraint("disk", "ssd")
    }];
    lab.deploy("shop", app([("web", web)]));
    lab.settle();
    assert_eq!(lab.shown(), ["web.1@n2 running", "web.2@n1 running"]);
}

#[test]
fn a_platform_is_matched_by_either_name() {
    let mut lab = Lab::new();
    lab.node("n1");
    lab.node_with("n2", |node| node.facts.architecture = "aarch64".into());
    let mut web = service(1, "nginx");
    web.container.platform = Some("linux/arm64".into());
    lab.deploy("shop", app([("web", web)]));
    lab.settle();
    assert_eq!(lab.shown(), ["web.1@n2 running"]);
}

#[test]
fn a_host_port_is_given_once_a_node() {
    let mut lab = Lab::new();
    lab.node("n1");
    lab.node("n2");
    lab.deploy("a", app([("web", with_port(service(1, "nginx"), 80))]));
    lab.deploy("b", app([("api", with_port(service(2, "nginx"), 80))]));
    lab.settle();
    assert_eq!(lab.shown(), ["api.1@n2 running", "web.1@n1 running"]);
}

#[test]
fn hard_affinities_bring_together_and_keep_apart() {
    let mut lab = Lab::new();
    lab.node("n1");
    lab.node("n2");
    lab.node("n3");
    let mut cache = service(1, "redis:7");
    cache.container.labels.insert("tier".into(), "cache".into());
    let mut near = service(2, "near");
    near.placement.affinities = vec![affinity("service", Operator::Equal, "cache", false)];
    let mut by_image = service(1, "by-image");
    by_image.placement.affinities = vec![affinity("image", Operator::Equal, "redis", false)];
    let mut by_label = service(2, "by-label");
    by_label.placement.affinities = vec![affinity("tier", Operator::NotEqual, "cache", false)];
    let mut alone = service(2, "alone");
    alone.placement.affinities = vec![affinity("service", Operator::NotEqual, "alone", false)];
    lab.deploy(
        "shop",
        app([
            ("cache", cache),
            ("anear", near),
            ("byimage", by_image),
            ("bylabel", by_label),
            ("alone", alone),
        ]),
    );
    lab.settle();
    let home = lab.holder("cache", 1).node_id;
    assert_eq!(lab.holder("anear", 1).node_id, home);
    assert_eq!(lab.holder("anear", 2).node_id, home);
    assert_eq!(lab.holder("byimage", 1).node_id, home);
    // Also who comes later respects the rule of who is there.
    for slot in 1..=2 {
        assert_ne!(lab.holder("bylabel", slot).node_id, home);
    }
    assert_ne!(lab.holder("alone", 1).node_id, lab.holder("alone", 2).node_id);
}

#[test]
fn the_first_of_its_kind_may_want_to_be_near_itself() {
    let mut lab = Lab::new();
    lab.node("n1");
    lab.node("n2");
    let mut web = service(3, "nginx");
    web.placement.affinities = vec![affinity("service", Operator::Equal, "web", false)];
    lab.deploy("shop", app([("web", web)]));
    lab.settle();
    assert_eq!(
        lab.shown(),
        ["web.1@n1 running", "web.2@n1 running", "web.3@n1 running"]
    );
}

#[test]
fn an_image_that_is_there_is_preferred_among_equals() {
    let mut lab = Lab::new();
    lab.node("n1");
    let second = lab.node("n2");
    let mut old = service(1, "nginx");
    old.placement.constraints = vec![constraint("node.hostname", "n2")];
    lab.deploy("a", app([("old", old)]));
    lab.settle();
    lab.deploy("b", app([("new", service(1, "nginx"))]));
    lab.settle();
    assert_eq!(lab.holder("new", 1).node_id, second);
}

#[test]
fn a_promise_of_zones_is_kept_or_refused_with_its_reason() {
    let promised = |soft| {
        let mut spec = service(4, "a");
        spec.placement.zones = Some(ZoneSpread { zones: 3, soft });
        app([("web", spec)])
    };
    let mut lab = Lab::new();
    for (name, zone) in [("n1", "a"), ("n2", "a"), ("n3", "b")] {
        lab.node_with(name, |node| node.zone = zone.into());
    }
    let soft = lab.deploy("soft", promised(true));
    let hard = lab.deploy("hard", promised(false));
    lab.settle();
    assert!(lab.view.blocked(soft, "web").is_none());
    assert_eq!(lab.view.allocations_of(soft, "web").count(), 4);
    let report = &lab.view.blocked(hard, "web").unwrap().report;
    assert_eq!(
        report.summary,
        "pending: the service is promised 3 zones, and 2 have a node for it"
    );
    assert!(
        report.cure.as_deref().unwrap().contains("another zone"),
        "{report:?}"
    );
    assert_eq!(lab.view.allocations_of(hard, "web").count(), 0);
    lab.node_with("n4", |node| node.zone = "c".into());
    lab.settle();
    assert!(lab.view.blocked(hard, "web").is_none());
    let zones: std::collections::BTreeSet<_> = lab
        .view
        .allocations_of(hard, "web")
        .map(|row| lab.view.node(row.node_id).unwrap().zone.clone())
        .collect();
    assert_eq!(zones.len(), 3);
}
