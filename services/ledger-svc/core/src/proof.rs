//! Proves that a stretch of the log is whole: positions without holes, each hash over the one before.

use berth_events::Recorded;
use berth_eventsourcing::{Hash, Hashed, chain};

/// What is wrong with an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Another position was due.
    #[error("position {found} came where {due} was due: an event is missing or doubled")]
    Hole {
        /// Due.
        due: u64,
        /// Found.
        found: u64,
    },
    /// Its stored hash is not the hash of its fields and the hash before.
    #[error(
        "the event at position {position} was changed: its hash is {stored}, its content gives {computed}"
    )]
    Changed {
        /// Where.
        position: u64,
        /// As stored.
        stored: String,
        /// As computed.
        computed: String,
    },
    /// The log does not end where its writer says.
    #[error("the log ends at position {position} with hash {hash}, but its writer recorded {recorded}")]
    End {
        /// Last position.
        position: u64,
        /// Its hash.
        hash: String,
        /// What the writer recorded.
        recorded: String,
    },
}

/// Goes along the log, event by event.
#[derive(Debug, Clone)]
pub struct Proof {
    position: u64,
    hash: Hash,
}

impl Proof {
    /// Begins behind an event whose hash is trusted.
    pub fn after(position: u64, hash: Hash) -> Self {
        Self { position, hash }
    }

    /// Position of the last event proved.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Its hash.
    pub fn hash(&self) -> &Hash {
        &self.hash
    }

    /// Checks the next event.
    ///
    /// # Errors
    /// [`Fault`]; the proof stays where it was.
    pub fn next(&mut self, event: &Recorded) -> Result<(), Fault> {
        let due = self.position + 1;
        if event.position != due {
            return Err(Fault::Hole {
                due,
                found: event.position,
            });
        }
        let computed = chain(
            &self.hash,
            Hashed {
                position: event.position,
                stream: event.stream.as_str(),
                version: event.version,
                event_id: event.id.as_uuid().as_bytes(),
                type_name: &event.type_name,
                schema_version: event.schema_version,
                tenant: &event.tenant,
                recorded_at_micros: event.recorded_at.as_micros(),
                data: event.data.get(),
                meta: event.meta.get(),
            },
        );
        let text = hex(&computed);
        if text != event.hash {
            return Err(Fault::Changed {
                position: event.position,
                stored: event.hash.clone(),
                computed: text,
            });
        }
        self.position = due;
        self.hash = computed;
        Ok(())
    }
}

fn hex(hash: &Hash) -> String {
    use std::fmt::Write as _;
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
