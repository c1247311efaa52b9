//! Every rule of an application.

use super::{Application, ApplicationCommand, Identity, release, validate};
use crate::{limits::MAX_REPLICAS, reject};
use berth_events::{
    ApplicationEvent, ApplicationRemoved, ApplicationScaled, ApplicationStarted, ApplicationStopped,
    DeployMethod, Rejection, RejectionKind, ReleaseOutcome, ReleaseSource, RemoveRequested, RestartRequested,
    SchedulerCommand, StoredWarning, VolumeAbandoned,
    spec::{ApplicationSpec, PullPolicy, ServiceMode, ServiceSpec},
};
use berth_ids::ReleaseId;
use std::collections::BTreeSet;

type Decision = Result<Vec<ApplicationEvent>, Rejection>;

pub(super) fn decide(state: &Application, command: &ApplicationCommand) -> Decision {
    match command {
        ApplicationCommand::Asked(asked) => decide_asked(state, asked),
        ApplicationCommand::SettleRelease { release_id } => Ok(settle(state, *release_id)),
        ApplicationCommand::FinishRemove if state.removing.is_some() && !state.removed => {
            Ok(vec![ApplicationEvent::Removed(ApplicationRemoved {})])
        }
        ApplicationCommand::FinishRemove => Ok(vec![]),
    }
}

fn decide_asked(state: &Application, command: &SchedulerCommand) -> Decision {
    match command {
        SchedulerCommand::Deploy {
            spec,
            release_id,
            source,
            warnings,
            must_exist,
            expected_version,
            method,
            ..
        } => {
            check_existence(state, *must_exist)?;
            check_version(state, *expected_version)?;
            let release = NewRelease {
                release_id: *release_id,
                spec,
                source,
                warnings,
                method: *method,
            };
            deploy(state, &release)
        }
        SchedulerCommand::Rollback {
            release_id,
            to,
            unsettled_only,
            expected_version,
            ..
        } => {
            check_version(state, *expected_version)?;
            release::roll_back(state, *release_id, *to, *unsettled_only)
        }
        SchedulerCommand::PauseRelease { .. } => release::pause(state),
        SchedulerCommand::ResumeRelease { .. } => release::resume(state),
        SchedulerCommand::ConfirmRelease { .. } => release::confirm(state),
        SchedulerCommand::SetWeights { weights, .. } => release::set_weights(state, weights),
        SchedulerCommand::Scale {
            service,
            replicas,
            expected_version,
            ..
        } => {
            alive(state)?;
            check_version(state, *expected_version)?;
            scale(state, service, *replicas)
        }
        SchedulerCommand::Stop { .. } => {
            alive(state)?;
            Ok(when(
                !state.stopped,
                ApplicationEvent::Stopped(ApplicationStopped {}),
            ))
        }
        SchedulerCommand::Start { .. } => {
            alive(state)?;
            Ok(when(
                state.stopped,
                ApplicationEvent::Started(ApplicationStarted {}),
            ))
        }
        SchedulerCommand::Restart { services, .. } => restart(state, services),
        SchedulerCommand::Remove { volumes, .. } => remove(state, *volumes),
        SchedulerCommand::AbandonVolume { service, slots, .. } => abandon(state, service, slots),
        // Decided by the template itself.
        SchedulerCommand::SaveTemplate { .. }
        | SchedulerCommand::RemoveTemplate { .. }
        | SchedulerCommand::RequestBuild { .. }
        | SchedulerCommand::FinishBuild { .. } => Ok(vec![]),
    }
}

/// One event, if there is news.
fn when(news: bool, event: ApplicationEvent) -> Vec<ApplicationEvent> {
    if news { vec![event] } else { vec![] }
}

pub(super) struct NewRelease<'a> {
    pub(super) release_id: ReleaseId,
    pub(super) spec: &'a ApplicationSpec,
    pub(super) source: &'a ReleaseSource,
    pub(super) warnings: &'a [StoredWarning],
    pub(super) method: DeployMethod,
}

/// The release that brings the specification live, and what goes with it.
pub(super) fn deploy(state: &Application, new: &NewRelease<'_>) -> Decision {
    validate(new.spec)?;
    let mut events = Vec::new();
    if let Some(release) = state.release.as_ref().filter(|release| release.is_unconfirmed()) {
        return Err(release::unconfirmed(state, release));
    }
    if state.release.is_none() || state.spec != *new.spec || wants_newest(new.spec) {
        if let Some(release) = state.release.as_ref().filter(|release| !release.is_settled()) {
            events.push(release::settled(release, ReleaseOutcome::Superseded));
        }
        let going = release::going_live(state, new)?;
        let weights = release::first_weights(state, new, &going.method);
        events.push(ApplicationEvent::ReleaseStarted(going));
        events.extend(weights);
    }
    if state.stopped {
        events.push(ApplicationEvent::Started(ApplicationStarted {}));
    }
    Ok(events)
}

/// A service asks for the newest content of its image at each deploy: there may be news in the registry.
fn wants_newest(spec: &ApplicationSpec) -> bool {
    spec.services
        .values()
        .any(|service| service.container.pull_policy == PullPolicy::Always)
}

fn settle(state: &Application, release_id: ReleaseId) -> Vec<ApplicationEvent> {
    state
        .release
        .as_ref()
        .filter(|release| {
            release.release_id == release_id && !release.is_settled() && !release.is_unconfirmed()
        })
        .map(|release| release::settled(release, ReleaseOutcome::Running))
        .into_iter()
        .collect()
}

fn scale(state: &Application, name: &str, replicas: u32) -> Decision {
    if replicas > MAX_REPLICAS {
        return Err(reject(
            RejectionKind::Invalid,
            "application.too_many_replicas",
            format!("service `{name}` cannot have {replicas} containers: the limit is {MAX_REPLICAS}"),
            format!("ask for at most {MAX_REPLICAS}, or split the service"),
        ));
    }
    match known(state, name)?.mode {
        ServiceMode::Global => Err(reject(
            RejectionKind::Conflict,
            "application.global_service",
            format!("service `{name}` runs one container on every node and has no count"),
            format!("scalable services: {}", scalable(&state.spec)),
        )),
        ServiceMode::Replicated { replicas: previous } => Ok(when(
            previous != replicas,
            ApplicationEvent::Scaled(ApplicationScaled {
                service: name.to_owned(),
                replicas,
                previous,
            }),
        )),
    }
}

fn restart(state: &Application, services: &BTreeSet<String>) -> Decision {
    let identity = alive(state)?;
    services
        .iter()
        .try_for_each(|name| known(state, name).map(|_| ()))?;
    if state.stopped {
        return Err(reject(
            RejectionKind::Conflict,
            "application.stopped",
            format!(
                "application `{}` is stopped: there is nothing to restart",
                identity.name
            ),
            format!("`berth start {}` runs it again", identity.name),
        ));
    }
    Ok(vec![ApplicationEvent::RestartRequested(RestartRequested {
        services: services.clone(),
    })])
}

fn remove(state: &Application, volumes: bool) -> Decision {
    if state.identity.is_none() {
        return Err(not_found());
    }
    // Asking again is no error; asking for the volumes too is news as long as it is not gone.
    let news = match &state.removing {
        None => true,
        Some(before) => volumes && !before.volumes && !state.removed,
    };
    Ok(when(
        news,
        ApplicationEvent::RemoveRequested(RemoveRequested { volumes }),
    ))
}

fn abandon(state: &Application, name: &str, slots: &BTreeSet<u32>) -> Decision {
    alive(state)?;
    let service = known(state, name)?;
    if service.container.named_volumes().next().is_none() {
        return Err(reject(
            RejectionKind::Conflict,
            "application.no_volume",
            format!("service `{name}` uses no named volume: no node holds it"),
            "`berth why` tells what it waits for",
        ));
    }
    Ok(vec![ApplicationEvent::VolumeAbandoned(VolumeAbandoned {
        service: name.to_owned(),
        slots: slots.clone(),
    })])
}

pub(super) fn known<'a>(state: &'a Application, name: &str) -> Result<&'a ServiceSpec, Rejection> {
    state.spec.services.get(name).ok_or_else(|| {
        let services: Vec<_> = state.spec.services.keys().map(String::as_str).collect();
        reject(
            RejectionKind::NotFound,
            "application.unknown_service",
            format!("there is no service `{name}`"),
            format!("its services: {}", services.join(", ")),
        )
    })
}

fn scalable(spec: &ApplicationSpec) -> String {
    let names: Vec<_> = spec
        .services
        .iter()
        .filter(|(_, service)| service.mode != ServiceMode::Global)
        .map(|(name, _)| name.as_str())
        .collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

fn not_found() -> Rejection {
    reject(
        RejectionKind::NotFound,
        "application.not_found",
        "there is no such application".to_owned(),
        "`berth apps` lists them",
    )
}

/// Refuses an application that is not there, going or gone.
pub(super) fn alive(state: &Application) -> Result<&Identity, Rejection> {
    let identity = state.identity.as_ref().ok_or_else(not_found)?;
    if state.removed {
        return Err(not_found());
    }
    if state.removing.is_some() {
        return Err(reject(
            RejectionKind::Conflict,
            "application.removing",
            format!("application `{}` is being removed", identity.name),
            "wait until it is gone, then deploy it again",
        ));
    }
    Ok(identity)
}

fn check_existence(state: &Application, must_exist: Option<bool>) -> Result<(), Rejection> {
    if state.identity.is_none() {
        return match must_exist {
            Some(true) => Err(not_found()),
            Some(false) | None => Ok(()),
        };
    }
    let identity = alive(state)?;
    if must_exist == Some(false) {
        return Err(reject(
            RejectionKind::Conflict,
            "application.exists",
            format!("there is an application `{}` already", identity.name),
            "choose another name, or update it with `berth update`",
        ));
    }
    Ok(())
}

/// What is wanted must still be what the caller has seen: at its version or later, and not of the future.
fn check_version(state: &Application, expected: Option<u64>) -> Result<(), Rejection> {
    match expected {
        Some(expected) if !(state.changed..=state.version).contains(&expected) => Err(reject(
            RejectionKind::VersionMismatch,
            "application.version_mismatch",
            format!(
                "the application is at version {}, not at {expected}: somebody changed it",
                state.version
            ),
            "read it again and decide anew",
        )),
        Some(_) | None => Ok(()),
    }
}
