//! Events as the API shows them.

use berth_events::{Recorded, SpecVersion};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// An event of the log as a CloudEvent 1.0.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Event(pub Recorded);

/// The shape of [`Event`], for its schema only.
#[derive(JsonSchema)]
#[schemars(rename = "Event")]
#[allow(dead_code)]
struct EventShape {
    /// CloudEvents version, `1.0`.
    specversion: String,
    /// Id of the event.
    id: berth_ids::EventId,
    /// `berth/<log id>`.
    source: String,
    /// Wire name, such as `node.joined`.
    #[schemars(rename = "type")]
    type_name: String,
    /// Stream: `category/key`.
    subject: String,
    /// When it was recorded.
    time: berth_ids::Timestamp,
    /// Position in the whole log.
    sequence: u64,
    /// Place in the stream.
    streamversion: u64,
    /// Position of the event before it in the same category; 0: none.
    categoryprevious: u64,
    /// Version of the type.
    schemaversion: u16,
    /// Account that owns the cluster.
    tenant: String,
    /// How often an operator accepted that a tail was lost.
    incarnation: u64,
    /// Hash of this event, SHA-256 in hexadecimal.
    hash: String,
    /// Hash of the event before it in the log.
    previoushash: String,
    /// Who caused it, and by what.
    meta: berth_events::Meta,
    /// The event's own data; `docs/events.md` shows each type's shape.
    data: serde_json::Value,
}

impl JsonSchema for Event {
    fn schema_name() -> Cow<'static, str> {
        EventShape::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        EventShape::json_schema(generator)
    }
}

impl From<Recorded> for Event {
    fn from(recorded: Recorded) -> Self {
        debug_assert_eq!(recorded.specversion, SpecVersion::V1);
        Self(recorded)
    }
}
