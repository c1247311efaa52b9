//! A batch: appends decided one after the other, each seeing what those before it will have done.

use crate::Features;
use berth_events::{CommandOutcome, Recorded, StreamName};
use berth_eventsourcing::{AppendError, AppendRequest, Appended, CommandRecord, Heads, Sequencer};
use berth_ids::{CommandId, Timestamp};
use std::collections::HashMap;

/// What is kept of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCommand {
    /// SHA-256 of its request, hexadecimal.
    pub request_hash: String,
    /// Its first and only outcome.
    pub outcome: CommandOutcome,
    /// Position of the first event it caused; the head of then if none.
    pub first_position: u64,
    /// Position of the last event it caused; the head of then if none.
    pub last_position: u64,
    /// When.
    pub recorded_at: Timestamp,
}

/// Commands that were recorded before.
pub trait Commands {
    /// What is known of a command.
    fn known(&self, id: CommandId) -> Option<&KnownCommand>;
}

impl Commands for HashMap<CommandId, KnownCommand> {
    fn known(&self, id: CommandId) -> Option<&KnownCommand> {
        self.get(&id)
    }
}

/// Where a stream ends after the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovedHead {
    /// Version of its last event.
    pub version: u64,
    /// Position of its last event.
    pub position: u64,
}

/// Appends that are written together.
#[derive(Debug, Clone)]
pub struct Batch {
    sequencer: Sequencer,
    start: u64,
    events: Vec<Recorded>,
    heads: HashMap<StreamName, MovedHead>,
    commands: HashMap<CommandId, KnownCommand>,
}

struct Overlay<'a, H> {
    moved: &'a HashMap<StreamName, MovedHead>,
    before: &'a H,
}

impl<H: Heads> Heads for Overlay<'_, H> {
    fn version(&self, stream: &StreamName) -> u64 {
        match self.moved.get(stream) {
            Some(head) => head.version,
            None => self.before.version(stream),
        }
    }
}

impl Batch {
    /// An empty batch at the end of the log.
    pub fn new(sequencer: Sequencer) -> Self {
        Self {
            start: sequencer.position,
            sequencer,
            events: Vec::new(),
            heads: HashMap::new(),
            commands: HashMap::new(),
        }
    }

    /// Decides one append. The answer is true only once the batch is committed.
    ///
    /// # Errors
    /// [`AppendError`]; the batch is as it was.
    pub fn decide(
        &mut self,
        caller: &str,
        request: &AppendRequest,
        heads: &impl Heads,
        commands: &impl Commands,
        features: &Features,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        if let Some(command) = &request.command {
            let id = command.command_id;
            if let Some(known) = self.commands.get(&id).or_else(|| commands.known(id)) {
                return repeated(command, known);
            }
        }
        features.check(request)?;
        let before = Overlay {
            moved: &self.heads,
            before: heads,
        };
        let (events, appended) = self.sequencer.sequence(caller, request, &before, now)?;
        for event in &events {
            let head = MovedHead {
                version: event.version,
                position: event.position,
            };
            self.heads.insert(event.stream.clone(), head);
        }
        self.events.extend(events);
        if let (Some(command), Some(outcome)) = (&request.command, &appended.outcome) {
            let known = KnownCommand {
                request_hash: command.request_hash.clone(),
                outcome: outcome.clone(),
                first_position: appended.first_position,
                last_position: appended.last_position,
                recorded_at: appended.recorded_at,
            };
            self.commands.insert(command.command_id, known);
        }
        Ok(appended)
    }

    /// Whether nothing is to be written.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.commands.is_empty()
    }

    /// Position of the last event before the batch.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The end of the log after the batch.
    pub fn sequencer(&self) -> &Sequencer {
        &self.sequencer
    }

    /// The events, in order.
    pub fn events(&self) -> &[Recorded] {
        &self.events
    }

    /// The heads that move.
    pub fn heads(&self) -> &HashMap<StreamName, MovedHead> {
        &self.heads
    }

    /// The commands that become known.
    pub fn commands(&self) -> &HashMap<CommandId, KnownCommand> {
        &self.commands
    }

    /// Takes it apart after its commit.
    pub fn into_parts(
        self,
    ) -> (
        Sequencer,
        Vec<Recorded>,
        HashMap<StreamName, MovedHead>,
        HashMap<CommandId, KnownCommand>,
    ) {
        (self.sequencer, self.events, self.heads, self.commands)
    }
}

fn repeated(command: &CommandRecord, known: &KnownCommand) -> Result<Appended, AppendError> {
    if known.request_hash != command.request_hash {
        return Err(AppendError::KeyReused {
            command_id: command.command_id,
        });
    }
    Ok(Appended {
        first_position: known.first_position,
        last_position: known.last_position,
        recorded_at: known.recorded_at,
        outcome: Some(known.outcome.clone()),
        repeated: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_events::{Category, Event, Meta, NodeEvent, NodeUncordoned};
    use berth_eventsourcing::{Expected, NewEvent, StreamAppend};
    use berth_ids::EventId;

    fn cordon(node: u128, expected: u64, command: Option<u128>) -> AppendRequest {
        let event = Event::from(NodeEvent::Uncordoned(NodeUncordoned {}));
        AppendRequest {
            tenant: "main".into(),
            meta: Meta::default(),
            streams: vec![StreamAppend {
                stream: StreamName::new(Category::Node, berth_ids::NodeId::from_u128(node)),
                expected: Expected::Version(expected),
                events: vec![NewEvent::encode(EventId::from_u128(node), &event).unwrap()],
            }],
            guards: Vec::new(),
            command: command.map(|id| CommandRecord {
                command_id: CommandId::from_u128(id),
                request_hash: "aa".into(),
                outcome: CommandOutcome::Accepted {
                    position: 0,
                    result: serde_json::Value::Null,
                },
            }),
        }
    }

    fn decide(batch: &mut Batch, request: &AppendRequest) -> Result<Appended, AppendError> {
        let (heads, commands) = (HashMap::new(), HashMap::new());
        let features = Features::default();
        batch.decide(
            "cluster",
            request,
            &heads,
            &commands,
            &features,
            Timestamp::from_micros(7),
        )
    }

    #[test]
    fn an_append_sees_those_before_it_in_the_batch() {
        let mut batch = Batch::new(Sequencer::empty("log"));
        assert_eq!(decide(&mut batch, &cordon(1, 0, None)).unwrap().last_position, 1);
        let late = decide(&mut batch, &cordon(1, 0, None));
        assert!(
            matches!(late, Err(AppendError::Conflict { actual: 1, .. })),
            "{late:?}"
        );
        assert_eq!(decide(&mut batch, &cordon(1, 1, None)).unwrap().last_position, 2);
        assert_eq!(batch.events().len(), 2);
        assert_eq!(batch.heads().len(), 1);
        assert_eq!(batch.events()[1].previous_hash, batch.events()[0].hash);
    }

    #[test]
    fn a_command_twice_in_a_batch_is_done_once() {
        let mut batch = Batch::new(Sequencer::empty("log"));
        let first = decide(&mut batch, &cordon(1, 0, Some(5))).unwrap();
        let second = decide(&mut batch, &cordon(1, 0, Some(5))).unwrap();
        assert!(!first.repeated && second.repeated);
        assert_eq!(
            (first.outcome, first.last_position),
            (second.outcome, second.last_position)
        );
        let mut other = cordon(1, 0, Some(5));
        other.command.as_mut().unwrap().request_hash = "bb".into();
        assert!(matches!(
            decide(&mut batch, &other),
            Err(AppendError::KeyReused { .. })
        ));
        assert_eq!((batch.events().len(), batch.commands().len()), (1, 1));
    }

    #[test]
    fn a_refused_append_leaves_the_batch_alone() {
        let mut batch = Batch::new(Sequencer::empty("log"));
        assert!(decide(&mut batch, &cordon(1, 3, Some(5))).is_err());
        assert!(batch.is_empty());
        assert_eq!(batch.sequencer().position, 0);
    }
}
