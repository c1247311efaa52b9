//! The log: pure rules of admitting, batching, addressing and proving.
//!
//! What one append may do is decided by [`berth_eventsourcing::Sequencer`]; this crate decides what a batch
//! of appends becomes, under which subject an event is published, and whether a stretch of the log is whole.

mod admit;
mod batch;
mod features;
mod proof;
mod subject;

pub use admit::{MAX_META_BYTES, MAX_REQUEST_HASH_BYTES, MAX_TENANT_BYTES, admit};
pub use batch::{Batch, Commands, KnownCommand, MovedHead};
pub use features::Features;
pub use proof::{Fault, Proof};
pub use subject::{MAX_KEY_BYTES, subject_of, subject_token};
