//! Every event and specification that is ever stored, with its versions, and every message of the bus.
//!
//! This crate holds shapes only, no rule. An event is declared once (`docs/guides/add-an-event.md`); a
//! stored event is readable for ever.

mod access;
mod allocation;
mod application;
mod build;
mod build_session;
mod cluster;
mod command;
mod command_scheduler;
mod endpoint;
mod event;
mod feature;
mod macros;
mod node_key;
mod outcome;
mod placement;
mod question;
mod question_plan;
mod report;
pub mod spec;
mod stream;
mod template;

pub use access::*;
pub use allocation::*;
pub use application::*;
pub use build::*;
pub use build_session::*;
pub use cluster::*;
pub use command::*;
pub use command_scheduler::*;
pub use endpoint::*;
pub use event::{Event, Meta, Recorded, SpecVersion};
pub use feature::{Feature, INTRODUCED, features_stream};
pub use macros::{DecodeError, TypeInfo};
pub use node_key::NodeKeys;
pub use outcome::*;
pub use placement::*;
pub use question::*;
pub use question_plan::*;
pub use report::*;
pub use stream::{Category, MAX_STREAM_NAME_BYTES, StreamName, StreamNameError};
pub use template::*;
