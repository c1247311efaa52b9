//! The aggregate `application/<id>`: what may be done to an application.
//!
//! The file wins: a deploy sets every count to what the file says, also one that `scale` had changed
//! (Compose does the same). A deploy that changes nothing records nothing.

mod command;
mod decide;
mod deploy;
mod quota;
mod release;
mod validate;

#[cfg(test)]
mod tests;

pub use command::{Context, decide};
pub use deploy::{Deployed, NameState, application_name_stream, application_stream, deploy_appends};
pub(crate) use quota::cluster_of_turn;
pub(crate) use release::{pinned, weighed_again};
pub use validate::validate;

use berth_events::{
    ApplicationEvent, Rejection, ReleaseMethod, ReleaseOutcome, RemoveRequested, SchedulerCommand,
    spec::{ApplicationSpec, ServiceMode},
};
use berth_eventsourcing::Aggregate;
use berth_ids::{ApplicationId, ClusterId, Name, ReleaseId};
use std::collections::BTreeMap;

/// Rules of one application.
#[derive(Debug, Clone, Copy)]
pub struct ApplicationAggregate;

/// What the events of an application add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Application {
    /// Events folded: the version of the stream.
    pub version: u64,
    /// The version after the last event that changed what is wanted; what the planner notes of a release on its
    /// way is no such change.
    pub changed: u64,
    /// Who it is; absent: nothing has been created.
    pub identity: Option<Identity>,
    /// The release that is live or going live.
    pub release: Option<Release>,
    /// What it should be, with the counts of `scale`.
    pub spec: ApplicationSpec,
    /// Earlier releases by number, each as it stood when the next one took over.
    pub past: BTreeMap<u32, PastRelease>,
    /// Share of the traffic of its services; not named: all of it.
    pub weights: BTreeMap<String, u8>,
    /// All containers are stopped on purpose.
    pub stopped: bool,
    /// It is going.
    pub removing: Option<RemoveRequested>,
    /// It is gone.
    pub removed: bool,
}

/// Who an application is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Id.
    pub application_id: ApplicationId,
    /// Cluster.
    pub cluster_id: ClusterId,
    /// Name.
    pub name: Name,
}

/// A release of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Id.
    pub release_id: ReleaseId,
    /// Number, from 1.
    pub number: u32,
    /// How it goes live.
    pub method: ReleaseMethod,
    /// It replaces nothing more for now.
    pub paused: bool,
    /// How it ended; absent: it is going live.
    pub outcome: Option<ReleaseOutcome>,
    /// Digests of its images, as far as they are known.
    pub images: BTreeMap<String, String>,
}

impl Release {
    /// It has reached its end.
    pub const fn is_settled(&self) -> bool {
        self.outcome.is_some()
    }

    /// A blue-green release that waits for its confirmation.
    pub const fn is_unconfirmed(&self) -> bool {
        matches!(self.method, ReleaseMethod::BlueGreen { .. }) && self.outcome.is_none()
    }
}

/// A release that is no longer live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRelease {
    /// How it ended.
    pub outcome: Option<ReleaseOutcome>,
    /// What it was, with the counts of `scale`.
    pub spec: ApplicationSpec,
    /// Digests of its images.
    pub images: BTreeMap<String, String>,
    /// Share of the traffic of its services.
    pub weights: BTreeMap<String, u8>,
}

/// What is asked of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplicationCommand {
    /// Asked from outside.
    Asked(SchedulerCommand),
    /// The reconciler saw that every container of the release runs.
    SettleRelease {
        /// The release.
        release_id: ReleaseId,
    },
    /// The reconciler saw that nothing of it is left.
    FinishRemove,
}

impl Aggregate for ApplicationAggregate {
    type State = Application;
    type Command = ApplicationCommand;
    type Event = ApplicationEvent;
    type Error = Rejection;

    fn decide(state: &Application, command: &ApplicationCommand) -> Result<Vec<ApplicationEvent>, Rejection> {
        decide::decide(state, command)
    }

    fn evolve(mut state: Application, event: &ApplicationEvent) -> Application {
        state.version += 1;
        if changes_what_is_wanted(event) {
            state.changed = state.version;
        }
        match event {
            ApplicationEvent::Created(created) => {
                state.identity = Some(Identity {
                    application_id: created.application_id,
                    cluster_id: created.cluster_id,
                    name: created.name.clone(),
                });
            }
            ApplicationEvent::ReleaseStarted(started) => state.start(started),
            ApplicationEvent::ImagesPinned(pinned) => state.pin(pinned),
            ApplicationEvent::ReleaseSettled(settled) => state.settle(settled),
            ApplicationEvent::ReleasePaused(paused) => state.pause(paused.release_id, true),
            ApplicationEvent::ReleaseResumed(resumed) => state.pause(resumed.release_id, false),
            ApplicationEvent::Scaled(scaled) => {
                if let Some(service) = state.spec.services.get_mut(&scaled.service) {
                    service.mode = ServiceMode::Replicated {
                        replicas: scaled.replicas,
                    };
                }
            }
            ApplicationEvent::Stopped(_) => state.stopped = true,
            ApplicationEvent::Started(_) => state.stopped = false,
            ApplicationEvent::RemoveRequested(requested) => state.removing = Some(requested.clone()),
            ApplicationEvent::Removed(_) => state.removed = true,
            ApplicationEvent::WeightsChanged(changed) => state.weights.extend(changed.weights.clone()),
            ApplicationEvent::RestartRequested(_) | ApplicationEvent::VolumeAbandoned(_) => {}
        }
        state
    }
}

/// Who has read the application before it may still change it after: nothing that they saw is another now.
const fn changes_what_is_wanted(event: &ApplicationEvent) -> bool {
    match event {
        ApplicationEvent::ImagesPinned(_) | ApplicationEvent::ReleaseSettled(_) => false,
        ApplicationEvent::ReleasePaused(paused) => paused.failure.is_none(),
        _ => true,
    }
}
