//! `berth events`: what happened, and what happens.

use super::Session;
use crate::{
    cli::Events as Args,
    client::query,
    exit::{Exit, Outcome},
    output::{Tone, paint},
};
use berth_api::{Event, Page};
use serde_json::Value;
use std::time::Duration;

/// Wait before a broken stream is opened again.
const REOPEN_DELAY: Duration = Duration::from_secs(1);
/// The longest summary of an event's data, in characters.
const SUMMARY_CHARS: usize = 160;

/// Carries out `berth events`.
///
/// # Errors
/// What the platform answered.
pub async fn run(session: &Session, args: Args) -> Outcome {
    let path = path(session, &args);
    if args.follow {
        return follow(session, &path).await;
    }
    let events: Vec<Event> = if args.since.is_some() || args.after.is_some() {
        session.client.list(&path).await?
    } else {
        let last = args.limit.clamp(1, berth_api::MAX_PAGE_ITEMS).to_string();
        let page: Page<Event> = session.client.get(&query(&path, &[("last", &last)])).await?;
        page.items
    };
    if session.printer.for_people() {
        return events
            .iter()
            .try_for_each(|event| session.printer.item(event, line));
    }
    session.printer.print(&events, |_| String::new())
}

fn path(session: &Session, args: &Args) -> String {
    let moment = args.since.map(|since| since.to_string());
    let since = moment
        .or_else(|| args.after.map(|after| after.to_string()))
        .unwrap_or_default();
    let types = args.types.join(",");
    let parameters = [
        ("application", args.app.as_deref().unwrap_or_default()),
        ("node", args.node.as_deref().unwrap_or_default()),
        ("type", types.as_str()),
        ("since", since.as_str()),
    ];
    query(&session.in_cluster("/v1/events"), &parameters)
}

/// Prints what comes until the reader ends it; a broken stream goes on where it broke.
async fn follow(session: &Session, path: &str) -> Outcome {
    let mut last: Option<String> = None;
    loop {
        let mut stream = match session.client.sse(path, last.as_deref()).await {
            Ok(stream) => stream,
            Err(failure) if failure.exit == Exit::Unavailable && last.is_some() => {
                session
                    .printer
                    .note(&format!("{}; trying again", failure.message));
                tokio::time::sleep(REOPEN_DELAY).await;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        // Its end, in order or not, is healed by opening it again after the last event.
        while let Ok(Some(event)) = stream.next().await {
            last = event.id.clone().or(last);
            if event.event == "error" {
                break;
            }
            match serde_json::from_str::<Event>(&event.data) {
                Ok(event) => session.printer.item(&event, line)?,
                Err(_) if event.data.is_empty() => {}
                Err(_) => session.printer.note(&format!("{}: {}", event.event, event.data)),
            }
        }
        tokio::time::sleep(REOPEN_DELAY).await;
    }
}

/// One event as one line.
pub fn line(event: &Event) -> String {
    let event = &event.0;
    let head = format!(
        "{}  {}  {}",
        paint(&format!("#{}", event.position), Tone::Dim),
        event.recorded_at,
        paint(&event.type_name, Tone::Strong)
    );
    format!("{head}  {}  {}", event.stream, summary(event.data.get()))
}

/// A value in a few words; none of what is empty or deep.
fn shown(value: &Value) -> Option<String> {
    let flat = |value: &Value| !value.is_array() && !value.is_object();
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) if items.iter().all(flat) => {
            Some(items.iter().filter_map(shown).collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => Some(format!("[{}]", items.len())),
        Value::Object(fields) if !fields.is_empty() && fields.values().all(flat) => {
            let pairs = fields
                .iter()
                .filter_map(|(key, value)| Some(format!("{key}={}", shown(value)?)));
            Some(format!("{{{}}}", pairs.collect::<Vec<_>>().join(",")))
        }
        Value::Null | Value::Object(_) => None,
    }
}

/// The data of an event, as `key=value` of what is plain.
fn summary(data: &str) -> String {
    let Ok(Value::Object(fields)) = serde_json::from_str(data) else {
        return String::new();
    };
    let parts: Vec<_> = fields
        .iter()
        .filter_map(|(key, value)| Some(format!("{key}={}", shown(value)?)))
        .collect();
    let text = parts.join(" ").replace('\n', " ");
    if text.chars().count() <= SUMMARY_CHARS {
        return text;
    }
    text.chars().take(SUMMARY_CHARS).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_shows_what_is_plain() {
        let data = r#"{"name":"web","replicas":3,"labels":{"a":1},"force":false,"slots":[1,2],"none":null,
            "place":[{"id":1}],"spec":{"deep":{}},"ports":[],"set":{}}"#;
        let plain = "force=false labels={a=1} name=web place=[1] replicas=3 slots=1,2";
        assert_eq!(summary(data), plain);
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(500));
        assert_eq!(summary(&long).chars().count(), SUMMARY_CHARS + 1);
    }
}
