//! Any event, and the envelope in which the log keeps it.

use crate::{
    AccountEvent, AllocationEvent, ApplicationEvent, BuildEvent, Category, ClusterEvent, CredentialEvent,
    DecodeError, NameEvent, NodeEvent, PlacementEvent, PlatformEvent, SecretEvent, StreamName, TemplateEvent,
    TokenEvent, TypeInfo,
};
use berth_ids::{CommandId, CorrelationId, EventId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;

macro_rules! any_event {
    ($( $variant:ident($ty:ty), )*) => {
        /// Any event of the log.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum Event { $( $variant($ty), )* }

        $( impl From<$ty> for Event {
            fn from(event: $ty) -> Self { Self::$variant(event) }
        } )*

        impl Event {
            /// Category of the streams that hold it.
            pub fn category(&self) -> Category {
                match self { $( Self::$variant(_) => <$ty>::CATEGORY, )* }
            }
            /// Wire name.
            pub fn type_name(&self) -> &'static str {
                match self { $( Self::$variant(event) => event.type_name(), )* }
            }
            /// The version that is written now.
            pub fn schema_version(&self) -> u16 {
                match self { $( Self::$variant(event) => event.schema_version(), )* }
            }
            /// The data as JSON text.
            ///
            /// # Errors
            /// Only if a map key is not text, which no event has.
            pub fn encode(&self) -> Result<String, serde_json::Error> {
                match self { $( Self::$variant(event) => event.encode(), )* }
            }
            /// Reads any version ever written.
            ///
            /// # Errors
            /// [`DecodeError`] if the type is unknown or the data has another shape.
            pub fn decode(category: Category, name: &str, version: u16, data: &str) -> Result<Self, DecodeError> {
                match category { $( <$ty>::CATEGORY => <$ty>::decode(name, version, data).map(Self::$variant), )* }
            }
            /// One line a type of every category.
            pub fn catalogue() -> Vec<TypeInfo> {
                let mut all = Vec::new();
                $( all.extend(<$ty>::catalogue()); )*
                all
            }
        }
    };
}

/// Categories as patterns: a category without events would not compile.
use Category as C;
any_event! {
    Cluster(ClusterEvent),
    Node(NodeEvent),
    Name(NameEvent),
    Application(ApplicationEvent),
    Template(TemplateEvent),
    Build(BuildEvent),
    Placement(PlacementEvent),
    Allocation(AllocationEvent),
    Account(AccountEvent),
    Token(TokenEvent),
    Credential(CredentialEvent),
    Secret(SecretEvent),
    Platform(PlatformEvent),
}
const _: &[C] = C::ALL;

/// Who caused an event, and by what.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Meta {
    /// Principal: `token:<id>`, `service:<name>`, `node:<id>`, `root`.
    pub actor: String,
    /// The command that was decided, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<CommandId>,
    /// One a request from outside.
    pub correlation_id: CorrelationId,
    /// The event that this one follows from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<EventId>,
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// An event as it stands in the log.
///
/// On the bus it is a CloudEvent 1.0 in structured JSON whose extensions carry the fields that the
/// standard does not know; `docs/events.md` shows one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Recorded {
    /// CloudEvents version, `1.0`.
    pub specversion: SpecVersion,
    /// Id of the event.
    pub id: EventId,
    /// `berth/<log id>`.
    pub source: Arc<str>,
    /// Wire name.
    #[serde(rename = "type")]
    pub type_name: Arc<str>,
    /// Stream.
    #[serde(rename = "subject")]
    pub stream: StreamName,
    /// When it was recorded.
    #[serde(rename = "time")]
    pub recorded_at: Timestamp,
    /// Place in the whole log, from 1, without holes.
    #[serde(rename = "sequence")]
    pub position: u64,
    /// Place in the stream, from 1.
    #[serde(rename = "streamversion")]
    pub version: u64,
    /// Position of the event before it in the same category; 0: none.
    #[serde(rename = "categoryprevious")]
    pub category_previous: u64,
    /// Version of the type.
    #[serde(rename = "schemaversion")]
    pub schema_version: u16,
    /// Account that owns the cluster.
    pub tenant: Arc<str>,
    /// How often an operator accepted that a tail was lost.
    pub incarnation: u64,
    /// Hash of this event, SHA-256 in hexadecimal.
    pub hash: String,
    /// Hash of the event before it in the log; 64 zeros for the first.
    #[serde(rename = "previoushash")]
    pub previous_hash: String,
    /// Who caused it, and by what. Hashed as written, like the data.
    pub meta: Box<RawValue>,
    /// The event's own data.
    pub data: Box<RawValue>,
}

/// The word `1.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum SpecVersion {
    /// CloudEvents 1.0.
    #[default]
    #[serde(rename = "1.0")]
    V1,
}

impl Recorded {
    /// The event, upcast to the current version.
    ///
    /// # Errors
    /// [`DecodeError`] if this release does not know it.
    pub fn event(&self) -> Result<Event, DecodeError> {
        Event::decode(
            self.stream.category(),
            &self.type_name,
            self.schema_version,
            self.data.get(),
        )
    }
    /// Who caused it. Fields that cannot be read are left at their defaults: meta never stops a fold.
    pub fn meta(&self) -> Meta {
        serde_json::from_str(self.meta.get()).unwrap_or_default()
    }
}
