//! Decisions over several streams: loads what a pure decision asks for until there is one.

use crate::{DecideError, Decision, Log, LogError};
use berth_events::StreamName;
use berth_eventsourcing::{LoadedStream, MAX_DECISION_STREAMS, Streams, Undecided};

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
        let changes = decision.changes.into_iter();
        Self::Append {
            streams: changes
                .map(|change| (change.stream, change.expected, change.events))
                .collect(),
            guards: decision.guards,
            result: decision.result,
        }
    }
}
