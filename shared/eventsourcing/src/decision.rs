//! Decisions that look at several streams: which they need, and what they would append.
//!
//! A pure decision cannot load a stream. It asks for one by returning [`Undecided::Needs`]; the shell loads
//! it and decides again from the start, at most [`MAX_DECISION_STREAMS`] times.

use crate::{Expected, Guard};
use berth_events::{Event, Rejection, StreamName};
use std::collections::BTreeMap;

/// The most streams that one decision may look at.
pub const MAX_DECISION_STREAMS: usize = 64;

/// A stream as it was when it was loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadedStream {
    /// Its version; 0: it has no event.
    pub version: u64,
    /// Tenant of its first event.
    pub tenant: Option<String>,
    /// Its events, oldest first.
    pub events: Vec<Event>,
}

/// Streams that a decision has asked for so far.
#[derive(Debug, Clone, Default)]
pub struct Streams {
    loaded: BTreeMap<StreamName, LoadedStream>,
}

impl Streams {
    /// Takes a loaded stream in.
    pub fn insert(&mut self, name: StreamName, stream: LoadedStream) {
        self.loaded.insert(name, stream);
    }

    /// Takes in what would be appended, so that another decision can rest on it. A stream that is not loaded is
    /// left to be loaded.
    pub fn extend(&mut self, change: &Change) {
        if let Some(stream) = self.loaded.get_mut(&change.stream) {
            stream.version += change.events.len() as u64;
            stream.events.extend(change.events.iter().cloned());
        }
    }

    /// How many are loaded.
    pub fn len(&self) -> usize {
        self.loaded.len()
    }

    /// Nothing is loaded.
    pub fn is_empty(&self) -> bool {
        self.loaded.is_empty()
    }

    /// A stream, if it is loaded.
    ///
    /// # Errors
    /// [`Undecided::Needs`] asks the shell to load it.
    pub fn get(&self, name: &StreamName) -> Result<&LoadedStream, Undecided> {
        self.loaded
            .get(name)
            .ok_or_else(|| Undecided::Needs(name.clone()))
    }
}

/// Why there is no decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undecided {
    /// It needs to see this stream.
    Needs(StreamName),
    /// A rule refuses the command.
    Refused(Rejection),
}

impl From<Rejection> for Undecided {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }
}

/// Events for one stream, before they have ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The stream.
    pub stream: StreamName,
    /// Its version before.
    pub expected: Expected,
    /// The events, in order.
    pub events: Vec<Event>,
}

/// What a command comes to: appended all or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// Events by stream; none if it is already so.
    pub changes: Vec<Change>,
    /// What must not have changed meanwhile.
    pub guards: Vec<Guard>,
    /// What the command answers with.
    pub result: serde_json::Value,
}

impl Decision {
    /// Nothing to append.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Adds events of a stream that was seen at a version; no events, no change.
    #[must_use]
    pub fn with<E: Into<Event>>(
        mut self,
        stream: StreamName,
        version: u64,
        events: impl IntoIterator<Item = E>,
    ) -> Self {
        let events: Vec<Event> = events.into_iter().map(Into::into).collect();
        if !events.is_empty() {
            self.changes.push(Change {
                stream,
                expected: Expected::Version(version),
                events,
            });
        }
        self
    }

    /// Adds a stream that must not have moved on.
    #[must_use]
    pub fn guarded(mut self, stream: StreamName, at_most: u64) -> Self {
        self.guards.push(Guard { stream, at_most });
        self
    }

    /// Sets what the command answers with.
    #[must_use]
    pub fn answering(mut self, result: serde_json::Value) -> Self {
        self.result = result;
        self
    }
}
