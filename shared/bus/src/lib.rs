//! NATS JetStream for services and agents: subjects, commands, questions, facts.
//!
//! The only crate of the services that speaks to the bus. It moves messages and heals connections; it
//! decides nothing. Everything may arrive twice, late or never.

mod actor;
mod command;
mod connect;
mod error;
mod log;
mod question;
mod queue;
pub mod subject;
mod trouble;

pub use command::{CommandSink, SubmitError};
pub use connect::{Bus, BusOptions};
pub use error::BusError;
pub use log::{LOG_READERS, Tail};
pub use question::{AskError, QuestionSink};
pub use queue::{Delivered, Handled};

/// The client, for the few parts that need more than this crate offers.
pub use async_nats;
