//! Typed identifiers, time and names that every other crate speaks in.
//!
//! This crate knows no rule of the product. It never makes an id and never reads a clock: ids are
//! UUIDv7 made by a shell (`berth_service_kit::new_id`), time enters as an input.

mod id;
mod name;
mod time;

pub use id::{
    AccountId, AllocationId, ApplicationId, BuildId, ClusterId, CommandId, CorrelationId, EventId, NodeId,
    ReleaseId, SecretId, TemplateId, TokenId,
};
pub use name::{Name, NameError};
pub use time::{Timestamp, TimestampError};

/// The uuid crate, so that callers need no dependency of their own to build an id.
pub use uuid::Uuid;
