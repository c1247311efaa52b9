//! One newtype a kind of id, so that a node can never be passed where a cluster is meant.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, Default,
        )]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID that a shell made or that was read back.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }
            /// A fixed id for tests and fixtures.
            pub const fn from_u128(value: u128) -> Self {
                Self(Uuid::from_u128(value))
            }
            /// The UUID inside.
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0.hyphenated())
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id!(/// The account that owns clusters; the tenant.
    AccountId);
id!(/// A group of nodes in a region.
    ClusterId);
id!(/// A server with an engine and the agent.
    NodeId);
id!(/// What one Compose template becomes.
    ApplicationId);
id!(/// One version of an application going live.
    ReleaseId);
id!(/// The one-shot run of a slot on a node.
    AllocationId);
id!(/// A join token or an API token.
    TokenId);
id!(/// A secret in the vault.
    SecretId);
id!(/// A stored template.
    TemplateId);
id!(/// The making of one image.
    BuildId);
id!(/// A stored event.
    EventId);
id!(/// A command; the key of its idempotency.
    CommandId);
id!(/// Ties everything together that one request caused.
    CorrelationId);
