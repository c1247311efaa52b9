//! The log: appends, numbers, chains, relays to JetStream, replays, proves.
//!
//! One instance writes, others stand by ([`run`]). The schema is made by [`setup`]. Everything that the log
//! promises is decided in `berth-ledger-core` and `berth-eventsourcing`; this crate moves it.

mod cache;
mod dead;
mod enable;
mod error;
mod intake;
mod intrusion;
mod known;
mod lookup;
mod loss;
mod metrics;
mod options;
mod questions;
mod queue;
mod read;
mod relay;
mod run;
mod schema;
mod service;
mod store;
mod streams;
mod writer;

pub use error::LedgerError;
pub use loss::accept_loss;
pub use metrics::{LedgerMetrics, LedgerSnapshot};
pub use options::{LedgerOptions, PARTITION_SIZE};
pub use queue::{BUSY_AFTER, LedgerHandle, MAX_BATCH_BYTES, MAX_BATCH_EVENTS, MAX_QUEUED};
pub use read::{PAGE, VerifyError, VerifyReport, head, read, read_stream, verify};
pub use run::{Ledger, LedgerView, write_only};
pub use schema::{Roles, SERVICES, setup};
pub use service::{run, run_replicated, run_with};
pub use streams::{EVT, LOGS, MIN_MAX_PAYLOAD};
