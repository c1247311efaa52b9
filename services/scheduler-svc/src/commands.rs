//! Commands to applications: load the streams that the rules need, ask them.

use async_trait::async_trait;
use berth_events::{
    ApplicationEvent, Category, Command, CommandBody, Event, NameEvent, Rejection, RejectionKind,
    SchedulerCommand, StreamName,
};
use berth_eventsourcing::{Aggregate, Expected};
use berth_ids::ApplicationId;
use berth_scheduler_core::{
    application::{
        Application, ApplicationAggregate, ApplicationCommand, NameState, application_name_stream,
        deploy_appends,
    },
    view::SchedulerView,
};
use berth_service_kit::{Decide, DecideError, Decision, Log, LogError, ViewHandle};
use serde_json::json;

pub(crate) struct Rules {
    log: Log,
    view: ViewHandle<SchedulerView>,
}

impl Rules {
    pub(crate) fn new(log: Log, view: ViewHandle<SchedulerView>) -> Self {
        Self { log, view }
    }

    async fn deploy(&self, command: &SchedulerCommand) -> Result<Decision, DecideError> {
        let SchedulerCommand::Deploy { cluster_id, name, .. } = command else {
            return Ok(Decision::Reject(unexpected(command.verb())));
        };
        if let Err(rejection) = self
            .view
            .read(|view| view.accepts_deploys(*cluster_id).map(|_| ()))
        {
            return Ok(Decision::Reject(rejection));
        }
        let name_state = load_name(&self.log, &application_name_stream(*cluster_id, name)).await?;
        let current = match name_state.application() {
            Some(application) => load_application(&self.log, application).await?,
            None => Application::default(),
        };
        match deploy_appends(command, &name_state, &current) {
            Ok(deployed) => Ok(Decision::Append {
                result: json!({
                    "application_id": deployed.application_id,
                    "release_id": deployed.release_id,
                    "created": deployed.created,
                    "changed": !deployed.appends.is_empty(),
                }),
                streams: deployed.appends,
                guards: Vec::new(),
            }),
            Err(rejection) => Ok(Decision::Reject(rejection)),
        }
    }

    async fn ask(&self, id: ApplicationId, command: &SchedulerCommand) -> Result<Decision, DecideError> {
        let state = load_application(&self.log, id).await?;
        if state.identity.is_none() {
            return Ok(Decision::Reject(missing(id)));
        }
        let asked = ApplicationCommand::Asked(command.clone());
        match ApplicationAggregate::decide(&state, &asked) {
            Ok(events) => Ok(Decision::Append {
                streams: if events.is_empty() {
                    Vec::new()
                } else {
                    let events = events.into_iter().map(Event::from).collect();
                    vec![(application_stream(id), Expected::Version(state.version), events)]
                },
                guards: Vec::new(),
                result: json!({ "application_id": id }),
            }),
            Err(rejection) => Ok(Decision::Reject(rejection)),
        }
    }
}

#[async_trait]
impl Decide for Rules {
    async fn decide(&self, command: &Command) -> Result<Decision, DecideError> {
        let CommandBody::Scheduler(asked) = &command.body else {
            return Ok(Decision::Reject(unexpected(command.body.verb())));
        };
        match asked {
            SchedulerCommand::Deploy { .. } => self.deploy(asked).await,
            SchedulerCommand::Scale { application_id, .. }
            | SchedulerCommand::Stop { application_id }
            | SchedulerCommand::Start { application_id }
            | SchedulerCommand::Restart { application_id, .. }
            | SchedulerCommand::Remove { application_id, .. }
            | SchedulerCommand::AbandonVolume { application_id, .. } => {
                self.ask(*application_id, asked).await
            }
        }
    }
}

/// The stream of an application.
fn application_stream(id: ApplicationId) -> StreamName {
    StreamName::new(Category::Application, id)
}

/// Folds an application's stream.
async fn load_application(log: &Log, id: ApplicationId) -> Result<Application, LogError> {
    let events = decoded(log, &application_stream(id)).await?;
    let events: Vec<ApplicationEvent> = events
        .into_iter()
        .filter_map(|event| match event {
            Event::Application(event) => Some(event),
            _ => None,
        })
        .collect();
    Ok(ApplicationAggregate::fold(&events))
}

/// Folds the stream of a name.
async fn load_name(log: &Log, stream: &StreamName) -> Result<NameState, LogError> {
    let events: Vec<NameEvent> = decoded(log, stream)
        .await?
        .into_iter()
        .filter_map(|event| match event {
            Event::Name(event) => Some(event),
            _ => None,
        })
        .collect();
    Ok(NameState::fold(&events))
}

async fn decoded(log: &Log, stream: &StreamName) -> Result<Vec<Event>, LogError> {
    log.stream(stream)
        .await?
        .iter()
        .map(|recorded| {
            recorded.event().map_err(|error| LogError::Shape {
                position: recorded.position.cast_signed(),
                reason: error.to_string(),
            })
        })
        .collect()
}

fn unexpected(verb: &str) -> Rejection {
    Rejection {
        kind: RejectionKind::Invalid,
        code: "scheduler.unexpected_command".into(),
        message: format!("`{verb}` is not a command to the scheduler"),
        cure: None,
    }
}

fn missing(id: ApplicationId) -> Rejection {
    Rejection {
        kind: RejectionKind::NotFound,
        code: "application.not_found".into(),
        message: format!("there is no application {id}"),
        cure: Some("`berth apps` lists them".into()),
    }
}
