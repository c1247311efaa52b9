//! Questions and their answers (`q.<service>.<question>.<key>`); nothing here is stored.

use crate::{CommandOutcome, Feature, PlacementDecided, spec::SecretRef};
use berth_ids::{AllocationId, BuildId, ClusterId, SecretId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Every answer: the value, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer<T> {
    /// The value.
    Ok(T),
    /// Why not.
    Refused(crate::Rejection),
}

/// `q.scheduler.assignment.<node>` answers the complete assignment of a node.
///
/// `change.previous` is 0 and `change.place` holds everything that should run; `stop` is empty: the agent
/// removes whatever it runs of ours that is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Position of the last placement event addressed to the node.
    pub generation: u64,
    /// Its content, as one change from nothing.
    pub change: PlacementDecided,
}

/// `q.access.secret.<node>`: values for a container that is about to be created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRequest {
    /// The allocation that needs them.
    pub allocation_id: AllocationId,
    /// Which values.
    pub wanted: BTreeSet<SecretRef>,
    /// The making of an image that needs the login of `registry`, in place of the allocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_id: Option<BuildId>,
    /// Also the login of this registry, which must be that of the allocation's image. The answer then holds
    /// [`LOGIN_USERNAME`] and [`LOGIN_PASSWORD`], or neither if none is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
}

/// Name of the value that holds the user of a registry.
pub const LOGIN_USERNAME: &str = "username";
/// Name of the value that holds the user's password at a registry.
pub const LOGIN_PASSWORD: &str = "password";
/// Scopes of logins begin with this, which no application's name does; the registry follows.
pub const LOGIN_SCOPE: &str = "@registry/";

/// `q.access.registries.<cluster>`: which logins are stored. The password is never answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListLogins {}

/// One of the answers to [`ListLogins`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredLogin {
    /// The secret that holds it.
    pub secret_id: SecretId,
    /// The registry, such as `ghcr.io` or `registry.example.com:5000`.
    pub registry: String,
    /// Whose login it is.
    pub username: String,
    /// When it was stored.
    pub stored_at: Timestamp,
    /// Who stored it.
    pub stored_by: String,
}

/// Answer: a JSON object `{"<secret>@<version>/<key>": "value"}` sealed to the node's curve key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSecrets {
    /// Public curve key of the sender.
    pub sender_key: String,
    /// Sealed bytes, base64.
    pub sealed: String,
}

/// `q.access.renew.<node>`: an agent asks anew for what it was given when it joined.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewAccess {}

/// Answer: what an agent needs for its next connection. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewedAccess {
    /// Its bus user with the rights that agents have now; worthless without the agent's seed.
    pub user_jwt: String,
    /// The certificates by which it checks the bus, PEM.
    pub ca_pem: String,
}

/// `q.access.put_secret.<cluster>`: the gateway stores values before a command goes out.
///
/// The same values as in the newest version of the scope give that version again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutSecret {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// Tenant.
    pub tenant: String,
    /// What they belong to, such as `shop/web`.
    pub scope: String,
    /// The values.
    pub values: BTreeMap<String, String>,
    /// Who stores them.
    pub actor: String,
}

impl std::fmt::Debug for PutSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PutSecret")
            .field("scope", &self.scope)
            .field("keys", &self.values.keys())
            .finish()
    }
}

/// Answer to [`PutSecret`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSecret {
    /// The secret.
    pub secret_id: SecretId,
    /// Its version that holds these values.
    pub version: u64,
}

/// Answer to [`PutSecret`] asked as `q.access.match_secret.<cluster>`: what storing would answer. Nothing is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchedSecret {
    /// The secret and the version that would hold the values.
    pub stored: StoredSecret,
    /// Names of values that are the same in the newest version there is.
    pub same: BTreeSet<String>,
}

/// `q.access.reveal.<cluster>`: values for a principal who may see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevealSecrets {
    /// Which values.
    pub wanted: BTreeSet<SecretRef>,
    /// Who asks.
    pub actor: String,
}

/// `q.access.authenticate.-`: who is the bearer of a token with this hash?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authenticate {
    /// SHA-256 of the secret part, hexadecimal.
    pub hash: String,
}

/// `q.ledger.command.<id>`: what came of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandStatus {
    /// Its outcome; absent: not known (yet).
    pub outcome: Option<CommandOutcome>,
    /// SHA-256 of the request behind it, hexadecimal; the same key with another hash is refused.
    pub request_hash: Option<String>,
}

/// `q.ledger.head.-`: the end of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogHead {
    /// Id of the log.
    pub log_id: String,
    /// How often an operator accepted that a tail was lost.
    pub incarnation: u64,
    /// Position of the last event; 0: none.
    pub position: u64,
    /// Its hash, hexadecimal.
    pub hash: String,
}

/// `q.<service>.health.-`: every instance answers; also served as `/health` beside `/metrics`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceHealth {
    /// Service, such as `scheduler`.
    pub service: String,
    /// One a process.
    pub instance: String,
    /// Version of the binary.
    pub version: String,
    /// Well, or what is the matter.
    pub state: HealthState,
    /// Position up to which its read model is, if it has one.
    pub position: Option<u64>,
    /// When the process started.
    pub started_at: Timestamp,
    /// Events that it can read and an earlier release cannot.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub reads: BTreeSet<Feature>,
}

/// How a service is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "state", content = "reason")]
pub enum HealthState {
    /// Works.
    Green,
    /// Works, with a fault that heals by itself.
    Yellow(String),
    /// Does not work until somebody acts.
    Red(String),
}

/// `adv.<service>`: a message of a queue that nobody will handle any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetter {
    /// Who gave it up.
    pub service: String,
    /// Where it came.
    pub subject: String,
    /// How often it was tried.
    pub deliveries: u64,
    /// Why.
    pub reason: String,
    /// The message itself.
    pub payload: String,
}
