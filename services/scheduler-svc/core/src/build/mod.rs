//! The aggregate `build/<id>`: the making of one image, from the order to its end.

#[cfg(test)]
mod tests;

use crate::{
    limits::{MAX_BUILD_MESSAGE_CHARS, MAX_BUILD_REGISTRIES, MAX_BUILD_TAGS, MAX_IMAGE_NAME_BYTES},
    reject,
};
use berth_events::{
    BuildEvent, BuildFailed, BuildRequested, BuildResult, BuildSucceeded, Event, Rejection, RejectionKind,
    SchedulerCommand, build_stream,
};
use berth_eventsourcing::{Aggregate, Decision, Streams, Undecided};
use serde_json::json;

/// Rules of the making of an image.
#[derive(Debug, Clone, Copy)]
pub struct BuildAggregate;

/// How far the making of an image is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Build {
    /// Nobody has asked for it.
    #[default]
    Unknown,
    /// A node is at work.
    Running,
    /// It has ended.
    Ended,
}

impl Aggregate for BuildAggregate {
    type State = Build;
    type Command = SchedulerCommand;
    type Event = BuildEvent;
    type Error = Rejection;

    fn decide(state: &Build, command: &SchedulerCommand) -> Result<Vec<BuildEvent>, Rejection> {
        match (command, state) {
            (SchedulerCommand::RequestBuild { requested, .. }, Build::Unknown) => {
                check(requested)?;
                Ok(vec![BuildEvent::Requested(requested.clone())])
            }
            (SchedulerCommand::RequestBuild { .. }, Build::Running | Build::Ended) => Err(reject(
                RejectionKind::Conflict,
                "build.known",
                "an image of this id was asked for before".into(),
                "ask for a new one",
            )),
            (
                SchedulerCommand::FinishBuild {
                    result, duration_ms, ..
                },
                Build::Running,
            ) => Ok(vec![ended(result, *duration_ms)]),
            // Said twice.
            (SchedulerCommand::FinishBuild { .. }, Build::Ended) => Ok(vec![]),
            (SchedulerCommand::FinishBuild { build_id, .. }, Build::Unknown) => Err(reject(
                RejectionKind::NotFound,
                "build.not_found",
                format!("nobody has asked for build {build_id}"),
                "`berth builds` lists them",
            )),
            (other, _) => Err(reject(
                RejectionKind::Invalid,
                "build.no_command",
                format!("`{}` is nothing that the making of an image does", other.verb()),
                "send it to an application",
            )),
        }
    }

    fn evolve(_: Build, event: &BuildEvent) -> Build {
        match event {
            BuildEvent::Requested(_) => Build::Running,
            BuildEvent::Succeeded(_) | BuildEvent::Failed(_) => Build::Ended,
        }
    }
}

/// What a command about the making of an image comes to.
///
/// # Errors
/// [`Undecided`]: its stream is to be loaded first, or the rule that refuses.
pub fn decide(command: &SchedulerCommand, tenant: &str, streams: &Streams) -> Result<Decision, Undecided> {
    let (SchedulerCommand::RequestBuild { build_id, .. } | SchedulerCommand::FinishBuild { build_id, .. }) =
        command
    else {
        return Ok(Decision::nothing());
    };
    let stream = build_stream(*build_id);
    let loaded = streams.get(&stream)?;
    let ours = loaded.tenant.as_ref().is_none_or(|owner| owner == tenant);
    let events = loaded.events.iter().filter(|_| ours);
    let state = BuildAggregate::fold(events.filter_map(|event| match event {
        Event::Build(event) => Some(event),
        _ => None::<&BuildEvent>,
    }));
    let events = BuildAggregate::decide(&state, command)?;
    Ok(Decision::nothing()
        .with(stream, loaded.version, events)
        .answering(json!({ "build_id": build_id })))
}

fn ended(result: &BuildResult, duration_ms: u64) -> BuildEvent {
    match result {
        BuildResult::Succeeded { digest, image_id } => BuildEvent::Succeeded(BuildSucceeded {
            digest: digest.clone(),
            image_id: image_id.clone(),
            duration_ms,
        }),
        BuildResult::Failed { message } => BuildEvent::Failed(BuildFailed {
            message: message.chars().take(MAX_BUILD_MESSAGE_CHARS).collect(),
            duration_ms,
        }),
    }
}

fn check(requested: &BuildRequested) -> Result<(), Rejection> {
    let invalid =
        |code: &str, message: String, cure: &str| Err(reject(RejectionKind::Invalid, code, message, cure));
    for image in std::iter::once(&requested.image).chain(&requested.tags) {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:[]".contains(c);
        if image.is_empty() || image.len() > MAX_IMAGE_NAME_BYTES || !image.chars().all(plain) {
            let message = format!("`{image}` is no name under which an image is pushed");
            return invalid(
                "build.image",
                message,
                "write REGISTRY/NAME:TAG, without a digest",
            );
        }
    }
    if requested.tags.len() > MAX_BUILD_TAGS {
        let message = format!(
            "{} further names, more than {MAX_BUILD_TAGS}",
            requested.tags.len()
        );
        return invalid("build.tags", message, "give the image fewer names");
    }
    if requested.registries.len() > MAX_BUILD_REGISTRIES {
        let message = format!(
            "images of {} registries, more than {MAX_BUILD_REGISTRIES}",
            requested.registries.len()
        );
        return invalid("build.registries", message, "build on images of fewer registries");
    }
    Ok(())
}
