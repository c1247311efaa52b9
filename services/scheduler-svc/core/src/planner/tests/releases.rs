//! Releases: how many containers at a time, which first, what a failing one comes to.

use crate::{
    lab::{GIB, Lab, app, running, service, with_memory},
    limits::SETTLE_AFTER,
    view::{AllocationRow, ApplicationRow},
};
use berth_events::{
    ApplicationEvent, DeployMethod, Event, FailureReason, Observed, ReleaseOutcome, SchedulerCommand,
    spec::{FailureAction, ServiceSpec, UpdateOrder, UpdatePolicy},
};
use berth_ids::{ApplicationId, ReleaseId};
use std::time::Duration;

fn web(replicas: u32, image: &str, policy: UpdatePolicy) -> ServiceSpec {
    ServiceSpec {
        update: Some(policy),
        ..service(replicas, image)
    }
}

fn start_first(failure_action: FailureAction) -> UpdatePolicy {
    UpdatePolicy {
        order: UpdateOrder::StartFirst,
        failure_action,
        ..UpdatePolicy::default()
    }
}

fn lab(nodes: u32) -> Lab {
    let mut lab = Lab::new();
    for node in 1..=nodes {
        lab.node(&format!("n{node}"));
    }
    lab
}

fn application(lab: &Lab, id: ApplicationId) -> ApplicationRow {
    lab.view.application(id).unwrap().clone()
}

/// Containers that run and that nobody told to stop.
fn serving(lab: &Lab) -> Vec<AllocationRow> {
    let rows = lab.rows().into_iter();
    rows.filter(|row| row.stop.is_none() && row.phase == crate::allocation::Phase::Running)
        .collect()
}

fn images(lab: &Lab) -> Vec<String> {
    let rows = serving(lab).into_iter();
    let mut images: Vec<_> = rows
        .map(|row| lab.view.container(&row.spec_hash).unwrap().image.clone())
        .collect();
    images.sort();
    images
}

/// Plans and obeys to the end; the fewest containers that served at any moment.
fn fewest_serving(lab: &mut Lab) -> usize {
    let mut fewest = usize::MAX;
    for _ in 0..100 {
        let head = lab.log.head();
        lab.plan_all();
        fewest = fewest.min(serving(lab).len());
        lab.obey();
        if lab.log.head() == head {
            return fewest;
        }
    }
    panic!("it never settles");
}

/// New containers of an image fail as soon as they are placed.
fn fail(lab: &mut Lab, image: &str) -> usize {
    let rows: Vec<_> = lab
        .rows()
        .into_iter()
        .filter(|row| row.phase.is_live() && lab.view.container(&row.spec_hash).unwrap().image == image)
        .collect();
    for row in &rows {
        let failed = Observed::Failed {
            reason: FailureReason::CrashLoop,
            message: "exited with code 3".into(),
        };
        lab.report(row.allocation_id, failed);
    }
    rows.len()
}

fn rollback(lab: &mut Lab, application_id: ApplicationId, to: Option<u32>) -> Result<(), String> {
    let release_id = ReleaseId::from_u128(lab.id());
    lab.try_command(&SchedulerCommand::Rollback {
        application_id,
        release_id,
        to,
        unsettled_only: false,
        expected_version: None,
    })
    .map(|_| ())
    .map_err(|refusal| refusal.code)
}

fn outcomes(lab: &Lab) -> Vec<ReleaseOutcome> {
    lab.log
        .after(0)
        .iter()
        .filter_map(|recorded| match recorded.event().unwrap() {
            Event::Application(ApplicationEvent::ReleaseSettled(settled)) => Some(settled.outcome),
            _ => None,
        })
        .collect()
}

#[test]
fn stop_first_takes_out_as_many_as_the_policy_says() {
    for (parallelism, least) in [(1, 3), (2, 2), (0, 0)] {
        let policy = UpdatePolicy {
            parallelism,
            ..UpdatePolicy::default()
        };
        let mut lab = lab(2);
        lab.deploy("shop", app([("web", web(4, "a", policy))]));
        lab.settle();
        lab.deploy("shop", app([("web", web(4, "b", policy))]));
        assert_eq!(fewest_serving(&mut lab), least, "parallelism {parallelism}");
        assert_eq!(images(&lab), ["b"; 4]);
    }
}

#[test]
fn start_first_never_has_less_than_wanted() {
    let mut lab = lab(2);
    let policy = start_first(FailureAction::Pause);
    let id = lab.deploy("shop", app([("web", web(4, "a", policy))]));
    lab.settle();
    lab.deploy("shop", app([("web", web(4, "b", policy))]));
    assert_eq!(fewest_serving(&mut lab), 4);
    assert_eq!(images(&lab), ["b"; 4]);
    lab.settle();
    assert!(application(&lab, id).settled);
}

#[test]
fn start_first_without_room_waits_and_says_why() {
    let mut lab = lab(1);
    let policy = start_first(FailureAction::Pause);
    let spec = |image| app([("web", with_memory(web(1, image, policy), 5 * GIB))]);
    let id = lab.deploy("shop", spec("a"));
    lab.settle();
    lab.deploy("shop", spec("b"));
    lab.settle();
    assert_eq!(images(&lab), ["a"]);
    let blocked = lab.view.blocked(id, "web").unwrap();
    assert!(blocked.report.summary.contains("memory"), "{blocked:?}");
    lab.node("more");
    lab.settle();
    assert_eq!(images(&lab), ["b"]);
}

#[test]
fn a_failing_release_is_paused_and_replaces_nothing_more() {
    let mut lab = lab(2);
    let policy = UpdatePolicy::default();
    let id = lab.deploy("shop", app([("web", web(4, "a", policy))]));
    lab.settle();
    lab.deploy("shop", app([("web", web(4, "bad", policy))]));
    lab.plan_all();
    lab.obey_stops();
    lab.plan_all();
    assert_eq!(fail(&mut lab, "bad"), 1);
    for _ in 0..5 {
        lab.plan_all();
        lab.obey_stops();
        fail(&mut lab, "bad");
        lab.pass(Duration::from_secs(61));
    }
    assert!(application(&lab, id).paused);
    assert_eq!(images(&lab), ["a"; 3], "three of the old ones still serve");
    // Somebody looks at it and takes it back.
    lab.command(SchedulerCommand::Rollback {
        application_id: id,
        release_id: ReleaseId::from_u128(99),
        to: None,
        unsettled_only: true,
        expected_version: None,
    });
    lab.settle();
    assert_eq!(images(&lab), ["a"; 4]);
    assert_eq!(
        outcomes(&lab),
        [
            ReleaseOutcome::Running,
            ReleaseOutcome::Aborted,
            ReleaseOutcome::Running
        ]
    );
}

#[test]
fn a_paused_release_goes_on_when_resumed() {
    let mut lab = lab(2);
    let policy = UpdatePolicy::default();
    let id = lab.deploy("shop", app([("web", web(2, "a", policy))]));
    lab.settle();
    lab.deploy("shop", app([("web", web(2, "b", policy))]));
    lab.command(SchedulerCommand::PauseRelease { application_id: id });
    lab.settle();
    assert_eq!(images(&lab), ["a"; 2]);
    assert!(!application(&lab, id).settled);
    lab.command(SchedulerCommand::ResumeRelease { application_id: id });
    lab.settle();
    assert_eq!(images(&lab), ["b"; 2]);
    assert!(application(&lab, id).settled);
}

#[test]
fn a_failing_release_brings_the_last_good_one_back_once() {
    let mut lab = lab(2);
    let policy = start_first(FailureAction::Rollback);
    let id = lab.deploy("shop", app([("web", web(3, "a", policy))]));
    lab.settle();
    lab.deploy("shop", app([("web", web(3, "bad", policy))]));
    lab.plan_all();
    assert_eq!(fail(&mut lab, "bad"), 1);
    lab.settle();
    let row = application(&lab, id);
    assert_eq!((row.release_number, row.settled), (3, true));
    assert_eq!(images(&lab), ["a"; 3]);
    assert_eq!(
        outcomes(&lab),
        [
            ReleaseOutcome::Running,
            ReleaseOutcome::Failed,
            ReleaseOutcome::Running
        ]
    );
}

#[test]
fn what_is_taken_away_from_a_new_container_does_not_count_against_its_release() {
    let mut lab = lab(2);
    let policy = start_first(FailureAction::Rollback);
    let id = lab.deploy("shop", app([("web", web(2, "a", policy))]));
    lab.settle();
    lab.deploy("shop", app([("web", web(2, "b", policy))]));
    lab.plan_all();
    // As with a container whose network's owner was replaced a moment later.
    let rows = lab.rows().into_iter();
    let new: Vec<_> = rows
        .filter(|row| row.phase < crate::allocation::Phase::Running)
        .collect();
    let vanished = Observed::Failed {
        reason: FailureReason::Vanished,
        message: "the container whose network it shares is gone".into(),
    };
    lab.report(new[0].allocation_id, vanished);
    lab.pass(Duration::from_secs(2));
    lab.settle();
    let row = application(&lab, id);
    assert_eq!((row.release_number, row.settled), (2, true));
    assert_eq!(images(&lab), ["b"; 2]);
}

#[test]
fn a_rollback_that_fails_too_is_paused() {
    let mut lab = lab(2);
    let policy = UpdatePolicy {
        failure_action: FailureAction::Rollback,
        ..UpdatePolicy::default()
    };
    let id = lab.deploy("shop", app([("web", web(2, "a", policy))]));
    lab.settle();
    lab.deploy("shop", app([("web", web(2, "bad", policy))]));
    lab.plan_all();
    lab.obey_stops();
    lab.plan_all();
    fail(&mut lab, "bad");
    lab.plan_all();
    for _ in 0..4 {
        lab.obey_stops();
        lab.plan_all();
        let fresh: Vec<_> = lab
            .rows()
            .into_iter()
            .filter(|row| row.phase < crate::allocation::Phase::Running)
            .collect();
        for row in fresh {
            let failed = Observed::Failed {
                reason: FailureReason::Pull,
                message: "gone".into(),
            };
            lab.report(row.allocation_id, failed);
        }
        lab.pass(Duration::from_secs(61));
    }
    let row = application(&lab, id);
    assert_eq!((row.release_number, row.settled), (3, false));
    // What it failed in is what ran before: nothing is judged, and it heals by itself.
    lab.settle();
    assert_eq!(images(&lab), ["a"; 2]);
}

#[test]
fn a_new_container_is_watched_before_the_next_is_replaced() {
    let mut lab = lab(2);
    let policy = UpdatePolicy {
        monitor_ms: 10_000,
        delay_ms: 5_000,
        ..UpdatePolicy::default()
    };
    let id = lab.deploy("shop", app([("web", web(2, "a", policy))]));
    lab.settle();
    lab.pass(Duration::from_secs(20));
    lab.settle();
    lab.deploy("shop", app([("web", web(2, "b", policy))]));
    lab.settle();
    assert_eq!(images(&lab), ["a", "b"]);
    lab.pass(Duration::from_secs(9) - SETTLE_AFTER);
    let plan = lab.plan();
    assert_eq!(plan.wake_at, Some(lab.now.plus(Duration::from_secs(1))));
    assert!(plan.is_empty());
    assert_eq!(images(&lab), ["a", "b"]);
    lab.pass(Duration::from_secs(1));
    lab.settle();
    assert_eq!(images(&lab), ["b"; 2]);
    assert!(!application(&lab, id).settled, "the second is still watched");
    lab.pass(Duration::from_secs(10));
    lab.settle();
    assert!(application(&lab, id).settled);
}

#[test]
fn an_unhealthy_new_container_counts_as_failed() {
    let mut lab = lab(2);
    let policy = start_first(FailureAction::Rollback);
    let id = lab.deploy("shop", app([("web", web(2, "a", policy))]));
    lab.settle();
    lab.deploy("shop", app([("web", web(2, "b", policy))]));
    lab.plan_all();
    let new = lab
        .rows()
        .into_iter()
        .find(|row| row.phase < crate::allocation::Phase::Running)
        .unwrap();
    lab.report(new.allocation_id, running(new.allocation_id, 0, Some(false)));
    lab.settle();
    assert_eq!(application(&lab, id).release_number, 3);
    assert_eq!(images(&lab), ["a"; 2]);
}

#[test]
fn two_colours_stand_side_by_side_until_somebody_decides() {
    let mut lab = lab(2);
    let old = || app([("blue", service(2, "a")), ("db", service(1, "db"))]);
    let new = || app([("green", service(2, "b")), ("db", service(1, "db"))]);
    let id = lab.deploy("shop", old());
    lab.settle();
    lab.deploy_as(DeployMethod::BlueGreen, "shop", new()).unwrap();
    let early = lab.try_command(&SchedulerCommand::ConfirmRelease {
        application_id: id,
        force: false,
    });
    assert_eq!(early.unwrap_err().code, "release.not_ready");
    lab.settle();
    assert_eq!(images(&lab), ["a", "a", "b", "b", "db"]);
    let second = lab.deploy_as(DeployMethod::Rolling, "shop", old()).unwrap_err();
    assert_eq!(second.code, "release.unconfirmed");
    assert!(
        second
            .message
            .contains("Conflicts with unconfirmed updates for operation")
    );
    lab.command(SchedulerCommand::ConfirmRelease {
        application_id: id,
        force: false,
    });
    lab.settle();
    assert_eq!(images(&lab), ["b", "b", "db"]);
    // And back again.
    rollback(&mut lab, id, None).unwrap();
    lab.settle();
    assert_eq!(images(&lab), ["a", "a", "db"]);
}

#[test]
fn a_blue_green_release_taken_back_leaves_the_old_services_alone() {
    let mut lab = lab(2);
    let id = lab.deploy("shop", app([("blue", service(2, "a"))]));
    lab.settle();
    let before: Vec<_> = serving(&lab).iter().map(|row| row.allocation_id).collect();
    lab.deploy_as(DeployMethod::BlueGreen, "shop", app([("green", service(2, "b"))]))
        .unwrap();
    lab.settle();
    rollback(&mut lab, id, None).unwrap();
    lab.settle();
    let after: Vec<_> = serving(&lab).iter().map(|row| row.allocation_id).collect();
    assert_eq!(before, after);
}

#[test]
fn two_versions_of_one_name_cannot_stand_side_by_side() {
    let mut lab = lab(1);
    lab.deploy("shop", app([("web", service(1, "a"))]));
    let refused = lab.deploy_as(DeployMethod::BlueGreen, "shop", app([("web", service(1, "b"))]));
    assert_eq!(refused.unwrap_err().code, "release.same_name");
}

#[test]
fn a_rollback_can_be_rolled_back() {
    let mut lab = lab(1);
    let id = lab.deploy("shop", app([("web", service(1, "a"))]));
    lab.settle();
    lab.scale(id, "web", 3);
    lab.settle();
    lab.deploy("shop", app([("web", service(1, "b"))]));
    lab.settle();
    rollback(&mut lab, id, None).unwrap();
    lab.settle();
    assert_eq!(images(&lab), ["a"; 3], "the count of before comes back too");
    rollback(&mut lab, id, None).unwrap();
    lab.settle();
    assert_eq!(images(&lab), ["b"]);
    rollback(&mut lab, id, Some(1)).unwrap();
    lab.settle();
    assert_eq!(images(&lab), ["a"; 3]);
    assert_eq!(rollback(&mut lab, id, Some(77)).unwrap_err(), "release.not_found");
    let current = application(&lab, id).release_number;
    assert_eq!(
        rollback(&mut lab, id, Some(current)).unwrap_err(),
        "release.current"
    );
}

#[test]
fn the_first_release_has_nothing_to_go_back_to() {
    let mut lab = lab(1);
    let id = lab.deploy("shop", app([("web", service(1, "a"))]));
    assert_eq!(rollback(&mut lab, id, None).unwrap_err(), "release.no_earlier");
}

#[test]
fn the_standard_method_replaces_everything_at_once() {
    let mut lab = lab(2);
    lab.deploy("shop", app([("web", service(4, "a"))]));
    lab.settle();
    lab.deploy_as(DeployMethod::Standard, "shop", app([("web", service(4, "b"))]))
        .unwrap();
    assert_eq!(fewest_serving(&mut lab), 0);
    assert_eq!(images(&lab), ["b"; 4]);
}
