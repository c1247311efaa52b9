//! A command to scheduler-svc, decided over the streams that it touches.

use super::{
    Application, ApplicationAggregate, ApplicationCommand, NameState, application_name_stream,
    deploy::application_stream, deploy_appends, quota,
};
use crate::{reject, view::SchedulerView};
use berth_events::{
    ApplicationEvent, Category, Event, NameEvent, Rejection, RejectionKind, SchedulerCommand, StreamName,
};
use berth_eventsourcing::{Aggregate, Change, Decision, LoadedStream, Streams, Undecided};
use berth_ids::{ApplicationId, ReleaseId};
use serde_json::json;

/// What a decision rests on besides the streams.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Tenant of the command.
    pub tenant: &'a str,
    /// Clusters, folded from the log.
    pub view: &'a SchedulerView,
}

/// What a command comes to.
///
/// # Errors
/// [`Undecided`]: a stream to be loaded first, or the rule that refuses.
pub fn decide(
    command: &SchedulerCommand,
    context: Context<'_>,
    streams: &Streams,
) -> Result<Decision, Undecided> {
    let id = match command {
        SchedulerCommand::Deploy { .. } => return deploy(command, context, streams),
        SchedulerCommand::SaveTemplate { .. } | SchedulerCommand::RemoveTemplate { .. } => {
            return crate::template::decide(command, context.tenant, streams);
        }
        SchedulerCommand::RequestBuild { .. } | SchedulerCommand::FinishBuild { .. } => {
            return crate::build::decide(command, context.tenant, streams);
        }
        SchedulerCommand::Scale { application_id, .. }
        | SchedulerCommand::Rollback { application_id, .. }
        | SchedulerCommand::PauseRelease { application_id }
        | SchedulerCommand::ResumeRelease { application_id }
        | SchedulerCommand::ConfirmRelease { application_id, .. }
        | SchedulerCommand::SetWeights { application_id, .. }
        | SchedulerCommand::Stop { application_id }
        | SchedulerCommand::Start { application_id }
        | SchedulerCommand::Restart { application_id, .. }
        | SchedulerCommand::Remove { application_id, .. }
        | SchedulerCommand::AbandonVolume { application_id, .. } => *application_id,
    };
    let loaded = streams.get(&application_stream(id))?;
    let state = fold(loaded, context);
    if matches!(command, SchedulerCommand::ConfirmRelease { force: false, .. }) {
        ready_to_confirm(id, &state, context)?;
    }
    let events = ApplicationAggregate::decide(&state, &ApplicationCommand::Asked(command.clone()))?;
    let answer = json!({ "application_id": id, "release_id": started(&events) });
    let after = fold_on(state.clone(), &events);
    let decision = Decision::nothing()
        .with(application_stream(id), loaded.version, events)
        .answering(answer);
    let identity = state.identity.as_ref();
    let Some(cluster) = identity.and_then(|it| context.view.cluster(it.cluster_id)) else {
        return Ok(decision);
    };
    Ok(
        match quota::check(context.view, cluster, Some(id), &state, &after)? {
            true => quota::take_turn(decision, cluster, id),
            false => decision,
        },
    )
}

/// The release that events start, if they start one.
fn started(events: &[ApplicationEvent]) -> Option<ReleaseId> {
    events.iter().find_map(|event| match event {
        ApplicationEvent::ReleaseStarted(started) => Some(started.release_id),
        _ => None,
    })
}

/// The old services may go only when the new ones can take over.
fn ready_to_confirm(id: ApplicationId, state: &Application, context: Context<'_>) -> Result<(), Rejection> {
    let mut not_ready = context.view.not_ready(id);
    let known = context.view.application(id).map(|row| row.release_id);
    let asked = state.release.as_ref().map(|release| release.release_id);
    if not_ready.is_empty() && known != asked {
        // The view is behind: what it calls ready are the containers of the release before.
        not_ready.push("the release has only just been started".to_owned());
    }
    if not_ready.is_empty() {
        return Ok(());
    }
    Err(reject(
        RejectionKind::Conflict,
        "release.not_ready",
        format!("not every container is ready: {}", not_ready.join(", ")),
        "wait until they are (`berth release watch`), roll back, or confirm with `--force`",
    ))
}

fn deploy(
    command: &SchedulerCommand,
    context: Context<'_>,
    streams: &Streams,
) -> Result<Decision, Undecided> {
    let SchedulerCommand::Deploy { cluster_id, name, .. } = command else {
        return Ok(Decision::nothing());
    };
    let cluster = context.view.accepts_deploys(*cluster_id, context.tenant)?;
    let loaded = streams.get(&application_name_stream(*cluster_id, name))?;
    let names = loaded.events.iter().filter_map(|event| match event {
        Event::Name(event) => Some(event),
        _ => None::<&NameEvent>,
    });
    let name_state = NameState::fold(names);
    let current = match name_state.application() {
        Some(id) => application(id, context, streams)?,
        None => Application::default(),
    };
    let deployed = deploy_appends(command, &name_state, &current)?;
    let events = deployed.appends.iter().flat_map(|(_, _, events)| events);
    let after = fold_on(current.clone(), events.filter_map(application_event));
    let grows = quota::check(context.view, cluster, name_state.application(), &current, &after)?;
    let mut decision = Decision::nothing().answering(json!({
        "application_id": deployed.application_id,
        "release_id": deployed.release_id,
        "created": deployed.created,
        "changed": !deployed.appends.is_empty(),
    }));
    if !deployed.appends.is_empty() {
        decision = decision.guarded(StreamName::new(Category::Cluster, cluster_id), cluster.version);
    }
    for (stream, expected, events) in deployed.appends {
        decision.changes.push(Change {
            stream,
            expected,
            events,
        });
    }
    if grows {
        decision = quota::take_turn(decision, cluster, deployed.application_id);
    }
    Ok(decision)
}

fn application(id: ApplicationId, context: Context<'_>, streams: &Streams) -> Result<Application, Undecided> {
    Ok(fold(streams.get(&application_stream(id))?, context))
}

/// What belongs to another tenant is not there.
fn fold(loaded: &LoadedStream, context: Context<'_>) -> Application {
    if loaded
        .tenant
        .as_ref()
        .is_some_and(|tenant| tenant != context.tenant)
    {
        return Application::default();
    }
    ApplicationAggregate::fold(loaded.events.iter().filter_map(application_event))
}

fn application_event(event: &Event) -> Option<&ApplicationEvent> {
    match event {
        Event::Application(event) => Some(event),
        _ => None,
    }
}

/// What an application would be after more events.
fn fold_on<'a>(state: Application, events: impl IntoIterator<Item = &'a ApplicationEvent>) -> Application {
    events.into_iter().fold(state, ApplicationAggregate::evolve)
}
