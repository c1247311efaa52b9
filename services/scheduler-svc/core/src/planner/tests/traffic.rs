//! Shares of the traffic: they belong to a release, and come back with it.

use crate::{
    application::{Context, decide},
    lab::{Lab, app, service},
    view::ApplicationRow,
};
use berth_events::{
    DeployMethod, FailureReason, Observed, SchedulerCommand,
    spec::{FailureAction, UpdateOrder, UpdatePolicy},
};
use berth_eventsourcing::{Streams, Undecided};
use berth_ids::{ApplicationId, ReleaseId};
use std::collections::BTreeMap;

fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.node("n1");
    lab.node("n2");
    lab
}

fn weigh(lab: &mut Lab, application_id: ApplicationId, weights: &[(&str, u8)]) {
    let weights = weights.iter().map(|(name, weight)| ((*name).to_owned(), *weight));
    lab.command(SchedulerCommand::SetWeights {
        application_id,
        weights: weights.collect(),
    });
}

fn rollback(lab: &mut Lab, application_id: ApplicationId) {
    let release_id = ReleaseId::from_u128(lab.id());
    lab.command(SchedulerCommand::Rollback {
        application_id,
        release_id,
        to: None,
        unsettled_only: false,
        expected_version: None,
    });
}

/// Of every service, also of those that nobody spoke of.
fn weights(lab: &Lab, id: ApplicationId) -> BTreeMap<String, u8> {
    let row: &ApplicationRow = lab.view.application(id).unwrap();
    let stale: Vec<_> = row
        .weights
        .keys()
        .filter(|name| !row.spec.services.contains_key(*name))
        .collect();
    assert!(stale.is_empty(), "weights of services that are gone: {stale:?}");
    let all = row.spec.services.keys();
    all.map(|name| (name.clone(), row.weights.get(name).copied().unwrap_or(100)))
        .collect()
}

fn shares(shares: &[(&str, u8)]) -> BTreeMap<String, u8> {
    shares
        .iter()
        .map(|(name, weight)| ((*name).to_owned(), *weight))
        .collect()
}

#[test]
fn a_blue_green_release_taken_back_gives_all_traffic_to_the_old_services() {
    let mut lab = lab();
    let id = lab.deploy("shop", app([("blue", service(2, "a"))]));
    lab.settle();
    lab.deploy_as(DeployMethod::BlueGreen, "shop", app([("green", service(2, "b"))]))
        .unwrap();
    lab.settle();
    assert_eq!(weights(&lab, id), shares(&[("blue", 100), ("green", 0)]));
    weigh(&mut lab, id, &[("blue", 0), ("green", 100)]);
    rollback(&mut lab, id);
    assert_eq!(
        weights(&lab, id),
        shares(&[("blue", 100)]),
        "not one moment without traffic"
    );
}

#[test]
fn a_confirmed_release_and_the_one_before_keep_their_own_shares() {
    let mut lab = lab();
    let before = || app([("blue", service(1, "a")), ("shop", service(1, "s"))]);
    let id = lab.deploy("shop", before());
    lab.settle();
    weigh(&mut lab, id, &[("shop", 30)]);
    let after = app([("green", service(1, "b")), ("shop", service(1, "s"))]);
    lab.deploy_as(DeployMethod::BlueGreen, "shop", after).unwrap();
    lab.settle();
    weigh(&mut lab, id, &[("blue", 50), ("green", 50)]);
    lab.command(SchedulerCommand::ConfirmRelease {
        application_id: id,
        force: false,
    });
    lab.settle();
    assert_eq!(weights(&lab, id)["green"], 100);
    rollback(&mut lab, id);
    assert_eq!(weights(&lab, id), shares(&[("blue", 100), ("shop", 30)]));
    rollback(&mut lab, id);
    assert_eq!(weights(&lab, id)["green"], 100);
}

#[test]
fn what_its_policy_brings_back_has_the_shares_of_before() {
    let mut lab = lab();
    let policy = UpdatePolicy {
        order: UpdateOrder::StartFirst,
        failure_action: FailureAction::Rollback,
        ..UpdatePolicy::default()
    };
    let spec = |image| {
        let mut web = service(2, image);
        web.update = Some(policy);
        app([("web", web), ("other", service(1, "o"))])
    };
    let id = lab.deploy("shop", spec("a"));
    lab.settle();
    weigh(&mut lab, id, &[("web", 80), ("other", 20)]);
    lab.deploy("shop", spec("bad"));
    weigh(&mut lab, id, &[("web", 10), ("other", 90)]);
    lab.plan_all();
    let new: Vec<_> = lab
        .rows()
        .into_iter()
        .filter(|row| row.phase < crate::allocation::Phase::Running)
        .collect();
    assert_eq!(new.len(), 1);
    let failed = Observed::Failed {
        reason: FailureReason::CrashLoop,
        message: "exited with code 3".into(),
    };
    lab.report(new[0].allocation_id, failed);
    lab.settle();
    assert_eq!(lab.view.application(id).unwrap().release_number, 3);
    assert_eq!(weights(&lab, id), shares(&[("web", 80), ("other", 20)]));
}

/// Ready containers of the services that a test speaks of, after each step until nothing happens any more.
fn fewest_ready(lab: &mut Lab) -> usize {
    let mut fewest = usize::MAX;
    for _ in 0..50 {
        let head = lab.log.head();
        lab.plan_all();
        let ready = lab.rows().into_iter();
        let ready = ready.filter(|row| row.stop.is_none() && row.phase == crate::allocation::Phase::Running);
        fewest = fewest.min(ready.count());
        lab.obey();
        if lab.log.head() == head {
            return fewest;
        }
    }
    panic!("it never settles");
}

#[test]
fn a_service_under_another_name_is_ready_before_the_one_before_goes() {
    let mut lab = lab();
    let id = lab.deploy("shop", app([("blue", service(2, "a"))]));
    lab.settle();
    lab.deploy_as(DeployMethod::BlueGreen, "shop", app([("green", service(2, "b"))]))
        .unwrap();
    lab.settle();
    lab.command(SchedulerCommand::ConfirmRelease {
        application_id: id,
        force: false,
    });
    lab.settle();
    rollback(&mut lab, id);
    assert_eq!(fewest_ready(&mut lab), 2, "somebody always answers");
    lab.settle();
    assert_eq!(lab.shown().len(), 2, "{:?}", lab.shown());
    assert!(lab.shown().iter().all(|shown| shown.starts_with("blue")));
}

#[test]
fn what_has_no_place_beside_the_one_before_takes_its_place() {
    let mut lab = Lab::new();
    lab.node("n1");
    let port = |image| crate::lab::with_port(service(1, image), 80);
    lab.deploy("shop", app([("blue", port("a"))]));
    lab.settle();
    lab.deploy("shop", app([("green", port("b"))]));
    lab.settle();
    assert_eq!(lab.shown(), ["green.1@n1 running"]);
    let volume = |image| crate::lab::with_volume(service(1, image), "data");
    lab.deploy("data", app([("old", volume("a"))]));
    lab.settle();
    lab.deploy("data", app([("new", volume("b"))]));
    lab.plan();
    let rows = lab.rows().into_iter();
    let old: Vec<_> = rows.filter(|row| row.service == "old").collect();
    assert!(
        old.iter().all(|row| row.stop.is_some()),
        "two must not write to one volume"
    );
}

#[test]
fn nothing_is_confirmed_by_what_is_known_of_the_release_before() {
    let mut lab = lab();
    let id = lab.deploy("shop", app([("blue", service(1, "a"))]));
    lab.settle();
    let behind = lab.view.clone();
    lab.deploy_as(DeployMethod::BlueGreen, "shop", app([("green", service(1, "b"))]))
        .unwrap();
    let confirm = SchedulerCommand::ConfirmRelease {
        application_id: id,
        force: false,
    };
    let mut streams = Streams::default();
    let refused = loop {
        let context = Context {
            tenant: "main",
            view: &behind,
        };
        match decide(&confirm, context, &streams) {
            Ok(decision) => panic!("confirmed: {decision:#?}"),
            Err(Undecided::Refused(rejection)) => break rejection,
            Err(Undecided::Needs(stream)) => {
                let loaded = lab.log.load(&stream);
                streams.insert(stream, loaded);
            }
        }
    };
    assert_eq!(refused.code, "release.not_ready");
}
