//! The record of a release ties what happened to it together.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod world;

use berth_api::{ContainerState, ReleaseDetail};
use berth_events::{
    ApplicationEvent, ReleaseSource, ReleaseStarted, WeightsChanged,
    spec::{EnvironmentValue, RestartCondition, SecretRef},
};
use berth_ids::{ReleaseId, SecretId};
use std::collections::BTreeMap;
use world::*;

const NEXT: ReleaseId = ReleaseId::from_u128(0x31);

fn weigh(world: &mut World, weight: u8) {
    let weights = BTreeMap::from([("web".to_owned(), weight)]);
    world.app(ApplicationEvent::WeightsChanged(WeightsChanged { weights }));
}

fn record(world: &World, number: u32) -> ReleaseDetail {
    let row = world.row();
    let mut releases = row.releases.iter();
    let release = releases.find(|release| release.number == number).unwrap();
    world.view.record(row, release)
}

#[test]
fn a_record_has_placements_health_traffic_and_values() {
    let mut world = world();
    world.deploy(2, RestartCondition::Any);
    let one = world.place(1, 1, RestartCondition::Any);
    world.runs(one);
    let two = world.place(2, 2, RestartCondition::Any);
    world.exits(two, 3);
    world.settle();
    weigh(&mut world, 30);
    let shown = record(&world, 1);
    let containers: Vec<_> = shown
        .containers
        .iter()
        .map(|one| {
            (
                one.slot,
                one.node.as_str(),
                one.state,
                one.kept,
                one.ready_at.is_some(),
            )
        })
        .collect();
    assert_eq!(
        containers,
        [
            (1, "n1", ContainerState::Running, false, true),
            (2, "n1", ContainerState::Exited, false, false)
        ]
    );
    let steps: Vec<_> = shown.timeline.iter().map(|step| step.what.as_str()).collect();
    assert_eq!(
        steps,
        [
            "started",
            "web.1 placed: new",
            "web.1 runs",
            "web.2 placed: crashed",
            "web.2 has ended: code 3",
            "ended: running",
            "weights set: web 30"
        ]
    );
    assert_eq!(shown.timeline[2].actor, "node:n1");
    assert_eq!(shown.weights, BTreeMap::from([("web".to_owned(), 30)]));
    assert!(shown.values.is_empty());
}

#[test]
fn each_release_has_its_own_shares_and_values_and_names_what_it_leaves_alone() {
    let mut world = world();
    world.deploy(1, RestartCondition::Any);
    let one = world.place(1, 1, RestartCondition::Any);
    world.runs(one);
    world.settle();
    weigh(&mut world, 30);
    let mut spec = world.row().spec.clone();
    let secret = EnvironmentValue::Secret(SecretRef {
        secret_id: SecretId::from_u128(9),
        version: 4,
        key: "PASSWORD".into(),
    });
    let web = spec.services.get_mut("web").unwrap();
    web.container.environment.insert("PASSWORD".into(), secret);
    world.app(ApplicationEvent::ReleaseStarted(ReleaseStarted {
        method: Default::default(),
        release_id: NEXT,
        number: 2,
        spec,
        source: ReleaseSource::Image { image: "x".into() },
        warnings: vec![],
    }));
    weigh(&mut world, 80);
    assert_eq!(record(&world, 1).weights["web"], 30, "as the next one found it");
    let next = record(&world, 2);
    assert_eq!(next.weights["web"], 80);
    assert_eq!(next.values["web"]["PASSWORD"], 4);
    assert!(next.containers[0].kept, "release 1 placed it");
    assert!(!record(&world, 1).containers[0].kept);
}

#[test]
fn shares_of_services_that_are_gone_go_too() {
    let mut world = world();
    world.deploy(1, RestartCondition::Any);
    weigh(&mut world, 30);
    world.app(ApplicationEvent::ReleaseStarted(ReleaseStarted {
        method: Default::default(),
        release_id: NEXT,
        number: 2,
        spec: Default::default(),
        source: ReleaseSource::Image { image: "x".into() },
        warnings: vec![],
    }));
    assert!(world.row().weights.is_empty());
}
