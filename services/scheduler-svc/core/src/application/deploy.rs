//! A deploy over two streams: the name and the application.

use super::{
    Application,
    decide::{self, NewRelease},
};
use crate::{application::ApplicationAggregate, reject};
use berth_events::{
    ApplicationCreated, ApplicationEvent, Event, NameClaimed, NameEvent, Rejection, RejectionKind,
    SchedulerCommand, StreamName,
};
use berth_eventsourcing::{Aggregate, Expected};
use berth_ids::{ApplicationId, ClusterId, Name, ReleaseId};

/// The stream that makes the name of an application unique in its cluster.
pub fn application_name_stream(cluster_id: ClusterId, name: &Name) -> StreamName {
    StreamName::name(format_args!("cluster/{cluster_id}/application"), name.as_str())
}

/// What the events of a name add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameState {
    /// Version of the stream.
    pub version: u64,
    /// Id of the object that has it.
    pub owner: Option<String>,
}

impl NameState {
    /// Folds the events of a name.
    pub fn fold<'a>(events: impl IntoIterator<Item = &'a NameEvent>) -> Self {
        events.into_iter().fold(Self::default(), |mut state, event| {
            state.version += 1;
            match event {
                NameEvent::Claimed(claimed) => state.owner = Some(claimed.owner.clone()),
                NameEvent::Released(_) => state.owner = None,
            }
            state
        })
    }

    /// The application that has the name, if it is one.
    pub fn application(&self) -> Option<ApplicationId> {
        self.owner.as_deref().and_then(|owner| owner.parse().ok())
    }
}

/// What a deploy comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// The application, new or known.
    pub application_id: ApplicationId,
    /// The release that is going live now or was live before, if nothing changed.
    pub release_id: ReleaseId,
    /// It was not there before.
    pub created: bool,
    /// What to append, all or nothing; empty: everything is as the file says already.
    pub appends: Vec<(StreamName, Expected, Vec<Event>)>,
}

/// Decides [`SchedulerCommand::Deploy`].
///
/// `name` is the fold of [`application_name_stream`]; `current` the fold of the application that owns the
/// name (the default if nobody does).
///
/// # Errors
/// The rule that refuses it; [`RejectionKind::Invalid`] if the command is no deploy.
pub fn deploy_appends(
    command: &SchedulerCommand,
    name_state: &NameState,
    current: &Application,
) -> Result<Deployed, Rejection> {
    let SchedulerCommand::Deploy {
        cluster_id,
        name,
        application_id,
        release_id,
        spec,
        source,
        warnings,
        method,
        must_exist,
        expected_version,
    } = command
    else {
        return Err(reject(
            RejectionKind::Invalid,
            "application.no_deploy",
            format!("`{}` is no deploy", command.verb()),
            "send it to the application itself",
        ));
    };
    if let Some(identity) = &current.identity {
        let asked = super::ApplicationCommand::Asked(command.clone());
        let events = ApplicationAggregate::decide(current, &asked)?;
        return Ok(update(current, identity.application_id, *release_id, events));
    }
    if let Some(owner) = &name_state.owner {
        return Err(reject(
            RejectionKind::Conflict,
            "application.name_taken",
            format!("the name `{name}` belongs to {owner}, which is no application"),
            "choose another name with `--name`",
        ));
    }
    // Nothing is there: the two conditions that speak of what is there are checked on an empty state.
    let empty = Application::default();
    if *must_exist == Some(true) || expected_version.is_some_and(|version| version != 0) {
        return Err(missing(name));
    }
    let release = NewRelease {
        release_id: *release_id,
        spec,
        source,
        warnings,
        method: *method,
    };
    let mut events = vec![ApplicationEvent::Created(ApplicationCreated {
        application_id: *application_id,
        cluster_id: *cluster_id,
        name: name.clone(),
    })];
    events.extend(decide::deploy(&empty, &release)?);
    let claimed = NameEvent::Claimed(NameClaimed {
        owner: application_id.to_string(),
    });
    Ok(Deployed {
        application_id: *application_id,
        release_id: *release_id,
        created: true,
        appends: vec![
            (
                application_name_stream(*cluster_id, name),
                Expected::Version(name_state.version),
                vec![claimed.into()],
            ),
            (
                application_stream(*application_id),
                Expected::Version(0),
                events.into_iter().map(Event::from).collect(),
            ),
        ],
    })
}

fn update(
    current: &Application,
    application_id: ApplicationId,
    release_id: ReleaseId,
    events: Vec<ApplicationEvent>,
) -> Deployed {
    let new = events
        .iter()
        .any(|event| matches!(event, ApplicationEvent::ReleaseStarted(_)));
    let live = current
        .release
        .as_ref()
        .map_or(release_id, |release| release.release_id);
    let mut appends = Vec::new();
    if !events.is_empty() {
        appends.push((
            application_stream(application_id),
            Expected::Version(current.version),
            events.into_iter().map(Event::from).collect(),
        ));
    }
    Deployed {
        application_id,
        release_id: if new { release_id } else { live },
        created: false,
        appends,
    }
}

/// The stream of an application.
pub fn application_stream(application_id: ApplicationId) -> StreamName {
    StreamName::new(berth_events::Category::Application, application_id)
}

fn missing(name: &Name) -> Rejection {
    reject(
        RejectionKind::NotFound,
        "application.not_found",
        format!("there is no application `{name}`"),
        "`berth apps` lists them; `berth deploy` makes a new one",
    )
}
