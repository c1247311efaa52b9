//! Streams, decisions, views and the in-memory log: event sourcing without IO.
//!
//! Everything here is pure: the real log (ledger-svc) and the in-memory log share one [`Sequencer`].

mod aggregate;
mod append;
mod decision;
mod hash;
mod memory;
mod rows;
mod sequencer;
mod view;

pub use aggregate::Aggregate;
pub use append::{
    AppendError, AppendRequest, Appended, CommandRecord, Expected, Guard, MAX_APPEND_BYTES,
    MAX_APPEND_EVENTS, MAX_EVENT_BYTES, NewEvent, StreamAppend,
};
pub use decision::{Change, Decision, LoadedStream, MAX_DECISION_STREAMS, Streams, Undecided};
pub use hash::{Hash, Hashed, ZERO_HASH, chain};
pub use memory::MemoryLog;
pub use rows::{Index, Rows};
pub use sequencer::{Heads, Sequencer, at_position};
pub use view::{RowError, RowKey, View};
