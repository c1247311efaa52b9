//! What the making of an image goes through.

use super::*;
use berth_ids::{BuildId, ClusterId, NodeId};

const ID: BuildId = BuildId::from_u128(1);

fn requested(image: &str) -> BuildRequested {
    BuildRequested {
        cluster_id: ClusterId::from_u128(2),
        node_id: NodeId::from_u128(3),
        image: image.into(),
        tags: vec![],
        registries: ["r.example".to_owned()].into(),
        application: Some("shop".into()),
        service: Some("web".into()),
    }
}

fn request(image: &str) -> SchedulerCommand {
    SchedulerCommand::RequestBuild {
        build_id: ID,
        requested: requested(image),
    }
}

fn finish(result: BuildResult) -> SchedulerCommand {
    SchedulerCommand::FinishBuild {
        build_id: ID,
        result,
        duration_ms: 7,
    }
}

fn failed(message: &str) -> BuildResult {
    BuildResult::Failed {
        message: message.into(),
    }
}

fn code(state: Build, command: &SchedulerCommand) -> String {
    BuildAggregate::decide(&state, command).unwrap_err().code
}

#[test]
fn an_image_is_asked_for_once_and_ends_once() {
    let asked = BuildAggregate::decide(&Build::Unknown, &request("r.example/web:1")).unwrap();
    assert_eq!(asked, [BuildEvent::Requested(requested("r.example/web:1"))]);
    let running = BuildAggregate::fold(&asked);
    assert_eq!(code(running, &request("r.example/web:1")), "build.known");
    let digest = format!("sha256:{}", "0".repeat(64));
    let result = BuildResult::Succeeded {
        digest: digest.clone(),
        image_id: "sha256:1".into(),
    };
    let ended = BuildAggregate::decide(&running, &finish(result)).unwrap();
    let wanted = BuildSucceeded {
        digest,
        image_id: "sha256:1".into(),
        duration_ms: 7,
    };
    assert_eq!(ended, [BuildEvent::Succeeded(wanted)]);
    let again = BuildAggregate::decide(&Build::Ended, &finish(failed("later")));
    assert_eq!(again.unwrap(), [], "the first end counts");
}

#[test]
fn what_nobody_has_asked_for_does_not_end() {
    assert_eq!(code(Build::Unknown, &finish(failed("no"))), "build.not_found");
}

#[test]
fn a_long_message_is_cut() {
    let events = BuildAggregate::decide(&Build::Running, &finish(failed(&"x".repeat(100_000)))).unwrap();
    let BuildEvent::Failed(failed) = &events[0] else {
        unreachable!("it failed")
    };
    assert_eq!(failed.message.len(), MAX_BUILD_MESSAGE_CHARS);
}

#[test]
fn names_that_cannot_be_pushed_are_refused() {
    for wrong in ["", "a b", "r/web@sha256:00", &"x".repeat(1_000)] {
        assert_eq!(code(Build::Unknown, &request(wrong)), "build.image", "{wrong}");
    }
    let mut many = requested("web");
    many.registries = (0..50).map(|number| format!("r{number}.example")).collect();
    let command = SchedulerCommand::RequestBuild {
        build_id: ID,
        requested: many,
    };
    assert_eq!(code(Build::Unknown, &command), "build.registries");
}
