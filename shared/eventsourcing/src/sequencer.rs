//! The rules of appending: versions, guards, limits, ownership, numbers, hashes, repeated commands.
//!
//! The log-writer and the in-memory log are both thin around this. It holds no event, only heads.

use crate::{
    AppendError, AppendRequest, Appended, Expected, Hash, Hashed, MAX_APPEND_BYTES, MAX_APPEND_EVENTS,
    MAX_EVENT_BYTES, ZERO_HASH, chain,
};
use berth_events::{Category, CommandOutcome, Event, Recorded, SpecVersion, StreamName};
use berth_ids::Timestamp;
use serde_json::value::RawValue;
use std::{collections::HashMap, sync::Arc};

/// Heads of the streams that an append names, looked up before it is sequenced.
pub trait Heads {
    /// Version of a stream; 0 if it has no event.
    fn version(&self, stream: &StreamName) -> u64;
}

impl Heads for HashMap<StreamName, u64> {
    fn version(&self, stream: &StreamName) -> u64 {
        self.get(stream).copied().unwrap_or(0)
    }
}

/// The end of the log.
#[derive(Debug, Clone)]
pub struct Sequencer {
    /// `berth/<log id>`.
    pub source: Arc<str>,
    /// Incarnation of the log.
    pub incarnation: u64,
    /// Position of the last event.
    pub position: u64,
    /// Its hash.
    pub hash: Hash,
    /// Moment of the last append; the next is not before it.
    pub recorded_at: Timestamp,
    /// Position of the last event of each category.
    pub categories: HashMap<Category, u64>,
}

impl Sequencer {
    /// The end of an empty log.
    pub fn empty(log_id: &str) -> Self {
        Self {
            source: format!("berth/{log_id}").into(),
            incarnation: 1,
            position: 0,
            hash: ZERO_HASH,
            recorded_at: Timestamp::default(),
            categories: HashMap::new(),
        }
    }

    /// Checks an append against the heads and numbers its events; moves the end of the log.
    ///
    /// The caller has already looked whether the command is known, and moves the heads afterwards.
    ///
    /// # Errors
    /// [`AppendError`]; the end of the log has then not moved.
    pub fn sequence(
        &mut self,
        caller: &str,
        request: &AppendRequest,
        heads: &impl Heads,
        now: Timestamp,
    ) -> Result<(Vec<Recorded>, Appended), AppendError> {
        check_limits(request)?;
        check_owners(caller, request)?;
        check_versions(request, heads)?;
        let meta = encode_meta(request)?;
        let recorded_at = now.max(self.recorded_at);
        let mut next = self.clone();
        next.recorded_at = recorded_at;
        let mut events = Vec::new();
        for append in &request.streams {
            let mut version = heads.version(&append.stream);
            for event in &append.events {
                version += 1;
                events.push(next.number(request, append.stream.clone(), version, event, &meta)?);
            }
        }
        let first_position = if events.is_empty() {
            next.position
        } else {
            self.position + 1
        };
        let appended = Appended {
            first_position,
            last_position: next.position,
            recorded_at,
            outcome: request
                .command
                .as_ref()
                .map(|command| at_position(&command.outcome, next.position)),
            repeated: false,
        };
        *self = next;
        Ok((events, appended))
    }

    fn number(
        &mut self,
        request: &AppendRequest,
        stream: StreamName,
        version: u64,
        event: &crate::NewEvent,
        meta: &str,
    ) -> Result<Recorded, AppendError> {
        let unreadable = |error: &dyn std::fmt::Display| AppendError::Refused {
            reason: format!("event `{}` for `{stream}`: {error}", event.type_name),
        };
        Event::decode(
            stream.category(),
            &event.type_name,
            event.schema_version,
            &event.data,
        )
        .map_err(|error| unreadable(&error))?;
        let position = self.position + 1;
        let hash = chain(
            &self.hash,
            Hashed {
                position,
                stream: stream.as_str(),
                version,
                event_id: event.event_id.as_uuid().as_bytes(),
                type_name: &event.type_name,
                schema_version: event.schema_version,
                tenant: &request.tenant,
                recorded_at_micros: self.recorded_at.as_micros(),
                data: &event.data,
                meta,
            },
        );
        let raw = |text: &str| RawValue::from_string(text.to_owned()).map_err(|error| unreadable(&error));
        let recorded = Recorded {
            specversion: SpecVersion::V1,
            id: event.event_id,
            source: self.source.clone(),
            type_name: event.type_name.as_str().into(),
            recorded_at: self.recorded_at,
            position,
            version,
            category_previous: self.categories.get(&stream.category()).copied().unwrap_or(0),
            schema_version: event.schema_version,
            tenant: request.tenant.as_str().into(),
            incarnation: self.incarnation,
            hash: hex::encode(hash),
            previous_hash: hex::encode(self.hash),
            meta: raw(meta)?,
            data: raw(&event.data)?,
            stream,
        };
        self.categories.insert(recorded.stream.category(), position);
        self.position = position;
        self.hash = hash;
        Ok(recorded)
    }
}

/// An accepted outcome with its position.
pub fn at_position(outcome: &CommandOutcome, position: u64) -> CommandOutcome {
    match outcome {
        CommandOutcome::Accepted { result, .. } => CommandOutcome::Accepted {
            position,
            result: result.clone(),
        },
        CommandOutcome::Rejected(rejection) => CommandOutcome::Rejected(rejection.clone()),
    }
}

fn encode_meta(request: &AppendRequest) -> Result<String, AppendError> {
    serde_json::to_string(&request.meta).map_err(|error| AppendError::Refused {
        reason: error.to_string(),
    })
}

fn too_large(what: &str, actual: usize, limit: usize) -> AppendError {
    AppendError::TooLarge {
        what: what.to_owned(),
        actual: actual as u64,
        limit: limit as u64,
    }
}

fn check_limits(request: &AppendRequest) -> Result<(), AppendError> {
    let events = || request.streams.iter().flat_map(|append| &append.events);
    let count = events().count();
    if count > MAX_APPEND_EVENTS {
        return Err(too_large(
            "the number of events of an append",
            count,
            MAX_APPEND_EVENTS,
        ));
    }
    if let Some(event) = events().find(|event| event.data.len() > MAX_EVENT_BYTES) {
        let what = format!("event `{}` in bytes", event.type_name);
        return Err(too_large(&what, event.data.len(), MAX_EVENT_BYTES));
    }
    let bytes: usize = events().map(|event| event.data.len()).sum();
    if bytes > MAX_APPEND_BYTES {
        return Err(too_large("an append in bytes", bytes, MAX_APPEND_BYTES));
    }
    Ok(())
}

fn check_owners(caller: &str, request: &AppendRequest) -> Result<(), AppendError> {
    let foreign = request.streams.iter().find(|append| {
        let owner = append.stream.category().owner();
        owner != "*" && owner != caller
    });
    match foreign {
        None => Ok(()),
        Some(append) => Err(AppendError::Refused {
            reason: format!(
                "stream `{}` belongs to service `{}`, not to `{caller}`",
                append.stream,
                append.stream.category().owner()
            ),
        }),
    }
}

fn check_versions(request: &AppendRequest, heads: &impl Heads) -> Result<(), AppendError> {
    let mut seen = std::collections::HashSet::new();
    for append in &request.streams {
        if !seen.insert(&append.stream) {
            return Err(AppendError::Refused {
                reason: format!("stream `{}` is named twice in one append", append.stream),
            });
        }
        let actual = heads.version(&append.stream);
        match append.expected {
            Expected::Any => {}
            Expected::Version(expected) if expected == actual => {}
            Expected::Version(expected) => {
                return Err(AppendError::Conflict {
                    stream: append.stream.clone(),
                    expected,
                    actual,
                });
            }
        }
    }
    for guard in &request.guards {
        let actual = heads.version(&guard.stream);
        if actual > guard.at_most {
            let (stream, at_most) = (guard.stream.clone(), guard.at_most);
            return Err(AppendError::Guarded {
                stream,
                at_most,
                actual,
            });
        }
    }
    Ok(())
}
