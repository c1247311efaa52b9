//! Every event and specification that is ever stored, with its versions, and every message of the bus.
//!
//! This crate holds shapes only, no rule. An event is declared once (`docs/guides/add-an-event.md`); a
//! stored event is readable for ever.

mod access;
mod cluster;
mod command;
mod event;
mod macros;
mod question;
pub mod spec;
mod stream;
mod workload;

pub use access::*;
pub use cluster::*;
pub use command::*;
pub use event::{Event, Meta, Recorded, SpecVersion};
pub use macros::{DecodeError, TypeInfo};
pub use question::*;
pub use stream::{Category, MAX_STREAM_NAME_BYTES, StreamName, StreamNameError};
pub use workload::*;
