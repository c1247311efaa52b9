//! Plans that are more than one append of the log.

use crate::{
    lab::{Lab, app, service},
    limits::{MAX_PART_BYTES, MAX_PART_EVENTS},
};
use berth_events::{Category, NodeEvent, StreamName};
use berth_eventsourcing::{Decision, Expected};

const NODES: u128 = 700;

fn large() -> (Lab, Vec<Decision>) {
    let mut lab = Lab::new();
    for node in 1..=NODES {
        lab.node(&format!("n{node}"));
    }
    let mut spec = service(NODES as u32, "nginx");
    spec.placement.max_replicas_per_node = 1;
    lab.deploy("big", app([("web", spec)]));
    let mut ids = 1_u128 << 64;
    let plan = crate::planner::plan(&lab.view, crate::lab::CLUSTER, lab.now, &mut || {
        ids += 1;
        berth_ids::AllocationId::from_u128(ids)
    });
    assert!(!plan.more, "one plan places all of them");
    (lab, plan.into_decisions())
}

#[test]
fn a_large_plan_is_several_appends_one_after_the_other() {
    let (mut lab, parts) = large();
    assert!(parts.len() > 1, "{}", parts.len());
    let placement = StreamName::new(Category::Placement, crate::lab::CLUSTER);
    let mut version = lab.view.decisions_version(crate::lab::CLUSTER);
    for part in &parts {
        let change = &part.changes[0];
        assert_eq!(
            (&change.stream, change.expected),
            (&placement, Expected::Version(version))
        );
        assert!(change.events.len() <= MAX_PART_EVENTS);
        let bytes: usize = change
            .events
            .iter()
            .map(|event| event.encode().unwrap().len())
            .sum();
        assert!(bytes <= MAX_PART_BYTES, "{bytes}");
        version += change.events.len() as u64;
        let guarded = |category: Category| {
            part.guards
                .iter()
                .filter(move |g| g.stream.category() == category)
        };
        assert_eq!(
            guarded(Category::Node).count(),
            change.events.len(),
            "its own nodes"
        );
        assert_eq!(guarded(Category::Application).count(), 1, "what is deployed");
        lab.append("scheduler", part);
        lab.check();
    }
    assert!(lab.plan().is_empty());
    assert_eq!(lab.shown().len() as u128, NODES);
}

#[test]
fn what_was_recorded_of_a_plan_stands_and_the_rest_is_planned_again() {
    let (mut lab, parts) = large();
    lab.append("scheduler", &parts[0]);
    let node = lab.view.nodes_of(crate::lab::CLUSTER).last().unwrap().node_id;
    lab.node_event(
        node,
        NodeEvent::Cordoned(berth_events::NodeCordoned {
            reason: String::new(),
        }),
    );
    lab.plan_all();
    assert_eq!(
        lab.shown().len() as u128,
        NODES - 1,
        "one a node, and none on the cordoned one"
    );
}
