//! The aggregate `template/<id>`: versions of a text under a name.

#[cfg(test)]
mod tests;

use crate::{
    limits::{MAX_TEMPLATE_BYTES, MAX_TEMPLATE_DESCRIPTION_CHARS},
    reject,
};
use berth_events::{
    Event, Rejection, RejectionKind, SchedulerCommand, TemplateEvent, TemplateRemoved, TemplateSaved,
    template_stream,
};
use berth_eventsourcing::{Aggregate, Decision, Streams, Undecided};
use berth_ids::Name;
use serde_json::json;

/// Rules of one template.
#[derive(Debug, Clone, Copy)]
pub struct TemplateAggregate;

/// What the events of a template add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    /// Events folded: the version of the stream.
    pub version: u64,
    /// Number of the newest version ever stored; 0: none.
    pub number: u32,
    /// What it says; absent: it is not there.
    pub current: Option<TemplateSaved>,
}

impl Aggregate for TemplateAggregate {
    type State = Template;
    type Command = SchedulerCommand;
    type Event = TemplateEvent;
    type Error = Rejection;

    fn decide(state: &Template, command: &SchedulerCommand) -> Result<Vec<TemplateEvent>, Rejection> {
        match command {
            SchedulerCommand::SaveTemplate {
                name,
                description,
                text,
                expected_version,
                ..
            } => {
                check_version(state, name, *expected_version)?;
                save(state, name, description, text)
            }
            SchedulerCommand::RemoveTemplate {
                name,
                expected_version,
                ..
            } => {
                if state.current.is_none() {
                    return Err(missing(name));
                }
                check_version(state, name, *expected_version)?;
                Ok(vec![TemplateEvent::Removed(TemplateRemoved {
                    name: name.clone(),
                })])
            }
            other => Err(reject(
                RejectionKind::Invalid,
                "template.no_command",
                format!("`{}` is nothing that a template does", other.verb()),
                "send it to an application",
            )),
        }
    }

    fn evolve(mut state: Template, event: &TemplateEvent) -> Template {
        state.version += 1;
        match event {
            TemplateEvent::Saved(saved) => {
                state.number = saved.number;
                state.current = Some(saved.clone());
            }
            TemplateEvent::Removed(_) => state.current = None,
        }
        state
    }
}

/// What a command about a template comes to.
///
/// # Errors
/// [`Undecided`]: its stream is to be loaded first, or the rule that refuses.
pub fn decide(command: &SchedulerCommand, tenant: &str, streams: &Streams) -> Result<Decision, Undecided> {
    let (SchedulerCommand::SaveTemplate { template_id, .. }
    | SchedulerCommand::RemoveTemplate { template_id, .. }) = command
    else {
        return Ok(Decision::nothing());
    };
    let stream = template_stream(*template_id);
    let loaded = streams.get(&stream)?;
    let ours = loaded.tenant.as_ref().is_none_or(|owner| owner == tenant);
    let events = loaded.events.iter().filter(|_| ours);
    let state = TemplateAggregate::fold(events.filter_map(|event| match event {
        Event::Template(event) => Some(event),
        _ => None::<&TemplateEvent>,
    }));
    let events = TemplateAggregate::decide(&state, command)?;
    let number = events.iter().fold(state.number, |number, event| match event {
        TemplateEvent::Saved(saved) => saved.number,
        TemplateEvent::Removed(_) => number,
    });
    let answer = json!({ "number": number, "changed": !events.is_empty() });
    Ok(Decision::nothing()
        .with(stream, loaded.version, events)
        .answering(answer))
}

fn save(
    state: &Template,
    name: &Name,
    description: &str,
    text: &str,
) -> Result<Vec<TemplateEvent>, Rejection> {
    let invalid =
        |code: &str, message: String, cure: &str| Err(reject(RejectionKind::Invalid, code, message, cure));
    if text.trim().is_empty() {
        return invalid(
            "template.empty",
            "the template has no text".into(),
            "give the text of a Compose file",
        );
    }
    if text.len() > MAX_TEMPLATE_BYTES {
        let message = format!(
            "the template has {} bytes, more than {MAX_TEMPLATE_BYTES}",
            text.len()
        );
        return invalid(
            "template.too_large",
            message,
            "move contents into images or volumes",
        );
    }
    if description.chars().count() > MAX_TEMPLATE_DESCRIPTION_CHARS {
        let message = format!("the description has more than {MAX_TEMPLATE_DESCRIPTION_CHARS} characters");
        return invalid("template.description", message, "shorten it");
    }
    let saved = TemplateSaved {
        name: name.clone(),
        number: state.number.saturating_add(1),
        description: description.to_owned(),
        text: text.to_owned(),
    };
    let same = state.current.as_ref().is_some_and(|current| {
        current.text == saved.text && current.description == saved.description && current.name == saved.name
    });
    Ok(if same {
        vec![]
    } else {
        vec![TemplateEvent::Saved(saved)]
    })
}

fn check_version(state: &Template, name: &Name, expected: Option<u64>) -> Result<(), Rejection> {
    match expected {
        Some(expected) if expected != state.version => Err(reject(
            RejectionKind::Conflict,
            "template.version",
            format!(
                "template `{name}` is at version {}, not {expected}",
                state.version
            ),
            "read it again, and send its new ETag",
        )),
        Some(_) | None => Ok(()),
    }
}

fn missing(name: &Name) -> Rejection {
    reject(
        RejectionKind::NotFound,
        "template.not_found",
        format!("there is no template `{name}`"),
        "`berth template ls` lists them",
    )
}
