//! Decisions over several streams: loads what a pure decision asks for until there is one.

use crate::{DecideError, Decision, Log, LogError};
use berth_events::StreamName;
use berth_eventsourcing::{Change, Expected, LoadedStream, MAX_DECISION_STREAMS, Streams, Undecided};

/// Loads streams for a decision until it is made.
///
/// # Errors
/// [`DecideError`] if the log cannot be read, or the decision asks for too many streams.
pub async fn decide_over_streams(
    log: &Log,
    decide: impl Fn(&Streams) -> Result<berth_eventsourcing::Decision, Undecided>,
) -> Result<Decision, DecideError> {
    let mut streams = Streams::default();
    while streams.len() <= MAX_DECISION_STREAMS {
        match decide(&streams) {
            Ok(decision) => return Ok(decision.into()),
            Err(Undecided::Refused(rejection)) => return Ok(Decision::Reject(rejection)),
            Err(Undecided::Needs(name)) => {
                let loaded = load_stream(log, &name).await?;
                streams.insert(name, loaded);
            }
        }
    }
    Err(DecideError::Unavailable(format!(
        "the decision needs more than {MAX_DECISION_STREAMS} streams"
    )))
}

/// A stream as a decision sees it.
///
/// # Errors
/// [`LogError`].
pub async fn load_stream(log: &Log, name: &StreamName) -> Result<LoadedStream, LogError> {
    let recorded = log.stream(name).await?;
    let mut stream = LoadedStream::default();
    for one in &recorded {
        let event = one.event().map_err(|error| LogError::Shape {
            position: one.position.cast_signed(),
            reason: error.to_string(),
        })?;
        stream.version = one.version;
        stream.tenant.get_or_insert_with(|| one.tenant.to_string());
        stream.events.push(event);
    }
    Ok(stream)
}

impl From<berth_eventsourcing::Decision> for Decision {
    fn from(decision: berth_eventsourcing::Decision) -> Self {
        let mut result = decision.result;
        name_versions(&mut result, &decision.changes);
        let changes = decision.changes.into_iter();
        Self::Append {
            streams: changes
                .map(|change| (change.stream, change.expected, change.events))
                .collect(),
            guards: decision.guards,
            result,
        }
    }
}

/// Adds to what a command answers with which version each changed stream has then.
fn name_versions(result: &mut serde_json::Value, changes: &[Change]) {
    let versions = changes.iter().filter_map(|change| match change.expected {
        Expected::Version(before) => {
            let after = before.saturating_add(change.events.len() as u64);
            Some((change.stream.to_string(), serde_json::Value::from(after)))
        }
        Expected::Any => None,
    });
    let versions: serde_json::Map<_, _> = versions.collect();
    if versions.is_empty() {
        return;
    }
    if result.is_null() {
        *result = serde_json::Value::Object(serde_json::Map::new());
    }
    if let serde_json::Value::Object(fields) = result {
        fields.insert("versions".to_owned(), serde_json::Value::Object(versions));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_events::Category;

    fn change(events: usize, expected: Expected) -> Change {
        let event = berth_events::ApplicationEvent::Started(berth_events::ApplicationStarted {});
        Change {
            stream: StreamName::new(Category::Application, "a"),
            expected,
            events: vec![event.into(); events],
        }
    }

    #[test]
    fn an_answer_names_the_versions_after_it() {
        let mut result = serde_json::json!({ "changed": true });
        name_versions(
            &mut result,
            &[change(2, Expected::Version(3)), change(1, Expected::Any)],
        );
        assert_eq!(
            result,
            serde_json::json!({ "changed": true, "versions": { "application/a": 5 } })
        );
        let mut nothing = serde_json::Value::Null;
        name_versions(&mut nothing, &[]);
        assert!(nothing.is_null());
    }
}
