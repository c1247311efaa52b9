//! The log in memory: the same rules as the real one, for tests and simulation.

use crate::{
    AppendError, AppendRequest, Appended, Expected, LoadedStream, NewEvent, Sequencer, StreamAppend,
};
use berth_events::{CommandOutcome, Event, Meta, Recorded, StreamName};
use berth_ids::{CommandId, EventId, Timestamp};
use std::collections::HashMap;

/// An append-only log in memory.
#[derive(Debug, Clone)]
pub struct MemoryLog {
    sequencer: Sequencer,
    heads: HashMap<StreamName, u64>,
    events: Vec<Recorded>,
    commands: HashMap<CommandId, (String, CommandOutcome)>,
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self {
            sequencer: Sequencer::empty("memory"),
            heads: HashMap::new(),
            events: Vec::new(),
            commands: HashMap::new(),
        }
    }
}

impl MemoryLog {
    /// Appends, or says why not. Repeated commands get their first outcome.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was appended.
    pub fn append(
        &mut self,
        caller: &str,
        request: &AppendRequest,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        if let Some(known) = self.known(request) {
            return known;
        }
        let (events, appended) = self.sequencer.sequence(caller, request, &self.heads, now)?;
        for event in events {
            self.heads.insert(event.stream.clone(), event.version);
            self.events.push(event);
        }
        if let (Some(command), Some(outcome)) = (&request.command, &appended.outcome) {
            self.commands.insert(
                command.command_id,
                (command.request_hash.clone(), outcome.clone()),
            );
        }
        Ok(appended)
    }

    /// Records one event as its owner, for what a test or a simulation takes as given.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was appended.
    pub fn record(
        &mut self,
        stream: StreamName,
        event: impl Into<Event>,
        now: Timestamp,
    ) -> Result<Recorded, AppendError> {
        let refused = |reason: String| AppendError::Refused { reason };
        let id = EventId::from_u128(u128::from(self.head()) + 1);
        let encoded = NewEvent::encode(id, &event.into()).map_err(|error| refused(error.to_string()))?;
        let owner = match stream.category().owner() {
            "*" => "cluster",
            owner => owner,
        };
        let request = AppendRequest {
            tenant: "main".to_owned(),
            meta: Meta::default(),
            streams: vec![StreamAppend {
                stream,
                expected: Expected::Any,
                events: vec![encoded],
            }],
            guards: Vec::new(),
            command: None,
        };
        self.append(owner, &request, now)?;
        let last = self.events.last().cloned();
        last.ok_or_else(|| refused("the event is not in the log".to_owned()))
    }

    fn known(&self, request: &AppendRequest) -> Option<Result<Appended, AppendError>> {
        let command = request.command.as_ref()?;
        let (hash, outcome) = self.commands.get(&command.command_id)?;
        if *hash != command.request_hash {
            return Some(Err(AppendError::KeyReused {
                command_id: command.command_id,
            }));
        }
        Some(Ok(Appended {
            first_position: self.head(),
            last_position: self.head(),
            recorded_at: self.sequencer.recorded_at,
            outcome: Some(outcome.clone()),
            repeated: true,
        }))
    }

    /// Position of the last event; 0 if there is none.
    pub fn head(&self) -> u64 {
        self.sequencer.position
    }

    /// Events after a position.
    pub fn after(&self, position: u64) -> &[Recorded] {
        let start = usize::try_from(position)
            .unwrap_or(usize::MAX)
            .min(self.events.len());
        &self.events[start..]
    }

    /// Events of a stream, oldest first.
    pub fn stream<'a>(&'a self, stream: &'a StreamName) -> impl Iterator<Item = &'a Recorded> {
        self.events.iter().filter(move |event| event.stream == *stream)
    }

    /// A stream as a decision sees it.
    pub fn load(&self, stream: &StreamName) -> LoadedStream {
        let recorded: Vec<&Recorded> = self.stream(stream).collect();
        LoadedStream {
            version: self.version(stream),
            tenant: recorded.first().map(|first| first.tenant.to_string()),
            // Everything here has passed `Event::decode` when it was appended.
            events: recorded.iter().filter_map(|event| event.event().ok()).collect(),
        }
    }

    /// Outcome of a command, if it is known.
    pub fn command(&self, id: CommandId) -> Option<&CommandOutcome> {
        self.commands.get(&id).map(|(_, outcome)| outcome)
    }

    /// Version of a stream; 0 if it has no event.
    pub fn version(&self, stream: &StreamName) -> u64 {
        self.heads.get(stream).copied().unwrap_or(0)
    }
}
