//! What is asked of the log, and what it answers.

use berth_events::{CommandOutcome, Event, Meta, StreamName};
use berth_ids::{CommandId, EventId, Timestamp};
use serde::{Deserialize, Serialize};

/// The largest event, encoded, in bytes.
pub const MAX_EVENT_BYTES: usize = 256 * 1024;
/// The most events in one append.
pub const MAX_APPEND_EVENTS: usize = 512;
/// The largest append, encoded, in bytes.
pub const MAX_APPEND_BYTES: usize = 768 * 1024;

/// An event that wants to be recorded. Its id is made by the shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEvent {
    /// Id.
    pub event_id: EventId,
    /// Wire name.
    pub type_name: String,
    /// Version of the type.
    pub schema_version: u16,
    /// Data as JSON text; hashed as it is.
    pub data: String,
}

impl NewEvent {
    /// Encodes an event.
    ///
    /// # Errors
    /// Only if a map key is not text, which no event has.
    pub fn encode(event_id: EventId, event: &Event) -> Result<Self, serde_json::Error> {
        Ok(Self {
            event_id,
            type_name: event.type_name().to_owned(),
            schema_version: event.schema_version(),
            data: event.encode()?,
        })
    }
}

/// What version a stream must have for an append to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// Exactly this; 0: the stream has no event.
    Version(u64),
    /// Whatever it is. Only for streams with one writer that cannot conflict.
    Any,
}

/// Events for one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamAppend {
    /// The stream, owned by the caller.
    pub stream: StreamName,
    /// Its version before.
    pub expected: Expected,
    /// The events, in order.
    pub events: Vec<NewEvent>,
}

/// A stream of anyone's that must not have moved on since the caller looked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// The stream.
    pub stream: StreamName,
    /// Its highest version that the caller has seen.
    pub at_most: u64,
}

/// The command whose outcome this append records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandRecord {
    /// The command.
    pub command_id: CommandId,
    /// SHA-256 of its request, hexadecimal.
    pub request_hash: String,
    /// Its outcome. `position` of an accepted one is filled in by the log: the last event's, or the
    /// head's if there is none.
    pub outcome: CommandOutcome,
}

/// A list of appends, all or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendRequest {
    /// Tenant of every event.
    pub tenant: String,
    /// Who causes it. The same for every event.
    pub meta: Meta,
    /// What is appended; may be empty if only an outcome is recorded.
    pub streams: Vec<StreamAppend>,
    /// What must not have changed.
    #[serde(default)]
    pub guards: Vec<Guard>,
    /// The command behind it: an append with a known command id is not done again.
    #[serde(default)]
    pub command: Option<CommandRecord>,
}

/// Where an append went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appended {
    /// Position of the first event; the head if there is none.
    pub first_position: u64,
    /// Position of the last event; the head if there is none.
    pub last_position: u64,
    /// When.
    pub recorded_at: Timestamp,
    /// Outcome of the command, with its position.
    pub outcome: Option<CommandOutcome>,
    /// The command was known: nothing was appended now.
    pub repeated: bool,
}

/// Why nothing was appended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "error")]
pub enum AppendError {
    /// Somebody was faster: load and decide again.
    #[error("stream `{stream}` is at version {actual}, not at {expected}")]
    Conflict {
        /// The stream.
        stream: StreamName,
        /// Asked for.
        expected: u64,
        /// Found.
        actual: u64,
    },
    /// What the decision rested on has changed: load and decide again.
    #[error("guarded stream `{stream}` is at version {actual}, past {at_most}")]
    Guarded {
        /// The stream.
        stream: StreamName,
        /// Seen by the caller.
        at_most: u64,
        /// Found.
        actual: u64,
    },
    /// The key was used for another request.
    #[error("command {command_id} was used for another request")]
    KeyReused {
        /// The command.
        command_id: CommandId,
    },
    /// Past a limit.
    #[error("{what} has {actual}, more than the limit of {limit}")]
    TooLarge {
        /// What is too large.
        what: String,
        /// Its size.
        actual: u64,
        /// The limit.
        limit: u64,
    },
    /// The caller does not own the stream, or the type is unknown or not enabled yet.
    #[error("refused: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// The queue before the writer is full.
    #[error("the log is busy; try again")]
    Busy,
    /// No writer answers, or its database is away. The outcome is not known: ask with the command id.
    #[error("the log is not available: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
}
